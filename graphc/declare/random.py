"""Random numbers in a graph: functions of the keys of random streams, which steps advance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphc.declare.graph import Graph, graph_of
from graphc.declare.training_forms import training_updates
from graphc.errors import DTypeError
from graphc.ir.given import shown
from graphc.ir.graph import Node
from graphc.ir.location import callers_location, located
from graphc.ir.ops import random
from graphc.ir.types import as_dtype, f32, i32, i64

__all__ = ["advanced", "uniform"]


def uniform(graph: Graph, shape: Any, dtype: object = f32, name: str | None = None) -> Node:
    """Numbers evenly from [0, 1), multiples of 2^-24 in f32 and of 2^-53 in f64.

    Declares the random stream `<name>.key`; the name is "uniform", "uniform_1", ... unless given.
    They are the same numbers until the stream is advanced. `shape` may name open dimensions.
    Raises DTypeError for another dtype, GraphError when the name is taken.

        noise = gc.random.uniform(graph, ("batch", 3))
    """
    if not isinstance(graph, Graph):
        problem = f"uniform: a graphc.Graph expected, not {shown(graph)}"
        raise TypeError(located(problem, callers_location()))
    wanted = as_dtype(dtype)
    if not wanted.is_float:
        problem = f"uniform: f32 or f64 expected, not {wanted}"
        raise DTypeError(located(problem, callers_location()))
    key = graph.random_stream(f"{graph.name_for('uniform', name)}.key")
    index = graph.iota(shape, i32)
    bits = random.random_bits(key, index, dtype=i32 if wanted == f32 else i64)
    return random.unit_interval(bits)


def advanced(roots: Iterable[Node]) -> dict[Node, Node]:
    """The next key of each random stream that `roots` read: updates for a step of one's own.

    `gc.training_updates` has them, and what else a training step changes. Raises as that does.

        draw = gc.function([], noise, gc.random.advanced([noise]))
    """
    updates = training_updates(roots)
    return {state: value for state, value in updates.items() if _is_stream(state)}


def _is_stream(state: Node) -> bool:
    return state.name in graph_of(state).streams
