"""Where a token stands: learned and sinusoidal positions, rotated features, and ALiBi's bias."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.declare.hyperparameters import check_number
from graphc.declare.init import glorot_uniform
from graphc.declare.nn.layer import Layer
from graphc.errors import DTypeError, ShapeError
from graphc.ir.arguments.given import is_tensor
from graphc.ir.dims import Extent
from graphc.ir.functions import build
from graphc.ir.functions.arrays import filling
from graphc.ir.functions.arrays.taking import take
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement


class PositionEmbedding(Layer):
    """A learned vector for each place: [..., n, features] -> [n, features], to be added to x.

    Declares the parameter `table` [sequence_length, features]. A call may begin at `start_index`, a
    number or an integer tensor, as where one token is made after the other. Words and defaults are
    those of keras_hub.layers.PositionEmbedding.

        hidden = embedded + gc.nn.PositionEmbedding(64)(embedded)
    """

    def __init__(
        self, sequence_length: int, init: object = glorot_uniform, name: str | None = None
    ) -> None:
        """Raises ShapeError for fewer than 1 place. Calls raise it for more than there are and for
        an open number of features; an index beyond them is an IndexError of the run."""
        super().__init__(name)
        self.sequence_length = self._count(sequence_length, "place")
        self.init = init

    def call(self, x: Node, start_index: Any = 0) -> Node:
        shape = (self.sequence_length, self._fixed_extent(x))
        table = self.parameter("table", shape, self.init)
        tokens = _tokens(self, x)
        if is_tensor(start_index) or not isinstance(tokens, int):
            return take(table, _places(x, tokens, start_index), axis=0)
        if start_index + tokens > self.sequence_length:
            problem = f"{self.sequence_length} places for {tokens} tokens from {start_index} on"
            raise ShapeError(self._message(x, problem))
        return table[start_index : start_index + tokens]


class SinePositionEncoding(Layer):
    """Sines and cosines of each place: [..., n, features] -> [n, features], to be added to x.

    Feature 2i is sin(place / max_wavelength^(2i / features)), feature 2i + 1 its cosine. Calls
    may begin at `start_index`. Source: Vaswani et al., Attention is all you need, 2017, 3.5.

        hidden = embedded + gc.nn.SinePositionEncoding()(embedded)
    """

    def __init__(self, max_wavelength: float = 10_000, name: str | None = None) -> None:
        """Raises ValueError for a wavelength that is not above 0. Calls raise DTypeError unless x
        is of floats, ShapeError for an open or odd number of features."""
        super().__init__(name)
        check_number(f"{self.kind}: max_wavelength", max_wavelength, least=1)
        self.max_wavelength = float(max_wavelength)

    def call(self, x: Node, start_index: Any = 0) -> Node:
        angles = _angles(self, x, start_index)
        pairs = [build.expand_dims(each, 2) for each in (ops.sin(angles), ops.cos(angles))]
        return build.reshape(build.concatenate(pairs, 2), (_tokens(self, x), x.shape[-1]))


class RotaryEmbedding(Layer):
    """x [..., n, features] with each pair of features turned by an angle that grows with the place.

    Feature i of the first half and of the second one are a pair, turned by place /
    max_wavelength^(2i / features); so the product of two vectors depends on how far apart they
    stand. It is for queries and keys, [batch, heads, n, features]. Calls may begin at
    `start_index`. Source: Su et al., RoFormer, 2021; halves are paired as GPT-NeoX and
    keras_hub.layers.RotaryEmbedding do.

        attend = gc.nn.MultiHeadAttention(4, 16, rotary=gc.nn.RotaryEmbedding())
    """

    def __init__(self, max_wavelength: float = 10_000, name: str | None = None) -> None:
        """Raises as `SinePositionEncoding`, and so do calls."""
        super().__init__(name)
        check_number(f"{self.kind}: max_wavelength", max_wavelength, least=1)
        self.max_wavelength = float(max_wavelength)

    def call(self, x: Node, start_index: Any = 0) -> Node:
        angles = _angles(self, x, start_index)
        sine, cosine = ops.sin(angles), ops.cos(angles)
        half = self._fixed_extent(x) // 2
        first, second = x[..., :half], x[..., half:]
        turned = [first * cosine - second * sine, second * cosine + first * sine]
        return build.concatenate(turned, -1)


def alibi_bias(num_heads: int, tokens: Extent, keys: Extent | None = None, *, like: Node) -> Node:
    """ALiBi: the bias [num_heads, tokens, keys] that lowers scores by how far a key is away.

    Head h of n has -2^(-8 (h + 1) / n) for each place between them; where n is no power of 2 the
    slopes are those that the paper's code has. keys: as many as tokens unless given. like: a tensor
    of the graph and of the dtype that it is for. Source: Press, Smith and Lewis, Train short, test
    long, 2022.

        mixed = gc.nn.attention(q, k, v, causal=True, bias=gc.nn.alibi_bias(8, 64, like=q))

    Raises DTypeError unless `like` is of floats.
    """
    if not like.dtype.is_float:
        raise DTypeError(f"alibi_bias: a tensor of f32 or f64 expected, not {like.type}")
    rows = build.cast(_column(like, tokens), like.dtype)
    columns = build.cast(filling.arange(tokens if keys is None else keys, like=like), like.dtype)
    distance = ops.absolute(rows - columns)
    slopes = np.reshape(alibi_slopes(num_heads), (num_heads, 1, 1))
    return -like.graph.constant(slopes, like.dtype) * distance


def alibi_slopes(num_heads: int) -> list[float]:
    """How much each head's scores fall by place, as in the code of the paper."""
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    between = [2 ** (-4 * (head + 1) / power) for head in range(2 * power)]
    return slopes + between[::2][: num_heads - power]


def _tokens(layer: Layer, x: Node) -> Extent:
    if x.rank < 2:
        raise ShapeError(layer._message(x, "tokens and features expected as the last two axes"))
    return x.shape[-2]


def _places(x: Node, tokens: Extent, start: Any) -> Node:
    """start, start + 1, ... as i32: [tokens]."""
    index = x.graph.iota((tokens,), "i32")
    return index + (build.cast(start, "i32") if is_tensor(start) else start)


def _column(x: Node, tokens: Extent) -> Node:
    return movement.reshape(x.graph.iota((tokens,), "i32"), shape=(tokens, 1))


def _angles(layer: Any, x: Node, start: Any) -> Node:
    """place / max_wavelength^(2i / features): [n, features / 2]."""
    if not x.dtype.is_float:
        raise DTypeError(layer._message(x, "f32 or f64 expected"))
    features, tokens = layer._fixed_extent(x), _tokens(layer, x)
    if features % 2:
        raise ShapeError(layer._message(x, f"an even number of features expected, not {features}"))
    places = build.cast(_places(x, tokens, start), x.dtype)
    rates = layer.max_wavelength ** -(np.arange(features // 2) * 2 / max(features, 1))
    return build.expand_dims(places, 1) * x.graph.constant(rates, x.dtype)
