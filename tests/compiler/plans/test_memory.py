"""The memory of plans: figures before anything is allocated, refusals of what cannot be had."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from rich.console import Console

import graphc as gc
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.plan_memory import PlanMemory, bytes_text, check_memory, plan_memory
from graphc.errors import PlanTooLargeError
from graphc.kernels.host.memory_limit import MemoryLimit
from tests.compiler import networks
from tests.compiler.execution import compilation

HUGE = 2**20
SMALL_BYTES = 2**26


def refused_sums() -> str:
    """The refusal of a new function whose result takes terabytes."""
    graph = gc.Graph()
    x, y = graph.input("x", (HUGE, 1)), graph.input("y", (1, HUGE))
    function = gc.function([x, y], gc.sigmoid(x + y))
    with pytest.raises(PlanTooLargeError) as refused:
        function(np.zeros((HUGE, 1), "f4"), np.zeros((1, HUGE), "f4"))
    return str(refused.value)


def test_a_plan_of_terabytes_is_refused_before_it_is_allocated() -> None:
    """Measured at the second refusal: what a process imports and compiles once is no part of it."""
    refused_sums()
    tracemalloc.start()
    try:
        text = refused_sums()
        assert tracemalloc.get_traced_memory()[1] < SMALL_BYTES
    finally:
        tracemalloc.stop()
    assert text.startswith("the plan takes 4.0 TiB, but ")
    assert "arena 4.0 TiB, parameters 0 bytes, other states 0 bytes, constants" in text
    assert f"\n  4.0 TiB: sigmoid f32[{HUGE},{HUGE}] at test_memory.py:" in text
    assert "gc.function([x, y], gc.sigmoid(x + y))" in text
    assert text.endswith("GRAPHC_MEMORY_LIMIT sets another limit.")


def test_parameters_of_terabytes_are_not_initialised() -> None:
    graph = gc.Graph()
    x = graph.input("x", (1, HUGE))
    w = graph.parameter("w", (HUGE, HUGE))
    function = gc.function([x], x @ w)
    with pytest.raises(PlanTooLargeError, match=r"parameters 4\.0 TiB.*\n +4\.0 TiB: w f32"):
        function.prepare()
    assert "w" not in function.variables.allocated


def test_the_users_limit_counts_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    function = networks.adam(10_000)
    needed = function.memory()
    assert needed.parameters == 40_000 and needed.inputs == 40_000
    assert needed.states == 80_004
    monkeypatch.setenv("GRAPHC_MEMORY_LIMIT", str(needed.total - 1))
    with pytest.raises(PlanTooLargeError, match="but GRAPHC_MEMORY_LIMIT allows"):
        function.prepare()
    monkeypatch.setenv("GRAPHC_MEMORY_LIMIT", str(needed.total))
    function.prepare()


def test_what_the_plan_has_already_does_not_count_against_what_is_left() -> None:
    program = compiled(compilation(networks.adam(10_000).program))
    needed = plan_memory(program.executable)
    left = MemoryLimit(needed.arena + needed.states, "this machine has left")
    check_memory(program, left, held=["w"])
    check_memory(program, None)
    with pytest.raises(PlanTooLargeError, match="this machine has left"):
        check_memory(program, left)
    less = MemoryLimit(left.nbytes - 1, left.reason)
    with pytest.raises(PlanTooLargeError, match=r"has left .* besides 39\.1 KiB that it has"):
        check_memory(program, less, held=["w"])


def test_a_summary_says_what_a_step_takes() -> None:
    graph = gc.Graph()
    x, t = graph.input("x", ("batch", 8)), graph.input("t", ("batch",), "i32")
    scores = gc.nn.dense(x, 4)
    model = gc.Model(x, scores, t, gc.losses.softmax_cross_entropy(scores, t))
    shown = []
    for is_compiled in (False, True):
        if is_compiled:
            model.compile(gc.optim.Adam())
        console = Console(file=io.StringIO(), width=120)
        model.summary(console)
        shown.append(console.file.getvalue())  # type: ignore[attr-defined]
    memory = model.train_function.memory({"batch": 32})
    assert "arena" not in shown[0]
    assert f"training step of 32 rows: {memory}\n" in shown[1]
    assert memory.parameters == 4 * (8 * 4 + 4)
    assert not model.variables.allocated


def test_sizes_in_words() -> None:
    sizes = (0, 1023, 1024, 1536, 2**30, 3 * 2**41, 2**70)
    texts = ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "1.0 GiB", "6.0 TiB", "1024.0 EiB"]
    assert [bytes_text(size) for size in sizes] == texts
    assert PlanMemory(1, 2, 3, 4, 5).total == 10
