"""Gradients of samples of random losses against the Jacobian: what is a row of a sample, and what
all of them share, whatever their extents are."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from graphc.ir.derive.jacobian import jacobian
from graphc.ir.derive.samples import per_sample_gradients
from graphc.ir.errors import GraphError
from graphc.ir.functions import build, ordering
from graphc.ir.functions.arrays import joining
from graphc.ir.functions.spatial import convolution
from graphc.ir.graph import Graph, Node, topological
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.programs import loops
from graphc.ir.reference import evaluate

SEEDS = range(120)
STEPS = 4
# Of samples and of their features, so that they are often equal.
EXTENTS = (2, 3, 4)


class _Writer:
    """Values of a row for each sample, made of each other and of weights that all share."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.graph = Graph()
        self.samples = self.rng.choice(EXTENTS)
        self.weights: list[Node] = []
        width = self.rng.choice(EXTENTS)
        self.x = self.graph.input("x", (self.samples, width), "f64")
        self.labels = self.graph.input("labels", (self.samples,), "i64")
        self.value = self.x

    def weight(self, *shape: int) -> Node:
        """A new one, or one of this shape again."""
        known = [w for w in self.weights if w.shape == shape]
        if known and self.rng.random() < 0.3:
            return self.rng.choice(known)
        made = self.graph.input(f"w{len(self.weights)}", shape, "f64")
        self.weights.append(made)
        return made

    def losses(self) -> Node:
        for _ in range(STEPS):
            self.value = self.rng.choice(self._makers())()
        rest = tuple(range(1, self.value.rank))
        made = build.sum(self.value * ops.cos(self.value), rest) if rest else self.value
        return made + build.sum(self.weight(2)) if self.rng.random() < 0.2 else made

    def _makers(self) -> list[Callable[[], Node]]:
        x, rng = self.value, self.rng
        extents = x.type.dims
        makers: list[Callable[[], Node]] = [
            lambda: ops.tanh(x) * self.weight(*extents[1:]),
            lambda: x + self.weight(*((1,) * x.rank)),
            lambda: x * self.weight(1, *extents[1:]),
            lambda: x - build.mean(x, 0, keepdims=True),
            lambda: build.reshape(x, (extents[0], -1)),
        ]
        if x.rank == 1:
            return [*makers[:4], lambda: build.expand_dims(x, 1)]
        last, wide = extents[-1], rng.choice(EXTENTS)
        makers += [
            lambda: x @ self.weight(last, wide),
            lambda: x @ build.transpose(self.weight(wide, last)),
            lambda: build.softmax(x, -1),
            lambda: build.max(x, -1),
            lambda: ordering.cumsum(x, x.rank - 1),
            lambda: joining.flip(x, x.rank - 1),
            lambda: x[:, : max(extents[1] - 1, 1)],
            lambda: self._stepped(x),
            *[lambda: self._regrouped(x)] * 3,
        ]
        if x.rank == 2:
            makers += [
                lambda: x @ (build.transpose(x) @ self.weight(extents[0], wide)),
                lambda: x + build.take(self.weight(3, last), self.labels),
                lambda: build.expand_dims(x, 2) * self.weight(last, wide),
                lambda: build.expand_dims(x, 1) * self.weight(wide, 1),
            ]
        if x.rank == 3:
            makers += [
                lambda: self.weight(wide, extents[1]) @ x,
                lambda: self.weight(self.samples, wide, extents[1]) @ x,
                lambda: build.transpose(x, (0, 2, 1)),
                lambda: convolution.conv(x, self.weight(2, last, wide), padding="same"),
                lambda: x @ build.transpose(x, (0, 2, 1)),
            ]
        return makers

    def _stepped(self, x: Node) -> Node:
        """A loop over weights whose carry has the samples."""
        stack = self.weight(2, x.type.dims[-1])
        (last,), _ = loops.scan(lambda c, s: ([ops.tanh(c[0] * s[0])], []), [x], [stack], 2)
        return last

    def _regrouped(self, x: Node) -> Node:
        """A product of other rows than those of samples: of parts of them, or of several."""
        size = x.type.size
        rows = self.rng.choice([n for n in range(2, size + 1) if size % n == 0])
        made = build.reshape(x, (rows, size // rows)) @ self.weight(size // rows, size // rows)
        return ops.tanh(build.reshape(made, x.shape))


@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_of_samples_are_rows_of_the_jacobian(seed: int) -> None:
    writer = _Writer(seed)
    losses = writer.losses()
    below = set(topological([losses]))
    wrt = [w for w in writer.weights if w in below]
    if not wrt:
        return
    try:
        found = per_sample_gradients(losses, wrt)
    except GraphError as error:
        assert "has the samples' axis" in str(error)
        return
    wanted = [jacobian(losses, w) for w in wrt]
    rng = np.random.default_rng(seed)
    given = {x: rng.uniform(-1, 1, x.type.dims) for x in (writer.x, *writer.weights)}
    given[writer.labels] = rng.integers(0, 3, writer.labels.type.dims)
    values = evaluate([*found, *wanted], given)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(values[one], values[other], rtol=1e-10, atol=1e-10)
