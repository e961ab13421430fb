"""Where in the user's source a node was written."""

from __future__ import annotations

import linecache
import os
import sys
from dataclasses import dataclass

OWN_PACKAGE = "graphc"


@dataclass(frozen=True)
class Location:
    """A line of the user's source."""

    filename: str
    line: int

    @property
    def text(self) -> str:
        """The line itself, or an empty string where the file cannot be read."""
        return linecache.getline(self.filename, self.line).strip()

    def __str__(self) -> str:
        return f"{os.path.basename(self.filename)}:{self.line}"


def callers_location() -> Location | None:
    """The innermost line on the stack that is not graphc's own; None when there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module != OWN_PACKAGE and not module.startswith(OWN_PACKAGE + "."):
            return Location(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def located(message: str, location: Location | None) -> str:
    """`message` with the user's line below it."""
    if location is None:
        return message
    return f"{message}\n  at {location}: {location.text}"
