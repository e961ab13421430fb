"""No kernel touches what it must not: beside its buffers, of another thread, or too late."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.compiler.plan import sharing
from graphc.ir.graph import Program
from graphc.ir.programs.lower import specialize
from graphc.ir.types import f32
from graphc.kernels.loops import thread_blocks
from graphc.testing.cases import Case
from tests.compiler.traces.traced import Traced
from tests.compiler.updates import update_programs as updates
from tests.ops.cases.cases import build_case, build_gradient_case, differentiable, every_case

VECTOR_BITS = 256
THREADS = (1, 2, 3)
# Python takes about a microsecond an access.
MOST_ELEMENTS = 3_000


@pytest.fixture(autouse=True)
def _everything_is_shared(monkeypatch: pytest.MonkeyPatch, tasks_of_a_tile: None) -> None:
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    monkeypatch.setattr(sharing, "SURELY_SHARED_CYCLES", 0)


def trace(program: Program, inputs: Any, states: Any, threads: int, fuse: bool = True) -> None:
    made = compile_program(program, Options({}, fuse, VECTOR_BITS, threads))
    Traced(made, threads).run(inputs, states)


def trace_updates(declare: updates.Declare) -> None:
    """Declares outputs and updates of states and traces them, fused and unfused."""
    graph = gc.Graph()
    outputs, following = declare(graph)
    function = gc.function(list(graph.inputs.values()), outputs, following)
    rng = np.random.default_rng(7)
    inputs = {
        node.name: rng.uniform(-1, 1, node.type.dims).astype(node.dtype.numpy)
        for node in function.program.inputs
    }
    for threads in THREADS:
        for fuse in (True, False):
            trace(function.program, inputs, dict(graph.variables.items()), threads, fuse)


@pytest.mark.parametrize("declare", updates.CASES, ids=lambda declare: declare.__name__)
def test_updates(declare: updates.Declare) -> None:
    trace_updates(declare)


@pytest.mark.parametrize("seed", updates.RANDOM_UPDATES)
def test_random_updates(seed: int) -> None:
    trace_updates(lambda graph: updates.random_updates(graph, seed))


def _is_small(program: Program) -> bool:
    return all(node.type.size <= MOST_ELEMENTS for node in program.nodes)


def _every_other() -> list[Any]:
    """The cases, every second one for `make test-long` alone."""
    marks = ((), pytest.mark.long)
    return [pytest.param(case, marks=marks[number % 2]) for number, case in enumerate(every_case())]


@pytest.mark.parametrize("case", _every_other(), ids=str)
def test_cases(case: Case) -> None:
    has_gradient = case.gradient and bool(differentiable(case))
    program, values = (build_gradient_case if has_gradient else build_case)(case, f32)
    program = specialize(program, case.bindings)
    if _is_small(program):
        with np.errstate(all="ignore"):
            for threads in THREADS:
                trace(program, values, values, threads)
