"""One tensor, several, or several by name: how outputs are declared, and how they come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from graphc.ir.arguments.given import shown
from graphc.ir.graph import Node
from graphc.ir.nodes.op import Array
from graphc.ir.types import is_several

Nodes = Node | Sequence[Node] | Mapping[str, Node]
Form = Node | list[Node] | dict[str, Node]
Leaf = TypeVar("Leaf", Node, Array)


def listed(
    values: Leaf | Sequence[Leaf] | Mapping[str, Leaf] | None, name: str | None = None
) -> list[Leaf]:
    """All of them in order; none for None. Raises TypeError, which begins with `name`, the function
    that was called, for anything else."""
    if values is None:
        return []
    if isinstance(values, Node | np.ndarray):
        return [values]
    if isinstance(values, Mapping):
        return list(values.values())
    if not is_several(values) or isinstance(values, str):
        problem = f"a tensor, several, or several by name expected, not {shown(values)}"
        raise TypeError(problem if name is None else f"{name}: {problem}")
    return list(values)


def form_of(nodes: Nodes) -> Form:
    """The form that `nodes` have, kept apart from what the caller may change."""
    if isinstance(nodes, Node):
        return nodes
    return dict(nodes) if isinstance(nodes, Mapping) else listed(nodes)


def in_form(form: Form, values: list[Any]) -> Any:
    """A value for each node of the form: the value itself, the list, or a dict of the names."""
    if isinstance(form, Node):
        return values[0]
    if isinstance(form, dict):
        return dict(zip(form, values, strict=True))
    return values
