"""The text form: stable, readable, and read back to the same program."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.ir.errors import GraphError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Program
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.text.parsing import parse_program, print_program


def training_step() -> Program:
    graph = Graph()
    x = graph.input("x", ("batch", 4))
    t = graph.input("t", ("batch",), "i32")
    w = graph.state("layer1/w", (4, 3), trainable=True)
    scores = build.log_softmax(build.leaky_relu(x @ w, 0.1))
    loss = -build.mean(build.pick(scores, t))
    moved = w - 0.5 * build.mean(scores)
    return Program("step", (x, t), (("loss", loss), ("scores", scores)), ((w, moved),))


def test_a_training_step_reads_as_text(golden) -> None:
    golden(print_program(training_step()))


def test_locations_are_comments() -> None:
    text = print_program(training_step(), locations=True)
    assert "# test_text.py:" in text
    assert parse_program(text) == training_step()


def constants() -> Program:
    graph = Graph()
    values = (
        graph.constant(-0.0),
        graph.constant(float("nan"), "f64"),
        graph.constant(float("-inf")),
        graph.constant(0.1, "f64"),
        graph.constant(0.1, "f32"),
        graph.constant(1 / 3, "f32"),
        graph.constant(1e-45, "f32"),
        graph.constant(2**62 + 1, "i64"),
        graph.constant(True),
        graph.constant([[1.5, float("inf")], [1e-30, -0.0]]),
        graph.constant(np.zeros((0, 3)), "f64"),
        graph.constant([True, False]),
        graph.constant([[7]], "i32"),
        graph.constant([0, 255], "u8"),
    )
    return Program("constants", (), tuple((f"c{i}", v) for i, v in enumerate(values)))


def odd_names() -> Program:
    graph = Graph()
    names = ["a b", "return", "update", "%0", "it's", 'a"b', "a#b", "x, y: f32[]", "1.0:f32", "é"]
    inputs = tuple(graph.input(name, (), "f64") for name in names)
    total = inputs[0]
    for value in inputs[1:]:
        total = total + value
    states = tuple(graph.state(name, (), "f64") for name in ("return ", "s t", "update.", "s#"))
    updates = tuple((state, total) for state in states)
    return Program("odd names", inputs, (("the sum", total), ("return", total)), updates)


def keywords() -> Program:
    graph = Graph()
    states = [graph.state(name) for name in ("return", "update", "program")]
    return Program("return", (), (("update", states[0]),), tuple((s, states[0]) for s in states))


def many_attributes() -> Program:
    graph = Graph()
    x = graph.input("x", ("n", 3, 2))
    labels = graph.input("labels", ("n",), "i64")
    values = (
        build.transpose(x, (2, 0, 1)),
        x[:, ::-1, 1],
        build.sum(x, (0, 2)),
        build.cast(x, "f64"),
        build.one_hot(labels, 5, "f64"),
        build.take(x, [[2, 0]], 1),
        build.elu(x, float("inf")),
        graph.extent(x.shape, "i32"),
        graph.iota("n", "i32"),
        build.concatenate([x, x, x], 1),
        build.broadcast_to(graph.constant(1.0), ("n", 2)),
        build.matmul(x, x, transpose_x=True),
    )
    outputs = tuple((f"y{i}", value) for i, value in enumerate(values))
    return Program("many", (x, labels), outputs)


def states_only() -> Program:
    graph = Graph()
    a, b = graph.state("a"), graph.state("b")
    return Program("swap", (), (), ((a, b), (b, a)))


@pytest.mark.parametrize(
    "make", [training_step, constants, odd_names, keywords, many_attributes, states_only]
)
def test_round_trip(make) -> None:
    program = make()
    text = print_program(program)
    read = parse_program(text)
    assert read == program
    assert read.graph is not program.graph
    assert print_program(read) == text


def test_an_unlisted_input_survives() -> None:
    x = Graph().input("x", (2,))
    program = Program("f", (), (("y", x + x),))
    assert parse_program(print_program(program)) == program


def test_text_does_not_depend_on_other_nodes_of_the_graph() -> None:
    def make(extra: bool) -> Program:
        graph = Graph()
        x = graph.input("x")
        if extra:
            ops.exp(x)
        return Program("f", (x,), (("y", ops.sin(x)),))

    assert print_program(make(True)) == print_program(make(False))


def test_nodes_carry_the_line_of_the_text() -> None:
    program = parse_program("program f(x: f32[]) {\n\n  %0 = sin(x) : f32[]\n  return y=%0\n}")
    (node,) = [node for _, node in program.outputs]
    assert node.location is not None
    assert node.location.line == 3


MALFORMED = {
    "": (0, "'program NAME"),
    "program f(x f32[]) {\n}": (1, "'INPUT: TYPE' expected"),
    "program f(x: f16[]) {\n}": (1, "a type like"),
    "program f(x: f32[-1]) {\n}": (1, "a type like"),
    "program f(x: f32[], x: f32[]) {\n}": (1, "a new name"),
    "program f(x: f32[],) {\n}": (1, "something expected"),
    "program f(x: f32[]) {\n": (1, "'}' expected"),
    "program f() {\n}\n%0 = x": (3, "nothing expected after"),
    "program f(x: f32[]) {\n  sin(x)\n}": (2, "'VALUE = OP"),
    "program f(x: f32[]) {\n  %0 = sine(x) : f32[]\n}": (2, "an op expected, not 'sine'"),
    "program f(x: f32[]) {\n  y = sin(x) : f32[]\n}": (2, "a label like %0"),
    "program f(x: f32[]) {\n  %0 = sin(%1) : f32[]\n}": (2, "a value defined above"),
    "program f(x: f32[]) {\n  %0 = add(x, one:f32) : f32[]\n}": (2, "a number expected"),
    "program f(x: f32[]) {\n  %0 = sin(x) : f64[]\n}": (2, "sin gives f32[], not f64[]"),
    "program f(x: f32[]) {\n  %0 = sin(x, x) : f32[]\n}": (2, "1 operands expected"),
    "program f(x: f32[2]) {\n  %0 = sum(x) : f32[1]\n}": (2, "attributes ['axes'] expected"),
    "program f(x: f32[2]) {\n  %0 = sum[axes=[a]](x) : f32[1]\n}": (2, "axes is of kind axes"),
    "program f(x: f32[2]) {\n  %0 = sum[axes=[2]](x) : f32[1]\n}": (2, "axis 2"),
    "program f(x: f32[]) {\n  return x\n}": (2, "'NAME=VALUE' expected"),
    "program f(x: f32[]) {\n  update x\n}": (2, "'update STATE"),
}


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_text_names_line_and_expectation(text: str) -> None:
    line, expected = MALFORMED[text]
    with pytest.raises(GraphError) as raised:
        parse_program(text)
    assert f"line {line}: " in str(raised.value)
    assert expected in str(raised.value)
