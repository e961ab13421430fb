"""Derivatives of random programs against differences: rules, and what sums up and places what they
hand back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from graphc.ir.derive.autodiff import gradients
from graphc.ir.derive.forward import jacobian_vector_product
from graphc.ir.errors import NotDifferentiableError
from graphc.ir.functions import build
from graphc.ir.graph import Node, Program
from graphc.ir.nodes.op import Array
from graphc.ir.ops import leaf
from graphc.ir.reference import evaluate
from graphc.ir.types import f64
from tests.random_graphs import random_program, random_values

PROGRAMS = 100
# Of central differences of f64, where values are of moderate size.
STEP = 2e-6
TOLERANCE = 2e-6


def _values(roots: Sequence[Node], given: dict[Node, Array]) -> list[Array]:
    with np.errstate(all="ignore"):
        found = evaluate(roots, given)
    return [found[root] for root in roots]


def _assert_near(actual: Array, expected: Array) -> None:
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_random_programs(seed: int) -> None:
    """The first derivative along a direction of all inputs, and the derivative of the gradient
    along it, of forward mode over reverse mode."""
    program = random_program(seed, dtype=f64, empty=False)
    check_derivatives(program, dict(program.outputs)["loss"], seed)


def check_derivatives(program: Program, loss: Node, seed: int) -> None:
    inputs, states = random_values(program, seed)
    given = {node: inputs[node.name] for node in program.inputs}
    given |= {node: states[node.name] for node in program.states}
    named = {name.removeprefix("d_") for name, _ in program.outputs if name.startswith("d_")}
    updated = {state for state, _ in program.updates}
    wrt = [x for x in given if (x.op is leaf.input_ and x.name in named) or x in updated]
    if not wrt:
        return
    rng = np.random.default_rng(seed)
    direction = {x: rng.uniform(-1, 1, x.type.dims) for x in wrt}
    # Each depends on all, so that there is a second derivative.
    whole = sum((build.sum(x) for x in wrt), 0.0 * loss)
    loss = loss + whole * whole
    slopes = list(gradients(loss, wrt))
    after, before = (
        _values([loss, *slopes], {**given, **{x: given[x] + h * direction[x] for x in wrt}})
        for h in (STEP, -STEP)
    )
    differences = [(one - other) / (2 * STEP) for one, other in zip(after, before, strict=True)]
    along = [loss.graph.constant(direction[x], "f64") for x in wrt]
    try:
        curved = jacobian_vector_product(slopes, wrt, along)
    except NotDifferentiableError as error:
        assert "trigamma" in str(error)
        curved, differences = (), differences[:1]
    found = _values([*slopes, *curved], given)
    of_loss = sum(float((g * direction[x]).sum()) for g, x in zip(found, wrt, strict=False))
    _assert_near(np.asarray(of_loss), differences[0])
    for actual, expected in zip(found[len(wrt) :], differences[1:], strict=True):
        _assert_near(actual, expected)
