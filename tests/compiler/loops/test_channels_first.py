"""Networks with channels first move no more images than those with channels last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import Program
from graphc.ir.reference import run_program
from graphc.ir.rewriting.rules.channels import first, last
from graphc.ir.rewriting.simplify import simplify
from tests.compiler.execution import Machine, compilation

FIRST, LAST = "channels_first", "channels_last"
BATCH, PIXELS = 3, 14

Net = Callable[[str], gc.Function]


def pooled_net(data_format: str) -> gc.Function:
    """A training step of convolutions, each with its pooling, and a dense layer."""
    x = images(data_format, 2)
    hidden = x
    for filters in (4, 5):
        hidden = gc.nn.Conv2D(filters, 3, activation="relu", data_format=data_format)(hidden)
        hidden = gc.nn.MaxPool2D(2, data_format=data_format)(hidden)
    return step(x, gc.nn.dense(gc.nn.flatten(hidden), 3))


def residual_net(data_format: str) -> gc.Function:
    """A training step of a block with padding, strides, statistics of the batch and a mean."""
    is_first = data_format == FIRST
    x = images(data_format, 3)
    hidden = gc.nn.Conv2D(4, 3, padding="same", data_format=data_format)(x)
    inner = gc.nn.BatchNorm(axis=1 if is_first else -1)(hidden)
    inner = gc.nn.Conv2D(4, 3, padding=1, data_format=data_format)(gc.relu(inner))
    hidden = gc.nn.AveragePooling2D(3, 2, "same", data_format=data_format)(inner + hidden)
    return step(x, gc.nn.dense(gc.mean(hidden, (2, 3) if is_first else (1, 2)), 3))


def images(data_format: str, channels: int) -> gc.Node:
    pixels = (PIXELS, PIXELS)
    shape = (channels, *pixels) if data_format == FIRST else (*pixels, channels)
    return gc.Graph(seed=0).input("x", (BATCH, *shape))


def step(x: gc.Node, scores: gc.Node) -> gc.Function:
    loss = gc.mean(gc.square(scores))
    return gc.function([x], loss, gc.optim.SGD(0.1).updates(loss))


def moved_images(program: Program) -> list[str]:
    """What images are made of whose channels change their place."""
    images = (node for node in program.nodes if node.op.name == "transpose" and node.rank > 3)
    return [
        node.operands[0].op.name
        for node in images
        if any(node is change(node.operands[0]) for change in (first, last))
    ]


def copies(program: Program) -> int:
    return Counter(node.op.name for node in program.nodes)["copy"]


def test_input_and_flattened_images_alone_are_moved() -> None:
    """The flattened ones forward and, as a gradient, back."""
    made = compilation(pooled_net(FIRST).program)
    assert sorted(moved_images(made.program)) == ["input", "reshape", "reshape"]
    beside = compilation(pooled_net(LAST).program)
    assert copies(made.program) <= copies(beside.program) + 1
    assert len(made.groups) <= len(beside.groups) + 1


def test_where_nothing_is_flattened_the_input_alone_is_moved() -> None:
    made = compilation(residual_net(FIRST).program)
    beside = compilation(residual_net(LAST).program)
    assert moved_images(made.program) == ["input"]
    assert copies(made.program) <= copies(beside.program)
    assert len(made.groups) <= len(beside.groups)


@pytest.mark.parametrize("net", [pooled_net, residual_net])
def test_values_are_those_of_the_reference(machine: Machine, net: Net) -> None:
    program = net(FIRST).program
    rng = np.random.default_rng(3)
    inputs = {node.name: rng.normal(size=node.shape).astype("f4") for node in program.inputs}
    states = {node.name: rng.uniform(0.1, 0.5, node.shape).astype("f4") for node in program.states}
    expected, updated = run_program(program, inputs, states)
    outputs, after = machine.run(program, inputs, states)
    for name, wanted in (expected | updated).items():
        np.testing.assert_allclose((outputs | after)[name], wanted, rtol=2e-5, atol=2e-5)


def test_the_update_of_a_state_is_stored_where_the_state_stands() -> None:
    graph = gc.Graph()
    x = graph.input("x", (2, 4, 5, 3))
    state = graph.variable("w", np.zeros((2, 3, 4, 5), "f4"))
    updated = state - first(x)
    program = gc.function([x], [], {state: updated}).program
    assert simplify(program).roots == (updated,)
