"""The parameters and gradients that an optimizer is given, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir.arguments.given import check_tensors, shown
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops import leaf
from graphc.ir.types import each_of, is_several


def checked_parameters(parameters: Any) -> list[Node]:
    """The parameters as a list. Raises TypeError for what is no tensor, GraphError for one that is
    no state of floats, and for one that is named twice."""
    chosen = list(each_of(parameters))
    check_tensors("updates: parameters", *chosen)
    for node in chosen:
        if node.op is not leaf.state or not node.dtype.is_float:
            raise _error(f"parameters: a state of floats expected, not {node!r}")
    twice = [node for number, node in enumerate(chosen) if node in set(chosen[:number])]
    if twice:
        raise _error(f"parameters: {twice[0]!r} is named twice")
    return chosen


def checked_gradients(gradients: Any, parameters: Any) -> dict[Node, Node]:
    """The gradient of each parameter, as `Optimizer.updates` is given them.

    Raises TypeError for what is neither a mapping nor gradients beside as many parameters,
    GraphError for other parameters than `checked_parameters` allows, for another graph and where
    there is none; ShapeError and DTypeError for a gradient of another type than its parameter.
    """
    if isinstance(gradients, Mapping):
        if parameters is not None:
            raise TypeError("updates: gradients by parameter name the parameters; leave them out")
        pairs = list(gradients.items())
    else:
        if parameters is None or not is_several(gradients):
            expected = "gradients={parameter: gradient}, or gradients=[...] with parameters=[...]"
            raise TypeError(f"updates: {expected} expected, not {shown(gradients)}")
        given, chosen = list(gradients), list(each_of(parameters))
        if len(given) != len(chosen):
            problem = f"{len(given)} gradients of {len(chosen)} parameters"
            raise TypeError(f"updates: as many gradients as parameters expected, not {problem}")
        pairs = list(zip(chosen, given, strict=True))
    check_tensors("updates: gradients", *(gradient for _, gradient in pairs))
    checked_parameters([parameter for parameter, _ in pairs])
    if not pairs:
        raise _error("gradients: at least one expected")
    for parameter, gradient in pairs:
        _check_pair(parameter, gradient)
    return dict(pairs)


def _check_pair(parameter: Node, gradient: Node) -> None:
    if gradient.graph is not parameter.graph:
        raise _error(f"gradients: {gradient!r} is of another graph than {parameter!r}")
    if gradient.dtype != parameter.dtype or gradient.shape != parameter.shape:
        kind = ShapeError if gradient.shape != parameter.shape else DTypeError
        problem = f"gradients: {parameter.type} expected for {parameter.name!r}, not {gradient!r}"
        raise _error(problem, kind)


def _error(problem: str, kind: type[GraphError] = GraphError) -> GraphError:
    return kind(located(f"updates: {problem}", callers_location()))
