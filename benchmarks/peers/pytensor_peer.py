"""PyTensor: data and parameters shared, the update in the function, its default linker (numba).

Its C linker was tried and is slower, as are labels as one-hot rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from benchmarks.peers.problem import Problem, Step


def pytensor_step(problem: Problem) -> Step:
    return PytensorStep(problem)


class PytensorStep:
    """One call without arguments a step."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        x = pytensor.shared(problem.x, borrow=True)
        # Indices are int64 in PyTensor.
        labels = problem.t if problem.elementwise else problem.t.astype(np.int64)
        t = pytensor.shared(labels, borrow=True)
        self.parameters = [pytensor.shared(array.copy()) for array in problem.parameters]
        derive = elementwise_loss if problem.elementwise else layered_loss
        loss = derive(self.parameters, x, t)
        learning_rate = np.float32(problem.learning_rate)
        updates = [
            (parameter, parameter - learning_rate * gradient)
            for parameter, gradient in zip(
                self.parameters, pt.grad(loss, self.parameters), strict=True
            )
        ]
        self.step = pytensor.function([], loss, updates=updates)
        self.step.trust_input = True
        self.run(1)

    def reset(self) -> None:
        for parameter, array in zip(self.parameters, self.problem.parameters, strict=True):
            parameter.set_value(array)

    def run(self, count: int) -> float:
        loss: Any = np.nan
        for _ in range(count):
            loss = self.step()
        return float(loss)


def layered_loss(parameters: list[Any], x: Any, t: Any) -> Any:
    *hidden, kernel, bias = parameters
    rows = x.get_value(borrow=True).shape[0]
    for hidden_kernel, hidden_bias in zip(hidden[::2], hidden[1::2], strict=True):
        x = pt.sigmoid(x @ hidden_kernel + hidden_bias)
    log_probabilities = pt.special.log_softmax(x @ kernel + bias, axis=1)
    return -pt.mean(log_probabilities[np.arange(rows), t])


def elementwise_loss(parameters: list[Any], x: Any, t: Any) -> Any:
    a, b, c, d = parameters
    return pt.mean((pt.tanh(a * x + b) * pt.sigmoid(c * x + d) - t) ** 2)
