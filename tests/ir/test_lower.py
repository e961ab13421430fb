"""Expanding composites and binding dimensions keep values; open dimensions are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.ir.derive.autodiff import gradients
from graphc.ir.dims import Dim
from graphc.ir.errors import ShapeError
from graphc.ir.functions import build
from graphc.ir.functions.attention import attention
from graphc.ir.functions.ordering import argsort, take_along_axis
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.nodes.lowering import Composite
from graphc.ir.ops import OPS, leaf, random, training, windows
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.elementwise import log_sums
from graphc.ir.programs.custom_vjp import custom_vjp
from graphc.ir.programs.lower import expand_composites, specialize
from graphc.ir.programs.verify import verify
from graphc.ir.reference import run_program
from graphc.ir.types import as_dtype
from graphc.testing.tolerance import assert_close

BATCH = 6

twice = custom_vjp(lambda x: 2 * x)
twice.defvjp(lambda ct, result, x: ct)


def classifier() -> Program:
    graph = Graph()
    x = graph.input("x", ("batch", 5), "f64")
    t = graph.input("t", ("batch",), "i32")
    w = graph.state("w", (5, 4), "f64", trainable=True)
    unused = graph.state("unused", (2,), "f64")
    scores = x @ w
    loss = -build.mean(build.pick(build.log_softmax(scores), t)) + build.mean(build.softmax(scores))
    (dw,) = gradients(loss, [w])
    outputs = (
        ("loss", loss),
        ("class", build.argmax(scores, -1)),
        ("one_hot", build.one_hot(t, 4, "f64")),
        ("logsumexp", build.logsumexp(scores)),
        ("extremes", build.max(scores) - build.min(scores)),
        ("slopes", ops.tanh_slope(scores) + ops.sigmoid_slope(scores)),
        ("stopped", ops.stop_gradient(scores)),
        ("stated", twice(scores)),
        ("dropped", random.dropout(scores, graph.state("key", (), "i64"), rate=0.5)),
        ("trained", training.training_form(scores, 2 * scores)),
        ("padded", build.concatenate([scores, scores], 1)[:, ::2]),
    )
    updates = ((w, w - dw), (unused, build.broadcast_to(loss, (2,))))
    return Program("classify", (x, t), outputs, updates)


def statistics() -> Program:
    """The composites that the classifier has not."""
    graph = Graph()
    x = graph.input("x", ("batch", 5), "f64")
    state = graph.state("w", (5, 4), "f64", trainable=True)
    turned = build.transpose(state)
    spread = windows.windows(x, axes=(1,), sizes=(2,), strides=(1,), dilations=(1,))
    attended = attention(turned, turned, turned)
    losses = (build.prod(x), build.sum(ops.square(spread)))
    outputs = (
        ("sums", log_sums.logaddexp(x, 2 * x) + log_sums.logaddexp2(x, 2 * x)),
        ("losses", ops.log_cosh(x)),
        ("moments", build.var(x, 1) + build.std(x, 1)),
        ("places", build.argmin(x, 1)),
        ("sorted", take_along_axis(x, argsort(x, 1), 1)),
        *((f"slope{n}", slope) for n, loss in enumerate(losses) for slope in gradients(loss, [x])),
        ("attended", attended),
    )
    updates = ((state, gradients(build.sum(ops.square(attended)), [state])[0]),)
    return Program("statistics", (x,), outputs, updates)


PROGRAMS = (classifier, statistics)


def values() -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(3)
    inputs = {"x": rng.normal(size=(BATCH, 5)), "t": rng.integers(0, 4, BATCH).astype(np.int32)}
    return inputs, {"w": rng.normal(size=(5, 4)), "unused": np.ones(2), "key": np.array(7)}


def assert_same(before: Program, after: Program, bindings: dict[str, int]) -> None:
    inputs, states = values()
    given = {node.name: inputs[node.name] for node in before.inputs}
    kept = {node.name: states[node.name] for node in before.states}
    expected = run_program(before, given, kept, {"batch": BATCH})
    actual = run_program(after, given, kept, bindings)
    for wanted, found in zip(expected, actual, strict=True):
        assert wanted.keys() == found.keys()
        for name, value in wanted.items():
            assert_close(found[name], value, value.dtype, reduction_length=BATCH * 5)


def test_the_programs_have_every_composite() -> None:
    used = {node.op for declare in PROGRAMS for node in declare().nodes}
    assert used >= {op for op in OPS.values() if isinstance(op.lowering, Composite)}


@pytest.mark.parametrize("declare", PROGRAMS)
def test_composites_are_expanded(declare: Callable[[], Program]) -> None:
    program = declare()
    expanded = expand_composites(program)
    verify(expanded)
    assert not any(isinstance(node.op.lowering, Composite) for node in expanded.nodes)
    assert_same(program, expanded, {"batch": BATCH})


def test_expansions_carry_the_line_of_what_they_stand_for() -> None:
    expanded = expand_composites(classifier())
    lines = {node.op.name: node.location for node in expanded.nodes}
    for name in ("exp", "iota", "equal"):
        location = lines[name]
        assert location is not None
        assert location.filename == __file__


def test_a_program_without_composites_is_left_alone() -> None:
    x = Graph().input("x", (3,))
    program = Program("f", (x,), (("y", build.sum(x * 2)),))
    assert expand_composites(program).roots == program.roots


def test_specialized_programs_are_static_and_equal_in_value() -> None:
    program = classifier()
    special = specialize(program, {"batch": BATCH})
    verify(special)
    assert special.graph is not program.graph
    assert all(node.type.is_static for node in special.nodes)
    assert not any(node.op is leaf.extent for node in special.nodes)
    assert [node.name for node in special.inputs] == ["x", "t"]
    assert {node.name for node in special.states} == {"w", "unused", "key"}
    assert special.inputs[0].shape == (BATCH, 5)
    assert_same(program, special, {})


def test_lines_survive_specialization() -> None:
    program = classifier()
    special = specialize(program, {"batch": BATCH})
    before = {(node.op, node.location) for node in program.nodes if node.op is not leaf.extent}
    after = {(node.op, node.location) for node in special.nodes if node.op is not leaf.constant}
    assert after <= before


def test_every_attribute_that_is_a_shape_is_bound() -> None:
    graph = Graph()
    x = graph.input("x", ("n", 3))
    index = graph.input("index", ("n",), "i32")
    written: list[Node] = [
        build.reshape(x, ("n", 1, 3)),
        build.broadcast_to(graph.constant(1.0), ("n", 2)),
        x[:, ::2],
        graph.iota("n", "i32"),
        build.take(x, index * 0, 1),
        *gradients(build.sum(build.take(x, index * 0, 1)), [x]),
        *gradients(build.sum(x[:, 1]), [x]),
    ]
    outputs = tuple((f"y{number}", node) for number, node in enumerate(written))
    special = specialize(Program("f", (x, index), outputs), {"n": 4, "unused": 9})
    verify(special)
    extents = {extent for node in special.nodes for extent in node.shape}
    assert not any(isinstance(extent, Dim) for extent in extents)


def test_extents_become_constants_of_their_dtype() -> None:
    graph = Graph()
    x = graph.input("x", ("n", 3))
    count = graph.extent(x.shape, as_dtype("i64"))
    (result,) = specialize(Program("f", (x,), (("count", count),)), {"n": 5}).roots
    assert result is result.graph.constant(15, "i64")


def test_an_open_dimension_is_refused_with_the_users_line() -> None:
    with pytest.raises(ShapeError) as raised:
        specialize(classifier(), {"rows": 3})
    message = str(raised.value)
    assert "input[batch,5]: dimension batch" in message
    assert "at test_lower.py:" in message


def test_extents_that_do_not_fit_once_bound_are_refused() -> None:
    graph = Graph()
    x, y = graph.input("x", ("n", 3)), graph.input("y", ("n", "m"))
    program = Program("f", (x, y), (("z", build.matmul(x, y, transpose_x=True)),))
    specialize(program, {"n": 2, "m": 2})
    joined = Program("f", (x, y), (("z", build.reshape(y, ("m", "n"))),))
    specialize(joined, {"n": 2, "m": 3})
    picked = Program("f", (x,), (("z", build.max(x, 0)),))
    with pytest.raises(ShapeError, match=r"max\(f32\[0,3\]\): an extreme of no elements"):
        specialize(picked, {"n": 0})
