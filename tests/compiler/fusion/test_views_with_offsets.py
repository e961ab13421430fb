"""Every operand of every kind of fused kernel as a view that begins inside another array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.native import native
from graphc.ir.graph import Node, Program
from graphc.ir.nodes.op import Array
from graphc.ir.ops.movement.indexed import index_add, scatter_add
from graphc.ir.reference import run_program
from graphc.kernels.groups.group import ContractionGroup
from tests.compiler.execution import compilation, run_on_threads
from tests.compiler.values.test_random_graphs import compare

# Rows of a table are chosen by numbers below this.
LIMIT = 9
THREADS = (1, 3)

Views = dict[str, Callable[[Node, int, int], Node]]

# Of an array [rows + 4, 2, columns + 4] those of a matrix [rows, columns].
MATRICES: Views = {
    "from a row on": lambda x, rows, columns: x[3 : 3 + rows, 0, :columns],
    "from a column on": lambda x, rows, columns: x[:rows, 0, 3 : 3 + columns],
    "from an inner axis on": lambda x, rows, columns: x[:rows, 1, :columns],
    "from everywhere on": lambda x, rows, columns: x[1 : 1 + rows, 1, 2 : 2 + columns],
    "backwards": lambda x, rows, columns: x[rows:0:-1, 1, 2 : 2 + columns],
}
# Of an array [count + 5, 2] those of a vector [count].
VECTORS: Views = {
    "whole": lambda x, count, _: gc.reshape(x[: -(-count // 2)], (-1,))[:count],
    "from an element on": lambda x, count, _: gc.reshape(x, (-1,))[3 : 3 + count],
    "of a column": lambda x, count, _: x[2 : 2 + count, 1],
    "backwards": lambda x, count, _: x[count + 1 : 1 : -1, 0],
}


class _Arrays:
    """Views with an offset of inputs that are declared as they are asked for."""

    def __init__(self, matrices: str, vectors: str, dtype: str = "f32") -> None:
        self.graph = gc.Graph()
        self.inputs: list[Node] = []
        self._matrices, self._vectors, self._dtype = MATRICES[matrices], VECTORS[vectors], dtype

    def matrix(self, rows: int, columns: int) -> Node:
        x = self._input((rows + 4, 2, columns + 4), self._dtype)
        return self._matrices(x, rows, columns)

    def vector(self, count: int) -> Node:
        return self._vectors(self._input((count + 5, 2), self._dtype), count, 0)

    def indices(self, count: int) -> Node:
        return self._vectors(self._input((count + 5, 2), "i32"), count, 0)

    def _input(self, shape: tuple[int, ...], dtype: str) -> Node:
        self.inputs.append(self.graph.input(f"x{len(self.inputs)}", shape, dtype))
        return self.inputs[-1]

    def program(self, outputs: list[Node]) -> Program:
        return gc.function(self.inputs, outputs).program


def _given(program: Program) -> dict[str, Array]:
    rng = np.random.default_rng(3)

    def value(node: Node) -> Array:
        if node.dtype.is_integer:
            return rng.integers(0, LIMIT, node.shape).astype(node.dtype.numpy)
        return rng.uniform(-1, 1, node.shape).astype(node.dtype.numpy)

    return {node.name: value(node) for node in program.inputs}


def _check(program: Program) -> None:
    given = _given(program)
    wanted, _ = run_program(program, given, {})
    results = [run_on_threads(program, given, count, native().vector_bits) for count in THREADS]
    for name, value in wanted.items():
        compare(results[0][name], value, program)
        assert len({each[name].tobytes() for each in results}) == 1, name


def _gathered(program: Program) -> int:
    groups = compilation(program).groups
    return sum(g.shape.is_gathered for g in groups if isinstance(g, ContractionGroup))


# --- rows that products gather -----------------------------------------------------------------


def _products(arrays: _Arrays, rows: int, width: int, columns: int) -> list[Node]:
    """Gathered rows as either operand, along the rows and along the depth; all operands views."""

    def gathered() -> Node:
        return gc.take(arrays.matrix(LIMIT, width), arrays.indices(rows))

    return [
        gathered() @ arrays.matrix(width, columns),
        gc.relu(gathered() @ gc.transpose(arrays.matrix(columns, width))),
        gc.transpose(gathered()) @ arrays.matrix(rows, columns),
        arrays.matrix(columns, rows) @ gathered(),
        gc.transpose(arrays.matrix(rows, columns)) @ gathered() + arrays.vector(width),
        gc.tanh(arrays.matrix(columns, width) @ gc.transpose(gathered())),
    ]


SHAPES = [
    *((kind, (20, 33, 37)) for kind in MATRICES),
    *((kind, (33, 16, 5)) for kind in ("from everywhere on", "backwards")),
    # So narrow that columns which are rows of a table are packed, the last by themselves.
    *((kind, (17, 3, 200)) for kind in ("from everywhere on", "backwards")),
]


@pytest.mark.parametrize(("matrices", "shape"), SHAPES)
@pytest.mark.usefixtures("tasks_of_a_tile")
def test_products_of_gathered_rows(matrices: str, shape: tuple[int, int, int]) -> None:
    arrays = _Arrays(matrices, "whole")
    program = arrays.program(_products(arrays, *shape))
    assert _gathered(program) >= 5
    _check(program)


@pytest.mark.parametrize("vectors", VECTORS)
@pytest.mark.usefixtures("tasks_of_a_tile")
def test_products_of_rows_chosen_by_views(vectors: str) -> None:
    """They are gathered in the product or before it, and are the same."""
    arrays = _Arrays("from everywhere on", vectors, "f64")
    _check(arrays.program(_products(arrays, 20, 33, 9)))


# --- kernels of their own, loops, prologues and epilogues ----------------------------------------


def _movements(arrays: _Arrays) -> list[Node]:
    made = [gc.take(arrays.matrix(7, LIMIT), arrays.indices(6), axis) for axis in (1,)]
    made.append(gc.take(arrays.matrix(LIMIT, 5), arrays.indices(6), 0))
    made.append(scatter_add(arrays.matrix(6, 5), arrays.indices(6), axis=0, shape=(LIMIT, 5)))
    base, added = arrays.matrix(LIMIT, 5), arrays.matrix(6, 5)
    made.append(index_add(base, added, arrays.indices(6), axis=0))
    made.append(gc.concatenate([arrays.matrix(3, 5), arrays.matrix(2, 5)], 0))
    return made


def _loops(arrays: _Arrays) -> list[Node]:
    """Elementwise ops, sums over rows and columns, softmax along both axes, labels, stages."""
    x, y, bias = arrays.matrix(24, LIMIT), arrays.matrix(24, LIMIT), arrays.vector(LIMIT)
    labels = arrays.indices(24)
    long = arrays.matrix(3, 150)
    return [
        gc.tanh(x * y + bias),
        gc.sum(arrays.matrix(24, 40) * arrays.matrix(24, 40), 0),
        gc.softmax(arrays.matrix(24, LIMIT) + arrays.vector(LIMIT), 0),
        gc.losses.softmax_cross_entropy(arrays.matrix(24, LIMIT), labels),
        gc.pick(arrays.matrix(24, LIMIT), arrays.indices(24)),
        gc.tanh(long) * gc.sigmoid(arrays.matrix(3, 150)) + gc.sum(long, 1, keepdims=True),
    ]


def _fused_products(arrays: _Arrays) -> list[Node]:
    """A prologue of either operand, an epilogue, one of blocks of rows, one of whole rows."""
    pixels = gc.tanh(arrays.matrix(40, 24)) * arrays.vector(24)
    labels = arrays.indices(64)
    scores = arrays.matrix(64, 8) @ arrays.matrix(8, LIMIT) + arrays.vector(LIMIT)
    loss = gc.losses.softmax_cross_entropy(scores, labels)
    hidden = arrays.matrix(48, 8) @ arrays.matrix(8, 20) * arrays.matrix(48, 20)
    return [
        (arrays.matrix(40, 24) * 0.5 - arrays.matrix(40, 24)) @ arrays.matrix(24, 6),
        arrays.matrix(6, 40) @ pixels,
        gc.tanh(arrays.matrix(9, 8) @ arrays.matrix(8, 7) + arrays.vector(7)) * arrays.matrix(9, 7),
        gc.sum(hidden, 0),
        loss,
        gc.softmax(scores, 1),
    ]


@pytest.mark.parametrize("made", [_movements, _loops, _fused_products])
@pytest.mark.parametrize(
    ("matrices", "vectors"),
    [("from everywhere on", "from an element on"), ("backwards", "of a column")],
)
def test_other_kernels(made: Callable[[_Arrays], list[Any]], matrices: str, vectors: str) -> None:
    arrays = _Arrays(matrices, vectors)
    _check(arrays.program(made(arrays)))


def test_many_operands_that_begin_at_different_places() -> None:
    """One loop over operands copies those alone that differ in nothing."""
    graph = gc.Graph()
    inputs = [graph.input(f"x{number}", (9, 8)) for number in range(10)]
    parts = [x[k % 5 : k % 5 + 4, k % 3 : k % 3 + 5] for k, x in enumerate(inputs)]
    alike = [x[2:6, 1:6] for x in inputs]
    program = gc.function(inputs, [gc.concatenate(parts), gc.concatenate(alike)]).program
    _check(program)
