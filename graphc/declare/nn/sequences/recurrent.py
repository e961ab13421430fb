"""What recurrent layers have in common, and the simple one; words, defaults and layouts of weights
are Keras's.

Their loop is compiled once, whatever the number of steps; the product of all inputs with the kernel
stands before it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

from graphc.declare.functional.loops import scan
from graphc.declare.init import glorot_uniform, orthogonal, zeros
from graphc.declare.nn.activations import ActivationLike, as_activation
from graphc.declare.nn.layer import Layer, short_form
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir.arguments.given import check_flag, is_tensor, shown
from graphc.ir.functions import build
from graphc.ir.functions.arrays.joining import flip
from graphc.ir.functions.ordering import cumsum
from graphc.ir.graph import Node
from graphc.ir.nodes.attributes import as_rate
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops import random
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import shape_text


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
        zero_output_for_mask: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.units = self._count(units, "unit")
        self.activation = as_activation(self.kind, activation)
        flags = {
            "use_bias": use_bias, "return_sequences": return_sequences,
            "return_state": return_state, "go_backwards": go_backwards,
            "zero_output_for_mask": zero_output_for_mask,
        }  # fmt: skip
        for flag, value in flags.items():
            check_flag(f"{self.kind}: {flag}", value)
        self.use_bias = use_bias
        self.kernel_init, self.recurrent_init = kernel_init, recurrent_init
        self.bias_init = bias_init
        self.dropout = self._rate("dropout", dropout)
        self.recurrent_dropout = self._rate("recurrent_dropout", recurrent_dropout)
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards = go_backwards
        self.zero_output_for_mask = zero_output_for_mask
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

    def _backwards(self) -> Self:
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
        projected = self._projected(build.matmul(rows, kernel), x)
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
            if kept is not None:
                sequence = self._masked(sequence, kept, initial_state is not None)
            output = build.transpose(sequence, (1, 0, 2))
            if self.go_backwards and not self._in_order:
                output = flip(output, 1)
        return (output, *last) if self.return_state else output

    def _projected(self, product: Node, x: Node) -> Node:
        """What the inputs add to the gates, of x @ kernel, [steps * batch, gates * units]."""
        return product + self._input_bias(x)

    def _masked(self, sequence: Node, kept: Node, begins_with_states: bool) -> Node:
        """The outputs [steps, batch, units]: 0 in steps that do not count with
        `zero_output_for_mask`, else 0 in those before the first that counts, as Keras has them."""
        if self.zero_output_for_mask:
            return ops.where(kept, sequence, 0)
        if not begins_with_states:
            return sequence
        counts = build.cast(kept, "i32")
        begun = flip(cumsum(flip(counts, 0), 0), 0) if self.go_backwards else cumsum(counts, 0)
        return ops.where(begun > 0, sequence, 0)

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
    [batch]: in steps that do not count the state stays as it was, and the output is that of the
    step before, zeros before the first, or zeros with `zero_output_for_mask`. `dropout` and
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


class Gated(Recurrent):
    """A recurrent layer whose gates have an activation of their own."""

    recurrent_activation: Callable[[Node], Node] | None

    def _gated(self, x: Node) -> Node:
        return x if self.recurrent_activation is None else self.recurrent_activation(x)


simple_rnn = short_form(SimpleRNN, "simple_rnn")
