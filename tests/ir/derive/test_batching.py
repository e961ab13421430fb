"""Values for several operands at once are those for one after the other, for every op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.ir.derive.jacobian import jacobian
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, depends_on
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import indexed
from graphc.ir.programs.batching import NoBatchingRuleError, batched
from graphc.ir.programs.custom_vjp import CustomVjp
from graphc.ir.reference import evaluate
from tests.ir.evaluation import assert_slope, differences, value_at
from tests.ops.cases.cases import CASES, Case, build_case

COUNT = 3
# Ops in whose cases one cannot be given several operands at once, and why.
WITHOUT_RULE = {
    **dict.fromkeys(("custom_vjp", "formal"), "its derivative would be lost"),
    "while_loop": "the numbers of steps may differ",
}


@pytest.mark.parametrize("name", [name for name, cases in CASES.items() if cases])
def test_every_op(name: str) -> None:
    """Each operand of floats in turn, all of them, and all but the first."""
    tried = 0
    for case in CASES[name]:
        program, arrays = build_case(case, case.dtypes[-1])
        (root,) = (node for _, node in program.outputs)
        values = {x: arrays[x.name] for x in (*program.inputs, *program.states)}
        floats = [
            x for x in values if x.dtype.is_float and root in depends_on([root], [x])
        ]  # fmt: skip
        choices = {(x,): None for x in floats} | {tuple(floats): None, tuple(floats[1:]): None}
        for chosen in choices:
            if chosen:
                _compare(case, root, chosen, values)
                tried += 1
    assert tried or not any(
        operand.dtype == "float" for case in CASES[name] for operand in case.operands
    )


def _compare(case: Case, root: Node, chosen: tuple[Node, ...], values: Any) -> None:
    graph = root.graph
    given = {x: graph.input(graph_name(graph), (COUNT, *x.shape), x.dtype) for x in chosen}
    if case.op in WITHOUT_RULE:
        with pytest.raises(NoBatchingRuleError, match=WITHOUT_RULE[case.op]):
            batched([root], given)
        return
    (whole,) = batched([root], given)
    assert whole.shape == (COUNT, *root.shape) and whole.dtype == root.dtype
    several = {
        given[x]: np.stack([np.roll(values[x], shift) for shift in range(COUNT)]) for x in chosen
    }
    actual = evaluate((whole,), {**values, **several}, case.bindings)[whole]
    for number in range(COUNT):
        one = {**values, **{x: several[given[x]][number] for x in chosen}}
        expected = evaluate((root,), one, case.bindings)[root]
        np.testing.assert_allclose(actual[number], expected, rtol=1e-12, atol=1e-12)


def graph_name(graph: Any) -> str:
    return f"several_{len(graph.inputs)}"


def test_what_depends_on_nothing_given_is_made_once() -> None:
    graph = Graph()
    x, w = graph.input("x", (4,), "f64"), graph.input("w", (4, 4), "f64")
    several = graph.input("several", (COUNT, 4), "f64")
    shared = ops.tanh(w @ w)
    once, whole = batched([shared, shared @ x], {x: several})
    assert once.operands[0] is shared
    assert whole.shape == (COUNT, 4)


def test_differing_indices_are_refused() -> None:
    graph = Graph()
    x, i = graph.input("x", (4, 2)), graph.input("i", (3,), "i32")
    several = graph.input("several", (COUNT, 3), "i32")
    with pytest.raises(NoBatchingRuleError, match=r"take.*its indices differ"):
        batched([indexed.take(x, i, axis=0)], {i: several})


def test_a_jacobian_through_an_op_without_rule_is_made_row_by_row() -> None:
    own = CustomVjp(lambda x: ops.square(x))
    own.defvjp(lambda ct, r, x: 2 * ct * x)
    x = Graph().input("x", (3,), "f64")
    y = build.softmax(own(x))
    at = {x: np.array([0.5, -0.25, 1.0])}
    assert_slope(value_at(jacobian(y, x), at), differences(y, x, at))


@pytest.mark.parametrize("wide", [True, False])
def test_jacobians_of_a_network_by_rows_and_by_columns(wide: bool) -> None:
    graph = Graph()
    x = graph.input("x", (2, 5) if wide else (2, 2), "f64")
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(x.shape[1], 4)), rng.normal(size=(4, 3))
    y = build.log_softmax(ops.tanh(x @ first) @ second)
    at = {x: rng.normal(size=x.shape)}
    assert_slope(value_at(jacobian(y, x), at), differences(y, x, at))
