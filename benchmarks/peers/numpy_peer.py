"""The step written out in numpy, derivatives by hand: what the others' losses are checked with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.peers.problem import (
    BETAS,
    CLIP,
    ENTROPY_WEIGHT,
    EPSILON,
    Array,
    Problem,
    Step,
)

# The parameters and the problem's arrays -> the loss, and its gradient by each parameter.
Derived = tuple[np.float32, list[Array]]
Loss = Callable[[Sequence[Array], Sequence[Array]], Derived]


def sigmoid(x: Array) -> Array:
    """By tanh, which does not overflow."""
    half = np.float32(0.5)
    return half * np.tanh(half * x) + half


@dataclass(frozen=True)
class Activation:
    """An activation, and its slope as a function of its value."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


SIGMOID = Activation(sigmoid, lambda r: r * (1 - r))
TANH = Activation(np.tanh, lambda r: 1 - r * r)
RELU = Activation(lambda x: np.maximum(x, 0), lambda r: (r > 0).astype(r.dtype))


class NumpyStep:
    """One step at a time; parameters are updated in place."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.reset()

    def reset(self) -> None:
        self.parameters = [array.copy() for array in self.problem.parameters]
        self.means = [np.zeros_like(array) for array in self.parameters]
        self.squares = [np.zeros_like(array) for array in self.parameters]
        self.steps = 0

    def run(self, count: int) -> float:
        loss = np.float32(np.nan)
        derive = LOSSES[self.problem.loss]
        update = self.by_adam if self.problem.optimizer == "adam" else self.by_sgd
        for _ in range(count):
            loss, gradients = derive(self.parameters, self.problem.arrays)
            update(gradients)
        return float(loss)

    def by_sgd(self, gradients: Sequence[Array]) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter -= np.float32(self.problem.learning_rate) * gradient

    def by_adam(self, gradients: Sequence[Array]) -> None:
        self.steps += 1
        first, second = (np.float32(1 - beta**self.steps) for beta in BETAS)
        rate = np.float32(self.problem.learning_rate) / first
        beta_1, beta_2 = map(np.float32, BETAS)
        for number, gradient in enumerate(gradients):
            mean, square = self.means[number], self.squares[number]
            mean += (1 - beta_1) * (gradient - mean)
            square += (1 - beta_2) * (gradient * gradient - square)
            root = np.sqrt(square) / np.sqrt(second) + np.float32(EPSILON)
            self.parameters[number] -= rate * mean / root


def forward(x: Array, parameters: Sequence[Array], activation: Activation) -> list[Array]:
    """x, the value of each hidden layer, and the result of the last layer."""
    kernels, biases = parameters[::2], parameters[1::2]
    values = [x]
    for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
        values.append(activation.value(values[-1] @ kernel + bias))
    return [*values, values[-1] @ kernels[-1] + biases[-1]]


def backward(
    values: Sequence[Array], parameters: Sequence[Array], activation: Activation, ct: Array
) -> list[Array]:
    """The gradients by all parameters from that by the result of the last layer."""
    kernels = parameters[::2]
    gradients: list[Array] = []
    for number in reversed(range(len(kernels))):
        gradients[:0] = [values[number].T @ ct, ct.sum(axis=0)]
        if number:
            ct = (ct @ kernels[number].T) * activation.slope(values[number])
    return gradients


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def classifier(parameters: Sequence[Array], arrays: Sequence[Array]) -> Derived:
    x, t = arrays
    values = forward(x, parameters, SIGMOID)
    logs = log_softmax(values[-1])
    rows = np.arange(len(t))
    loss = -np.mean(logs[rows, t])
    ct = np.exp(logs)
    ct[rows, t] -= 1
    ct /= len(t)
    return loss, backward(values, parameters, SIGMOID, ct)


def policy(parameters: Sequence[Array], arrays: Sequence[Array]) -> Derived:
    x, actions, old, advantages = arrays
    values = forward(x, parameters, TANH)
    logs = log_softmax(values[-1])
    rows = np.arange(len(actions))
    ratio = np.exp(logs[rows, actions] - old)
    clipped = np.clip(ratio, 1 - CLIP, 1 + CLIP)
    gains = np.minimum(ratio * advantages, clipped * advantages)
    probabilities = np.exp(logs)
    weight, batch = ENTROPY_WEIGHT, len(actions)
    loss = -np.mean(gains) + weight * np.mean((probabilities * logs).sum(axis=1))
    # Of the loss by the logarithms of the probabilities, then through the softmax.
    ct = weight * probabilities * (logs + 1) / batch
    counts = ratio * advantages <= clipped * advantages
    ct[rows, actions] -= np.where(counts, ratio * advantages, 0) / batch
    ct -= probabilities * ct.sum(axis=1, keepdims=True)
    return loss, backward(values, parameters, TANH, ct)


def critic(parameters: Sequence[Array], arrays: Sequence[Array]) -> Derived:
    x, t = arrays
    values = forward(x, parameters, RELU)
    error = values[-1] - t[:, None]
    ct = error * (2 / len(t))
    return np.mean(error * error), backward(values, parameters, RELU, ct)


def elementwise(parameters: Sequence[Array], arrays: Sequence[Array]) -> Derived:
    a, b, c, d = parameters
    x, t = arrays
    u, v = np.tanh(a * x + b), sigmoid(c * x + d)
    error = u * v - t
    ct = error * (2 / error.size)
    ct_u = ct * v * (1 - u * u)
    ct_v = ct * u * v * (1 - v)
    gradients = [
        (ct_u * x).sum(axis=0),
        ct_u.sum(axis=0),
        (ct_v * x).sum(axis=0),
        ct_v.sum(axis=0),
    ]
    return np.mean(error * error), gradients


LOSSES: Mapping[str, Loss] = {
    "elementwise": elementwise,
    "classifier": classifier,
    "policy": policy,
    "critic": critic,
}


def numpy_step(problem: Problem) -> Step:
    return NumpyStep(problem)
