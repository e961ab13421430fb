"""Random graphs, values and gradients: reference = unfused = fused."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.ir.graph import Program
from graphc.ir.nodes.op import Array
from graphc.ir.reference import run_program
from graphc.testing.tolerance import assert_close
from tests import random_graphs
from tests.compiler.execution import Machine
from tests.random_graphs import random_program, random_values

PROGRAMS = 800
PROGRAMS_A_TEST = 20
# So many are in `make test`, the others in `make test-long`.
PROGRAMS_OF_EACH_RUN = 20
STEPS = 5
# Kernels of few extents are often equal, and those are compiled once. Every extent gets its turn.
EXTENTS = ((1, 5), (3, 17), (8, 2))


def _check(machine: Machine, program: Program, seed: int) -> None:
    inputs, states = random_values(program, seed)
    results = [
        run_program(program, inputs, states),
        machine.run(program, inputs, states, fuse=False),
        machine.run(program, inputs, states, fuse=True),
    ]
    (expected, updated), *compiled = results
    for outputs, updates in compiled:
        for name, wanted in (expected | updated).items():
            compare((outputs | updates)[name], wanted, program)


def compare(actual: Array, expected: Array, program: Program) -> None:
    """Each op adds the error of its own rounding to that of its operands, which it magnifies by no
    more than its slope; values stay below LARGEST, sums run over no more than the largest value.
    """
    longest = max(node.type.size for node in program.nodes)
    assert actual.dtype == expected.dtype
    assert_close(
        actual,
        expected,
        expected.dtype,
        reduction_length=longest,
        ulps=4.0 * len(program.nodes),
        scale=random_graphs.LARGEST * max(1.0, float(np.max(np.abs(expected), initial=0.0))),
    )


@pytest.mark.parametrize(
    "first",
    [
        *range(0, PROGRAMS_OF_EACH_RUN, PROGRAMS_A_TEST),
        *(
            pytest.param(first, marks=pytest.mark.long)
            for first in range(PROGRAMS_OF_EACH_RUN, PROGRAMS, PROGRAMS_A_TEST)
        ),
    ],
)
def test_random_graphs(machine: Machine, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    extents = EXTENTS[first // PROGRAMS_A_TEST % len(EXTENTS)]
    monkeypatch.setattr(random_graphs, "EXTENTS", extents)
    for seed in range(first, first + PROGRAMS_A_TEST):
        try:
            _check(machine, random_program(seed, steps=STEPS), seed)
        except Exception as error:
            error.add_note(f"random_program({seed}, steps={STEPS}) with EXTENTS = {extents}")
            raise
