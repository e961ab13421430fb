"""Every case of every op, with its gradients: compiled = reference, fused and unfused."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.nodes.op import Array
from graphc.ir.reference import run_program
from graphc.ir.types import DTYPES, DType, f64
from graphc.testing import checks
from graphc.testing.cases import Case, ErrorCase
from graphc.testing.tolerance import assert_close
from tests.compiler.execution import Machine
from tests.ops.cases.cases import (
    ERRORS,
    every_case_and_dtype,
)


def _in_turn() -> Iterator[Any]:
    """Every case in each dtype, fused and unfused. `make test` compiles one of these forms of each
    case, which take turns among the cases of an op; `make test-long` the others."""
    turns: Counter[str] = Counter()
    for case, pairs in itertools.groupby(every_case_and_dtype(), key=lambda pair: pair[0]):
        forms = [(dtype, fuse) for _, dtype in pairs for fuse in (True, False)]
        for number, (dtype, fuse) in enumerate(forms):
            name = f"{case}-{dtype}-{'fused' if fuse else 'unfused'}"
            marks = () if number == turns[case.op] % len(forms) else pytest.mark.long
            yield pytest.param(case, dtype, fuse, id=name, marks=marks)
        turns[case.op] += 1


@pytest.mark.parametrize(("case", "dtype", "fuse"), list(_in_turn()))
def test_compiled_is_reference(machine: Machine, case: Case, dtype: DType, fuse: bool) -> None:
    program, values = checks.compared_program(case, dtype)
    expected, _ = run_program(program, values, values)
    actual, _ = machine.run(program, values, values, fuse=fuse)
    checks.assert_reference(actual, expected, program, case)


INDEX_ERRORS = [
    case for cases in ERRORS.values() for case in cases if case.error is IndexError and case.inputs
]


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("case", INDEX_ERRORS, ids=str)
def test_index_error(case: ErrorCase, fuse: bool) -> None:
    """Both modes name the op, the range and the user's line."""
    assert case.inputs is not None
    graph = gc.Graph()
    result = case.build(graph)
    inputs = list(graph.inputs.values())
    given = [np.asarray(case.inputs[name]) for name in graph.inputs]
    with pytest.raises(IndexError, match=r"outside -?\d+ to") as compiled:
        gc.function(inputs, result, fuse=fuse)(*given)
    with pytest.raises(IndexError) as reference:
        gc.function(inputs, result, mode="reference")(*given)
    said = [
        re.search(r"^(\w+): .*outside (-?\d+ to \d+)\n(.*)", str(error.value))
        for error in (compiled, reference)
    ]
    assert said[0] and said[1] and said[0].groups() == said[1].groups()


def test_index_errors_are_found() -> None:
    by_index = {"take", "scatter_add", "index_add", "index_set", "pick", "one_hot"}
    assert {case.op for case in INDEX_ERRORS} >= by_index


# --- arrays as callers have them -------------------------------------------------------------


def _misaligned(array: Array) -> Array:
    """The same elements in memory that starts a byte beyond an element's boundary."""
    memory = np.zeros(array.nbytes + array.itemsize, np.uint8)
    view = memory[1 : 1 + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def _spaced(array: Array) -> Array:
    memory = np.zeros(tuple(2 * extent for extent in array.shape), array.dtype)
    view = memory[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def _read_only(array: Array) -> Array:
    result = array.copy()
    result.flags.writeable = False
    return result


def _offset_by_one(array: Array) -> Array:
    """Aligned for its elements, but not for vectors."""
    memory = np.zeros(array.size + 1, array.dtype)
    memory[1:] = array.ravel()
    return memory[1:].reshape(array.shape)


LAYOUTS: Mapping[str, Callable[[Array], Any]] = {
    "misaligned": _misaligned,
    "spaced": _spaced,
    "offset": _offset_by_one,
    "fortran": np.asfortranarray,
    "reversed": lambda array: array[::-1].copy()[::-1],
    "repeated": lambda array: np.broadcast_to(array[:1], array.shape),
    "foreign byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "read only": _read_only,
    "list": lambda array: array.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_layout_of_inputs(dtype: DType, layout: str) -> None:
    rng = np.random.default_rng(3)
    if dtype.is_bool:
        values = rng.integers(0, 2, (17, 5)).astype(bool)
    else:
        values = rng.integers(-50, 50, (17, 5)).astype(dtype.numpy)
    graph = gc.Graph()
    x = graph.input("x", ("n", 5), dtype)
    number = x if dtype.has_arithmetic else gc.cast(x, "f32")
    function = gc.function([x], [number + number, gc.sum(number, 0), x.T])
    given = LAYOUTS[layout](values)
    double, total, transposed = function(given)
    seen = np.asarray(given).astype(dtype.numpy)
    plain = seen if dtype.has_arithmetic else seen.astype(np.float32)
    np.testing.assert_array_equal(double, plain + plain)
    np.testing.assert_array_equal(total, plain.sum(0, dtype=plain.dtype))
    np.testing.assert_array_equal(transposed, seen.T)
    np.testing.assert_array_equal(np.asarray(given), seen)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "list"])
def test_layout_of_product_operands(layout: str) -> None:
    rng = np.random.default_rng(4)
    left, right = rng.normal(size=(9, 21)), rng.normal(size=(21, 18))
    graph = gc.Graph()
    x, y = graph.input("x", ("n", 21), "f64"), graph.input("y", (21, 18), "f64")
    product = gc.function([x, y], x @ y)(LAYOUTS[layout](left), LAYOUTS[layout](right))
    expected = np.asarray(LAYOUTS[layout](left) @ LAYOUTS[layout](right))
    assert_close(product, expected, f64, reduction_length=21, scale=21 * 9.0)
