"""Loops in an explanation: what was decided about a step, its bytes, and those of all steps."""

from __future__ import annotations

import io

from rich.console import Console

import graphc as gc
from graphc.inspect.explain import compiled_for_explaining, explain
from graphc.inspect.explain_report import print_explanation
from graphc.inspect.explanation import Explanation

ELEMENTS = 64 * 64
BYTES = 4 * ELEMENTS


def explained(x: gc.Node, result: gc.Node) -> Explanation:
    return explain(compiled_for_explaining(gc.function(x, result), {}))


def text_of(found: Explanation) -> str:
    console = Console(file=io.StringIO(), width=200)
    print_explanation(found, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_a_loop_of_counted_steps() -> None:
    x = gc.Graph().input("x", (64, 64))
    found = explained(x, gc.fori_loop(0, 20, lambda i, h: gc.tanh(h @ x) * 0.5, x))
    (loop,) = found.loops
    assert loop.loop.startswith("scan (test_explained_loops.py:")
    assert (loop.steps, loop.ops, loop.kernels) == (20, 3, 1)
    assert loop.bytes_unfused - loop.bytes_fused == 4 * BYTES
    assert sum(each.bytes_saved for each in loop.fusions) == 4 * BYTES
    assert all(each.kernels == ("matmul_multiply",) for each in loop.fusions)
    text = text_of(found)
    assert "20 steps, each of 3 ops in 1 kernel" in text
    assert f"a step moves {loop.bytes_fused:,} bytes, {20 * loop.bytes_fused:,} in all" in text
    assert "kernels outside of loops move" in text


def test_a_loop_of_open_steps_and_one_in_it() -> None:
    x = gc.Graph().input("x", (64, 64))

    def body(h: gc.Node) -> gc.Node:
        return gc.fori_loop(0, 3, lambda i, h: h @ x, h)

    found = explained(x, gc.while_loop(lambda h: gc.max(h) < 9, body, x, max_steps=5))
    outer, inner = found.loops
    assert (outer.steps, inner.steps) == (None, 3)
    assert outer.loop.startswith("while_loop") and inner.loop.startswith("scan")
    assert "as many steps as its condition holds" in text_of(found)


def test_a_program_without_loops_says_nothing_of_them() -> None:
    x = gc.Graph().input("x", (64,))
    found = explained(x, gc.tanh(x))
    assert found.loops == () and "loop" not in text_of(found)
