"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.declare.init import Initializer, as_initializer, glorot_uniform, orthogonal, zeros
from graphc.declare.nn.activations import ActivationLike, as_activation
from graphc.declare.nn.layer import short_form
from graphc.declare.nn.sequences.recurrent import Gated
from graphc.ir.arguments.given import check_flag
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.op import Array
from graphc.ir.types import DType


@dataclass(frozen=True)
class _ForgetOne:
    """A bias that an initialiser makes, but 1 for the forget gate."""

    inner: Initializer
    units: int

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
        made = np.array(self.inner(rng, shape, dtype))
        made[self.units : 2 * self.units] = 1
        return made


class LSTM(Gated):
    """Long short-term memory: i, f, o gate what the cell c takes in, keeps and shows.

    Of gates = x @ kernel + h @ recurrent_kernel + bias, in the order i, f, g, o:
    c' = s(f) c + s(i) activation(g), h' = s(o) activation(c'), where s is `recurrent_activation`.
    Shapes, masks, dropout and states are as `SimpleRNN` has them; the states are h and c.

    Parameters: `kernel` [features, 4 units], `recurrent_kernel` [units, 4 units], `bias` [4 units],
    which begins as 1 for the forget gate with `unit_forget_bias`. Source: Hochreiter and
    Schmidhuber, 1997; Gers et al., Learning to Forget, 2000.

        last = gc.nn.LSTM(128)(x)
        sequence, h, c = gc.nn.LSTM(128, return_sequences=True, return_state=True)(x)

    Raises as `SimpleRNN` does.
    """

    gates = 4
    states = ("h", "c")

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
        name: str | None = None,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_init, recurrent_init, bias_init, dropout,
            recurrent_dropout, return_sequences, return_state, go_backwards,
            zero_output_for_mask, name,
        )  # fmt: skip
        self.recurrent_activation = as_activation(self.kind, recurrent_activation)
        check_flag(f"{self.kind}: unit_forget_bias", unit_forget_bias)
        if unit_forget_bias:
            self.bias_init = _ForgetOne(as_initializer(bias_init), self.units)

    def _step(self, gates: Node, seen: Node, states: Sequence[Node], recurrent: Node) -> list[Node]:
        _, c = states
        gates = gates + self._from_state(seen, recurrent)
        taken, kept, value, shown_ = (self._gate(gates, number) for number in range(4))
        after = self._cell(self._gated(kept) * c + self._gated(taken) * self._activated(value))
        return [self._gated(shown_) * self._activated(after), after]

    def _from_state(self, seen: Node, recurrent: Node) -> Node:
        """What the output before adds to the gates."""
        return build.matmul(seen, recurrent)

    def _cell(self, cell: Node) -> Node:
        """The cell as the next step has it."""
        return cell


lstm = short_form(LSTM, "lstm")
