"""Attention of several heads, to itself or to another sequence."""

from __future__ import annotations

from collections.abc import Callable

from graphc.declare.init import glorot_uniform, zeros
from graphc.declare.nn.affine import Dense
from graphc.declare.nn.layer import Layer
from graphc.declare.nn.sequences.cache import KeyValueCache
from graphc.declare.nn.shaping import Dropout
from graphc.errors import ShapeError
from graphc.ir.arguments.given import check_flag
from graphc.ir.functions import build
from graphc.ir.functions.arrays import joining
from graphc.ir.functions.attention import attention as attention
from graphc.ir.functions.attention import attention_weights as attention_weights
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops.elementwise import elementwise as ops

# [..., tokens, heads, features] <-> [..., heads, tokens, features]
TOKENS, HEADS = -3, -2


class MultiHeadAttention(Layer):
    """Attention of `num_heads` heads: query [..., n, features], value [..., m, features] ->
    [..., n, output_dim], in the query's dtype.

    Each head attends by projections of its own to `key_dim` features, and what it mixes are
    projections to `value_dim` features (key_dim unless given); the heads' results side by side are
    projected to `output_dim` features, the query's unless given. Inner layers are `query`, `key`,
    `value` and `output`, dense ones of [features, heads * key_dim] and the like. With
    `num_kv_heads`, fewer than `num_heads`, each head of keys and values serves several of queries
    (Ainslie et al., GQA, 2023). While training, attention weights are dropped at the rate
    `dropout`. `rotary`, a `gc.nn.RotaryEmbedding` or another function of [..., n, key_dim], turns
    queries and keys. Words and defaults are those of keras.layers.MultiHeadAttention. Source:
    Vaswani et al., Attention is all you need, 2017.

        mixed = gc.nn.MultiHeadAttention(4, 16)(x, causal=True)
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_dim: int | None = None,
        num_kv_heads: int | None = None,
        rotary: Callable[..., Node] | None = None,
        kernel_init: object = glorot_uniform,
        bias_init: object = zeros,
        name: str | None = None,
    ) -> None:
        """Raises ShapeError for numbers below 1, and for heads that do not divide by those of keys;
        GraphError for a rate below 0 or not below 1."""
        super().__init__(name)
        self.num_heads = self._count(num_heads, "head")
        self.num_kv_heads = self._count(num_kv_heads or num_heads, "head")
        if self.num_heads % self.num_kv_heads:
            problem = f"{self.num_heads} heads do not divide by {self.num_kv_heads} of keys"
            raise ShapeError(located(f"{self.kind}: {problem}", callers_location()))
        self.key_dim = self._count(key_dim, "feature")
        self.value_dim = self._count(value_dim or key_dim, "feature")
        self.output_dim = None if output_dim is None else self._count(output_dim, "feature")
        self.dropout = Dropout(dropout)
        self.rotary = rotary
        check_flag(f"{self.kind}: use_bias", use_bias)
        self.use_bias = use_bias
        self.kernel_init, self.bias_init = kernel_init, bias_init
        self.query = self._dense(self.num_heads * self.key_dim, "query")
        self.key = self._dense(self.num_kv_heads * self.key_dim, "key")
        self.value = self._dense(self.num_kv_heads * self.value_dim, "value")
        self.output: Dense | None = None

    def call(
        self,
        query: Node,
        value: Node | None = None,
        key: Node | None = None,
        mask: Node | None = None,
        causal: bool = False,
        bias: Node | None = None,
        cache: KeyValueCache | None = None,
    ) -> Node:
        """Attention of the query to `value`, itself unless given, by `key`, the value unless given.

        mask: bools [batch, n, m], or what broadcasts to that: True where the query attends.
        causal: no query attends to what stands behind it.
        bias: floats [num_heads, n, m], or what broadcasts to that, added to the scores.
        cache: of a query of one token, which attends to itself and to those that the cache has.
        """
        value = query if value is None else value
        key = value if key is None else key
        q = self._heads(self.query(query), self.num_heads)
        k = self._heads(self.key(key), self.num_kv_heads)
        v = self._heads(self.value(value), self.num_kv_heads)
        if self.rotary is not None:
            start = {} if cache is None else {"start_index": cache.position}
            q, k = self.rotary(q, **start), self.rotary(k, **start)
        if cache is not None:
            k, v = cache.extended(self, k, v)
            mask = cache.seen if mask is None else ops.logical_and(mask, cache.seen)
            causal = False
        if mask is not None and mask.rank > 2:
            mask = build.expand_dims(mask, mask.rank - 2)
        mixed = self._mixed(q, k, v, mask, causal, bias)
        mixed = _swapped(mixed)
        joined = build.reshape(mixed, (*mixed.shape[:HEADS], self.num_heads * self.value_dim))
        if self.output is None:
            units = self.output_dim or self._fixed_extent(query)
            self.output = self._dense(units, "output")
        return self.output(joined)

    def _mixed(
        self,
        q: Node,
        k: Node,
        v: Node,
        mask: Node | None,
        causal: bool,
        bias: Node | None,
    ) -> Node:
        if self.dropout.rate == 0:
            return attention(q, k, v, mask, causal, bias)
        shared = self.num_heads // self.num_kv_heads
        if shared > 1:
            k, v = (joining.repeat(each, shared, axis=each.rank + TOKENS) for each in (k, v))
        weights = attention_weights(q, k, mask, causal, bias)
        return build.matmul(self.dropout(weights), v)

    def _dense(self, units: int, name: str) -> Dense:
        return Dense(units, None, self.use_bias, self.kernel_init, self.bias_init, name)

    def _heads(self, x: Node, heads: int) -> Node:
        """[..., n, heads * features] -> [..., heads, n, features]"""
        features = self._fixed_extent(x) // heads
        return _swapped(build.reshape(x, (*x.shape[:-1], heads, features)))


def _swapped(x: Node) -> Node:
    """x with tokens and heads in each other's place."""
    first = x.rank + TOKENS
    return build.transpose(x, (*range(first), first + 1, first, first + 2))


def multi_head_attention(
    x: Node,
    num_heads: int,
    key_dim: int,
    value: Node | None = None,
    mask: Node | None = None,
    causal: bool = False,
    bias: Node | None = None,
    name: str | None = None,
) -> Node:
    """Attention of several heads: `MultiHeadAttention(num_heads, key_dim)(x, value, ...)`."""
    layer = MultiHeadAttention(num_heads, key_dim, name=name)
    return layer(x, value, mask=mask, causal=causal, bias=bias)
