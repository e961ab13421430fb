"""The step written out in numpy, derivatives by hand: what the others' losses are checked with."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.problem import Array, Problem, Step


def sigmoid(x: Array) -> Array:
    """By tanh, which does not overflow."""
    half = np.float32(0.5)
    return half * np.tanh(half * x) + half


class NumpyStep:
    """One step at a time; parameters are updated in place."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.reset()

    def reset(self) -> None:
        self.parameters = [array.copy() for array in self.problem.parameters]

    def run(self, count: int) -> float:
        loss = np.float32(np.nan)
        for _ in range(count):
            derive = elementwise if self.problem.elementwise else layered
            loss, gradients = derive(self.problem.x, self.problem.t, self.parameters)
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter -= np.float32(self.problem.learning_rate) * gradient
        return float(loss)


def layered(x: Array, t: Array, parameters: list[Array]) -> tuple[np.float32, list[Array]]:
    """Loss and gradients of sigmoid layers with softmax cross-entropy."""
    kernels, biases = parameters[::2], parameters[1::2]
    activations = [x]
    for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
        activations.append(sigmoid(activations[-1] @ kernel + bias))
    logits = activations[-1] @ kernels[-1] + biases[-1]
    logits -= logits.max(axis=1, keepdims=True)
    rows = np.arange(len(t))
    probabilities = np.exp(logits)
    sums = probabilities.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(sums[:, 0]) - logits[rows, t])
    probabilities /= sums
    probabilities[rows, t] -= 1
    ct = probabilities / np.float32(len(t))
    gradients: list[Array] = []
    for number in reversed(range(len(kernels))):
        activation = activations[number]
        gradients[:0] = [activation.T @ ct, ct.sum(axis=0)]
        if number:
            ct = (ct @ kernels[number].T) * activation * (1 - activation)
    return loss, gradients


def elementwise(x: Array, t: Array, parameters: list[Array]) -> tuple[np.float32, list[Array]]:
    """Loss and gradients of mean((tanh(a x + b) sigmoid(c x + d) - t)^2)."""
    a, b, c, d = parameters
    u, v = np.tanh(a * x + b), sigmoid(c * x + d)
    error = u * v - t
    ct = error * np.float32(2 / error.size)
    ct_u = ct * v * (1 - u * u)
    ct_v = ct * u * v * (1 - v)
    gradients = [
        (ct_u * x).sum(axis=0),
        ct_u.sum(axis=0),
        (ct_v * x).sum(axis=0),
        ct_v.sum(axis=0),
    ]
    return np.mean(error * error), gradients


def numpy_step(problem: Problem) -> Step:
    return NumpyStep(problem)
