"""Programs of very many terms that differ in a constant: their kernels share code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.legalize.constants import MANY_CONSTANTS
from graphc.kernels.loops.language.source import MOST_BUFFERS, kernel_digest
from graphc.kernels.loops.movement.emit_movement import LEAST_RUN
from tests.compiler.execution import compilation

ROWS, COLUMNS = 5, 3


def terms(count: int, dtype: str = "f32") -> tuple[gc.Node, list[gc.Node]]:
    graph = gc.Graph()
    x = graph.input("x", (ROWS, COLUMNS), dtype)
    return x, [gc.tanh(x * (0.5 + number)) for number in range(count)]


def total(values: list[gc.Node]) -> gc.Node:
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result


def digests(function: gc.Function) -> set[str]:
    plan = compilation(function.program).plan
    return {kernel_digest(row.source) for row in plan.instructions}


@pytest.mark.parametrize("join", [gc.concatenate, total])
def test_code_does_not_grow_with_the_number_of_terms(join: Callable[..., gc.Node]) -> None:
    found = []
    for count in (100, 200):
        x, values = terms(count)
        found.append(len(digests(gc.function([x], join(values)))))
    assert found[0] <= found[1] <= found[0] + 3
    assert found[1] < 20


def test_few_constants_stay_in_the_source() -> None:
    for count, own in ((MANY_CONSTANTS, True), (MANY_CONSTANTS + 1, False)):
        x, values = terms(count)
        plan = compilation(gc.function([x], gc.concatenate(values)).program).plan
        assert own == any("float32(3.5)" in row.source.text or "f32(3.5)" in row.source.text
                          for row in plan.instructions)  # fmt: skip


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("count", [LEAST_RUN - 1, LEAST_RUN, MOST_BUFFERS - 1, 2 * MOST_BUFFERS])
def test_concatenations_are_those_of_numpy(count: int, axis: int, fuse: bool, dtype: str) -> None:
    x, values = terms(count, dtype)
    run = gc.function([x], gc.concatenate(values, axis), fuse=fuse)
    array = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(x.dtype.numpy)
    expected = np.concatenate([np.tanh(array * (0.5 + number)) for number in range(count)], axis)
    np.testing.assert_allclose(run(array), expected, rtol=4 * np.finfo(x.dtype.numpy).eps)


def test_operands_that_differ_are_copied_each_from_its_place() -> None:
    graph = gc.Graph()
    x = graph.input("x", (ROWS, 4 * LEAST_RUN))
    columns = [x[:, number : number + 1] for number in range(LEAST_RUN)]
    other = [gc.exp(x[:, number : number + 2]) for number in range(LEAST_RUN)]
    transposed = [gc.transpose(gc.exp(x[:, n : n + ROWS])) for n in range(LEAST_RUN)]
    wide = [*other, *columns, *other[::-1], *transposed, other[0]]
    run = gc.function([x], gc.concatenate(wide, 1))
    reference = gc.function([x], gc.concatenate(wide, 1), mode="reference")
    array = np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    np.testing.assert_allclose(run(array), reference(array), rtol=1e-6)


def test_constants_of_several_ops_and_types() -> None:
    graph = gc.Graph()
    x, y = graph.input("x", (ROWS,)), graph.input("y", (ROWS,), "i32")
    numbers = range(2 * MANY_CONSTANTS)
    values = [gc.where(y > number, x - number, number / x) for number in numbers]
    run = gc.function([x, y], gc.concatenate(values))
    reference = gc.function([x, y], gc.concatenate(values), mode="reference")
    arrays = np.linspace(-1, 2, ROWS, dtype=np.float32), np.arange(ROWS, dtype=np.int32) * 7
    np.testing.assert_array_equal(run(*arrays), reference(*arrays))
