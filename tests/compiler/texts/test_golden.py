"""One small net at each stage of its compilation, and the sources of a few kernels, as texts.

The texts are for vectors of 256 bits, whatever the host has. `pytest --update-golden` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import graphc as gc
from graphc.compiler.pipeline import Compilation
from graphc.inspect.stage_text import plan_text
from graphc.inspect.wording import reason_of
from graphc.ir.graph import Program
from graphc.ir.text.parsing import print_program
from graphc.kernels.nests.names import label
from graphc.kernels.nests.node_kinds import external_operands
from tests.compiler import networks
from tests.compiler.execution import compilation

Golden = Callable[[str], None]


def _without_lines(text: str) -> str:
    """Without the numbers of the lines in networks.py: they change with what stands above them."""
    return re.sub(r"(networks\.py):\d+", r"\1", text)


def _net() -> tuple[Program, Program]:
    """Two layers with mean squared error and a step along its gradient: (forward, whole)."""
    graph = gc.Graph()
    x, t = graph.input("x", ("batch", 4)), graph.input("t", ("batch", 2))
    w0, b0 = graph.parameter("w0", (4, 3)), graph.parameter("b0", (3,), 0.0)
    w1 = graph.parameter("w1", (3, 2))
    hidden = 1 / (1 + gc.exp(-(x @ w0 + b0)))
    loss = gc.mean(gc.square(hidden @ w1 - t))
    parameters = [w0, b0, w1]
    slopes = gc.grad(loss, parameters)
    updates = [(p, p - 0.1 * slope) for p, slope in zip(parameters, slopes, strict=True)]
    forward, step = gc.function([x, t], loss), gc.function([x, t], loss, updates)
    return forward.program, step.program


def _compiled_net() -> Compilation:
    return compilation(_net()[1], {"batch": 8})


def _fused_text(made: Compilation) -> str:
    """Each kernel with what it reads, computes and stores; below them what was not fused."""
    lines = []
    for group in made.groups:
        reads = ", ".join(f"{label(node)} {node.type}" for node in external_operands(group.nodes))
        lines.append(f"{type(group).__name__} reads {reads}")
        lines += [f"    {node.op.name} {node.type}" for node in group.nodes]
        lines.append(f"    stores {', '.join(f'{n.op.name} {n.type}' for n in group.outputs)}")
    lines.append("not fused")
    lines += [
        f"    {label(d.producer)} -> {label(d.consumer)}, {d.bytes_saved} bytes: {reason_of(d)}"
        for d in made.decisions
        if not d.fused
    ]
    return "\n".join(lines) + "\n"


def _sources(made: Compilation) -> str:
    return _without_lines("\n".join(row.source.text for row in made.plan.instructions))


def test_net_declared(golden: Golden) -> None:
    golden(print_program(_net()[0]))


def test_net_backward(golden: Golden) -> None:
    golden(print_program(_net()[1]))


def test_net_simplified(golden: Golden) -> None:
    """The program that fusion is given."""
    golden(print_program(_compiled_net().program))


def test_net_fused(golden: Golden) -> None:
    golden(re.sub(r"(test_golden\.py):\d+", r"\1", _fused_text(_compiled_net())))


def test_net_plan(golden: Golden) -> None:
    plan = _compiled_net().plan
    golden(plan_text(plan))


def test_net_source(golden: Golden) -> None:
    golden(re.sub(r"(test_golden\.py):\d+", r"\1", _sources(_compiled_net())))


def test_source_softmax(golden: Golden) -> None:
    golden(_sources(compilation(networks.softmax(64, 1000).program)))


def test_source_elementwise_workload(golden: Golden) -> None:
    golden(_sources(compilation(networks.elementwise_workload().program)))


def test_source_dense(golden: Golden) -> None:
    golden(_sources(compilation(networks.dense().program)))


def test_source_scaled_dense(golden: Golden) -> None:
    """A prologue."""
    golden(_sources(compilation(networks.scaled_dense().program)))


def test_source_classifier_unfused(golden: Golden) -> None:
    golden(_sources(compilation(networks.classifier(8, 4, 3).program, fuse=False)))


@pytest.mark.parametrize("declare", [networks.classifier, networks.layer_normalization])
def test_same_source_each_time(declare: Callable[[], gc.Function]) -> None:
    """Nothing in the text depends on the order of sets or on addresses."""
    assert _sources(compilation(declare().program)) == _sources(compilation(declare().program))
