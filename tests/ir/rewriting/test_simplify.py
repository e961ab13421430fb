"""Each rule fires on its pattern, keeps values, and leaves what only looks like it alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.ir.derive.autodiff import gradients
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program, topological
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.programs.lower import specialize
from graphc.ir.programs.verify import verify
from graphc.ir.reference import evaluate
from graphc.ir.rewriting.rewrite import Firing, rewrite, rewrite_values
from graphc.ir.rewriting.simplify import EVERY_RULE, PRIMITIVE_RULES, RULES, simplify
from graphc.ir.text.parsing import print_program
from graphc.ir.types import bool_
from graphc.testing.tolerance import assert_close
from tests.ir.rewriting.cases.case import PAIRS, Case
from tests.ir.rewriting.cases.cases import CASES
from tests.ir.rewriting.cases.near_misses import NEAR_MISSES, NearMiss

SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.1, -3.0, 1e-40, -1e-40, 3e38, -3e38, 7.25, np.inf, -np.inf, np.nan,
)  # fmt: skip
LABELS_BELOW = 3
FLOATS = ("f32", "f64")


def declare(graph: Graph, case: Case | NearMiss, dtype: str) -> tuple[Node, ...]:
    dtypes = case.dtypes or ("float",) * len(case.shapes)
    return tuple(
        graph.input(f"x{number}", shape, dtype if kind == "float" else kind)
        for number, (shape, kind) in enumerate(zip(case.shapes, dtypes, strict=True))
    )


def program_of(inputs: tuple[Node, ...], node: Node) -> Program:
    return Program("case", inputs, (("y", node),))


def moderate(node: Node, rng: np.random.Generator) -> Any:
    if node.dtype.is_float:
        return rng.uniform(-1.5, 1.5, node.type.dims).astype(node.dtype.numpy)
    return rng.integers(0, LABELS_BELOW, node.type.dims).astype(node.dtype.numpy)


def special(node: Node, number: int) -> Any:
    """The special values; of two inputs of PAIRS every value of one meets all of the other."""
    if not node.dtype.is_float:
        return moderate(node, np.random.default_rng(number))
    assert (len(SPECIAL) ** 2,) == PAIRS
    values = np.repeat(SPECIAL, len(SPECIAL)) if number else np.tile(SPECIAL, len(SPECIAL))
    return np.resize(values, node.type.dims).astype(node.dtype.numpy)


def assert_same_bits(actual: Any, expected: Any) -> None:
    np.testing.assert_array_equal(actual, expected)
    if expected.dtype.kind == "f":
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(actual)[known], np.signbit(expected)[known])


def case_id(case: Case | NearMiss) -> str:
    return case.rule if isinstance(case, Case) else case.why


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES, ids=case_id)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_rule_fires_and_keeps_values(case: Case, dtype: str) -> None:
    graph = Graph()
    inputs = declare(graph, case, dtype)
    written = case.write(*inputs)
    firings: list[Firing] = []
    program = rewrite(program_of(inputs, written), EVERY_RULE, firings.append)
    verify(program)
    (result,) = program.roots
    assert case.rule in [firing.rule for firing in firings]
    assert result is rewritten(case.expected(*inputs)), print_program(program)

    rng = np.random.default_rng(1)
    values = {node: moderate(node, rng) for node in inputs}
    found = evaluate((written, result), values)
    longest = max(node.type.size for node in program_of(inputs, written).nodes)
    assert_close(found[result], found[written], result.dtype, reduction_length=longest, ulps=32)
    if case.exact:
        values = {node: special(node, number) for number, node in enumerate(inputs)}
        found = evaluate((written, result), values)
        assert_same_bits(found[result], found[written])


def rewritten(node: Node) -> Node:
    """Views in the forms that the rules prefer: expectations are written with plain `build`."""
    return rewrite_values([node], PRIMITIVE_RULES)[node]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", NEAR_MISSES, ids=case_id)
def test_near_misses_stay(case: NearMiss, dtype: str) -> None:
    graph = Graph()
    inputs = declare(graph, case, dtype)
    written = case.write(*inputs)
    firings: list[Firing] = []
    program = rewrite(program_of(inputs, written), EVERY_RULE, firings.append)
    fired = [firing.rule for firing in firings]
    assert case.rule not in fired if case.rule else program.roots[0] is written, fired


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in CASES} == {rule.name for rule in EVERY_RULE}
    assert len({rule.name for rule in EVERY_RULE}) == len(EVERY_RULE)


def test_a_reshape_hides_no_loss() -> None:
    """Rows of a product are split behind the stable forms, which are written in several ops."""
    graph = Graph()
    x, w, t = (graph.input(name, s) for name, s in (("x", (6, 4)), ("w", (4, 5)), ("t", (2, 3, 5))))
    z = build.reshape(x @ w, (2, 3, 5))
    p = 1 / (1 + ops.exp(-z))
    (loss,) = simplify(program_of((x, w, t), -(t * ops.log(p) + (1 - t) * ops.log(1 - p)))).roots
    assert "sigmoid_cross_entropy" in {node.op.name for node in topological([loss])}


def test_primitive_rules_make_no_composite() -> None:
    graph = Graph()
    x = graph.input("x", (4, 3))
    e = ops.exp(x - build.max(x, 1, keepdims=True))
    written = e / build.sum(e, 1, keepdims=True)
    assert rewrite_values([written], PRIMITIVE_RULES)[written] is written


# --- stability -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda x: ops.log(1 / (1 + ops.exp(-x))), -1000.0),
        (lambda x: ops.log(1 + ops.exp(-x)), 1000.0),
        (lambda x: ops.log(ops.exp(x) / (1 + ops.exp(x))), -1000.0),
        (lambda x: (ops.exp(x) - ops.exp(-x)) / (ops.exp(x) + ops.exp(-x)), -1.0),
        (lambda x: -ops.log(build.softmax(build.concatenate([x, -x])))[0], 2000.0),
        (lambda x: ops.log(build.sum(ops.exp(build.concatenate([x, x])))), np.log(2) - 1000),
        (lambda x: ops.log(1 + 1e-23 * x), -1e-20),
        (lambda x: ops.exp(1e-23 * x) - 1, -1e-20),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_overflows_or_cancels_as_written_is_stable_afterwards(
    write: Any, expected: Any
) -> None:
    graph = Graph()
    x = graph.input("x", (1,), "f64")
    written = build.sum(write(x))
    (result,) = simplify(program_of((x,), written)).roots
    found = evaluate((written, result), {x: np.array([-1000.0])})
    assert_close(found[result], np.asarray(expected), result.dtype, scale=0.0)
    assert not np.allclose(found[written], expected, rtol=1e-6, atol=0)


# --- whole programs --------------------------------------------------------------------------


def simplified_gradient(loss: Node, wrt: tuple[Node, ...]) -> tuple[Node, ...]:
    """The derivative of the stable form, as a user's `grad` takes it."""
    stable = rewrite_values([loss], RULES, opaque=wrt)[loss]
    return (stable, *gradients(stable, wrt))


def both_stages(program: Program) -> str:
    verify(program)
    after = simplify(program)
    verify(after)
    return f"{print_program(program)}\n{print_program(after)}"


def test_written_sigmoid_and_its_gradient(golden: Any) -> None:
    graph = Graph()
    x = graph.input("x", ("n",))
    y = 1 / (1 + ops.exp(-x))
    total, dx = simplified_gradient(build.sum(y), (x,))
    golden(both_stages(Program("sigmoid", (x,), (("y", y), ("sum", total), ("dx", dx)))))


def cross_entropy(graph: Graph, x: Node) -> tuple[Program, Node]:
    t = graph.input("t", ("batch",), "i32")
    probabilities = ops.exp(x) / build.sum(ops.exp(x), 1, keepdims=True)
    loss = build.mean(-ops.log(build.pick(probabilities, t)))
    loss, dx = simplified_gradient(loss, (x,))
    return Program("loss", (x, t), (("loss", loss), ("dx", dx))), probabilities


def test_written_cross_entropy_and_its_gradient(golden: Any) -> None:
    graph = Graph()
    program, _ = cross_entropy(graph, graph.input("x", ("batch", 10)))
    golden(both_stages(specialize(program, {"batch": 25})))


def test_cross_entropy_of_an_open_batch(golden: Any) -> None:
    graph = Graph()
    program, _ = cross_entropy(graph, graph.input("x", ("batch", 10)))
    golden(print_program(simplify(program)))


def test_soft_targets(golden: Any) -> None:
    graph = Graph()
    x, t = graph.input("x", (25, 10)), graph.input("t", (25, 10))
    loss = -build.mean(build.sum(t * ops.log(build.softmax(x)), 1))
    loss, dx = simplified_gradient(loss, (x,))
    golden(print_program(simplify(Program("soft", (x, t), (("loss", loss), ("dx", dx))))))


def test_binary_cross_entropy(golden: Any) -> None:
    graph = Graph()
    x, w = graph.input("x", (25, 10)), graph.state("w", (10, 1), trainable=True)
    t = graph.input("t", (25, 1))
    y = 1 / (1 + ops.exp(-(x @ w)))
    loss = -build.mean(t * ops.log(y) + (1 - t) * ops.log(1 - y))
    loss, dw = simplified_gradient(loss, (w,))
    golden(print_program(simplify(Program("bce", (x, t), (("loss", loss),), ((w, w - dw),)))))


def two_layers(dtype: str = "f32") -> Program:
    graph = Graph()
    x = graph.input("x", ("batch", 8), dtype)
    t = graph.input("t", ("batch",), "i32")
    shapes = {"w1": (8, 5), "b1": (5,), "w2": (5, 3), "b2": (3,)}
    parameters = {
        name: graph.state(name, shape, dtype, trainable=True) for name, shape in shapes.items()
    }
    w1, b1, w2, b2 = parameters.values()
    hidden = 1 / (1 + ops.exp(-(x @ w1 + b1)))
    probabilities = build.softmax(hidden @ w2 + b2)
    loss = -build.mean(ops.log(build.pick(probabilities, t)))
    loss, *cotangents = simplified_gradient(loss, tuple(parameters.values()))
    updates = zip(parameters.values(), cotangents, strict=True)
    return Program(
        "step",
        (x, t),
        (("loss", loss), ("class", build.argmax(probabilities, -1))),
        tuple((p, p - 0.1 * ct) for p, ct in updates),
    )


def test_a_training_step_of_two_layers(golden: Any) -> None:
    golden(both_stages(specialize(two_layers(), {"batch": 20})))


def test_a_training_step_keeps_its_values() -> None:
    program = specialize(two_layers("f64"), {"batch": 20})
    after = simplify(program)
    rng = np.random.default_rng(0)
    values = {node: moderate(node, rng) for node in (*program.inputs, *program.states)}
    before, now = evaluate(program.roots, values), evaluate(after.roots, values)
    for old, new in zip(program.roots, after.roots, strict=True):
        assert_close(now[new], before[old], old.dtype, reduction_length=20 * 8, ulps=64)


def test_the_class_alone_needs_neither_softmax_nor_loss(golden: Any) -> None:
    program = two_layers()
    outputs = tuple(each for each in program.outputs if each[0] == "class")
    x, _ = program.inputs
    golden(print_program(simplify(Program("classify", (x,), outputs))))


def test_nodes_keep_the_users_line() -> None:
    program = simplify(two_layers())
    lines = {node.op.name: node.location for node in program.nodes}
    assert lines["sigmoid"] is not None
    assert "hidden = 1 / (1 + ops.exp" in lines["sigmoid"].text
    assert all(
        node.location is not None and node.location.filename == __file__ for node in program.nodes
    )


def test_comparisons_of_nan_are_not_simplified() -> None:
    x = Graph().input("x", (3,))
    is_nan = ops.not_equal(x, x)
    assert is_nan.dtype == bool_
    assert simplify(program_of((x,), is_nan)).roots == (is_nan,)
