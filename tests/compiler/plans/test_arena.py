"""The arena: values that live at once never share memory, others do."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.plan.arena import ALIGNMENT, LiveRange, live_ranges, plan_arena
from graphc.compiler.plan.planning import Plan
from graphc.ir.types import f32
from graphc.kernels.loops.language.source import Storage
from graphc.kernels.nests.node_kinds import viewed
from tests.compiler.execution import compilation
from tests.random_graphs import random_program


def _span(plan: Plan, live: LiveRange) -> range:
    start = plan.arena.offsets[live.storage]
    return range(start, start + live.storage.nbytes)


def _check(plan: Plan) -> None:
    ranges = plan.arena.ranges
    for number, one in enumerate(ranges):
        span = _span(plan, one)
        assert span.start % ALIGNMENT == 0
        assert span.start >= 0 and span.stop <= plan.arena.nbytes
        for other in ranges[:number]:
            apart = _span(plan, other).stop <= span.start or span.stop <= _span(plan, other).start
            assert apart or not (one.first <= other.last and other.first <= one.last), (
                f"{one} and {other} share memory"
            )


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("seed", range(2000, 2030))
def test_live_ranges_do_not_overlap(seed: int, fuse: bool) -> None:
    made = compilation(random_program(seed, steps=10), fuse=fuse)
    plan = made.plan
    _check(plan)
    sizes = [max(live.storage.nbytes, 1) for live in plan.arena.ranges]
    assert plan.arena.nbytes <= sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)
    by_storage = {live.storage: live for live in plan.arena.ranges}
    for number, row in enumerate(plan.instructions):
        for storage in row.source.arguments:
            if storage in by_storage:
                assert by_storage[storage].first <= number <= by_storage[storage].last
    for _, node in made.program.outputs:
        storage = plan.storages.of(viewed(node))
        if storage in by_storage:
            assert by_storage[storage].last == len(plan.instructions), "an output must survive"


def test_check_would_notice() -> None:
    plan = compilation(random_program(2000, steps=10), fuse=False).plan
    _check(plan)
    for storage in plan.arena.offsets:
        plan.arena.offsets[storage] = 0
    with pytest.raises(AssertionError, match="share memory"):
        _check(plan)


def test_chain_uses_two_places() -> None:
    """Each step of an unfused chain needs its operand and its result."""
    graph = gc.Graph()
    value = graph.input("x", (1000,))
    for _ in range(20):
        value = gc.tanh(value)
    plan = compilation(gc.function([graph.inputs["x"]], value).program, fuse=False).plan
    assert len(plan.instructions) == 20
    assert plan.arena.nbytes == 2 * -(-4000 // ALIGNMENT) * ALIGNMENT


def _range(size: int, first: int, last: int) -> LiveRange:
    return LiveRange(Storage(f"v{size}", f32, size), first, last)


def test_peak_is_met_where_it_can_be() -> None:
    ranges = [_range(64, 0, 1), _range(32, 1, 2), _range(64, 2, 3), _range(32, 3, 4)]
    assert plan_arena(ranges).nbytes == 4 * (64 + 32)


def test_nothing_needs_no_memory() -> None:
    assert plan_arena([]).nbytes == 0


def test_live_ranges_of_uses() -> None:
    a, b, c, unused = (Storage(name, f32, 1) for name in "abcd")
    found = live_ranges([[a], [a, b], [c]], [a, b, c, unused], [b])
    assert found == (LiveRange(a, 0, 1), LiveRange(b, 1, 3), LiveRange(c, 2, 2))


def test_outputs_survive_later_kernels() -> None:
    graph = gc.Graph()
    x, w = graph.input("x", (40, 40), "f64"), graph.input("w", (40, 40), "f64")
    outputs, value = [], x
    for _ in range(6):
        value = gc.tanh(value @ w)
        outputs.append(value)
    given = np.random.default_rng(0).normal(size=(2, 40, 40))
    for fuse in (True, False):
        results = gc.function([x, w], outputs, fuse=fuse)(*given)
        expected = given[0]
        for result in results:
            expected = np.tanh(expected @ given[1])
            # 40 terms of rounding, magnified by up to the norm of w in each of 6 steps.
            np.testing.assert_allclose(result, expected, atol=1e-8)
