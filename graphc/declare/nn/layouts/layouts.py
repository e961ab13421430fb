"""Weights of layers as other libraries name them and lay them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.declare.graphs.variables import Variables
from graphc.declare.nn.layer import Layer
from graphc.errors import ShapeError, VariableError
from graphc.ir.arguments.given import as_array, shown
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.op import Array
from graphc.ir.types import shape_text

Arrays = Sequence[Array]


@dataclass(frozen=True)
class Layout:
    """States of a layer, and the arrays that another library has in their place, by name.

    write: the arrays of the states' values. read: the values of such arrays, so that
    read(write(values)) are the values.
    """

    states: tuple[Node, ...]
    names: tuple[str, ...]
    write: Callable[[Arrays], Arrays]
    read: Callable[[Arrays], Arrays]

    def inside(self, prefix: str) -> Layout:
        """The same for a layer that is the part `prefix` of another one."""
        names = tuple(f"{prefix}.{name}" for name in self.names)
        return Layout(self.states, names, self.write, self.read)


def as_it_is(state: Node, name: str) -> Layout:
    """A state that has one layout everywhere."""
    return Layout((state,), (name,), lambda values: values, lambda arrays: arrays)


def reshaped(state: Node, name: str, shape: Sequence[int]) -> Layout:
    """A state whose elements have the shape `shape` elsewhere."""
    own = fixed_shape(state)
    return Layout(
        (state,),
        (name,),
        lambda values: [np.reshape(values[0], shape)],
        lambda arrays: [np.reshape(arrays[0], own)],
    )


def transposed(state: Node, name: str, axes: Sequence[int]) -> Layout:
    """A state whose axes have another order elsewhere: axis k there is `axes[k]` here."""
    back = np.argsort(axes)
    return Layout(
        (state,),
        (name,),
        lambda values: [np.transpose(values[0], axes)],
        lambda arrays: [np.transpose(arrays[0], back)],
    )


def fixed_shape(state: Node) -> tuple[int, ...]:
    """The shape of a state, whose extents are numbers."""
    return tuple(extent for extent in state.shape if isinstance(extent, int))


def read_weights(
    function: str, layer: str, layouts: Sequence[Layout], given: Mapping[str, Any]
) -> dict[str, Array]:
    """The values of a layer's states by name. Raises VariableError for names that are missing or
    not known, ShapeError and TypeError for other arrays; errors name layer, weight and shapes."""
    wanted = [name for layout in layouts for name in layout.names]
    for problem, names in (
        ("missing", [name for name in wanted if name not in given]),
        ("not known", [name for name in given if name not in wanted]),
    ):
        if names:
            text = f"{problem}: {', '.join(names)}; the layer has {', '.join(wanted)}"
            raise VariableError(_located(function, layer, text))
    made: dict[str, Array] = {}
    for layout in layouts:
        arrays = _arrays(function, layer, layout, [given[name] for name in layout.names])
        for state, value in zip(layout.states, layout.read(arrays), strict=True):
            made[state.name] = np.ascontiguousarray(value, state.dtype.numpy)
    return made


def written_weights(
    function: str, layer: str, layouts: Sequence[Layout], variables: Variables
) -> dict[str, Array]:
    """The arrays of a layer's states by their names elsewhere. Raises TypeError for what are no
    variables, VariableError for those of another graph."""
    if not isinstance(variables, Variables):
        problem = f"variables expected, such as graph.variables, not {shown(variables)}"
        raise TypeError(_located(function, layer, problem))
    made: dict[str, Array] = {}
    for layout in layouts:
        arrays = layout.write([variables[state] for state in layout.states])
        made |= zip(layout.names, map(np.ascontiguousarray, arrays), strict=True)
    return made


def check_called(function: str, layer: Any) -> None:
    """Raises TypeError for what is no layer, VariableError for one that was not called yet."""
    if not isinstance(layer, Layer):
        problem = f"{function}: a layer expected, not {shown(layer)}"
        raise TypeError(located(problem, callers_location()))
    if not layer._calls:
        problem = f"{function}: {layer!r} has no weights before its first call"
        raise VariableError(located(problem, callers_location()))


def refusal(function: str, layer: Layer, problem: str) -> TypeError:
    """The error for a layer that the other library does not have."""
    return TypeError(_located(function, layer.name, problem))


def _arrays(function: str, layer: str, layout: Layout, given: Sequence[Any]) -> list[Array]:
    """What is given for a layout. Raises ShapeError and TypeError for what does not fit."""
    like = layout.write([np.zeros(fixed_shape(x), x.dtype.numpy) for x in layout.states])
    states = " and ".join(state.name for state in layout.states)
    made = []
    for name, value, wanted in zip(layout.names, given, like, strict=True):
        try:
            array = as_array(value)
        except (TypeError, ValueError) as error:
            raise TypeError(_located(function, layer, f"{name}: {error}")) from None
        if array.shape != wanted.shape:
            problem = f"{name}, of which {states} is made: {shape_text(wanted.shape)} expected"
            problem = f"{problem}, not {shape_text(array.shape)}"
            raise ShapeError(_located(function, layer, problem))
        made.append(array)
    return made


def _located(function: str, layer: str, problem: str) -> str:
    return located(f"{function}: {layer}: {problem}", callers_location())
