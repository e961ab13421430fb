"""JAX: the whole step compiled with its state donated, called once a step or scanned over.

Labels as one-hot rows and unrolled scans were tried and make no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.in_jax.losses import LOSSES
from benchmarks.peers.problem import BETAS, EPSILON, Problem, Step

Arrays = list[jax.Array]
# Parameters, then the slots of the optimizer.
State = tuple[Arrays, Arrays]
Update = Callable[[State, Arrays], tuple[State, jax.Array]]


def called_step(problem: Problem) -> Step:
    return CalledStep(problem)


def scanned_step(problem: Problem) -> Step:
    return ScannedStep(problem)


class JaxStep:
    """Data, state and the update that both forms of the step share."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.arrays = [jnp.array(array) for array in problem.arrays]
        self.reset()

    def reset(self) -> None:
        # Copies: donated buffers are written over.
        parameters = [jnp.array(array, copy=True) for array in self.problem.parameters]
        slots = []
        if self.problem.optimizer == "adam":
            slots = [jnp.float32(0)]
            slots += [jnp.zeros_like(each) for each in parameters for _ in BETAS]
        elif self.problem.momentum:
            slots = [jnp.zeros_like(each) for each in parameters]
        self.state: State = parameters, slots

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
            self.state, loss = self.step(self.state, self.arrays)
        jax.block_until_ready(self.state)
        return float(loss)


class ScannedStep(JaxStep):
    """All steps in one call; compiled for every count."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        step = update(problem)

        @partial(jax.jit, donate_argnums=0, static_argnames="count")
        def steps(state: State, arrays: Arrays, count: int) -> tuple[State, Any]:
            def once(state: State, _: None) -> tuple[State, Any]:
                return step(state, arrays)

            state, losses = jax.lax.scan(once, state, length=count)
            return state, losses[-1]

        self.steps = steps

    def run(self, count: int) -> float:
        self.state, loss = self.steps(self.state, self.arrays, count=count)
        jax.block_until_ready(self.state)
        return float(loss)


def update(problem: Problem) -> Update:
    """A new state, and the loss of the parameters that were given."""
    derive = jax.value_and_grad(LOSSES[problem.loss])
    rate = np.float32(problem.learning_rate)
    advanced: Callable[..., State] = by_adam if problem.optimizer == "adam" else by_sgd
    if problem.momentum:
        advanced = partial(by_momentum, momentum=np.float32(problem.momentum))

    def step(state: State, arrays: Arrays) -> tuple[State, jax.Array]:
        parameters, slots = state
        loss, gradients = derive(parameters, arrays)
        return advanced(parameters, slots, gradients, rate), loss

    return step


def by_sgd(parameters: Arrays, slots: Arrays, gradients: Arrays, rate: np.float32) -> State:
    return [w - rate * g for w, g in zip(parameters, gradients, strict=True)], slots


def by_momentum(
    parameters: Arrays, slots: Arrays, gradients: Arrays, rate: np.float32, momentum: np.float32
) -> State:
    slots = [momentum * velocity + g for velocity, g in zip(slots, gradients, strict=True)]
    return [w - rate * velocity for w, velocity in zip(parameters, slots, strict=True)], slots


def by_adam(parameters: Arrays, slots: Arrays, gradients: Arrays, rate: np.float32) -> State:
    steps = slots[0] + 1
    first, second = (1 - beta**steps for beta in BETAS)
    made: Arrays = []
    kept: Arrays = [steps]
    for w, g, mean, square in zip(parameters, gradients, slots[1::2], slots[2::2], strict=True):
        mean = BETAS[0] * mean + (1 - BETAS[0]) * g
        square = BETAS[1] * square + (1 - BETAS[1]) * g * g
        made.append(w - rate / first * mean / (jnp.sqrt(square) / jnp.sqrt(second) + EPSILON))
        kept += [mean, square]
    return made, kept
