"""Kernels that read an operand across its rows: loops in square tiles."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import Program
from graphc.kernels.loops import thread_blocks
from graphc.kernels.loops.language.source import KernelSource
from graphc.kernels.loops.rewrites import transposed_tiles
from tests.compiler.execution import Machine, compilation
from tests.compiler.loops.test_stages import check_results


def _program(build: Callable[[gc.Node], gc.Node], *shape: int) -> Program:
    x = gc.Graph().input("x", shape)
    return gc.function([x], build(x)).program


def _kernel(program: Program) -> KernelSource:
    return compilation(program).plan.instructions[0].source


def _has_tiles(program: Program) -> bool:
    """Whether some kernel of the program runs in tiles."""
    instructions = compilation(program).plan.instructions
    return any(transposed_tiles.TILE_ROW.text in each.source.text for each in instructions)


def _moved(x: gc.Node) -> gc.Node:
    """Of four axes: a transpose of three would be moved behind the product, as that of channels."""
    return gc.transpose(x, (0, 1, 3, 2)) * 2.0


# --- which loops ------------------------------------------------------------------------------


def test_both_loops_are_cut() -> None:
    lines = _kernel(_program(_moved, 2, 3, 32, 16)).text.splitlines()
    assert [line.strip() for line in lines if line.strip().startswith("for ")] == [
        "for i in range(6):",
        "for tile_row in range(2):",
        "for tile_column in range(4):",
        "for i1 in range(tile_row * 8, tile_row * 8 + 8):",
        "for j in range(tile_column * 8, tile_column * 8 + 8):",
    ]


@pytest.mark.parametrize("shape", [(2, 3, 24, 64), (2, 3, 36, 64), (2, 3, 64, 36)])
def test_short_rows_and_uneven_ones_are_not(shape: tuple[int, ...]) -> None:
    assert not _has_tiles(_program(_moved, *shape))


def test_rows_in_order_are_not() -> None:
    assert not _has_tiles(_program(lambda x: x[::-1] * 2.0 + x[:, ::-1], 64, 64))


def test_vector_math_is_not() -> None:
    assert not _has_tiles(_program(lambda x: gc.tanh(_moved(x)), 2, 3, 64, 64))


# --- what they compute ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize(
    ("shape", "axes"), [((40, 48), (1, 0)), ((2, 3, 32, 8), (0, 1, 3, 2)), ((64, 5, 16), (2, 1, 0))]
)
def test_results(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    dtype: str,
) -> None:
    """A value of each row is read, and a state is updated where the kernel reads it."""
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_ELEMENTS", 1)
    graph = gc.Graph()
    x = graph.input("x", shape, dtype)
    moved = gc.transpose(x, axes)
    extents = tuple(shape[axis] for axis in axes)
    column = (*extents[:-1], 1)
    scale = graph.parameter(
        "scale", column, np.linspace(1, 2, np.prod(column)).reshape(column), dtype
    )
    running = graph.parameter("running", extents, np.full(extents, 0.25), dtype)
    function = gc.function([x], {"y": moved * scale}, {running: running - moved})
    assert _has_tiles(function.program)
    rng = np.random.default_rng(len(shape))
    given = {"x": rng.uniform(-3, 3, shape).astype(dtype.replace("f32", "f4").replace("f64", "f8"))}
    states = {state.name: function.variables[state] for state in function.program.states}
    check_results(function.program, given, states)


def test_source(golden: Any) -> None:
    golden(
        re.sub(
            r"(test_transposed_tiles\.py):\d+", r"\1", _kernel(_program(_moved, 2, 3, 32, 16)).text
        )
    )
