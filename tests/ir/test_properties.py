"""Random programs keep their values, and their text, through every pass of the graph language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from graphc.ir.derive.autodiff import gradients
from graphc.ir.graph import Program
from graphc.ir.nodes.lowering import Composite
from graphc.ir.programs.lower import expand_composites, specialize
from graphc.ir.programs.verify import verify
from graphc.ir.reference import evaluate
from graphc.ir.rewriting.rewrite import rewrite_values
from graphc.ir.rewriting.simplify import RULES, simplify, simplify_primitives
from graphc.ir.text.parsing import parse_program, print_program
from tests.random_graphs import random_program, random_values

SEEDS = range(120)
ROUNDINGS_FOR_ONE_NODE = 16  # of the elementwise functions, and of what conditioning adds


def values_of(program: Program, seed: int) -> tuple[list[np.ndarray], float]:
    """The values of the roots, and the size of the greatest value on the way to them."""
    inputs, states = random_values(program, seed)
    given = {node: inputs[node.name] for node in program.inputs}
    given |= {node: states[node.name] for node in program.states}
    results = evaluate(program.roots, given)
    floats = [value for value in results.values() if value.dtype.kind == "f" and value.size]
    greatest = max((float(np.abs(value).max()) for value in floats), default=1.0)
    return [results[root] for root in program.roots], max(greatest, 1.0)


def assert_same_values(program: Program, changed: Program, seed: int) -> None:
    expected, size = values_of(program, seed)
    actual, _ = values_of(changed, seed)
    longest = max([node.type.size for node in program.nodes], default=1)
    roundings = ROUNDINGS_FOR_ONE_NODE * (len(program.nodes) + longest)
    for got, wanted in zip(actual, expected, strict=True):
        assert got.shape == wanted.shape
        assert np.isfinite(wanted).all()
        bound = roundings * np.finfo(wanted.dtype).eps * size
        np.testing.assert_allclose(got, wanted, rtol=0, atol=bound)


def lower(program: Program) -> Program:
    return simplify_primitives(expand_composites(simplify(program)))


PASSES: tuple[Callable[[Program], Program], ...] = (
    simplify,
    expand_composites,
    simplify_primitives,
    lower,
    lambda program: specialize(program, {}),
)


@pytest.mark.parametrize("seed", SEEDS)
def test_passes_keep_values(seed: int) -> None:
    program = random_program(seed)
    verify(program)
    for change in PASSES:
        changed = change(program)
        verify(changed)
        assert_same_values(program, changed, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_derivatives_of_the_stable_form(seed: int) -> None:
    """Rewriting before differentiating gives the same derivative as the other way round."""
    program = random_program(seed)
    derivatives = {name: node for name, node in program.outputs if name.startswith("d_")}
    inputs = {node.name: node for node in program.inputs}
    wrt = [inputs[name.removeprefix("d_")] for name in derivatives]
    loss = dict(program.outputs)["loss"]
    stable = rewrite_values([loss], RULES, opaque=wrt)[loss]
    found = gradients(stable, wrt) if wrt else ()
    written = replace(program, outputs=tuple(derivatives.items()), updates=())
    other = replace(written, outputs=tuple(zip(derivatives, found, strict=True)))
    assert_same_values(written, simplify(other), seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_text_round_trip(seed: int) -> None:
    for program in (random_program(seed), lower(random_program(seed))):
        assert parse_program(print_program(program)) == program


@pytest.mark.parametrize("seed", SEEDS)
def test_simplifying_twice_changes_nothing(seed: int) -> None:
    once = simplify(random_program(seed))
    assert simplify(once) == once


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_composite_is_left(seed: int) -> None:
    for node in lower(random_program(seed)).nodes:
        assert not isinstance(node.op.lowering, Composite)


def test_programs_are_the_same_for_the_same_seed() -> None:
    assert random_program(7) == random_program(7)
    assert random_program(7) != random_program(8)


def test_programs_cover_the_kinds_of_ops() -> None:
    programs = [random_program(seed) for seed in SEEDS]
    kinds = {type(node.op.lowering).__name__ for p in programs for node in p.nodes}
    assert kinds >= {"Scalar", "Reduction", "View", "Assemble", "Gather", "Scatter", "Contract"}
    extents = {extent for p in programs for node in p.nodes for extent in node.shape}
    assert {0, 1, 2, 3, 5, 7, 13} <= extents
