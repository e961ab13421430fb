"""Derivatives at special points, against the table of tests/ops/slopes.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.derive.autodiff import vector_jacobian_product
from graphc.ir.graph import Graph, Node
from graphc.ir.nodes.lowering import Region, Result
from graphc.ir.nodes.op import Stopped
from graphc.ir.ops import OPS
from graphc.ir.reference import evaluate
from graphc.ir.types import DType, as_dtype, f32, f64
from tests.ops.slopes import SLOPES, Slope


def _derivative(case: Slope, graph: Graph, name: str, dtype: DType) -> tuple[Node, dict[Node, Any]]:
    """The derivative that `case` speaks of, and values for what it is made of."""
    values: dict[Node, Any] = {}
    for number, value in enumerate(case.operands):
        array = np.asarray(value)
        kind = dtype if array.dtype.kind == "f" else as_dtype(array.dtype)
        node = graph.input(f"{name}_{number}", array.shape, kind)
        values[node] = array.astype(kind.numpy)
    operands = tuple(values)
    attributes = {
        key: as_dtype(value) if key == "dtype" else value for key, value in case.attributes.items()
    }
    result = graph.apply(OPS[case.op], operands, attributes)
    ct = graph.input(f"{name}_ct", result.shape, result.dtype)
    values[ct] = np.broadcast_to(np.asarray(case.ct, result.dtype.numpy), ct.shape)
    (slope,) = vector_jacobian_product([result], [ct], [operands[case.by]])
    return slope, values


def _check(case: Slope, actual: Any, dtype: DType) -> None:
    # A few roundings, those of the vector math among them.
    tolerance = 8 * float(np.finfo(dtype.numpy).eps)
    np.testing.assert_allclose(
        actual, np.asarray(case.expected, np.float64), rtol=tolerance, atol=tolerance,
        err_msg=str(case),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
def test_slopes_at_special_points(dtype: DType) -> None:
    for case in SLOPES:
        slope, values = _derivative(case, Graph(), "x", dtype)
        _check(case, evaluate((slope,), values)[slope], dtype)


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_compiled_slopes_at_special_points(fuse: bool) -> None:
    """Those whose slopes are guarded by selections or by 0.0, as one program."""
    guarded = [case for case in SLOPES if case.op in ("sqrt", "log", "elu", "power")]
    graph = gc.Graph()
    values: dict[Node, Any] = {}
    slopes: dict[str, Node] = {}
    for number, case in enumerate(guarded):
        slope, given = _derivative(case, graph, f"x{number}", f32)
        slopes[str(number)] = slope
        values |= given
    function = gc.function(list(values), slopes, fuse=fuse)
    found = function(*values.values())
    for number, case in enumerate(guarded):
        _check(case, found[str(number)], f32)


def test_every_derivative_has_a_slope_in_the_table() -> None:
    """Of each operand that has a derivative, for ops of any number of operands by two of them.

    A loop has those of its body, which tests/ir/test_loops.py compares with its steps one by one.
    """
    listed = {(case.op, case.by) for case in SLOPES}
    wanted = {
        (name, number)
        for name, op in OPS.items()
        if not isinstance(op.lowering, Region | Result)
        for number in range(2 if op.arity is None else op.arity)
        for rule in [op.vjp[0 if op.arity is None else number]]
        if callable(rule) or isinstance(rule, Stopped)
    }
    assert listed == wanted
