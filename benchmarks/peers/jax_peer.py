"""JAX: the whole step compiled with its parameters donated, called once a step or scanned over.

Labels as one-hot rows and unrolled scans were tried and make no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.problem import Problem, Step

Parameters = list[jax.Array]
Update = Callable[[Parameters, jax.Array, jax.Array], tuple[Parameters, jax.Array]]


def called_step(problem: Problem) -> Step:
    return CalledStep(problem)


def scanned_step(problem: Problem) -> Step:
    return ScannedStep(problem)


class JaxStep:
    """Data, parameters and the update that both forms of the step share."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.x, self.t = jnp.array(problem.x), jnp.array(problem.t)
        self.reset()

    def reset(self) -> None:
        # Copies: donated buffers are written over.
        self.parameters = [jnp.array(array, copy=True) for array in self.problem.parameters]

    def run(self, count: int) -> float:
        raise NotImplementedError


class CalledStep(JaxStep):
    """One call of a compiled step after the other, the last awaited."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.step = jax.jit(update(problem), donate_argnums=0)
        self.run(1)

    def run(self, count: int) -> float:
        loss = jnp.float32(np.nan)
        for _ in range(count):
            self.parameters, loss = self.step(self.parameters, self.x, self.t)
        jax.block_until_ready(self.parameters)
        return float(loss)


class ScannedStep(JaxStep):
    """All steps in one call; compiled for every count."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        step = update(problem)

        @partial(jax.jit, donate_argnums=0, static_argnames="count")
        def steps(parameters: Parameters, x: Any, t: Any, count: int) -> tuple[Parameters, Any]:
            def once(parameters: Parameters, _: None) -> tuple[Parameters, Any]:
                return step(parameters, x, t)

            parameters, losses = jax.lax.scan(once, parameters, length=count)
            return parameters, losses[-1]

        self.steps = steps

    def run(self, count: int) -> float:
        self.parameters, loss = self.steps(self.parameters, self.x, self.t, count=count)
        jax.block_until_ready(self.parameters)
        return float(loss)


def update(problem: Problem) -> Update:
    """New parameters and the loss of those that were given."""
    derive = jax.value_and_grad(elementwise_loss if problem.elementwise else layered_loss)
    learning_rate = np.float32(problem.learning_rate)

    def step(parameters: Parameters, x: Any, t: Any) -> tuple[Parameters, jax.Array]:
        loss, gradients = derive(parameters, x, t)
        pairs = zip(parameters, gradients, strict=True)
        return [parameter - learning_rate * gradient for parameter, gradient in pairs], loss

    return step


def layered_loss(parameters: Parameters, x: Any, t: Any) -> jax.Array:
    *hidden, kernel, bias = parameters
    for hidden_kernel, hidden_bias in zip(hidden[::2], hidden[1::2], strict=True):
        x = jax.nn.sigmoid(x @ hidden_kernel + hidden_bias)
    log_probabilities = jax.nn.log_softmax(x @ kernel + bias)
    return -jnp.mean(jnp.take_along_axis(log_probabilities, t[:, None], axis=1))


def elementwise_loss(parameters: Parameters, x: Any, t: Any) -> jax.Array:
    a, b, c, d = parameters
    return jnp.mean((jnp.tanh(a * x + b) * jax.nn.sigmoid(c * x + d) - t) ** 2)
