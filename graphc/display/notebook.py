"""An output of a notebook's cell that is written anew while something runs."""

from __future__ import annotations

import sys
from typing import Any


def in_notebook() -> bool:
    """Whether this process runs the cells of a notebook, which it cannot without IPython."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A bar with a line of text beside it, as one output of the cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, share: float, text: str) -> None:
        """The bar at `share`, from 0 to 1, with the text in the place of the last one."""
        from html import escape

        bar = f'<progress value="{share:.3f}" max="1"></progress>'
        self._write(f"{bar} {escape(text)}", text)

    def close(self) -> None:
        """Takes it away again."""
        if self._handle is not None:
            self._write("", "")
            self._handle = None

    def _write(self, html: str, text: str) -> None:
        # Nothing but a notebook has brought it along.
        from IPython.display import display

        data = {"text/html": html, "text/plain": text}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)
