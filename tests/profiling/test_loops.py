"""Loops in a profile: rows of a step say how often they ran, and count all steps alike."""

from __future__ import annotations

import linecache
from collections.abc import Callable

import pytest

import graphc as gc
from graphc.profiling.measuring.profile import profile
from graphc.profiling.results import Profile, StepProfile
from graphc.profiling.shown.terminal import profile_lines

STEPS = 7


def counted() -> gc.Function:
    x = gc.Graph().input("x", (8, 8))
    return gc.function(x, gc.fori_loop(0, STEPS, lambda i, h: gc.tanh(h @ x), x))


def open_ended() -> gc.Function:
    """As many steps, of which the compiler does not know."""
    x = gc.Graph().input("x", (8, 8))
    _, result = gc.while_loop(
        lambda carry: carry[0] < STEPS,
        lambda carry: [carry[0] + 1, gc.tanh(carry[1] @ x)],
        [x.graph.constant(0, "i32"), x],
    )
    return gc.function(x, result)


def shown(found: Profile) -> str:
    return "\n".join(line.plain for line in profile_lines(found, 200))


def rows_of(step: StepProfile) -> dict[str, float]:
    return {kernel.name: kernel.calls for kernel in step.kernels}


@pytest.mark.parametrize("declare", [counted, open_ended])
def test_rows_of_a_loop_count_all_steps(declare: Callable[[], gc.Function]) -> None:
    found = profile(declare(), {}, rounds=1, repeats=2)
    for step in (found.fused, found.unfused):
        calls = rows_of(step)
        begin = list(calls).index("loop")
        assert calls["loop"] == 1 and calls["end_loop"] == STEPS
        inside = list(calls.values())[begin + 1 : -1]
        assert inside and set(inside) == {STEPS}
        (product,) = [k for k in step.kernels if "matmul" in k.ops]
        assert product.bytes >= STEPS * 3 * 8 * 8 * 4
        assert product.flops >= STEPS * 2 * 8**3
    assert "us a call" in shown(found)


def test_copies_of_a_step_are_at_the_lines_of_the_loop() -> None:
    x = gc.Graph().input("x", (8, 8))
    _, stacked = gc.scan(lambda h, _: (gc.tanh(h @ x), h), x, length=STEPS)
    found = profile(gc.function(x, stacked), {}, rounds=1, repeats=1)
    (line,) = {each.line for kernel in found.fused.kernels for each in kernel.lines}
    assert "gc.scan" in linecache.getline(__file__, line)


def test_a_step_without_loops_has_no_column_of_single_calls() -> None:
    x = gc.Graph().input("x", (8,))
    found = profile(gc.function(x, gc.tanh(x)), {}, rounds=1, repeats=1)
    assert {kernel.calls for kernel in found.fused.kernels} == {1}
    assert "us a call" not in shown(found)
