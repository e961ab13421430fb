"""Where in the user's source a node was written, and in which part of the network it stands."""

from __future__ import annotations

import linecache
import os
import sys
import warnings
from dataclasses import dataclass, field

from graphc.ir.nodes.scope import current_scope

OWN_PACKAGE = "graphc"


@dataclass(frozen=True)
class Location:
    """A line of the user's source.

    scope: the scopes and calls of layers that the node was declared in, from the outside in, such
        as ("block1", "encoder (call 2)", "dense"): what `gc.scope` and `gc.nn.Layer` say. Each call
        of a layer is an element of its own, since layers have different names and further calls are
        numbered; so nodes whose scopes begin alike are one group. It is no part of the text, nor of
        what makes locations equal: passes and digests know nothing of it, and derivatives and
        rewritten values have that of the node that they are made from.
    function: the function that the line stands in; empty for a line of a module. No part of what
    makes locations equal either.
    """

    filename: str
    line: int
    scope: tuple[str, ...] = field(default=(), compare=False)
    function: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """The line itself, or an empty string where the file cannot be read."""
        return linecache.getline(self.filename, self.line).strip()

    def __str__(self) -> str:
        folder, name = os.path.split(self.filename)
        # A notebook's kernel gives each cell a file of no meaning.
        in_cell = os.path.basename(folder).startswith("ipykernel_")
        return f"{'cell' if in_cell else name}:{self.line}"


def callers_location() -> Location | None:
    """The innermost line on the stack that is not graphc's own; None when there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module != OWN_PACKAGE and not module.startswith(OWN_PACKAGE + "."):
            scope = current_scope().path
            code = frame.f_code
            function = "" if code.co_name == "<module>" else code.co_name
            return Location(code.co_filename, frame.f_lineno, scope, function)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def warn_at_callers_line(message: str, category: type[Warning]) -> None:
    """Warns at the user's line, which is where a filter by module looks for it too."""
    at = callers_location()
    if at is None:
        warnings.warn(message, category, stacklevel=2)
    else:
        warnings.warn_explicit(message, category, at.filename, at.line)


def name_is_taken(name: str, first: Location | None) -> str:
    """What is said of a name that was declared before, at `first`, with both lines."""
    problem = located(f"the name {name!r} is taken, first declared", first)
    again = "  a graph keeps what was declared: to run a cell again, begin it with gc.Graph()"
    return located(f"{problem}\n{again}", callers_location())


def located(message: str, location: Location | None) -> str:
    """`message` with the user's line below it."""
    if location is None:
        return message
    return f"{message}\n  at {location}: {location.text}"
