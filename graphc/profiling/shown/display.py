"""A profile as people see it where they ask for nothing: in notebooks, and by `rich.print`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc.profiling.results import Profile

# Pages and tables are imported where they are shown, which may be never.
if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text


@dataclass(frozen=True)
class DisplayedProfile(Profile):
    """A profile that a notebook shows as a page, and a terminal as tables."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """The tables of `graphc profile`, as wide as there is room."""
        from graphc.profiling.shown.terminal import profile_lines

        yield from profile_lines(self, options.max_width)

    def _repr_html_(self) -> str:
        """The page of `graphc profile --html` in a frame of its own, for notebooks."""
        from graphc.profiling.shown.page import framed, profile_page

        return framed(profile_page(self, f"{self.program} step"))
