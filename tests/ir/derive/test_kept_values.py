"""What a loop keeps for its derivative: what is costly, and no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphc.ir.derive.autodiff import gradients
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, topological
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.programs import loops

Step = Callable[[Node, Node, Node], Node]
# By the ops of what is kept; the input of a step is its carry.
STEPS: dict[tuple[str, ...], Step] = {
    ("input", "tanh_slope"): lambda h, x, w: ops.tanh(h * x) + w[0],
    ("exp", "input"): lambda h, x, w: ops.square(ops.exp(h * x)) * w[0],
    ("add",): lambda h, x, w: ops.square(h + x) * w[0],
    ("add", "input"): lambda h, x, w: ops.square((h @ w) * 2 + x),
    ("cos", "exp", "input", "sin"): lambda h, x, w: ops.sin(h @ w) * ops.exp(h @ w + x),
    ("cos", "sin"): lambda h, x, w: build.transpose(ops.square(build.transpose(ops.sin(h)))) * x,
}


@pytest.mark.parametrize("wanted", STEPS, ids=" ".join)
def test_what_is_cheap_is_made_again(wanted: tuple[str, ...]) -> None:
    """Also a view, of what it views. Carries alone are kept of a loop that makes all again."""
    assert _kept(STEPS[wanted], recompute=False) == wanted
    assert _kept(STEPS[wanted], recompute=True) == ("input",)


def _kept(step: Step, recompute: bool) -> tuple[str, ...]:
    """The ops of what the loop stacks for its derivative."""
    graph = Graph()
    h, xs = graph.input("h", (2, 3), "f64"), graph.input("xs", (4, 2, 3), "f64")
    w = graph.input("w", (3, 3), "f64")
    (last,), _ = loops.scan(
        lambda c, s: ([step(c[0], s[0], w)], []), [h], [xs], 4, recompute=recompute
    )
    found = gradients(build.sum(last) + build.sum(xs) + build.sum(w), [h, xs, w])
    (forward,) = [
        x for x in topological(found) if x.op.name == "scan" and not x.attributes["reverse"]
    ]
    return tuple(sorted(value.op.name for _, value in forward.attributes["body"].outputs[1:]))
