"""Scales behind products: which become part of the weights, with what values, and which stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.ops import contract
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.programs.verify import verify
from graphc.ir.reference import run_program
from graphc.ir.rewriting.rewrite import SUM_ULPS, Firing
from graphc.ir.rewriting.scaled_products import fold_scales, scale_weights
from graphc.ir.rewriting.simplify import simplify

ROWS, TERMS, COLUMNS = 64, 5, 3
EPS = float(np.finfo(np.float32).eps)
# (the product, states a, b and s of a number for each column) -> result
Write = Callable[[Node, Node, Node, Node], Node]

APPLIES: dict[str, Write] = {
    "normalised": lambda y, a, b, s: (y - a) * s + b,
    "with_a_bias": lambda y, a, b, s: ((y + b) - a) * (s * a) * s + b,
    "swapped": lambda y, a, b, s: b + s * (a + y),
    "subtracted": lambda y, a, b, s: b - (a - y) * s,
    "divided": lambda y, a, b, s: (y - a) / s + b,
    "scales_alone": lambda y, a, b, s: y * s * a / 2.0,
    "by_numbers": lambda y, a, b, s: (y - 1.5) * 0.3 * s,
    "prepared": lambda y, a, b, s: (y - a) * gc.reciprocal(gc.sqrt(s + 1e-3)) * b,
    "images": lambda y, a, b, s: (gc.reshape(y, (4, 4, 4, COLUMNS)) - a) * s + b,
    "channels_first": lambda y, a, b, s: (
        (gc.moveaxis(gc.reshape(y, (4, 4, 4, COLUMNS)), -1, 1) - _first(a)) * _first(s) + _first(b)
    ),
    "columns": lambda y, a, b, s: (gc.transpose(y) - _column(a)) * _column(s) + _column(b),
    "then_more": lambda y, a, b, s: gc.tanh((y - a) * s + b) * y.graph.inputs["x"][0, 0],
}
STAYS: dict[str, Write] = {
    "short": lambda y, a, b, s: y * s + b,
    "no_scale": lambda y, a, b, s: y + s + b - a,
    "read_twice": lambda y, a, b, s: ((y - a) * s + b) + gc.sum(y),
    "read_within": lambda y, a, b, s: ((y - a) * s + b) * gc.sum(y - a),
    "by_rows": lambda y, a, b, s: (y - y.graph.constant(np.ones((ROWS, 1)), "f64")) * s + b,
    "of_the_input": lambda y, a, b, s: (y - a) * gc.sum(y.graph.inputs["x"], 1, True) + b,
    "of_the_batch": lambda y, a, b, s: (y - gc.mean(y, 0)) * s + b,
    "not_linear": lambda y, a, b, s: gc.exp(y - a) * s + b,
    "as_divisor": lambda y, a, b, s: s / (y - a) + b,
    "other_rows": lambda y, a, b, s: (
        (gc.reshape(y, (ROWS * COLUMNS // 2, 2))[:, :1] - 1.0) * 2.0 + gc.sum(s)
    ),
}  # fmt: skip


def _first(value: Node) -> Node:
    return gc.reshape(value, (COLUMNS, 1, 1))


def _column(value: Node) -> Node:
    return gc.reshape(value, (COLUMNS, 1))


def written(
    write: Write, dtype: str = "f64", rows: int = ROWS, transpose_y: bool = False
) -> Program:
    graph = Graph()
    x = graph.input("x", (rows, TERMS), dtype)
    k = graph.state("k", (COLUMNS, TERMS) if transpose_y else (TERMS, COLUMNS), dtype)
    a, b, s = (graph.state(name, (COLUMNS,), dtype) for name in "abs")
    y = contract.matmul(x, k, transpose_x=False, transpose_y=transpose_y)
    return Program("predict", (x,), (("y", write(y, a, b, s)),), ())


def values(program: Program, mean: float = 0.0) -> dict[str, Any]:
    """In multiples that f32 holds."""
    rng = np.random.default_rng(2)
    nodes = [*program.inputs, *program.states]
    given = {n.name: rng.uniform(0.5, 2, n.type.dims).astype("f4").astype("f8") for n in nodes}
    given["x"] -= np.float32(1.25)
    return {name: value + np.float32(mean if name == "a" else 0) for name, value in given.items()}


def result(program: Program, given: dict[str, Any]) -> Any:
    dtype = program.inputs[0].dtype.numpy
    cast = {name: value.astype(dtype) for name, value in given.items()}
    states = {s.name: cast[s.name] for s in program.states}
    return run_program(program, {"x": cast["x"]}, states)[0]["y"]


@pytest.mark.parametrize("transpose_y", [False, True])
@pytest.mark.parametrize("name", APPLIES)
def test_scales_become_part_of_the_weights(name: str, transpose_y: bool) -> None:
    program = written(APPLIES[name], transpose_y=transpose_y)
    firings: list[Firing] = []
    made = fold_scales(program, firings.append)
    verify(made)
    (firing,) = firings
    assert (firing.rule, firing.equation) == (scale_weights.name, scale_weights.equation)
    (product,) = (node for node in made.nodes if node.op is contract.matmul)
    assert product.operands[1].op is ops.multiply
    given = values(program)
    np.testing.assert_allclose(result(made, given), result(program, given), 1e-12, 1e-13)


@pytest.mark.parametrize("name", STAYS)
def test_other_scales_stay_where_they_are(name: str) -> None:
    program = written(STAYS[name])
    assert fold_scales(program) is program


def test_a_product_of_few_rows_keeps_its_scale() -> None:
    """Scaled weights would cost more than they save."""
    few, many = (written(APPLIES["normalised"], rows=rows) for rows in (8 * TERMS - 1, 8 * TERMS))
    assert fold_scales(few) is few
    assert fold_scales(many) is not many


@pytest.mark.parametrize("mean", [0.0, 30.0, 1000.0])
@pytest.mark.parametrize("name", APPLIES)
def test_a_scaled_product_is_within_the_rules_bound(name: str, mean: float) -> None:
    """No further from the exact value than what was written, or than the bound in units of the
    greatest term: of a weight times its scale, or of a shift."""
    narrow, wide = written(APPLIES[name], "f32"), written(APPLIES[name], "f64")
    given = values(narrow, mean)
    exact = result(wide, given)
    before = np.abs(result(narrow, given) - exact).max()
    after = np.abs(result(fold_scales(narrow), given) - exact).max()
    folded = fold_scales(wide)
    made = [node for node in folded.nodes if node.op in (ops.add, ops.subtract, ops.multiply)]
    terms = [result(_output(folded, node), given) for node in made]
    greatest = max(np.abs(term).max() for term in (exact, *terms))
    assert after <= max(before, scale_weights.ulps * EPS * greatest)
    assert scale_weights.ulps == SUM_ULPS


def _output(program: Program, node: Node) -> Program:
    return Program(program.name, program.inputs, (("y", node),), ())


# --- batch normalisation -----------------------------------------------------------------------


def network(data_format: Any = None) -> tuple[gc.Model, Node]:
    """Two convolutions with batch normalisation, and a dense layer with one."""
    graph = gc.Graph(seed=0)
    shape = (3, 8, 8) if data_format else (8, 8, 3)
    x, labels = graph.input("x", ("batch", *shape)), graph.input("t", ("batch",), "i32")
    axis = 1 if data_format else -1
    h = gc.nn.conv2d(x, 4, 3, padding="same", data_format=data_format)
    h = gc.relu(gc.nn.batch_norm(h, axis))
    h = gc.nn.conv2d(h, 5, 2, data_format=data_format, use_bias=False)
    h = gc.relu(gc.nn.batch_norm(h, axis, scale=False))
    h = gc.nn.global_average_pooling2d(h, data_format)
    y = gc.nn.dense(gc.relu(gc.nn.batch_norm(gc.nn.dense(h, 6))), 3)
    loss = gc.losses.softmax_cross_entropy(y, labels)
    return gc.Model(x, y, labels, loss), y


def firings_of(program: Program) -> list[Firing]:
    fired: list[Firing] = []
    simplify(program, fired.append)
    return [firing for firing in fired if firing.rule == scale_weights.name]


@pytest.mark.parametrize("data_format", [None, "channels_first"])
def test_prediction_has_no_normalisation_and_training_has(data_format: Any) -> None:
    model, y = network(data_format)
    model.compile(gc.optim.SGD(0.1), 64)
    rng = np.random.default_rng(0)
    given = rng.normal(size=(64, *model.inputs[0].shape[1:])).astype("f4") * 3 + 1
    model.fit(given, rng.integers(0, 3, 64), epochs=3, verbose=0)
    found = model.predict(given, batch_size=64)
    expected = gc.function(model.inputs, gc.inference(y), mode="reference")(given)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(model.predict(given, batch_size=1), expected, rtol=2e-4, atol=1e-5)


def test_behind_a_folded_product_is_one_shift() -> None:
    graph = Graph()
    x = graph.input("x", (32, 14, 14, 8))
    k, b = graph.state("k", (3, 3, 8, 16)), graph.state("b", (16,))
    mean, scale, beta = (graph.state(name, (16,)) for name in ("mean", "scale", "beta"))
    normalised = (gc.conv(x, k) + b - mean) * gc.reciprocal(gc.sqrt(scale + 1e-3)) + beta
    made = simplify(Program("predict", (x,), (("y", gc.relu(normalised)),), ()))
    (product,) = (node for node in made.nodes if node.op is contract.matmul)
    images = [node for node in made.nodes if node.type.size == made.roots[0].type.size]
    assert sorted(n.op.name for n in images) == ["add", "matmul", "relu", "reshape"]
    assert product.operands[1].op is ops.multiply


def test_a_training_step_keeps_what_derivatives_need() -> None:
    """A scale that is trained is beside its product: its derivative reads it."""
    graph = gc.Graph(seed=0)
    x = graph.input("x", (64, 5))
    gamma, beta = graph.parameter("gamma", (3,)), graph.parameter("beta", (3,))
    y = (gc.nn.dense(x, 3) - beta) * gamma + beta
    slopes = gc.grad(gc.sum(gc.square(y)), [gamma])
    step = Program("step", (x,), (("y", y), ("slope", slopes[0])), ())
    assert not firings_of(step)
    assert firings_of(Program("predict", (x,), (("y", y),), ()))
