"""Seeded random programs around one product of matrices: how its operands come, what follows it."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

import graphc as gc
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.nodes.op import Array

# Less and more than a vector of any width, and one more than whole vectors.
EXTENTS = (1, 2, 3, 5, 8, 9, 17, 21)
TABLE_ROWS = 7
# Of chains: the rows of each thread are as many as of another, or not.
CHAIN_EXTENTS = (4, 6, 9, 13)
CHAIN_STEPS = 4


def product_program(seed: int) -> Program:
    """A product of two matrices of floats, the same for the same seed.

    An operand is an input, or what is seen, gathered or computed of one; the result goes through
    ops on elements, rows or all rows, into outputs and a state.
    """
    rng = random.Random(seed)
    graph = Graph()
    dtype = rng.choice(("f32", "f64"))
    rows, depth, columns = (rng.choice(EXTENTS) for _ in range(3))
    writer = _Writer(rng, graph, dtype)
    left = writer.operand("x", rows, depth)
    right = left if rows == depth == columns and rng.random() < 0.3 else None
    if right is None:
        right = writer.operand("y", depth, columns)
    product = left @ right
    outputs, updates = writer.results(product)
    inputs = tuple(graph.inputs.values())
    named = tuple((f"y{number}", value) for number, value in enumerate(outputs))
    return Program(f"product{seed}", inputs, named, tuple(updates))


def chain_program(seed: int) -> Program:
    """Products that read each other's results, as they stand and as many a view shows them; states
    that are read so too and then overwritten."""
    rng = random.Random(seed)
    graph = Graph()
    extent = rng.choice(CHAIN_EXTENTS)
    square, twice = (extent, extent), (extent, 2 * extent)
    pool = [graph.input("x", square, "f32")]
    states = [graph.state(name, square, "f32", trainable=True) for name in "vw"]
    wide = [graph.state("u", twice, "f32", trainable=True)]
    states_of_all = [*states, *wide]
    column = graph.state("c", (extent, 1), "f32", trainable=True)
    pool += states

    def bias() -> Node:
        """A column, which each thread has a part of, as a row that all of them read."""
        made = pick() @ column * (1 / extent)
        return build.reshape(made, (1, extent)) if rng.random() < 0.5 else build.max(made * made, 1)

    def pick() -> Node:
        node = rng.choice(pool[-2:] if rng.random() < 0.7 else pool)
        halves = build.reshape(wide[-1], (2 * extent, extent))
        return rng.choice(
            (
                *[node] * 4,
                build.transpose(node),
                node[::-1],
                wide[-1][:, :extent],
                wide[-1][:, extent:],
                halves[:extent],
                halves[extent:],
                halves[::2],
            )
        )

    for _ in range(CHAIN_STEPS):
        if rng.random() < 0.3:
            made = pick() @ wide[0] * (1 / extent)
            wide.append(made + wide[-1] if rng.random() < 0.5 else made)
            continue
        left = pick()
        right = left if rng.random() < 0.15 else rng.choice(pool)
        node = left @ right * (1 / extent)
        if rng.random() < 0.6:
            node = node + (left if rng.random() < 0.25 else rng.choice((pick, pick, bias))())
        pool.append(node)
    updates = [(state, (state + pick()) * 0.5) for state in states]
    updates.append((states_of_all[-1], (states_of_all[-1] + wide[-1]) * 0.5))
    outputs = (("last", pool[-1]), ("other", rng.choice(pool)), ("wide", wide[-1]))
    return Program(f"chain{seed}", (pool[0],), outputs, tuple(updates))


def product_values(program: Program, seed: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Inputs and states by name: floats in [-1, 1], indices of the rows of a table."""
    rng = np.random.default_rng(seed)

    def draw(node: Node) -> Array:
        if node.dtype.is_float:
            return rng.uniform(-1, 1, node.type.dims).astype(node.dtype.numpy)
        return rng.integers(0, TABLE_ROWS, node.type.dims).astype(node.dtype.numpy)

    return {n.name: draw(n) for n in program.inputs}, {n.name: draw(n) for n in program.states}


class _Writer:
    def __init__(self, rng: random.Random, graph: Graph, dtype: str) -> None:
        self.rng = rng
        self.graph = graph
        self.dtype = dtype

    def input(self, name: str, *shape: int) -> Node:
        return self.graph.input(name, shape, self.dtype)

    def operand(self, name: str, rows: int, columns: int) -> Node:
        """A matrix of so many rows and columns."""
        kinds: tuple[Callable[[str, int, int], Node], ...] = (
            self.input,
            self._transposed,
            self._part,
            self._gathered,
            self._gathered_columns,
            self._computed,
            self._computed_transposed,
        )
        return self.rng.choice(kinds)(name, rows, columns)

    def _transposed(self, name: str, rows: int, columns: int) -> Node:
        return build.transpose(self.input(name, columns, rows))

    def _part(self, name: str, rows: int, columns: int) -> Node:
        """Rows and columns from a place on, every second of them or in the reverse order."""
        whole = self.input(name, 2 * rows + 1, columns + 3)
        of_rows = self.rng.choice((slice(1, 2 * rows + 1, 2), slice(2, rows + 2), slice(0, rows)))
        of_columns = self.rng.choice((slice(3, columns + 3), slice(0, columns)))
        part = whole[of_rows, of_columns]
        return part[::-1] if self.rng.random() < 0.2 else part

    def _gathered(self, name: str, rows: int, columns: int) -> Node:
        kind = self.rng.choice(("i32", "i64", "u8"))
        indices = self.graph.input(f"{name}_rows", (rows,), kind)
        table = self.input(name, TABLE_ROWS + 1, columns + 2)
        return build.take(table[1:, :columns], indices)

    def _gathered_columns(self, name: str, rows: int, columns: int) -> Node:
        return build.transpose(self._gathered(name, columns, rows))

    def _computed(self, name: str, rows: int, columns: int) -> Node:
        x = self.input(name, rows, columns)
        by_row, by_column = self.input(f"{name}_row", columns), self.input(f"{name}_col", rows, 1)
        return gc.relu(x * by_row + by_column) if self.rng.random() < 0.5 else x * 0.5 - by_column

    def _computed_transposed(self, name: str, rows: int, columns: int) -> Node:
        return build.transpose(self._computed(name, columns, rows))

    def results(self, product: Node) -> tuple[list[Node], list[tuple[Node, Node]]]:
        """Outputs, and updates of states."""
        rows, columns = product.type.dims
        bias = self.input("bias", columns)
        value = gc.tanh(product + bias)
        state = self.graph.state("state", (rows, columns), self.dtype, trainable=True)
        kinds: tuple[Callable[[], tuple[list[Node], list[tuple[Node, Node]]]], ...] = (
            lambda: ([product], []),
            lambda: ([value, value > 0.0], []),
            lambda: ([build.softmax(product), build.max(product, 1)], []),
            lambda: ([build.sum(value, 0), build.max(value, 0)], []),
            lambda: ([value, build.sum(value * value)], []),
            lambda: ([value * state], [(state, state * 0.5 + value)]),
            lambda: ([build.logsumexp(product, 1)], [(state, build.softmax(product) - state)]),
        )
        return self.rng.choice(kinds)()
