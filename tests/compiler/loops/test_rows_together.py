"""Sums over rows of few elements: neighbouring rows inside of the loop over the elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.reference import run_program
from graphc.ir.types import DTYPES
from graphc.kernels.loops.language.statements import LoopKind, loops_in, printed
from graphc.kernels.loops.rewrites import rows_together
from graphc.testing.tolerance import assert_close
from tests.compiler.execution import Machine, compilation, run_on_threads
from tests.compiler.traces.traced import Traced

# Batch, lines, positions and channels.
SHAPES = ((6, 4, 5, 8), (64, 6, 6, 16), (33, 7, 9, 12), (1, 1, 9, 24), (2, 2, 2, 63), (4, 1, 1, 31))


def _sums(shape: Any, dtype: str = "f32") -> gc.Function:
    """Of each channel the sum of squares about a centre, with the squares, and the greatest."""
    x = gc.Graph().input("x", shape, dtype)
    centre = x.graph.input("centre", shape[-1:], dtype)
    squares = gc.square(x - centre)
    return gc.function([x, centre], [gc.sum(squares, (0, 1, 2)), squares, gc.max(x, (0, 1, 2))])


def _pooling(shape: Any) -> gc.Function:
    """The derivatives of pooling, relu and bias."""
    x = gc.Graph().input("x", shape)
    bias = x.graph.input("bias", shape[-1:])
    pooled = gc.max_pool(gc.relu(x + bias), 2)
    ct = x.graph.input("ct", pooled.shape)
    return gc.function([x, bias, ct], gc.grad(gc.sum(pooled * ct), [x, bias]))


def _values(function: gc.Function) -> dict[str, Any]:
    random = np.random.default_rng(0)
    inputs = function.program.inputs
    return {x.name: random.standard_normal(x.type.dims).astype(x.dtype.numpy) for x in inputs}


def _together(function: gc.Function) -> list[str]:
    """The headers of the loops over rows that run together."""
    sources = [row.source for row in compilation(function.program).plan.instructions]
    loops = [loop for source in sources for loop in loops_in(source.statements)]
    return [printed([loop])[0] for loop in loops if loop.kind is LoopKind.UNROLLED]


def test_four_rows_run_together() -> None:
    assert set(_together(_sums((64, 6, 6, 16)))) == {"for i in range(i_from, i_from + 4):"}


def test_positions_of_a_window_run_together() -> None:
    assert _together(_pooling((8, 6, 8, 16))) == [
        "for i2 in range(i2_from, i2_from + 2):", "for i3 in range(2):",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "shape",
    [(64, 6, 6, 7), (64, 6, 6, 64), (13, 1, 1, 16)],
    ids=["short", "long", "odd"],
)
def test_other_rows_run_one_after_the_other(shape: Any) -> None:
    assert not _together(_sums(shape))


def test_rows_with_vector_math_or_values_of_their_own_run_one_after_the_other() -> None:
    x = gc.Graph().input("x", (64, 16))
    rows = x.graph.input("rows", (64, 1))
    assert _together(gc.function([x], gc.sum(gc.square(x), 0)))
    assert not _together(gc.function([x], gc.sum(gc.exp(x), 0)))
    assert not _together(gc.function([x, rows], gc.sum(x * rows, 0)))


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values(machine: Machine, shape: Any, dtype: str) -> None:
    check(machine, _sums(shape, dtype))


@pytest.mark.parametrize("shape", [(6, 6, 8, 16), (5, 7, 5, 9), (16, 4, 4, 33)], ids=str)
def test_values_of_pooling(machine: Machine, shape: Any) -> None:
    check(machine, _pooling(shape))


def check(machine: Machine, function: gc.Function) -> None:
    values = _values(function)
    found, _ = machine.run(function.program, values, {})
    expected, _ = run_program(function.program, values, {})
    terms = values["x"].size
    for name, value in expected.items():
        dtype = DTYPES[value.dtype.name.replace("float", "f")]
        assert_close(found[name], value, dtype, reduction_length=terms, scale=5.0)


@pytest.mark.parametrize("rows", [64, 12 * 37 * 37, 16 * 1026, 2 * 8191], ids=str)
def test_each_row_is_added_once(machine: Machine, rows: int) -> None:
    """Of blocks of rows that are equally long, or are not, with sums that are put aside."""
    x = gc.Graph().input("x", (rows, 16), "i32")
    floats = gc.cast(x, "f32")
    function = gc.function([x], [gc.sum(x * x, 0), gc.sum(floats * floats, 0)])
    values = {"x": np.random.default_rng(0).integers(-9, 9, (rows, 16)).astype(np.int32)}
    for found in machine.run(function.program, values, {})[0].values():
        assert np.array_equal(found, (values["x"] ** 2).sum(0))


@pytest.mark.parametrize("bits", [128, 256])
def test_bits_at_any_number_of_threads(bits: int) -> None:
    for function in (_sums((64, 24, 24, 16)), _pooling((32, 16, 16, 16))):
        values = _values(function)
        one, two, three = (run_on_threads(function.program, values, n, bits) for n in (1, 2, 3))
        for name, value in one.items():
            assert value.tobytes() == two[name].tobytes() == three[name].tobytes()


def test_no_access_is_outside_of_a_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    for most in (2, 3, 4):
        monkeypatch.setattr(rows_together, "MOST_ROWS", most)
        function = _sums((6, 2, 3, 9))
        values = _values(function)
        traced = Traced(compilation(function.program), 1)
        traced.run(values, {})
        for name, expected in run_program(function.program, values, {})[0].items():
            assert_close(traced.output(name), expected, DTYPES["f32"], reduction_length=36)
