"""Seeded random programs of every kind of op, whose values stay tame enough to be compared."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial

import numpy as np

from graphc.ir.derive.autodiff import gradients
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program, topological
from graphc.ir.nodes.op import Array
from graphc.ir.ops import composite, leaf, windows
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import DType, f32, f64
from tests import random_arrays

LARGEST = 8.0  # beyond this a value is squashed by tanh before it is used again
INDEX_LIMIT = 2  # integer inputs hold indices below this
EXTENTS = (1, 2, 3, 5, 7, 8, 13)


def random_program(
    seed: int,
    *,
    dtype: DType | None = None,
    steps: int = 12,
    with_gradients: bool = True,
    empty: bool = True,
) -> Program:
    """A program of about `steps` operations with static shapes, the same for the same seed.

    dtype: of the floats; drawn when None. with_gradients: the gradients of a scalar loss are
    outputs, and each state takes a step along its own. empty: extents may be 0. Values come from
    `random_values`, are finite and of moderate size, and no comparison is near a tie.
    """
    return _Writer(random.Random(seed), dtype, empty).write(f"random{seed}", steps, with_gradients)


def random_values(program: Program, seed: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Inputs and states of `program` by name: floats in [-2, 2], indices below INDEX_LIMIT."""
    rng = np.random.default_rng(seed)

    def draw(node: Node) -> Array:
        if node.dtype.is_float:
            return rng.uniform(-2, 2, node.type.dims).astype(node.dtype.numpy)
        return rng.integers(0, INDEX_LIMIT, node.type.dims).astype(node.dtype.numpy)

    inputs = {node.name: draw(node) for node in program.inputs}
    return inputs, {node.name: draw(node) for node in program.states}


class NothingFitsError(LookupError):
    """No value of the pool is what an op takes: all may be without elements."""


class _Writer:
    """Grows a pool of float values; `bounds` holds how large each can become."""

    def __init__(self, rng: random.Random, dtype: DType | None, empty: bool) -> None:
        self.rng = rng
        self.graph = Graph()
        self.dtype = dtype or rng.choice((f32, f64))
        extents = (*EXTENTS, 0) if empty and rng.random() < 0.15 else EXTENTS
        self.rows, self.columns = rng.choice(extents), rng.choice(extents)
        self.inputs: list[Node] = []
        self.states: list[Node] = []
        self.bounds: dict[Node, float] = {}
        self.pool: list[Node] = []

    def write(self, name: str, steps: int, with_gradients: bool) -> Program:
        self._declare()
        makers = [self._unary, self._unary, self._binary, self._binary, self._reduce, self._move]
        makers += [self._product, self._softmax, self._index, self._slide]
        makers += [partial(make, self) for make in random_arrays.MAKERS]
        for _ in range(steps):
            try:
                node, bound = self.rng.choice(makers)()
            except NothingFitsError:
                node, bound = self._unary()
            self._keep(node, bound)
        results = self.pool[-3:]
        outputs = [(f"y{number}", node) for number, node in enumerate(results)]
        updates: list[tuple[Node, Node]] = []
        if with_gradients:
            more, updates = self._backward(results)
            outputs += more
        used = set(topological([node for _, node in (*outputs, *updates)]))
        inputs = tuple(node for node in self.inputs if node in used)
        return Program(name, inputs, tuple(outputs), tuple(updates))

    def _declare(self) -> None:
        shapes = ((self.rows, self.columns), (self.columns,), (self.rows, 1), ())
        for number, shape in enumerate(shapes):
            self.inputs.append(self.graph.input(f"x{number}", shape, self.dtype))
        self.labels = self.graph.input(
            "labels", (self.rows,), self.rng.choice(("i32", "i64", "u8"))
        )
        self.states.append(self.graph.state("w", (self.columns, 3), self.dtype, trainable=True))
        self.states.append(self.graph.state("b", (self.columns,), self.dtype, trainable=True))
        for node in (*self.inputs, *self.states):
            self._keep(node, 2.0)
        # Conditions are of an input of their own, which the loss need not be differentiable by.
        self.gate = self.graph.input("gate", shapes[0], self.dtype)
        self.inputs += [self.labels, self.gate]

    def _keep(self, node: Node, bound: float) -> None:
        if bound > LARGEST:
            node, bound = ops.tanh(node), 1.0
        self.bounds[node] = bound
        self.pool = [other for other in self.pool if other is not node]
        self.pool.append(node)

    def pick(self, accepts: Callable[[Node], bool] = lambda node: True) -> Node:
        """One of the pool, rather a late one than an early one. Raises NothingFitsError."""
        fitting = [node for node in self.pool if accepts(node)]
        if not fitting:
            raise NothingFitsError
        return self.rng.choice(fitting[-4:] if self.rng.random() < 0.6 else fitting)

    def offset(self, node: Node) -> Node:
        """`node` moved by a random constant, so that kinks and ties are not hit by rounding."""
        return node + round(self.rng.uniform(0.1, 0.9), 3)

    def _backward(
        self, results: list[Node]
    ) -> tuple[list[tuple[str, Node]], list[tuple[Node, Node]]]:
        loss = self.graph.constant(0.0, self.dtype)
        for node in results:
            loss = loss + build.sum(node) * (1.0 / max(node.type.size, 1))
        below = set(topological([loss]))
        wrt = [n for n in (*self.inputs[:-2], *self.states) if n in below]
        if not wrt:
            return [("loss", loss)], []
        found = dict(zip(wrt, gradients(loss, wrt), strict=True))
        outputs = [(f"d_{node.name}", ct) for node, ct in found.items() if node.op is leaf.input_]
        updates = [(node, node - 0.1 * ct) for node, ct in found.items() if node.op is leaf.state]
        return [("loss", loss), *outputs], updates

    # Each maker gives a node and a bound for its magnitude.

    def _unary(self) -> tuple[Node, float]:
        x = self.pick()
        bound = self.bounds[x]
        table: tuple[tuple[Callable[[], Node], float], ...] = (
            (lambda: ops.tanh(x), 1.0),
            (lambda: ops.sigmoid(x), 1.0),
            (lambda: 1 / (1 + ops.exp(-x)), 1.0),
            (lambda: ops.sin(x), 1.0),
            (lambda: ops.cos(x), 1.0),
            (lambda: ops.softplus(x), bound + 1),
            (lambda: ops.log_cosh(x), bound),
            (lambda: ops.log(1 + ops.exp(x)), bound + 1),
            (lambda: ops.square(x), bound * bound),
            (lambda: x * x, bound * bound),
            (lambda: -x, bound),
            (lambda: x / 4, bound),
            (lambda: x * 1.5, bound * 1.5),
            (lambda: ops.exp(ops.tanh(x)), 3.0),
            (lambda: ops.expm1(ops.sin(x)), 3.0),
            (lambda: ops.log(1 + ops.square(x)), bound),
            (lambda: ops.log1p(ops.square(x)), bound),
            (lambda: ops.sqrt(1 + ops.square(x)), bound + 1),
            (lambda: ops.reciprocal(1 + ops.square(x)), 1.0),
            (lambda: (1 + ops.square(x)) ** -0.5, 1.0),
            (lambda: ops.relu(self.offset(x)), bound + 1),
            (lambda: build.leaky_relu(self.offset(x), 0.1), bound + 1),
            (lambda: build.elu(self.offset(x)), bound + 1),
            (lambda: abs(self.offset(x)), bound + 1),
        )
        make, largest = self.rng.choice(table)
        return make(), largest

    def _binary(self) -> tuple[Node, float]:
        x = self.pick()
        y = self.pick(lambda node: _broadcasts(x, node))
        if self.rng.random() < 0.5:
            x, y = y, x
        largest, product = self.bounds[x] + self.bounds[y], self.bounds[x] * self.bounds[y]
        table: tuple[tuple[Callable[[], Node], float], ...] = (
            (lambda: x + y, largest),
            (lambda: x - y, largest),
            (lambda: x * y, product),
            (lambda: x + (-y), largest),
            (lambda: (-x) * y, product),
            (lambda: x / (1 + ops.square(y)), self.bounds[x]),
            (lambda: ops.maximum(self.offset(x), 0.5 * y), largest + 1),
            (lambda: ops.minimum(self.offset(x), 0.5 * y), largest + 1),
            (lambda: ops.sigmoid_cross_entropy(x, ops.sigmoid(y)), largest + 1),
            (lambda: ops.hinge(self.offset(x), ops.sin(y)), largest + 2),
        )
        if _broadcasts(self.gate, x) and _broadcasts(self.gate, y):
            threshold = round(self.rng.uniform(-1, 1), 3)
            table += ((lambda: ops.where(self.gate > threshold, x, y), largest),)
        make, bound = self.rng.choice(table)
        return make(), bound

    def _reduce(self) -> tuple[Node, float]:
        x = self.pick(lambda node: node.rank > 0)
        axes = sorted(self.rng.sample(range(x.rank), self.rng.randint(1, x.rank)))
        count = math.prod(int(str(x.shape[axis])) for axis in axes)
        keepdims = self.rng.random() < 0.5
        bound = self.bounds[x]
        kind = self.rng.choice(("sum", "mean", "max", "min") if count else ("sum",))
        if kind == "sum":
            return build.sum(x, axes, keepdims), bound * count
        if kind == "mean":
            return build.mean(x, axes, keepdims), bound
        return (build.max if kind == "max" else build.min)(x, axes, keepdims), bound

    def _move(self) -> tuple[Node, float]:
        x = self.pick(lambda node: node.rank > 0)
        bound = self.bounds[x]
        table: tuple[Callable[[], Node], ...] = (
            lambda: build.reshape(x, (x.type.size,)),
            lambda: build.expand_dims(x, self.rng.randint(0, x.rank)) if x.rank < 3 else x,
            lambda: build.transpose(x),
            lambda: x[::-1],
            lambda: x[..., ::2],
            lambda: build.concatenate([x, x * 0.5], self.rng.randrange(x.rank)),
            lambda: build.expand(x, 0, 2) if x.rank < 3 else x,
        )
        return self.rng.choice(table)(), bound

    def _product(self) -> tuple[Node, float]:
        w, b = self.states
        x = self.pick(lambda node: node.rank == 2)
        depth, bound = int(str(x.shape[1])), self.bounds[x]
        if depth == self.columns and self.rng.random() < 0.7:
            return self.rng.choice((x @ w, x @ b)), max(depth, 1) * 2.0 * bound
        y = x if self.rng.random() < 0.5 else x * 0.5
        return build.matmul(x, y, transpose_y=True), max(depth, 1) * bound * bound

    def _slide(self) -> tuple[Node, float]:
        """Windows along an axis: themselves, the greatest element of each, or added up again."""
        x = self.pick(lambda node: node.rank > 0 and 0 not in node.shape)
        bound, axis = self.bounds[x], self.rng.randrange(x.rank)
        extent = int(str(x.shape[axis]))
        size = self.rng.randint(1, min(extent, 4))
        gap = self.rng.randint(1, (extent - 1) // (size - 1)) if size > 1 else 1
        steps = {"axes": (axis,), "strides": (self.rng.randint(1, 3),), "dilations": (gap,)}
        found = windows.windows(x, sizes=(size,), **steps)
        kind = self.rng.choice(("themselves", "max", "added"))
        if kind == "added":
            return windows.add_windows(found * 0.5, shape=x.shape, **steps), size * bound
        if kind == "max" or found.rank > 3:
            return build.max(found, axis + 1), bound
        return found, bound

    def _softmax(self) -> tuple[Node, float]:
        x = self.pick(lambda node: node.rank > 0)
        axis = self.rng.randrange(x.rank)
        if x.shape[axis] == 0:
            return ops.tanh(x), 1.0
        kind = self.rng.choice(("softmax", "log_softmax", "written", "logsumexp"))
        if kind == "softmax":
            return build.softmax(x, axis), 1.0
        if kind == "log_softmax":
            return build.log_softmax(x, axis), 2 * self.bounds[x] + 3
        if kind == "written":
            e = ops.exp(x)
            return e / build.sum(e, axis, keepdims=True), 1.0
        return build.logsumexp(x, axis), self.bounds[x] + 3

    def _index(self) -> tuple[Node, float]:
        """Values chosen by the labels, where there are enough to choose from."""
        x = self.pick(lambda node: node.rank > 0)
        if x.rank == 2 and x.shape[0] == self.rows and int(str(x.shape[1])) >= INDEX_LIMIT:
            if self.rng.random() < 0.5:
                return build.pick(x, self.labels), self.bounds[x]
            return x * composite.one_hot(
                self.labels, depth=x.shape[1], dtype=self.dtype
            ), self.bounds[x]
        if int(str(x.shape[0])) >= INDEX_LIMIT:
            return build.take(x, self.labels, 0), self.bounds[x]
        return ops.sin(x), 1.0


def _broadcasts(x: Node, y: Node) -> bool:
    """Whether the shapes fit without making a value much larger than either."""
    pairs = zip(x.shape[::-1], y.shape[::-1], strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)
