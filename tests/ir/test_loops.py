"""Loops: bodies cut out of a graph, derivatives against steps written out, text and refusals."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from graphc.ir.derive.autodiff import gradients
from graphc.ir.derive.forward import jacobian_vector_product
from graphc.ir.dims import Dim
from graphc.ir.errors import GraphError, NotDifferentiableError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program, topological
from graphc.ir.nodes.op import Array
from graphc.ir.ops import leaf
from graphc.ir.ops.elementwise.elementwise import tanh
from graphc.ir.programs import loops
from graphc.ir.programs.batching import NoBatchingRuleError, batched
from graphc.ir.programs.lower import specialize
from graphc.ir.programs.verify import verify
from graphc.ir.reference import evaluate, run_program
from graphc.ir.rewriting.loops.rules import simplify_loops
from graphc.ir.text.graph_text import print_nodes, read_nodes
from graphc.ir.text.parsing import parse_program, print_program
from tests.random_loops import LoopNet, random_net, random_while, written_out

SEEDS = range(6)
STEPS = 4


def simple_net(length: int, reverse: bool = False) -> LoopNet:
    """tanh(x w + h u + b), whose squares are stacked."""
    graph = Graph()
    h, xs = graph.input("h", (2, 3), "f64"), graph.input("xs", (length, 2, 4), "f64")
    w, u = graph.input("w", (4, 3), "f64"), graph.input("u", (3, 3), "f64")
    b = graph.input("b", (3,), "f64")

    def step(carries: Sequence[Node], slices: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        (state,), (x,) = carries, slices
        after = tanh(x @ w + state @ u + b)
        return [after], [after * after]

    return LoopNet(graph, step, [h], [xs], length, reverse)


def derivatives(net: LoopNet, scanned: bool) -> Program:
    """The loss of a net, its gradients, and those of the sum of their squares, by all floats that
    the steps written out depend on."""
    loss = net.loss(scanned)
    wrt = _differentiable(net.loss(False))
    first = gradients(loss, wrt)
    squares = sum((build.sum(g * g) for g in first), 0.0 * loss)
    second = gradients(squares, wrt)
    outputs = {"loss": loss}
    outputs |= {f"d_{x.name}": g for x, g in zip(wrt, first, strict=True)}
    outputs |= {f"dd_{x.name}": g for x, g in zip(wrt, second, strict=True)}
    return Program("net", tuple(net.graph.inputs.values()), tuple(outputs.items()))


def _differentiable(loss: Node) -> list[Node]:
    return [x for x in topological([loss]) if x.op is leaf.input_ and x.dtype.is_float]


def values_of(program: Program, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {x.name: rng.normal(size=x.type.dims).astype(x.dtype.numpy) for x in program.inputs}


def assert_equal_values(one: Program, other: Program, tolerance: float = 1e-11) -> None:
    values = values_of(one)
    expected, _ = run_program(other, values, {})
    actual, _ = run_program(one, values, {})
    for name, value in expected.items():
        scale = np.abs(value).max(initial=1.0)
        np.testing.assert_allclose(
            actual[name], value, rtol=0, atol=tolerance * scale, err_msg=name
        )


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_derivatives_are_those_of_steps_written_out(length: int, reverse: bool) -> None:
    net = simple_net(length, reverse)
    assert_equal_values(derivatives(net, True), derivatives(net, False))


@pytest.mark.parametrize("seed", SEEDS)
def test_random_bodies(seed: int) -> None:
    net = random_net(seed, STEPS)
    program = derivatives(net, True)
    verify(program)
    assert_equal_values(program, derivatives(net, False))
    assert_equal_values(simplify_loops(program), program)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_random_bodies(seed: int) -> None:
    net = random_net(seed, 1 + seed % 5)
    program = derivatives(net, True)
    assert_equal_values(program, derivatives(net, False))
    assert_equal_values(simplify_loops(program), program)
    assert parse_program(print_program(program)) == program


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("every", [1, 2, 3, 7])
@pytest.mark.parametrize("length", [6, 7, 8])
def test_kept_carries_give_the_same_derivatives(length: int, every: int, reverse: bool) -> None:
    """In parts alone, in parts with steps that are left, or fewer steps than a part has."""
    net = simple_net(length, reverse)
    whole = derivatives(net, True)
    in_parts = derivatives(replace(net, every=every), True)
    assert_equal_values(in_parts, whole)
    assert_equal_values(simplify_loops(in_parts), whole)


def test_of_parts_carries_alone_are_kept() -> None:
    """Neither slopes nor values of steps are stacked by the loop over parts."""
    net = replace(simple_net(6), every=3)
    (slope,) = gradients(net.loss(True), [net.graph.inputs["w"]])
    outer = [x for x in topological([slope]) if x.op.name == "scan" and x.attributes["length"] == 2]
    forward = [x for x in outer if not x.attributes["reverse"]]
    assert {x.shape for loop in forward for x in loop.type.results[1:]} == {(2, 2, 3), (2, 3, 2, 3)}
    assert max(len(loop.type.results) for loop in forward) == 3


def counted_net(length: int) -> LoopNet:
    """The carry is a count alone; what is stacked has the derivative."""
    graph = Graph()
    xs, w = graph.input("xs", (length, 2, 3), "f64"), graph.input("w", (3,), "f64")

    def step(carries: Sequence[Node], slices: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        (count,), (x,) = carries, slices
        return [count + 1], [tanh(x * w) * build.cast(count, "f64")]

    return LoopNet(graph, step, [graph.constant(1, "i32")], [xs], length)


def test_a_count_is_the_only_carry() -> None:
    net = counted_net(4)
    program = derivatives(net, True)
    assert_equal_values(program, derivatives(net, False))
    assert_equal_values(simplify_loops(program), program)


def test_a_loop_whose_last_carry_nobody_reads() -> None:
    """It has no carry then, and no operand but the stack."""
    graph = Graph()
    xs = graph.input("xs", (4, 3), "f64")
    _, (made,) = loops.scan(lambda c, s: ([c[0] * 2], [tanh(s[0])]), [xs[0]], [xs], 4)
    program = Program("p", (xs,), (("made", made),))
    (loop,) = [x for x in simplify_loops(program).nodes if x.op.name == "scan"]
    assert loop.attributes["carries"] == 0 and len(loop.operands) == 1
    assert_equal_values(simplify_loops(program), program)


def test_no_step_hands_the_carry_on() -> None:
    net = simple_net(0)
    wrt = list(net.graph.inputs.values())
    loss = net.loss(True)
    outputs = [(f"d_{x.name}", g) for x, g in zip(wrt, gradients(loss, wrt), strict=True)]
    program = Program("net", tuple(wrt), tuple(outputs))
    values = values_of(program)
    found, _ = run_program(program, values, {})
    np.testing.assert_array_equal(found["d_w"], 0 * values["w"])
    np.testing.assert_allclose(found["d_h"], np.cos(np.arange(6.0)).reshape(2, 3))
    assert_equal_values(simplify_loops(program), program)


def test_forward_mode_is_the_difference_of_values() -> None:
    net = simple_net(3)
    graph = net.graph
    tangent = graph.input("tangent", (3, 3), "f64")
    (slope,) = jacobian_vector_product([net.loss(True)], [graph.inputs["u"]], [tangent])
    inputs = tuple(graph.inputs.values())
    program = Program("jvp", inputs, (("loss", net.loss(True)), ("slope", slope)))
    values = values_of(program)

    def loss(step: float) -> Array:
        moved = {**values, "u": values["u"] + step * values["tangent"]}
        return run_program(program, moved, {})[0]["loss"]

    expected = (loss(1e-6) - loss(-1e-6)) / 2e-6
    np.testing.assert_allclose(run_program(program, values, {})[0]["slope"], expected, rtol=1e-7)


def test_text_and_its_inverse() -> None:
    program = derivatives(simple_net(3), True)
    text = print_program(program, locations=True)
    assert parse_program(text) == program
    assert print_program(parse_program(text)) == print_program(program)


def test_a_body_is_on_lines_of_its_own() -> None:
    graph = Graph()
    x, w = graph.input("x", (3, 2)), graph.input("w", (2,))
    step = _adding(w)
    (last,), _ = loops.scan(step, [w], [x], 3)
    assert print_program(Program("p", (x, w), (("last", last),))).splitlines()[1:5] == [
        "  %0 = scan[carries=1,slices=1,length=3,reverse=false,recompute=false,"
        "body=program body(carry0: f32[2], slice0: f32[2], w: f32[2]) {",
        "    %0 = multiply(carry0, w) : f32[2]",
        "    %1 = add(%0, slice0) : f32[2]",
        "    return carry0=%1",
    ]


def _adding(w: Node) -> Callable[..., tuple[list[Node], list[Node]]]:
    return lambda carries, slices: ([carries[0] * w + slices[0]], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("program p(c: f32[2]) { return c=c }", None),
        ("program p(c: f32[2]) { return c=d }", "a value defined above expected, not 'd'"),
        ("program p(c: f32[2]) { return c=c", "expected"),
        ("c: f32[2] { return c=c }", "'program NAME"),
        ("3", "program NAME"),
    ],
)
def test_bodies_are_read(text: str, message: str | None) -> None:
    whole = (
        "program p(c: f32[2]) {\n  %0 = scan[carries=1,slices=0,length=3,reverse=false,"
        f"recompute=false,body={text}](c) : (f32[2])\n"
        "  %1 = result[number=0](%0) : f32[2]\n  return c=%1\n}\n"
    )
    if message is None:
        assert print_program(parse_program(whole)).count("scan") == 1
        return
    with pytest.raises(GraphError, match=message):
        parse_program(whole)


def test_loops_are_nested_to_a_depth() -> None:
    text = "return c=c"
    for _ in range(17):
        text = (
            "%0 = scan[carries=1,slices=0,length=1,reverse=false,recompute=false,"
            f"body=program p(c: f32[2]) {{ {text} }}](c) : (f32[2]); "
            "%1 = result[number=0](%0) : f32[2]; return c=%1"
        )
    lines = text.rsplit("; ", 2)
    with pytest.raises(GraphError, match="up to a depth of 16"):
        parse_program("\n".join(["program p(c: f32[2]) {", *lines, "}"]))


def test_nodes_of_a_graph_are_made_again() -> None:
    graph = Graph()
    x, w = graph.input("x", (3, 2)), graph.input("w", (2,))
    loops.scan(_adding(w), [w], [x], 3)
    text = print_nodes(graph.nodes, set(graph.inputs.values()))
    copy = Graph()
    read_nodes(copy, text.text, text.arrays, text.ops)
    assert print_nodes(copy.nodes, set(copy.inputs.values())).text == text.text


def test_equal_loops_are_one_node() -> None:
    graph = Graph()
    x, w = graph.input("x", (3, 2)), graph.input("w", (2,))
    (one,), _ = loops.scan(_adding(w), [w], [x], 3)
    (other,), _ = loops.scan(_adding(w), [w], [x], 3)
    assert one is other


def test_open_dimensions_are_bound_in_bodies() -> None:
    graph = Graph()
    x, w = graph.input("x", ("time", "batch")), graph.input("w", ("batch",))
    (last,), _ = loops.scan(_adding(w), [w], [x], x.shape[0])
    program = Program("p", (x, w), (("last", last),))
    verify(program)
    assert x.shape[0] == Dim("time")
    bound = specialize(program, {"time": 3, "batch": 2})
    verify(bound)
    values = {"x": np.ones((3, 2), np.float32), "w": np.full(2, 2, np.float32)}
    np.testing.assert_array_equal(run_program(bound, values, {})[0]["last"], [23, 23])
    extents = {"time": 3, "batch": 2}
    np.testing.assert_array_equal(run_program(program, values, {}, extents)[0]["last"], [23, 23])


def test_weights_of_products_leave_the_loop() -> None:
    """One product of all steps before the loop, and two behind the backward loop."""
    program = derivatives(simple_net(5), True)
    outputs = tuple(x for x in program.outputs if not x[0].startswith("dd_"))
    simplified = simplify_loops(Program("first", program.inputs, outputs))
    bodies = [x.attributes["body"] for x in simplified.nodes if x.op.name == "scan"]
    assert [sum(x.op.name == "matmul" for x in body.nodes) for body in bodies] == [1, 1]
    inside = [x for body in bodies for x in body.nodes if x.op.name == "matmul"]
    assert not any(x.attributes["transpose_y"] for x in inside)
    outside = [x for x in simplified.nodes if x.op.name == "matmul"]
    assert sorted(x.shape for x in outside) == [(3, 3), (4, 3), (10, 3), (10, 4)]


def test_a_step_without_derivative_is_refused() -> None:
    graph = Graph()
    x = graph.input("x", (3,))
    (last,), _ = loops.scan(
        lambda carries, _: ([build.cast(carries[0] > 0, "f32")], []), [x], [], 4
    )
    with pytest.raises(NotDifferentiableError, match="no derivative by"):
        gradients(build.sum(last), [x])


def test_written_out_is_the_same_function() -> None:
    net = simple_net(3)
    one = Program("one", tuple(net.graph.inputs.values()), (("loss", net.loss(True)),))
    other = Program("other", one.inputs, (("loss", net.loss(False)),))
    assert_equal_values(one, other)
    assert written_out(net)[0][0].shape == (2, 3)


# --- loops whose steps are not counted -------------------------------------------------------


def while_program(seed: int) -> Program:
    graph, _, last = random_while(seed)
    outputs = tuple((f"last{k}", value) for k, value in enumerate(last))
    return Program("while", tuple(graph.inputs.values()), outputs)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_bodies_of_while_loops(seed: int) -> None:
    """The steps one by one in Python, the loop, and the loop simplified are the same."""
    program = while_program(seed)
    verify(program)
    assert parse_program(print_program(program)) == program
    assert_equal_values(simplify_loops(program), program)
    last = run_program(program, values_of(program), {})[0]
    (loop,) = [x for x in program.nodes if x.op.name == "while_loop"]
    body = loop.attributes["body"]
    given = evaluate(loop.operands, {x: values_of(program)[x.name] for x in program.inputs})
    values = [given[x] for x in loop.operands]
    for _ in range(10):
        if not values[0]:
            break
        made = evaluate(body.roots, dict(zip(body.inputs, values, strict=True)))
        values[: len(body.roots)] = [made[x] for x in body.roots]
    for k, value in enumerate(values[1 : len(body.roots)]):
        np.testing.assert_array_equal(last[f"last{k}"], value)


def test_a_while_loop_keeps_its_condition_and_what_that_reads() -> None:
    """The carry that nobody reads is gone, the count that ends the loop is not."""
    graph = Graph()
    x, w = graph.input("x", (3, 3)), graph.input("w", (3, 3))

    def step(carries: list[Node]) -> list[Node]:
        h, unread, count = carries
        return [h + w @ w, unread * 2.0, count + 1]

    start = [x, x, graph.constant(0, "i32")]
    last, _, _ = loops.while_loop(lambda carries: carries[2] < 4, step, start)
    program = Program("p", (x, w), (("last", last),))
    simplified = simplify_loops(program)
    (loop,) = [node for node in simplified.nodes if node.op.name == "while_loop"]
    assert loop.attributes["carries"] == 3
    assert "matmul" not in {node.op.name for node in loop.attributes["body"].nodes}
    values = values_of(program)
    expected, found = (run_program(each, values, {})[0]["last"] for each in (program, simplified))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_values_for_several_operands_at_once_are_refused() -> None:
    graph = Graph()
    x, rows = graph.input("x", (3,)), graph.input("rows", (2, 3))
    (last,) = loops.while_loop(lambda h: build.sum(h[0]) < 9, lambda h: [h[0] * 2.0], [x])
    with pytest.raises(NoBatchingRuleError, match=r"while_loop.*numbers of steps may differ"):
        batched([last], {x: rows})
