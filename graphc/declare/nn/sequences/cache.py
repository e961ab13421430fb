"""What attention has read so far, kept in states while one token is made after the other."""

from __future__ import annotations

from graphc.declare.hyperparameters import as_count
from graphc.declare.init import zeros
from graphc.declare.nn.layer import Layer
from graphc.errors import DTypeError, ShapeError
from graphc.ir.arguments.given import check_tensors
from graphc.ir.functions import build
from graphc.ir.functions.arrays.taking import scatter_set
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import TensorType, i32


class KeyValueCache:
    """Keys and values of the tokens before the present one, for calls with one token each.

    length: the tokens that there is room for; of more, the last so many are seen. position: the
    number of the present one, a scalar i32 of the graph, such as a variable that each call counts
    on. Layers of attention that are called with `cache` keep their keys and values in the variables
    `<layer>.keys` and `<layer>.values`, zeros at first; `updates` has what these become, for the
    function that makes a token:

        cache = gc.nn.KeyValueCache(64, position)
        hidden = block(token, cache=cache)
        step = gc.function([], logits, {**cache.updates, position: position + 1})

    Raises TypeError for a position that is no tensor, DTypeError for one that is no i32, ShapeError
    for one that is no scalar. Calls raise ShapeError for more than one token.
    """

    def __init__(self, length: int, position: Node) -> None:
        check_tensors("KeyValueCache", position)
        self.length = as_count("KeyValueCache: length", length, 1)
        if position.dtype != i32:
            raise DTypeError(_located(f"a position of i32 expected, not {position.type}"))
        if position.shape != ():
            raise ShapeError(_located(f"a scalar position expected, not {position.type}"))
        self.position = position
        self.updates: dict[Node, Node] = {}

    @property
    def seen(self) -> Node:
        """The tokens up to the present one: bools [length]."""
        return ops.less_equal(self._places(), self.position)

    def extended(self, layer: Layer, k: Node, v: Node) -> tuple[Node, Node]:
        """All keys and values so far, [..., length, features], of those of the present token."""
        return self._with(layer, "keys", k), self._with(layer, "values", v)

    def _with(self, layer: Layer, name: str, row: Node, axis: int = -2) -> Node:
        """What is kept of a layer, with the present token at its place along `axis`."""
        if row.shape[axis] != 1:
            raise ShapeError(_located(f"one token a call expected, not {row.type}"))
        shape = list(row.shape)
        shape[axis] = self.length
        before = self._before(layer, name, TensorType(row.dtype, tuple(shape)))
        after = scatter_set(before, build.reshape(self._place, (1,)), row, axis=axis)
        self._keep(before, after)
        return after

    def _before(self, layer: Layer, name: str, of: TensorType) -> Node:
        """What a layer has kept until now."""
        return layer.variable(name, zeros, of.shape, of.dtype)

    def _keep(self, before: Node, after: Node) -> None:
        self.updates[before] = after

    @property
    def _place(self) -> Node:
        """Where the present token stands: a full cache begins again at its first place."""
        return self.position % self.length

    def _places(self) -> Node:
        return self.position.graph.iota((self.length,), i32)


def _located(problem: str) -> str:
    return located(f"KeyValueCache: {problem}", callers_location())
