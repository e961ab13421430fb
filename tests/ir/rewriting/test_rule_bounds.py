"""What each rule promises (`Rule.ulps`), of values and of derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.ir.derive.autodiff import vector_jacobian_product
from graphc.ir.derive.jacobian import is_elementwise
from graphc.ir.errors import GraphError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, topological
from graphc.ir.reference import evaluate
from graphc.ir.rewriting.rewrite import Firing, rewrite
from graphc.ir.rewriting.simplify import EVERY_RULE
from graphc.testing.tolerance import assert_close
from tests.ir.rewriting.cases.case import Case
from tests.ir.rewriting.cases.cases import CASES
from tests.ir.rewriting.test_simplify import FLOATS, case_id, declare, moderate, program_of, special

ULPS = {rule.name: rule.ulps for rule in EVERY_RULE}
EPS = float(np.finfo(np.float32).eps)
# Cotangents, among them such as make a factor over- or underflow that the whole does not.
WEIGHTS = (1.0, -0.5, 0.75, 1e-30, -1e30, 1e-3)
SIZES = (2.0, 2.0**-13, 32.0)


class Sides:
    """Both sides of a case, as results and derivatives by each input."""

    def __init__(self, case: Case, dtype: str) -> None:
        self.inputs = declare(Graph(), case, dtype)
        graph = self.inputs[0].graph
        left = case.write(*self.inputs)
        firings: list[Firing] = []
        (right,) = rewrite(program_of(self.inputs, left), EVERY_RULE, firings.append).roots
        self.ulps = max(ULPS[firing.rule] for firing in firings)
        self.weights = graph.input("weights", left.shape, left.dtype)
        self.made = [node for node in topological([left]) if node.operands]
        self.left, self.right = self._with_slopes(left), self._with_slopes(right)

    def _with_slopes(self, node: Node) -> list[Node]:
        """The node, and its derivative by each float input that it depends on, in their order."""
        if not node.dtype.is_float:
            return [node]
        slopes = []
        for x in self.inputs:
            if not x.dtype.is_float:
                continue
            zero = build.broadcast_to(x.graph.constant(0.0, x.dtype), x.shape)
            try:
                slopes += vector_jacobian_product([node], [self.weights], [x])
            except GraphError:  # it does not depend on the input, or in steps alone
                slopes.append(zero)
        return [node, *slopes]

    def values(self, given: dict[Node, Any], weights: Any = WEIGHTS) -> list[tuple[Any, Any]]:
        """(left, right) of the value and of each derivative."""
        given = {**given, self.weights: np.resize(weights, self.weights.type.dims)}
        given[self.weights] = given[self.weights].astype(self.weights.dtype.numpy)
        with np.errstate(all="ignore"):
            found = evaluate((*self.left, *self.right), given)
        return [(found[x], found[y]) for x, y in zip(self.left, self.right, strict=True)]


def is_exact(case: Case) -> bool:
    return Sides(case, "f32").ulps == 0


EXACT = [case for case in CASES if is_exact(case)]
BOUNDED = [case for case in CASES if not is_exact(case)]


def assert_same(left: Any, right: Any) -> None:
    np.testing.assert_array_equal(left, right)
    if left.dtype.kind == "f":
        known = ~np.isnan(left)
        np.testing.assert_array_equal(np.signbit(left[known]), np.signbit(right[known]))


def without_nan(array: Any) -> Any:
    return np.where(np.isnan(array), 2, array).astype(array.dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", EXACT, ids=case_id)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_exact_rule_keeps_all_bits_of_values_and_derivatives(case: Case, dtype: str) -> None:
    sides = Sides(case, dtype)
    rng = np.random.default_rng(2)
    ordinary = {node: moderate(node, rng) for node in sides.inputs}
    extreme = {node: special(node, number) for number, node in enumerate(sides.inputs)}
    for given in (ordinary, extreme):
        assert_same(*sides.values(given)[0])
        # A derivative at NaN is no number that anything follows from.
        given = {node: without_nan(array) for node, array in given.items()}
        value, *slopes = sides.values(given)
        for left, right in slopes:
            if left.shape == value[0].shape:
                np.testing.assert_array_equal(left, right)
            else:  # summed, where the input was broadcast: in another order
                assert_close(right, left, left.dtype, reduction_length=value[0].size)


def samples(node: Node, rng: np.random.Generator) -> list[Any]:
    """Ordinary values, small ones, and as far out as nothing overflows, all multiples of one
    number, so that differences of two are exact."""
    if not node.dtype.is_float:
        return [moderate(node, rng)] * len(SIZES)
    whole = [rng.integers(-(2**15), 2**15, node.type.dims) for _ in SIZES]
    return [
        (size / 2**15 * number).astype(np.float32)
        for size, number in zip(SIZES, whole, strict=True)
    ]


def largest_error(side: Any, exact: Any, term: float) -> float:
    """In ULP of the exact values, or of a term of their sums where that is greater. What is NaN or
    wrongly infinite is infinitely far off."""
    unit = EPS * np.maximum(np.abs(exact), max(term, float(np.finfo(np.float32).tiny)))
    error = np.abs(side.astype(np.float64) - exact) / unit
    return float(np.where(np.isnan(error), np.inf, error).max())


@pytest.mark.parametrize("case", BOUNDED, ids=case_id)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_rewrite_is_no_less_accurate_than_what_was_written(case: Case) -> None:
    """The exact values are those of the right-hand side in f64."""
    sides, wide = Sides(case, "f32"), Sides(case, "f64")
    rng = np.random.default_rng(4)
    is_row = len(sides.inputs) > 1 or any(not is_elementwise(node) for node in sides.made)
    for columns in zip(*(samples(node, rng) for node in sides.inputs), strict=True):
        weights = rng.uniform(0.5, 1.5, sides.weights.type.dims).astype(np.float32)
        given = dict(zip(sides.inputs, columns, strict=True))
        widened = {
            node: column.astype(node.dtype.numpy)
            for node, column in zip(wide.inputs, columns, strict=True)
        }
        exact = [right for _, right in wide.values(widened, weights)]
        for (left, right), truth in zip(sides.values(given, weights), exact, strict=True):
            if truth.dtype.kind == "f":
                # What is added up is as large as the greatest value, or as the cotangents.
                term = max(np.abs(truth).max(), weights.max()) if is_row else 0.0
                before, after = (largest_error(each, truth, term) for each in (left, right))
                assert after <= max(before, sides.ulps), f"{after} ULP, before {before}"
