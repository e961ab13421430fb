"""PyTensor: data and parameters shared, the update in the function, its default linker (numba).

Its C linker was tried and is slower, as are labels as one-hot rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from benchmarks.peers.problem import (
    BETAS,
    BURGERS_VISCOSITY,
    CLIP,
    DISCOUNT,
    ENTROPY_WEIGHT,
    EPSILON,
    VARIANCE_EPSILON,
    Array,
    Problem,
    Step,
)

Loss = Callable[[Sequence[Any], Sequence[Any]], Any]


def pytensor_step(problem: Problem) -> Step:
    return PytensorStep(problem)


def shared(array: Array) -> Any:
    """Indices are int64 in PyTensor."""
    wide = array.astype(np.int64) if array.dtype.kind == "i" else array
    return pytensor.shared(wide, borrow=True)


class PytensorStep:
    """One call without arguments a step."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        arrays = [shared(array) for array in problem.arrays]
        self.parameters = [pytensor.shared(array.copy()) for array in problem.parameters]
        self.slots: list[Any] = []
        loss = LOSSES[problem.loss](self.parameters, arrays)
        gradients = pt.grad(loss, self.parameters)
        rate = np.float32(problem.learning_rate)
        if problem.optimizer == "adam":
            updates = self.by_adam(gradients, rate)
        else:
            pairs = zip(self.parameters, gradients, strict=True)
            updates = [(parameter, parameter - rate * gradient) for parameter, gradient in pairs]
        self.step = pytensor.function([], loss, updates=updates)
        self.step.trust_input = True
        self.run(1)

    def by_adam(self, gradients: Sequence[Any], rate: np.float32) -> list[tuple[Any, Any]]:
        first_beta, second_beta = map(np.float32, BETAS)
        count = self.slot(np.zeros((), np.float32))
        steps = count + np.float32(1)
        first, second = 1 - first_beta**steps, 1 - second_beta**steps
        updates: list[tuple[Any, Any]] = [(count, steps)]
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            zeros = np.zeros_like(parameter.get_value(borrow=True))
            mean, square = self.slot(zeros), self.slot(zeros.copy())
            new_mean = first_beta * mean + (1 - first_beta) * gradient
            new_square = second_beta * square + (1 - second_beta) * gradient * gradient
            root = pt.sqrt(new_square) / pt.sqrt(second) + np.float32(EPSILON)
            updates += [(mean, new_mean), (square, new_square)]
            updates.append((parameter, parameter - rate / first * new_mean / root))
        return updates

    def slot(self, zeros: Array) -> Any:
        self.slots.append(pytensor.shared(zeros))
        return self.slots[-1]

    def reset(self) -> None:
        for parameter, array in zip(self.parameters, self.problem.parameters, strict=True):
            parameter.set_value(array)
        for slot in self.slots:
            slot.set_value(np.zeros_like(slot.get_value(borrow=True)))

    def run(self, count: int) -> float:
        loss: Any = np.nan
        for _ in range(count):
            loss = self.step()
        return float(loss)


def layers(x: Any, parameters: Sequence[Any], activation: Callable[[Any], Any]) -> Any:
    *hidden, kernel, bias = parameters
    for hidden_kernel, hidden_bias in zip(hidden[::2], hidden[1::2], strict=True):
        x = activation(x @ hidden_kernel + hidden_bias)
    return x @ kernel + bias


def of_each_row(table: Any, columns: Any, x: Any) -> Any:
    """In each row of the table what stands in the column of that row."""
    return table[np.arange(x.get_value(borrow=True).shape[0]), columns]


def elementwise(parameters: Sequence[Any], arrays: Sequence[Any]) -> Any:
    a, b, c, d = parameters
    x, t = arrays
    return pt.mean((pt.tanh(a * x + b) * pt.sigmoid(c * x + d) - t) ** 2)


def classifier(parameters: Sequence[Any], arrays: Sequence[Any]) -> Any:
    x, t = arrays
    logs = pt.special.log_softmax(layers(x, parameters, pt.sigmoid), axis=1)
    return -pt.mean(of_each_row(logs, t, x))


def policy(parameters: Sequence[Any], arrays: Sequence[Any]) -> Any:
    x, actions, old, advantages = arrays
    logs = pt.special.log_softmax(layers(x, parameters, pt.tanh), axis=1)
    ratio = pt.exp(of_each_row(logs, actions, x) - old)
    clipped = pt.clip(ratio, np.float32(1 - CLIP), np.float32(1 + CLIP))
    gain = pt.mean(pt.minimum(ratio * advantages, clipped * advantages))
    entropy = -pt.mean(pt.sum(pt.exp(logs) * logs, axis=1))
    return -gain - np.float32(ENTROPY_WEIGHT) * entropy


def critic(parameters: Sequence[Any], arrays: Sequence[Any]) -> Any:
    x, t = arrays
    return pt.mean((layers(x, parameters, lambda z: pt.maximum(z, 0))[:, 0] - t) ** 2)


def relu(x: Any) -> Any:
    return pt.maximum(x, 0)


def cross_entropy(logits: Any, t: Any, rows: Any) -> Any:
    return -pt.mean(of_each_row(pt.special.log_softmax(logits, axis=1), t, rows))


def mexp(parameters: Sequence[Any], arrays: Sequence[Any]) -> Any:
    x, t = arrays
    return pt.mean((layers(x, parameters, pt.tanh) - t) ** 2)


def vae(parameters: Sequence[Any], arrays: Sequence[Any]) -> Any:
    x, noise = arrays
    kernel, bias, mean_kernel, mean_bias, variance_kernel, variance_bias, *decoder = parameters
    hidden = relu(x @ kernel + bias)
    mean = hidden @ mean_kernel + mean_bias
    log_variance = hidden @ variance_kernel + variance_bias
    half = np.float32(0.5)
    code = mean + pt.exp(half * log_variance) * noise
    logits = layers(code, decoder, relu)
    pixels = pt.sum(pt.softplus(logits) - x * logits, axis=1)
    divergence = -half * pt.sum(1 + log_variance - mean**2 - pt.exp(log_variance), axis=1)
    return pt.mean(pixels + divergence)


def bn(parameters: Sequence[Any], arrays: Sequence[Any]) -> Any:
    x, t = arrays
    rows = x
    *hidden, kernel, bias = parameters
    for start in range(0, len(hidden), 4):
        hidden_kernel, hidden_bias, scale, shift = hidden[start : start + 4]
        x = x @ hidden_kernel + hidden_bias
        centered = x - pt.mean(x, axis=0)
        variance = pt.mean(centered**2, axis=0)
        x = relu(centered * (scale / pt.sqrt(variance + np.float32(VARIANCE_EPSILON))) + shift)
    return cross_entropy(x @ kernel + bias, t, rows)


def dqn(parameters: Sequence[Any], arrays: Sequence[Any]) -> Any:
    x, following, actions, rewards, goes_on, *target = arrays
    best = pt.max(layers(following, target, relu), axis=1)
    wanted = rewards + np.float32(DISCOUNT) * goes_on * best
    error = pt.abs(of_each_row(layers(x, parameters, relu), actions, x) - wanted)
    half = np.float32(0.5)
    return pt.mean(pt.switch(error < 1, half * error**2, error - half))


def embed(parameters: Sequence[Any], arrays: Sequence[Any]) -> Any:
    words, t = arrays
    table, *rest = parameters
    return cross_entropy(layers(pt.mean(table[words], axis=1), rest, relu), t, words)


def pinn(parameters: Sequence[Any], arrays: Sequence[Any]) -> Any:
    points, starts, values = arrays

    def u(x: Any) -> Any:
        return layers(x, parameters, pt.tanh)[:, 0]

    inside = u(points)
    slopes = pt.grad(pt.sum(inside), points)
    second = pt.grad(pt.sum(slopes[:, 0]), points)[:, 0]
    residual = slopes[:, 1] + inside * slopes[:, 0] - np.float32(BURGERS_VISCOSITY) * second
    return pt.mean(residual**2) + pt.mean((u(starts) - values) ** 2)


LOSSES: Mapping[str, Loss] = {
    "elementwise": elementwise,
    "classifier": classifier,
    "policy": policy,
    "critic": critic,
    "mexp": mexp,
    "vae": vae,
    "bn": bn,
    "dqn": dqn,
    "embed": embed,
    "pinn": pinn,
}
