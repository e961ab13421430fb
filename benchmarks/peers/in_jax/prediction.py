"""What a network predicts in JAX: a compiled function, each of its results awaited."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.in_jax.images import pooled_twice
from benchmarks.peers.problem import Array, Prediction, Problem

NETWORKS = {"lenet": pooled_twice}


def jax_prediction(problem: Problem) -> Prediction:
    return JaxPrediction(problem)


class JaxPrediction:
    """Calls on arrays of JAX's own; the weights are constants of the function."""

    def __init__(self, problem: Problem) -> None:
        network = NETWORKS[problem.loss]
        weights = [jnp.array(array) for array in problem.parameters]
        self.images = jnp.array(problem.arrays[0])
        self.predict = jax.jit(lambda images: network(weights, images))
        self.run(1)

    def outputs(self) -> Array:
        return np.asarray(self.predict(self.images))

    def run(self, count: int) -> None:
        for _ in range(count):
            self.predict(self.images).block_until_ready()
