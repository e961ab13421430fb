"""Layout and SVG: dagre and our own two scripts, run in a JavaScript engine as in the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from graphc.drawing.diagram import Diagram
from graphc.errors import missing_extra

# What a first view needs, in the order in which it is read.
SCRIPTS = ("dagre.min.js", "layout.js", "svg.js")


def asset(name: str) -> str:
    """The text of a file that comes with this package."""
    return resources.files("graphc.drawing").joinpath("assets", name).read_text("utf-8")


@dataclass(frozen=True)
class Placed:
    """A diagram, and `data` as the page keeps it, with its first view laid out: `view` as the page
    keeps it, `layout` in pixels."""

    diagram: Diagram
    data: dict[str, Any]
    view: dict[str, Any]
    layout: dict[str, Any]


def first_view(diagram: Diagram) -> dict[str, Any]:
    return {"boxing": diagram.boxing, "collapsed": list(diagram.collapsed)}


def place_all(diagrams: Sequence[Diagram]) -> list[Placed]:
    """Lays out the first view of each diagram. Raises MissingExtraError without mini-racer."""
    engine = _Engine()
    result = []
    for diagram in diagrams:
        view = first_view(diagram)
        data = diagram.as_dict()
        layout = engine.call("place", data, view)
        result.append(Placed(diagram, data, view, layout))
    return result


def svg_text(diagram: Diagram) -> str:
    """The first view as an SVG document that needs nothing else; nodes carry their hover text.

    Raises MissingExtraError without mini-racer.
    """
    options = {"name": "graph", "style": asset("drawing.css")}
    text: str = _Engine().call("svg", diagram.as_dict(), first_view(diagram), options)
    return text + "\n"


# What dagre needs of a browser: a copy of its plain settings.
_BROWSER = "globalThis.structuredClone = (value) => JSON.parse(JSON.stringify(value));"

# The functions that are called, each with the JSON of its arguments.
_CALLS = """
const graphcCalls = {
  place: (diagram, view) => graphcLayout.place(diagram, view),
  svg: (diagram, view, options) =>
    graphcSvg.text(graphcLayout.place(diagram, view), { ...options, diagram }),
};
function graphcCall(name, given) {
  return JSON.stringify(graphcCalls[name](...JSON.parse(given)));
}
"""


def check_engine() -> None:
    """Raises MissingExtraError without mini-racer."""
    try:
        import py_mini_racer  # noqa: F401
    except ImportError as error:
        raise missing_extra("drawing", "draw") from error


class _Engine:
    """A JavaScript engine that has read the scripts."""

    def __init__(self) -> None:
        check_engine()
        from py_mini_racer import MiniRacer

        self._context = MiniRacer()
        self._context.eval(_BROWSER)
        for name in SCRIPTS:
            self._context.eval(asset(name))
        self._context.eval(_CALLS)

    def call(self, name: str, *arguments: Any) -> Any:
        return json.loads(self._context.call("graphcCall", name, json.dumps(arguments)))
