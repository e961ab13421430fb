"""Gated recurrent units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.declare.init import glorot_uniform, orthogonal, zeros
from graphc.declare.nn.activations import ActivationLike, as_activation
from graphc.declare.nn.layer import short_form
from graphc.declare.nn.sequences.recurrent import Gated
from graphc.ir.arguments.given import check_flag
from graphc.ir.functions import build
from graphc.ir.graph import Node


class GRU(Gated):
    """Gated recurrent units: z keeps the state, r resets what a new value sees of it.

    z, r = s(x W + h U + b) and n = activation(x W + r (h U + b')) with `reset_after`, else
    n = activation(x W + (r h) U + b); h' = z h + (1 - z) n, where s is `recurrent_activation`.
    The columns of kernels and biases are in the order z, r, n. Shapes, masks, dropout and states
    are as `SimpleRNN` has them.

    Parameters: `kernel` [features, 3 units], `recurrent_kernel` [units, 3 units], `bias`
    [2, 3 units] with `reset_after`, that of x and that of h, else [3 units]. Source: Cho et al.,
    2014; with `reset_after` in the form of cuDNN and torch.

        last = gc.nn.GRU(128)(x)

    Raises as `SimpleRNN` does.
    """

    gates = 3
    states = ("h",)

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike = "sigmoid",
        use_bias: bool = True,
        kernel_init: object = glorot_uniform,
        recurrent_init: object = orthogonal(),
        bias_init: object = zeros,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        reset_after: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_init, recurrent_init, bias_init, dropout,
            recurrent_dropout, return_sequences, return_state, go_backwards,
            zero_output_for_mask, name,
        )  # fmt: skip
        self.recurrent_activation = as_activation(self.kind, recurrent_activation)
        check_flag(f"{self.kind}: reset_after", reset_after)
        self.reset_after = reset_after

    def _input_bias(self, x: Node) -> Any:
        if not self.use_bias:
            return 0.0
        columns = self.gates * self.units
        shape = (2, columns) if self.reset_after else (columns,)
        bias = self.parameter("bias", shape, self.bias_init)
        return bias[0] if self.reset_after else bias

    def _step(self, gates: Node, seen: Node, states: Sequence[Node], recurrent: Node) -> list[Node]:
        (h,) = states
        n = self.units
        if self.reset_after:
            from_state = build.matmul(seen, recurrent)
            if self.use_bias:
                from_state = (
                    from_state + self.parameter("bias", (2, self.gates * n), self.bias_init)[1]
                )
            both = gates + from_state
            z, r = self._gated(both[:, :n]), self._gated(both[:, n : 2 * n])
            new = self._activated(self._gate(gates, 2) + r * self._gate(from_state, 2))
        else:
            both = gates[:, : 2 * n] + build.matmul(seen, recurrent[:, : 2 * n])
            z, r = self._gated(both[:, :n]), self._gated(both[:, n:])
            reset = build.matmul(r * seen, recurrent[:, 2 * n :])
            new = self._activated(self._gate(gates, 2) + reset)
        return [z * h + (1.0 - z) * new]


gru = short_form(GRU, "gru")
