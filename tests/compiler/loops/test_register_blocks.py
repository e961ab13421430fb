"""Windows of channels by themselves: short loops inside of that along the channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.reference import run_program
from graphc.ir.types import DTYPES
from graphc.kernels.loops.kernel_function import BLOCK
from graphc.kernels.loops.language.statements import LoopKind, loops_in, printed
from graphc.kernels.loops.rewrites import register_blocks
from graphc.kernels.loops.rewrites.block_sums import Cut
from graphc.kernels.loops.rewrites.parts import Part
from graphc.kernels.loops.rewrites.row_strips import STRIP_NUMBER
from graphc.kernels.nests.access import Loop
from graphc.testing.tolerance import assert_close
from tests.compiler.execution import Machine, compilation, run_on_threads
from tests.compiler.traces.traced import Traced

LANES = "for i3 in range(strip, strip_end):"
SHARE = "for i in range(block * {0} // {1}, (block + 1) * {0} // {1}):"
# Batch, lines, positions and channels, extents of the kernel, strides and padding.
SHAPES = (
    ((3, 5, 5, 16), (3, 3), 1, "same"),
    ((2, 4, 24, 33), (3, 3), 1, "same"),
    ((2, 7, 11, 17), (3, 2), 2, "valid"),
    ((2, 3, 70, 16), (1, 9), 1, "valid"),
    ((1, 12, 12, 20), (7, 7), 1, "same"),
    ((2, 40, 40, 16), (3, 3), 1, "same"),
    ((3, 1, 9, 31), (1, 1), 1, "valid"),
)


def _conv(shape: Any, window: Any, strides: int, padding: str, dtype: str = "f32") -> gc.Function:
    """Depthwise with its derivatives."""
    graph = gc.Graph(seed=0)
    x = graph.input("x", shape, dtype)
    kernel = graph.input("kernel", (*window, shape[-1], 1), dtype)
    y = gc.depthwise_conv(x, kernel, strides=strides, padding=padding)
    ct = graph.input("ct", y.shape, dtype)
    return gc.function([x, kernel, ct], [y, *gc.grad(gc.sum(y * ct), [x, kernel])])


def _values(function: gc.Function, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    inputs = function.program.inputs
    return {x.name: random.standard_normal(x.type.dims).astype(x.dtype.numpy) for x in inputs}


def _loops(function: gc.Function) -> list[list[str]]:
    """The headers of the loops of each kernel with strips, in order."""
    sources = [row.source for row in compilation(function.program).plan.instructions]
    kernels = [list(loops_in(source.statements)) for source in sources]
    return [
        [printed([loop])[0] for loop in loops if loop.variable not in (BLOCK, STRIP_NUMBER)]
        for loops in kernels
        if any(loop.kind is LoopKind.UNROLLED for loop in loops)
    ]


def test_a_row_of_positions_is_made_in_one_loop_along_channels() -> None:
    x = gc.Graph().input("x", (4, 7, 7, 64))
    kernel = x.graph.variable("kernel", np.ones((3, 3, 64, 1), np.float32))
    (loops,) = _loops(gc.function([x], gc.depthwise_conv(x, kernel)))
    assert loops == [
        SHARE.format(4, 2), "for i1 in range(5):", LANES,
        "for i2 in range(5):", "for j in range(3):", "for j1 in range(3):",
    ]  # fmt: skip


def test_a_gradient_has_a_sum_in_registers_for_each_element_of_the_kernel() -> None:
    x = gc.Graph().input("x", (64, 27, 7, 64))
    ct = x.graph.input("ct", (64, 25, 5, 64))
    kernel = x.graph.variable("kernel", np.ones((3, 3, 64, 1), np.float32))
    total = gc.sum(gc.depthwise_conv(x, kernel) * ct)
    loops = _loops(gc.function([x, ct], gc.grad(total, [kernel])[0]))[0]
    taps = ["for i1 in range(3):", "for i2 in range(3):"]
    assert loops == [
        SHARE.format(64, 16), LANES, *taps,
        "for j in range(25):", LANES, "for j1 in range(5):", *taps, LANES, *taps,
    ]  # fmt: skip


def check(machine: Machine, function: gc.Function) -> None:
    """The values of the reference, of terms no greater than their number by chance."""
    values = _values(function)
    found, _ = machine.run(function.program, values, {})
    expected, _ = run_program(function.program, values, {})
    terms = max(value.size for value in values.values())
    for name, value in expected.items():
        dtype = DTYPES[value.dtype.name.replace("float", "f")]
        assert_close(found[name], value, dtype, reduction_length=terms, scale=5.0)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize(("shape", "window", "strides", "padding"), SHAPES)
def test_values(
    machine: Machine, shape: Any, window: Any, strides: int, padding: str, dtype: str
) -> None:
    check(machine, _conv(shape, window, strides, padding, dtype))


def test_bits_are_those_of_one_loop_after_the_other(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums take their terms in the same order; these have no products, which would round once."""
    x = gc.Graph().input("x", (3, 9, 10, 37))
    bounds = x.graph.input("bounds", (3, 3, 37))
    windows = gc.sliding_window_view(x, (3, 3), (1, 2))
    terms = gc.maximum(windows, gc.transpose(bounds, (2, 0, 1)))
    function = gc.function([x, bounds], gc.sum(terms, axis=(4, 5)))
    assert _loops(function)
    values = _values(function)
    made = machine.run(function.program, values, {})[0]
    monkeypatch.setattr(register_blocks, "MOST_OPERATIONS", 1)
    monkeypatch.setattr(register_blocks, "MOST_SUMS", 1)
    assert not _loops(function)
    again = machine.run(function.program, values, {})[0]
    assert all(made[name].tobytes() == again[name].tobytes() for name in made)


@pytest.mark.parametrize("bits", [128, 256])
def test_bits_at_any_number_of_threads(bits: int) -> None:
    function = _conv((33, 6, 5, 32), (3, 3), 1, "same")
    values = _values(function)
    one, two, three = (run_on_threads(function.program, values, n, bits) for n in (1, 2, 3))
    for name, value in one.items():
        assert value.tobytes() == two[name].tobytes() == three[name].tobytes()


def test_no_access_is_outside_of_a_buffer() -> None:
    """Rows in parts: of 24 positions, and of 16 elements of the kernel."""
    for shape, window in (((3, 1, 26, 16), (1, 3)), ((3, 1, 20, 16), (1, 16))):
        function = _conv(shape, window, 1, "valid")
        values = _values(function)
        traced = Traced(compilation(function.program), 1)
        traced.run(values, {})
        for name, expected in run_program(function.program, values, {})[0].items():
            assert_close(traced.output(name), expected, DTYPES["f32"], reduction_length=60)


# --- how many steps ----------------------------------------------------------------------------


def _loop(variable: str, extent: int) -> Loop:
    return Loop(variable, extent, (0,))


def test_parts_are_equal_and_end_where_sums_are_put_aside() -> None:
    lines, positions = _loop("j", 25), _loop("j1", 112)
    cut = Cut(positions, 56, 50)
    innermost = register_blocks._innermost
    assert innermost([lines, positions], 12) == (Part(positions, 8),)
    assert innermost([lines, positions], 12, Cut(positions, 63, 50)) == (Part(positions, 7),)
    assert innermost([lines, positions], 12, cut) == (Part(positions, 8),)
    assert innermost([lines, _loop("j1", 3)], 16) == (Part(lines, 5), Part(_loop("j1", 3), 3))
    assert innermost([_loop("j", 13)], 12) == ()


def test_vector_math_and_what_is_read_once_stay_as_they_are() -> None:
    x = gc.Graph().input("x", (3, 8, 9, 130))
    kernel = x.graph.input("kernel", (3, 1, 9, 130))
    assert _loops(gc.function([x, kernel], gc.sum(x * kernel, axis=2)))
    assert not _loops(gc.function([x, kernel], gc.sum(gc.exp(x) * kernel, axis=2)))
    assert not _loops(gc.function([x], gc.sum(gc.square(x), axis=2)))
