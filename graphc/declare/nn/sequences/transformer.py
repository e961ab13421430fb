"""Blocks of transformers: attention and a feed-forward network, each with a residual and a norm."""

from __future__ import annotations

from collections.abc import Callable

from graphc.declare.init import glorot_uniform, zeros
from graphc.declare.nn.activations import ActivationLike, as_activation
from graphc.declare.nn.affine import Dense
from graphc.declare.nn.layer import Layer
from graphc.declare.nn.normalization import LayerNorm
from graphc.declare.nn.sequences.attention import MultiHeadAttention
from graphc.declare.nn.sequences.cache import KeyValueCache
from graphc.declare.nn.shaping import Dropout
from graphc.errors import ShapeError
from graphc.ir.arguments.given import check_flag
from graphc.ir.graph import Node


class _TransformerBlock(Layer):
    """What encoder and decoder have in common: their numbers, and sublayers around a residual."""

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        activation: ActivationLike = "relu",
        layer_norm_epsilon: float = 1e-5,
        normalize_first: bool = False,
        num_kv_heads: int | None = None,
        rotary: Callable[..., Node] | None = None,
        kernel_init: object = glorot_uniform,
        bias_init: object = zeros,
        name: str | None = None,
    ) -> None:
        """Raises ShapeError for numbers below 1, ValueError for the name of no activation and for
        an epsilon that is negative, GraphError for a rate below 0 or not below 1. Calls raise
        ShapeError where the heads do not divide the features."""
        super().__init__(name)
        self.intermediate_dim = self._count(intermediate_dim, "unit")
        self.num_heads = self._count(num_heads, "head")
        self.num_kv_heads = num_kv_heads
        check_flag(f"{self.kind}: normalize_first", normalize_first)
        self.normalize_first = normalize_first
        self.activation = as_activation(self.kind, activation)
        self.rotary = rotary
        self.kernel_init, self.bias_init = kernel_init, bias_init
        self.layer_norm_epsilon = layer_norm_epsilon
        self.dropout = Dropout(dropout)
        self.attention_norm = self._norm("attention_norm")
        self.feed_forward_norm = self._norm("feed_forward_norm")
        self.attention: MultiHeadAttention | None = None
        self.feed_forward: tuple[Dense, Dense] | None = None

    def _norm(self, name: str) -> LayerNorm:
        return LayerNorm(epsilon=self.layer_norm_epsilon, name=name)

    def _attention(self, x: Node, name: str) -> MultiHeadAttention:
        features = self._fixed_extent(x)
        if features % self.num_heads:
            problem = f"{self.num_heads} heads do not divide {features} features"
            raise ShapeError(self._message(x, problem))
        return MultiHeadAttention(
            self.num_heads,
            features // self.num_heads,
            dropout=self.dropout.rate,
            num_kv_heads=self.num_kv_heads,
            rotary=self.rotary if name == "attention" else None,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            name=name,
        )

    def _around(self, x: Node, norm: LayerNorm, sublayer: Callable[[Node], Node]) -> Node:
        """x + sublayer(norm(x)) where norms come first, else norm(x + sublayer(x))."""
        if self.normalize_first:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def _through_attention(
        self,
        x: Node,
        mask: Node | None,
        causal: bool,
        bias: Node | None,
        cache: KeyValueCache | None = None,
    ) -> Node:
        if self.attention is None:
            self.attention = self._attention(x, "attention")
        attend = self.attention
        words = {"mask": mask, "causal": causal, "bias": bias, "cache": cache}
        return self._around(x, self.attention_norm, lambda y: attend(y, **words))

    def _through_feed_forward(self, x: Node) -> Node:
        if self.feed_forward is None:
            inits = (True, self.kernel_init, self.bias_init)
            self.feed_forward = (
                Dense(self.intermediate_dim, self.activation, *inits, name="intermediate"),
                Dense(self._fixed_extent(x), None, *inits, name="output"),
            )
        first, second = self.feed_forward
        return self._around(x, self.feed_forward_norm, lambda y: second(first(y)))


class TransformerEncoderBlock(_TransformerBlock):
    """Attention to itself, then a network of `intermediate_dim` units: [..., n, features] of x's
    shape and dtype.

    Norms stand behind the sums unless `normalize_first`, dropout before them. Inner layers are
    `attention`, `intermediate`, `output` and the norms `attention_norm` and `feed_forward_norm`.
    `num_kv_heads` and `rotary` are those of `MultiHeadAttention`; the other words are those of
    keras_hub.layers.TransformerEncoder, and what it computes is what
    torch.nn.TransformerEncoderLayer does. Source: Vaswani et al., Attention is all you need, 2017;
    norms first: Xiong et al., On layer normalization in the transformer architecture, 2020.

        encoded = gc.nn.TransformerEncoderBlock(64, 4)(embedded, mask=gc.expand_dims(words > 0, 1))
    """

    def call(
        self, x: Node, mask: Node | None = None, causal: bool = False, bias: Node | None = None
    ) -> Node:
        """mask, causal and bias: as a call of `MultiHeadAttention` has them."""
        return self._through_feed_forward(self._through_attention(x, mask, causal, bias))


class TransformerDecoderBlock(_TransformerBlock):
    """Causal attention to itself, attention to what an encoder made, where there is one, and a
    network of `intermediate_dim` units: [..., n, features] of x's shape and dtype.

    Without `encoded` it is a block of a GPT. The rest is as `TransformerEncoderBlock` has it, with
    `cross_attention` and `cross_attention_norm` besides. Words are those of
    keras_hub.layers.TransformerDecoder.

        hidden = gc.nn.TransformerDecoderBlock(512, 4, activation="gelu", normalize_first=True)(x)
    """

    # Made by the first call that has something to attend to.
    cross_attention: MultiHeadAttention | None = None
    cross_attention_norm: LayerNorm

    def call(
        self,
        x: Node,
        encoded: Node | None = None,
        mask: Node | None = None,
        encoded_mask: Node | None = None,
        causal: bool = True,
        bias: Node | None = None,
        cache: KeyValueCache | None = None,
    ) -> Node:
        """encoded: [..., m, features of the encoder]; encoded_mask: bools that broadcast to
        [..., n, m]; mask, causal, bias and cache: those of the attention to itself."""
        hidden = self._through_attention(x, mask, causal, bias, cache)
        if encoded is not None:
            if self.cross_attention is None:
                self.cross_attention = self._attention(x, "cross_attention")
                self.cross_attention_norm = self._norm("cross_attention_norm")
            attend = self.cross_attention
            hidden = self._around(
                hidden, self.cross_attention_norm, lambda y: attend(y, encoded, mask=encoded_mask)
            )
        return self._through_feed_forward(hidden)


def transformer_encoder_block(
    x: Node,
    intermediate_dim: int,
    num_heads: int,
    mask: Node | None = None,
    activation: ActivationLike = "relu",
    normalize_first: bool = False,
    name: str | None = None,
) -> Node:
    """One block: `TransformerEncoderBlock(intermediate_dim, num_heads, ...)(x, mask)`."""
    block = TransformerEncoderBlock(
        intermediate_dim, num_heads, activation=activation, normalize_first=normalize_first,
        name=name,
    )  # fmt: skip
    return block(x, mask)


def transformer_decoder_block(
    x: Node,
    intermediate_dim: int,
    num_heads: int,
    encoded: Node | None = None,
    activation: ActivationLike = "relu",
    normalize_first: bool = False,
    name: str | None = None,
) -> Node:
    """One block: `TransformerDecoderBlock(intermediate_dim, num_heads, ...)(x, encoded)`."""
    block = TransformerDecoderBlock(
        intermediate_dim, num_heads, activation=activation, normalize_first=normalize_first,
        name=name,
    )  # fmt: skip
    return block(x, encoded)
