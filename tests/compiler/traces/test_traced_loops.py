"""Random programs with loops, traced as Python with random constants."""

from __future__ import annotations

import random

import numpy as np
import pytest

from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from tests.compiler.traces.drawn import PROGRAMS_A_TEST, check_some, draw_constants
from tests.compiler.traces.loop_programs import (
    TABLE_ROWS,
    counting_program,
    derivative_program,
    loop_values,
    state_program,
    while_program,
)
from tests.compiler.traces.traced import Traced

DERIVATIVES = 20
WHILE_LOOPS = 20
COUNTING_LOOPS = 60
STATES = 60


@pytest.mark.parametrize("first", range(0, DERIVATIVES, PROGRAMS_A_TEST))
def test_derivatives(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    check_some(monkeypatch, first, derivative_program, loop_values)


@pytest.mark.parametrize("first", range(0, WHILE_LOOPS, PROGRAMS_A_TEST))
def test_loops_whose_steps_are_not_counted(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    check_some(monkeypatch, first, while_program, loop_values)


@pytest.mark.parametrize("first", range(0, COUNTING_LOOPS, PROGRAMS_A_TEST))
def test_loops_that_count(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    check_some(monkeypatch, first, counting_program, loop_values)


@pytest.mark.parametrize("first", range(0, STATES, PROGRAMS_A_TEST))
def test_states(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    check_some(monkeypatch, first, state_program, loop_values)


def test_a_step_that_an_index_stops_leaves_all_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the bad index is: given, of a step, or of a loop in a loop."""
    stopped = 0
    for seed in range(STATES):
        rng, program = random.Random(seed), state_program(seed)
        inputs, states = loop_values(program, seed)
        places = inputs["places"]
        places[rng.randrange(len(places))] = TABLE_ROWS + 1
        threads = rng.choice((1, 2, 3))
        with monkeypatch.context() as patch, np.errstate(all="ignore"):
            draw_constants(patch, rng)
            made = compile_program(program, Options({}, seed % 4 > 0, 256, threads))
        traced = Traced(made, threads)
        with np.errstate(all="ignore"):
            traced.run(inputs, states)
        stopped += traced.stopped
        if traced.stopped:
            for state, _ in program.updates:
                found = traced.state(state.name)
                np.testing.assert_array_equal(found, states[state.name], f"of number {seed}")
    assert stopped > STATES / 3
