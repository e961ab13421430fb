"""What a drawing shows, as plain data: nodes, edges and boxes. Nothing is placed yet."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


class NodeKind(enum.StrEnum):
    """What a node stands for; it decides how the node looks."""

    INPUT = "input"
    PARAMETER = "parameter"
    STATE = "state"
    CONSTANT = "constant"
    OP = "op"
    VIEW = "view"
    KERNEL = "kernel"
    OUTPUT = "output"
    UPDATE = "update"


class Boxing(enum.StrEnum):
    """By what nodes are put into boxes."""

    GROUP = "group"
    LAYER = "layer"


@dataclass(frozen=True)
class DrawnNode:
    """A node of a drawing.

    id: unique in its diagram. label: what stands in it. details: smaller lines below it.
    key: nodes of diagrams side by side that show the same value have the same key.
    text: the value as text form prints it. type: its type. line, source_line: where the user wrote
    it, and what. kernels: names of the kernels that compute it, or what its line became.
    boxes: the id of its box by boxing. tint: of its fusion group, a number that chooses a colour.
    value: the batch's value in full, where it was run.
    """

    id: str
    label: str
    kind: NodeKind
    details: tuple[str, ...] = ()
    key: str = ""
    text: str = ""
    type: str = ""
    line: str = ""
    source_line: str = ""
    kernels: tuple[str, ...] = ()
    boxes: Mapping[Boxing, str] = field(default_factory=dict)
    tint: int | None = None
    value: str = ""


@dataclass(frozen=True)
class DrawnEdge:
    """A use of a value. value, gradient: lines of text above and below the edge.

    operand: its number, where uses of one value by one node are drawn apart.
    """

    source: str
    target: str
    value: tuple[str, ...] = ()
    gradient: tuple[str, ...] = ()
    operand: int = 0


@dataclass(frozen=True)
class Box:
    """A frame around nodes: a kernel's fusion group, or a layer. notes: lines shown on hover."""

    id: str
    boxing: Boxing
    label: str
    kernels: tuple[str, ...] = ()
    tint: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagram:
    """A drawing before it is laid out.

    boxing: the boxes that are drawn at first; None draws none.
    collapsed: ids of boxes that are drawn as one node at first.
    textbook: circles from left to right with values on the edges, not boxes from top to bottom.
    sources: the generated source of each kernel, by name.
    """

    title: str
    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]
    boxes: tuple[Box, ...] = ()
    boxing: Boxing | None = None
    collapsed: tuple[str, ...] = ()
    textbook: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain dicts, lists, strings and numbers, without what is empty: of a diagram
        with nothing in it there are still the lists of nodes and edges."""
        return {"nodes": [], "edges": [], **asdict(self, dict_factory=_without_empty)}


def _without_empty(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if value not in ("", (), {}, None)}
