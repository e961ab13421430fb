"""Long short-term memory whose sums are normalised in each step."""

from __future__ import annotations

from typing import Self

from graphc.declare.init import glorot_uniform, ones, orthogonal, zeros
from graphc.declare.nn.activations import ActivationLike
from graphc.declare.nn.layer import short_form
from graphc.declare.nn.normalization import LayerNorm
from graphc.declare.nn.sequences.lstm import LSTM
from graphc.ir.graph import Node


class LayerNormLSTM(LSTM):
    """An LSTM with layer normalisation of what x adds to the gates, of what h adds, and of c'.

    gates = norm(x @ kernel) + norm(h @ recurrent_kernel) + bias, in the order i, f, g, o;
    c' = norm(s(f) c + s(i) activation(g)), h' = s(o) activation(c'). The norms of the gates go over
    all 4 units of a step of a sample. They are the inner layers `kernel_norm`, `recurrent_norm`
    and `state_norm`, each with `gamma` and `beta`; the rest is as `LSTM` has it. It is what
    LayerNormLSTMCell of TensorFlow Addons computes, whose epsilon the default is. Source: Ba, Kiros
    and Hinton, Layer normalization, 2016, where c' is normalised for h' alone.

        last = gc.nn.LayerNormLSTM(128)(x)

    Raises as `LSTM` does, and ValueError for an epsilon that is negative, NaN or infinite.
    """

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike = "sigmoid",
        use_bias: bool = True,
        kernel_init: object = glorot_uniform,
        recurrent_init: object = orthogonal(),
        bias_init: object = zeros,
        unit_forget_bias: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        layer_norm_epsilon: float = 1e-3,
        gamma_init: object = ones,
        beta_init: object = zeros,
        name: str | None = None,
    ) -> None:
        super().__init__(
            units, activation, recurrent_activation, use_bias, kernel_init, recurrent_init,
            bias_init, unit_forget_bias, dropout, recurrent_dropout, return_sequences,
            return_state, go_backwards, zero_output_for_mask, name,
        )  # fmt: skip
        self.layer_norm_epsilon = layer_norm_epsilon
        self.gamma_init, self.beta_init = gamma_init, beta_init
        self._make_norms()

    def _make_norms(self) -> None:
        self.kernel_norm = self._norm("kernel_norm")
        self.recurrent_norm = self._norm("recurrent_norm")
        self.state_norm = self._norm("state_norm")

    def _norm(self, name: str) -> LayerNorm:
        return LayerNorm(
            epsilon=self.layer_norm_epsilon,
            gamma_init=self.gamma_init,
            beta_init=self.beta_init,
            name=name,
        )

    def _backwards(self) -> Self:
        made = super()._backwards()
        made._make_norms()
        return made

    def _projected(self, product: Node, x: Node) -> Node:
        return super()._projected(self.kernel_norm(product), x)

    def _from_state(self, seen: Node, recurrent: Node) -> Node:
        return self.recurrent_norm(super()._from_state(seen, recurrent))

    def _cell(self, cell: Node) -> Node:
        return self.state_norm(cell)


layer_norm_lstm = short_form(LayerNormLSTM, "layer_norm_lstm")
