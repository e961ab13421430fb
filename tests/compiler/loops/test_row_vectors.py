"""Short rows that are reduced run in vectors, and not as one chain of single elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.reference import run_program
from graphc.ir.types import DTYPES
from graphc.kernels.loops.language.statements import LoopKind, loops_in
from graphc.testing.tolerance import assert_close
from tests.compiler.execution import Machine, compilation, run_on_threads


def _normalised(rows: int, columns: int, dtype: str = "f32") -> gc.Function:
    """Three passes over each row, without vector math."""
    x = gc.Graph().input("x", (rows, columns), dtype)
    centred = x - gc.mean(x, axis=-1, keepdims=True)
    variance = gc.mean(gc.square(centred), axis=-1, keepdims=True)
    return gc.function(x, [centred / gc.sqrt(variance + 1e-3), gc.max(x, axis=-1)])


def _values(columns: int, dtype: str = "f32") -> dict[str, Any]:
    x = np.random.default_rng(columns).standard_normal((77, columns)) + 3
    return {"x": x.astype(DTYPES[dtype].numpy)}


def _kinds(function: gc.Function) -> list[LoopKind]:
    """Of the innermost loops, those over the elements of rows."""
    sources = [row.source for row in compilation(function.program).plan.instructions]
    loops = [loop for source in sources for loop in loops_in(source.statements)]
    return [loop.kind for loop in loops if loop.variable.text == "j"]


@pytest.mark.parametrize("columns", [16, 23, 48, 64])
def test_every_pass_over_a_short_row_is_in_vectors(columns: int) -> None:
    assert _kinds(_normalised(40, columns)) == [LoopKind.VECTORS] * 3


@pytest.mark.parametrize("columns", [8, 200])
def test_rows_of_less_than_a_vector_and_long_ones_are_left_to_llvm(columns: int) -> None:
    assert set(_kinds(_normalised(40, columns))) == {LoopKind.PLAIN}


def test_a_pass_with_vector_math_and_rows_that_nothing_reduces_are_left_to_llvm() -> None:
    x = gc.Graph().input("x", (40, 32))
    assert _kinds(gc.function(x, gc.sum(gc.exp(x), axis=-1))) == [LoopKind.PLAIN]
    columns = x.graph.input("columns", (32,))
    assert LoopKind.VECTORS not in _kinds(gc.function([x, columns], gc.relu(x + columns)))


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("columns", [16, 17, 31, 40, 64, 95])
def test_values(machine: Machine, columns: int, dtype: str) -> None:
    program = _normalised(77, columns, dtype).program
    values = _values(columns, dtype)
    found, _ = machine.run(program, values, {})
    expected, _ = run_program(program, values, {})
    for name, value in expected.items():
        assert_close(found[name], value, DTYPES[dtype], reduction_length=columns, scale=5.0)


@pytest.mark.parametrize("bits", [128, 256])
def test_bits_at_any_number_of_threads(bits: int) -> None:
    program, values = _normalised(77, 40).program, _values(40)
    one, two, three = (run_on_threads(program, values, n, bits) for n in (1, 2, 3))
    for name, value in one.items():
        assert value.tobytes() == two[name].tobytes() == three[name].tobytes()
