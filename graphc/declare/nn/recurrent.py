"""Recurrent layers: simple, LSTM and GRU, with Keras's names, defaults and layout of weights.

Their loop is compiled once, whatever the number of steps; the product of all inputs with the kernel
stands before it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.declare.functional.loops import scan
from graphc.declare.hyperparameters import check_flag
from graphc.declare.init import Initializer, as_initializer, glorot_uniform, orthogonal, zeros
from graphc.declare.nn.activations import ActivationLike, as_activation
from graphc.declare.nn.layer import Layer, short_form
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir.attributes import as_rate
from graphc.ir.functions import build
from graphc.ir.functions.joining import flip
from graphc.ir.given import is_tensor, shown
from graphc.ir.graph import Node
from graphc.ir.location import callers_location, located
from graphc.ir.op import Array
from graphc.ir.ops import elementwise as ops
from graphc.ir.ops import random
from graphc.ir.types import DType, shape_text


class Recurrent(Layer):
    """The loop of a recurrent layer: a subclass says how many gates and states it has, and what a
    step makes of them."""

    gates: int
    states: tuple[str, ...]

    kernel: Node
    recurrent_kernel: Node
    bias: Node | None

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        use_bias: bool = True,
        kernel_init: object = glorot_uniform,
        recurrent_init: object = orthogonal(),
        bias_init: object = zeros,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.units = self._count(units, "unit")
        self.activation = as_activation(self.kind, activation)
        for flag in ("use_bias", "return_sequences", "return_state", "go_backwards"):
            check_flag(f"{self.kind}: {flag}", locals()[flag])
        self.use_bias = use_bias
        self.kernel_init, self.recurrent_init = kernel_init, recurrent_init
        self.bias_init = bias_init
        self.dropout = self._rate("dropout", dropout)
        self.recurrent_dropout = self._rate("recurrent_dropout", recurrent_dropout)
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards = go_backwards
        # Whether a sequence has the order of the steps of x whichever way they are gone.
        self._in_order = False
        if not use_bias:
            self.bias = None

    def _rate(self, name: str, rate: float) -> float:
        try:
            return as_rate(rate)
        except (TypeError, ValueError) as error:
            problem = f"{self.kind}: {name}: {error}"
            raise GraphError(located(problem, callers_location())) from None

    def _backwards(self) -> Recurrent:
        """A layer of the same configuration with weights of its own, which goes the other way."""
        made = copy.copy(self)
        Layer.__init__(made, "backward")
        made.go_backwards = made._in_order = True
        return made

    # --- the loop ------------------------------------------------------------------------------

    def call(
        self, x: Node, initial_state: Any = None, mask: Any = None, lengths: Any = None
    ) -> Any:
        self._check(x)
        batch, time, _ = x.shape
        kept = self._kept(x, mask, lengths)
        kernel = self._kernel(x)
        recurrent = self.parameter(
            "recurrent_kernel", (self.units, self.gates * self.units), self.recurrent_init
        )
        # One product of all rows, whose gradient is one too.
        rows = build.reshape(build.transpose(self._dropped(x), (1, 0, 2)), (-1, x.shape[2]))
        projected = build.matmul(rows, kernel) + self._input_bias(x)
        projected = build.reshape(projected, (time, batch, kernel.shape[1]))
        start = self._start(x, initial_state)
        forget = self._mask(x, (batch, self.units), self.recurrent_dropout, "recurrent_key")

        def step(states: list[Node], slices: list[Node]) -> tuple[list[Node], Any]:
            h, *others = states
            seen = h if forget is None else h * forget
            after = self._step(slices[0], seen, [h, *others], recurrent)
            if kept is not None:
                after = [
                    ops.where(slices[1], new, old) for new, old in zip(after, states, strict=True)
                ]
            return after, after[0] if self.return_sequences else None

        stacks = [projected] if kept is None else [projected, kept]
        last, sequence = scan(step, start, stacks, length=time, reverse=self.go_backwards)
        output = last[0]
        if self.return_sequences:
            output = build.transpose(sequence, (1, 0, 2))
            if self.go_backwards and not self._in_order:
                output = flip(output, 1)
        return (output, *last) if self.return_state else output

    def _step(self, gates: Node, seen: Node, states: Sequence[Node], recurrent: Node) -> list[Node]:
        """The next states, of what a step's input makes of the gates, [batch, gates * units].

        seen: the output before, which the recurrent kernel reads.
        """
        raise NotImplementedError

    # --- what it reads -------------------------------------------------------------------------

    def _check(self, x: Node) -> None:
        if x.rank != 3:
            raise ShapeError(self._message(x, "[batch, steps, features] expected"))
        if not x.dtype.is_float:
            raise DTypeError(self._message(x, "f32 or f64 expected"))

    def _kernel(self, x: Node) -> Node:
        shape = (self._fixed_extent(x), self.gates * self.units)
        return self.parameter("kernel", shape, self.kernel_init)

    def _input_bias(self, x: Node) -> Any:
        if not self.use_bias:
            return 0.0
        return self.parameter("bias", (self.gates * self.units,), self.bias_init)

    def _start(self, x: Node, initial_state: Any) -> list[Node]:
        """The states before the first step: zeros unless they are given."""
        shape = (x.shape[0], self.units)
        if initial_state is None:
            zero = build.broadcast_to(x.graph.constant(0.0, x.dtype), shape)
            return [zero] * len(self.states)
        given = [initial_state] if is_tensor(initial_state) else list(initial_state)
        if len(given) != len(self.states):
            problem = (
                f"initial_state: {' and '.join(self.states)} expected, not {len(given)} values"
            )
            raise ShapeError(self._message(x, problem))
        for state in given:
            if not is_tensor(state):
                problem = f"initial_state: a tensor expected, not {shown(state)}"
                raise TypeError(self._message(x, problem))
            if state.shape != shape or state.dtype != x.dtype:
                wanted = f"{x.dtype}{shape_text(shape)}"
                problem = f"initial_state: {wanted} expected, not {state.type}"
                raise ShapeError(self._message(x, problem))
        return given

    def _kept(self, x: Node, mask: Any, lengths: Any) -> Node | None:
        """Which steps count, bools [steps, batch, 1]; None where all do."""
        if mask is not None and lengths is not None:
            raise GraphError(self._message(x, "a mask or lengths expected, not both"))
        batch, time, _ = x.shape
        if lengths is not None:
            if not is_tensor(lengths) or lengths.shape != (batch,) or not lengths.dtype.is_integer:
                problem = f"lengths: integers of shape {shape_text((batch,))} expected"
                raise ShapeError(self._message(x, problem))
            steps = build.reshape(x.graph.iota((time,), "i64"), (time, 1))
            return build.expand_dims(steps < build.cast(lengths, "i64"), 2)
        if mask is None:
            return None
        if not is_tensor(mask) or mask.shape != (batch, time) or not mask.dtype.is_bool:
            problem = f"mask: bools of shape {shape_text((batch, time))} expected"
            raise ShapeError(self._message(x, problem))
        return build.expand_dims(build.transpose(mask, (1, 0)), 2)

    def _dropped(self, x: Node) -> Node:
        """x without the features that are dropped, in all steps the same."""
        mask = self._mask(x, (x.shape[0], 1, x.shape[2]), self.dropout, "key")
        return x if mask is None else x * mask

    def _mask(self, x: Node, shape: Any, rate: float, stream: str) -> Node | None:
        if rate == 0:
            return None
        ones = build.broadcast_to(x.graph.constant(1.0, x.dtype), shape)
        return random.dropout(ones, self.random_stream(stream), rate=rate)

    def _gate(self, gates: Node, number: int) -> Node:
        return gates[:, number * self.units : (number + 1) * self.units]

    def _activated(self, x: Node) -> Node:
        return x if self.activation is None else self.activation(x)


class SimpleRNN(Recurrent):
    """h' = activation(x @ kernel + h @ recurrent_kernel + bias), from step to step.

    x [batch, steps, features] gives the last h, [batch, units], or with `return_sequences` all,
    [batch, steps, units]; with `return_state` a tuple, the last state behind the output.
    `go_backwards` reads the steps from the last to the first and gives them in that order.

    Calls take `initial_state`, h or zeros; `mask`, bools [batch, steps], or `lengths`, integers
    [batch]: in steps that do not count, state and output stay as they were. `dropout` and
    `recurrent_dropout` are rates at which features of x and of h are dropped while training, the
    same ones in all steps of a sample.

    Parameters: `kernel` [features, units], `recurrent_kernel` [units, units], `bias` [units].
    Source: Elman, Finding Structure in Time, 1990.

        last = gc.nn.SimpleRNN(32)(x)

    Raises ShapeError for fewer than 1 unit, GraphError for a rate that is none. Calls raise
    ShapeError and DTypeError for x of another form.
    """

    gates = 1
    states = ("h",)

    def _step(self, gates: Node, seen: Node, states: Sequence[Node], recurrent: Node) -> list[Node]:
        return [self._activated(gates + build.matmul(seen, recurrent))]


class _Gated(Recurrent):
    """A recurrent layer whose gates have an activation of their own."""

    recurrent_activation: Callable[[Node], Node] | None

    def _gated(self, x: Node) -> Node:
        return x if self.recurrent_activation is None else self.recurrent_activation(x)


@dataclass(frozen=True)
class _ForgetOne:
    """A bias that an initialiser makes, but 1 for the forget gate."""

    inner: Initializer
    units: int

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
        made = np.array(self.inner(rng, shape, dtype))
        made[self.units : 2 * self.units] = 1
        return made


class LSTM(_Gated):
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
        name: str | None = None,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_init, recurrent_init, bias_init, dropout,
            recurrent_dropout, return_sequences, return_state, go_backwards, name,
        )  # fmt: skip
        self.recurrent_activation = as_activation(self.kind, recurrent_activation)
        check_flag(f"{self.kind}: unit_forget_bias", unit_forget_bias)
        if unit_forget_bias:
            self.bias_init = _ForgetOne(as_initializer(bias_init), self.units)

    def _step(self, gates: Node, seen: Node, states: Sequence[Node], recurrent: Node) -> list[Node]:
        _, c = states
        gates = gates + build.matmul(seen, recurrent)
        taken, kept, value, shown_ = (self._gate(gates, number) for number in range(4))
        after = self._gated(kept) * c + self._gated(taken) * self._activated(value)
        return [self._gated(shown_) * self._activated(after), after]


class GRU(_Gated):
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
        reset_after: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_init, recurrent_init, bias_init, dropout,
            recurrent_dropout, return_sequences, return_state, go_backwards, name,
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


simple_rnn = short_form(SimpleRNN, "simple_rnn")
lstm = short_form(LSTM, "lstm")
gru = short_form(GRU, "gru")
