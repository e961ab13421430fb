"""Optimizers as update graphs, with PyTorch's defaults and semantics.

An optimizer is plain data. `updates` declares its slots as variables of the graph and returns
the next value of every state that it changes. The learning rate, the momentum and the weight
decay are variables too: setting one compiles nothing. Decay rates of moving averages are
constants, since 1 - beta must be exact also in f32. What a parameter's step is computed with has
the parameter's dtype: a variable is as wide as the widest parameter.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from graphc.declare.derivatives import grad
from graphc.declare.graph import Graph, graph_of, parameters_of
from graphc.declare.hyperparameters import check_number
from graphc.declare.init import zeros
from graphc.declare.training_forms import training_updates
from graphc.errors import GraphError
from graphc.ir import build
from graphc.ir.given import check_tensors
from graphc.ir.graph import Node
from graphc.ir.ops import elementwise as ops
from graphc.ir.types import DType, each_of, f32, f64

# torch.nn.utils.clip_grad_norm_ adds this to the norm that it divides by.
NORM_EPSILON = 1e-6


class Slots:
    """The variables of one optimizer on one graph, named below `scope`, and their next values.

    dtype: of those that the parameters share.
    """

    def __init__(self, graph: Graph, scope: str, dtype: DType) -> None:
        self.graph = graph
        self.scope = scope
        self.dtype = dtype
        self.updates: dict[Node, Node] = {}
        self._scalars: dict[str, Node] = {}
        self._steps: Node | None = None

    def scalar(self, name: str, value: float, beside: Node) -> Node:
        """A hyperparameter that may be set between steps, in the dtype of `beside`."""
        if name not in self._scalars:
            self._scalars[name] = self.graph.variable(
                f"{self.scope}.{name}", value, dtype=self.dtype
            )
        return build.cast(self._scalars[name], beside.dtype)

    def slot(self, name: str, parameter: Node, init: object = zeros) -> Node:
        """A variable of the parameter's type."""
        full_name = f"{self.scope}.{name}.{parameter.name}"
        return self.graph.variable(full_name, init, parameter.shape, parameter.dtype)

    def steps(self, beside: Node) -> Node:
        """The number of the step being taken, from 1, in the dtype of `beside`."""
        if self._steps is None:
            count = self.graph.variable(f"{self.scope}.steps", 0)
            self._steps = self.updates[count] = count + 1
        return build.cast(self._steps, beside.dtype)

    def set(self, slot: Node, value: Node) -> Node:
        """Makes `value` the next value of `slot` and returns it."""
        self.updates[slot] = value
        return value


@dataclass(frozen=True)
class Optimizer(ABC):
    """What every optimizer has: a rate, and gradients clipped before anything else.

    clip_value: each element of every gradient is limited to +-clip_value.
    clip_norm: all gradients are scaled so that their common 2-norm is at most clip_norm. Where one
    of them is NaN or infinite, all become NaN.
    """

    learning_rate: float = 1e-3
    clip_value: float | None = field(default=None, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Raises ValueError for a hyperparameter that is negative, NaN or infinite, TypeError for
        one that is no number."""
        self._check_numbers(None)

    def _check_numbers(self, dtype: DType | None) -> None:
        for name, number in self._numbers():
            check_number(f"{type(self).__name__}: {name}", number, least=0, dtype=dtype)

    def _numbers(self) -> Iterator[tuple[str, object]]:
        """The hyperparameters by name; not flags, nor what is left out."""
        for each in fields(self):
            value = getattr(self, each.name)
            is_left_out = value is None and each.default is None
            if isinstance(value, tuple | list):
                yield from ((each.name, number) for number in value)
            elif not isinstance(each.default, bool) and not is_left_out:
                yield each.name, value

    def updates(
        self,
        loss: Node,
        parameters: Sequence[Node] | None = None,
        rate: Node | None = None,
    ) -> dict[Node, Node]:
        """The next value of each parameter, of each slot, and of each random stream and running
        average that the loss reads, for one step down `loss`.

        `parameters` are trainable states, those that the loss reads unless given. `rate` is a
        scalar node that replaces the variable `<optimizer>.learning_rate`. Raises GraphError when
        there is no parameter, ValueError when a hyperparameter is infinite in the dtype of one, and
        as `grad` does.
        """
        chosen = parameters_of(loss) if parameters is None else list(each_of(parameters))
        check_tensors("updates: parameters", *chosen)
        if not chosen:
            raise GraphError(f"{loss!r} depends on no parameter")
        for dtype in dict.fromkeys(parameter.dtype for parameter in chosen):
            self._check_numbers(dtype)
        graph = graph_of(loss)
        scope = graph.unique_name(type(self).__name__.lower())
        slots = Slots(graph, scope, widest(chosen))
        gradients = clip(grad(loss, chosen), self.clip_value, self.clip_norm)
        for parameter, gradient in zip(chosen, gradients, strict=True):
            if rate is None:
                current = slots.scalar("learning_rate", self.learning_rate, parameter)
            else:
                current = build.cast(rate, parameter.dtype)
            slots.set(parameter, self.step(parameter, gradient, current, slots))
        return slots.updates | training_updates(loss)

    @abstractmethod
    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        """The parameter's next value; `gradient` and `rate` have its dtype."""


def widest(nodes: Sequence[Node]) -> DType:
    """The dtype that holds the numbers of all: f64 where one of them is f64."""
    return f64 if any(node.dtype is f64 for node in nodes) else f32


def clip(gradients: list[Node], value: float | None, norm: float | None) -> list[Node]:
    """The gradients limited elementwise to +-value, then in their common 2-norm to `norm`."""
    if value is not None:
        gradients = [ops.minimum(ops.maximum(g, -value), value) for g in gradients]
    return gradients if norm is None else _clip_norm(gradients, norm)


def _clip_norm(gradients: list[Node], norm: float) -> list[Node]:
    """g where |g| + epsilon <= norm, else g norm / (|g| + epsilon), |g| being the common 2-norm.

    It is taken in f64, which the squares of f32 neither overflow nor underflow. Beside f64 all are
    divided by the greatest element first, and what then underflows does not count.
    """
    wide = [build.cast(g, f64) for g in gradients]
    unit = _greatest(wide) if widest(gradients) is f64 else None
    scaled = wide if unit is None else [g / unit for g in wide]
    squares = [build.sum(ops.square(g)) for g in scaled]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    length = ops.sqrt(total)
    epsilon = NORM_EPSILON if unit is None else NORM_EPSILON / unit
    is_short = ops.less_equal(length if unit is None else length * unit, norm - NORM_EPSILON)
    # Divided by an infinite length, finite gradients would be 0, and only the others NaN.
    factor = ops.where(ops.less(length, math.inf), norm / (length + epsilon), math.nan)
    return [
        ops.where(is_short, g, build.cast(each * factor, g.dtype))
        for g, each in zip(gradients, scaled, strict=True)
    ]


def _greatest(values: list[Node]) -> Node:
    """The greatest magnitude of all elements, 1 where they are all 0 and where there are none."""
    peaks = [build.max(ops.absolute(value)) for value in values if 0 not in value.shape]
    greatest = peaks[0] if peaks else values[0].graph.constant(1.0, f64)
    for peak in peaks[1:]:
        greatest = ops.maximum(greatest, peak)
    return ops.where(ops.equal(greatest, 0), 1, greatest)


def _with_weight_decay(gradient: Node, parameter: Node, decay: float, slots: Slots) -> Node:
    """The gradient of the loss plus decay/2 * sum w^2."""
    if decay == 0:
        return gradient
    return gradient + slots.scalar("weight_decay", decay, parameter) * parameter


def _bias_correction(steps: Node, beta: float) -> Node:
    """1 - beta^steps, accurate in f32 too, where beta^steps is near 1."""
    if beta == 0:
        return steps.graph.constant(1.0, steps.dtype)
    return -ops.expm1(steps * math.log(beta))


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent as torch.optim.SGD has it.

    v' = momentum v + (1 - dampening) g (v' = g at the first step); w' = w - rate v', or with
    nesterov w - rate (g + momentum v'). Raises ValueError for nesterov without momentum or with
    dampening.
    """

    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("SGD: nesterov needs a momentum and no dampening")

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = _with_weight_decay(gradient, parameter, self.weight_decay, slots)
        if self.momentum == 0:
            return parameter - rate * gradient
        momentum = slots.scalar("momentum", self.momentum, parameter)
        velocity = slots.slot("velocity", parameter)
        inflow = gradient
        if self.dampening != 0:
            is_first = ops.equal(slots.steps(parameter), 1)
            inflow = ops.where(is_first, gradient, (1 - self.dampening) * gradient)
        velocity = slots.set(velocity, momentum * velocity + inflow)
        direction = gradient + momentum * velocity if self.nesterov else velocity
        return parameter - rate * direction


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad as torch.optim.Adagrad has it.

    s' = s + g^2; w' = w - rate / (1 + (t - 1) rate_decay) g / (sqrt(s') + epsilon). Source:
    Duchi, Hazan and Singer, Adaptive subgradient methods, 2011.
    """

    learning_rate: float = 1e-2
    rate_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator: float = 0.0
    epsilon: float = 1e-10

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = _with_weight_decay(gradient, parameter, self.weight_decay, slots)
        if self.rate_decay != 0:
            rate = rate / (1 + (slots.steps(parameter) - 1) * self.rate_decay)
        squares = slots.slot("squares", parameter, self.initial_accumulator)
        squares = slots.set(squares, squares + ops.square(gradient))
        return parameter - rate * (gradient / (ops.sqrt(squares) + self.epsilon))


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop as torch.optim.RMSprop has it.

    s' = alpha s + (1 - alpha) g^2; w' = w - rate g / (sqrt(s') + epsilon). Centered, the square
    of a moving average of g is taken from s'; with momentum, v' = momentum v + g / (...) and
    w' = w - rate v'. Source: Tieleman and Hinton, lecture 6.5, 2012; centered: Graves, 2013.
    """

    learning_rate: float = 1e-2
    alpha: float = 0.99
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = _with_weight_decay(gradient, parameter, self.weight_decay, slots)
        variance = slots.slot("squares", parameter)
        variance = slots.set(variance, _average(variance, ops.square(gradient), self.alpha))
        if self.centered:
            mean = slots.slot("mean", parameter)
            mean = slots.set(mean, _average(mean, gradient, self.alpha))
            # Never negative but for rounding.
            variance = ops.maximum(variance - ops.square(mean), 0)
        direction = gradient / (ops.sqrt(variance) + self.epsilon)
        if self.momentum != 0:
            velocity = slots.slot("velocity", parameter)
            momentum = slots.scalar("momentum", self.momentum, parameter)
            direction = slots.set(velocity, momentum * velocity + direction)
        return parameter - rate * direction


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam as torch.optim.Adam has it; `weight_decay` is added to the gradient.

    m' = beta_1 m + (1 - beta_1) g; v' = beta_2 v + (1 - beta_2) g^2; w' = w - rate / c_1 * m' /
    (sqrt(v') / sqrt(c_2) + epsilon) with c_i = 1 - beta_i^t. With `amsgrad` the greatest v' so far
    stands for v'. Source: Kingma and Ba, Adam, 2015; Reddi, Kale and Kumar, 2018.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        is_pair = isinstance(self.betas, tuple | list) and len(self.betas) == 2
        if not (is_pair and all(_is_share(beta) for beta in self.betas)):
            raise ValueError(f"{type(self).__name__}: two betas below 1 expected, not {self.betas}")

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = _with_weight_decay(gradient, parameter, self.weight_decay, slots)
        return parameter - self.descent(parameter, gradient, rate, slots)

    def descent(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        """What a step takes away from the parameter."""
        beta_1, beta_2 = self.betas
        steps = slots.steps(parameter)
        mean = slots.slot("mean", parameter)
        mean = slots.set(mean, _average(mean, gradient, beta_1))
        squares = slots.slot("squares", parameter)
        squares = slots.set(squares, _average(squares, ops.square(gradient), beta_2))
        if self.amsgrad:
            greatest = slots.slot("greatest_squares", parameter)
            squares = slots.set(greatest, ops.maximum(greatest, squares))
        step_size = rate / _bias_correction(steps, beta_1)
        inverse_root = 1 / ops.sqrt(_bias_correction(steps, beta_2))
        return step_size * (mean / (ops.sqrt(squares) * inverse_root + self.epsilon))


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay, as torch.optim.AdamW has it: w shrinks by rate * decay.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, 2019.
    """

    weight_decay: float = 1e-2

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        descent = self.descent(parameter, gradient, rate, slots)
        if self.weight_decay == 0:
            return parameter - descent
        decay = slots.scalar("weight_decay", self.weight_decay, parameter)
        return parameter * (1 - rate * decay) - descent


def _average(average: Node, value: Node, decay: float) -> Node:
    """The exponential moving average after `value`."""
    return decay * average + (1 - decay) * value


def _is_share(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(0 <= value < 1)
