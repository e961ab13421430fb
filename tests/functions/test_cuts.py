"""Functions whose inputs are values inside of a graph."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.text.parsing import print_program

MODES = [{"mode": "reference"}, {"fuse": False}, {}]


@pytest.fixture(params=MODES, ids=str)
def options(request: pytest.FixtureRequest) -> Any:
    return request.param


def _autoencoder() -> tuple[gc.Graph, Any, Any, Any]:
    graph = gc.Graph(seed=3)
    x = graph.input("x", ("batch", 6))
    code = gc.tanh(gc.nn.dense(x, 2))
    decoded = gc.nn.dense(gc.relu(gc.nn.dense(code, 5)), 6)
    return graph, x, code, decoded


ROWS = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def test_a_decoder_continues_its_encoder(options: Any) -> None:
    _, x, code, decoded = _autoencoder()
    codes, whole = gc.function([x], [code, decoded], **options)(ROWS)
    decode = gc.function([code], decoded, **options)
    np.testing.assert_allclose(decode(codes), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(decode(tanh=codes[:2]), whole[:2], rtol=1e-5, atol=1e-6)


def test_nothing_upstream_is_computed() -> None:
    _, _, code, decoded = _autoencoder()
    program = gc.function([code], decoded).program
    assert [state.name for state in program.states] == [
        "dense_1.kernel", "dense_1.bias", "dense_2.kernel", "dense_2.bias"
    ]  # fmt: skip
    assert "tanh" not in {node.op.name for node in program.nodes}


def test_the_graph_of_the_user_gets_no_inputs() -> None:
    graph, _, code, decoded = _autoencoder()
    before = len(graph.nodes), dict(graph.inputs)
    gc.function([code], decoded)
    assert (len(graph.nodes), dict(graph.inputs)) == before


def test_text_says_where_it_was_cut() -> None:
    _, _, code, decoded = _autoencoder()
    step = gc.function([code], decoded, name="decode")
    assert print_program(step.program).startswith("program decode(tanh: f32[batch,2]) {\n")
    assert step.program.inputs[0].location == code.location
    wrong = r"input 'tanh': shape \(batch, 2\) expected, \(2, 2, 2\) given\n  at test_cuts.py:"
    with pytest.raises(gc.DataError, match=r"^tanh : f32\[batch,2\]: .*\n  at test_cuts.py:"):
        step(np.zeros((3, 3)))
    with pytest.raises(gc.DataError, match=wrong):
        step(np.zeros((2, 2, 2), np.float32))


def test_values_of_one_op_have_names_of_their_own(options: Any) -> None:
    graph = gc.Graph()
    x, tanh = graph.input("x", (3,)), graph.input("tanh", (3,))
    first, second = gc.tanh(x), gc.tanh(2 * x)
    f = gc.function([first, second, tanh], first - second * tanh, **options)
    assert [node.name for node in f.program.inputs] == ["tanh_2", "tanh_3", "tanh"]
    np.testing.assert_array_equal(f([7, 8, 9], [1, 2, 3], [0, 1, 2]), [7, 6, 3])


def test_a_cut_below_another(options: Any) -> None:
    """The nearest one counts, where a value is reached along both paths."""
    x = gc.Graph().input("x", (2,))
    inner = x * 2
    outer = inner + 1
    f = gc.function([inner, outer], outer * 10 + inner, **options)
    np.testing.assert_array_equal(f([1, 2], [5, 6]), [51, 62])


def test_some_inputs_are_declared(options: Any) -> None:
    graph = gc.Graph()
    x, y = graph.input("x", ("batch",)), graph.input("y", ("batch",))
    h = gc.exp(x)
    f = gc.function([x, h], gc.sum(h * x), **options)
    assert f([1, 2], [3, 4]) == 11
    with pytest.raises(gc.GraphError, match=r"need inputs that are not listed: \[<input y"):
        gc.function([h], h + y)


def test_an_output_that_is_a_cut(options: Any) -> None:
    h = gc.exp(gc.Graph().input("x", (2,)))
    same, more = gc.function([h], [h, h + 1], **options)([1, 2])
    np.testing.assert_array_equal([same, more], [[1, 2], [2, 3]])


def test_dtypes_are_those_of_the_value(options: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", (3, 4))
    label, is_large = gc.argmax(x, -1), x > 1
    f = gc.function([label, is_large], gc.where(is_large, 1.0, 0.0)[:, 0] + gc.cast(label, "f32"),
                    **options)  # fmt: skip
    assert [node.dtype for node in f.program.inputs] == [gc.i64, gc.bool_]
    np.testing.assert_array_equal(f([0, 1, 2], np.eye(3, 4, dtype=bool)), [1, 1, 2])


def test_updates_below_a_cut(options: Any) -> None:
    graph, _, code, decoded = _autoencoder()
    target = graph.input("target", ("batch", 6))
    loss = gc.losses.mean_squared_error(decoded, target)
    learned = [graph.states[f"dense_{n}.{part}"] for n in (1, 2) for part in ("kernel", "bias")]
    slopes = gc.grad(loss, learned)
    steps = {w: w - 0.1 * slope for w, slope in zip(learned, slopes, strict=True)}
    step = gc.function([code, target], loss, steps, **options)
    encoder = graph.variables["dense.kernel"].copy()
    codes = np.random.default_rng(1).normal(size=(4, 2)).astype(np.float32)
    before = step(codes, ROWS)
    for _ in range(30):
        after = step(codes, ROWS)
    assert after < before
    np.testing.assert_array_equal(graph.variables["dense.kernel"], encoder)


def test_gradient_by_a_latent_code(options: Any) -> None:
    _, _, code, decoded = _autoencoder()
    slope = gc.grad(gc.sum(gc.square(decoded)), code)
    f = gc.function([code], [gc.sum(gc.square(decoded)), slope], **options)
    at = np.full((1, 2), 0.5, np.float32)
    value, derived = f(at)
    step = 1e-3
    ahead, _ = f(at + np.array([step, 0], np.float32))
    assert abs((ahead - value) / step - derived[0, 0]) < 0.05 * (1 + abs(derived[0, 0]))


def test_a_state_as_an_input(options: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", (2, 3))
    w = graph.parameter("w", (3,), 1.0)
    f = gc.function([w, x], gc.sum(x * w, 1), **options)
    np.testing.assert_array_equal(f([1, 2, 3], np.ones((2, 3))), [6, 6])
    np.testing.assert_array_equal(graph.variables["w"], [1, 1, 1])


def test_repeat_and_rows(options: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 2))
    h, total = x * 2, graph.variable("total", np.zeros(2, np.float32))
    add = gc.function([h], gc.sum(h), {total: total + gc.sum(h, 0)}, **options)
    add.repeat(3, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(graph.variables["total"], [12, 18])
    if "mode" not in options:
        loop = add.row_loop([np.arange(8, dtype=np.float32).reshape(4, 2)], 2)
        loop.run(0, 2, None)
        np.testing.assert_array_equal(graph.variables["total"], [24, 34])


def test_a_stated_derivative_at_a_cut(options: Any) -> None:
    double = gc.custom_vjp(lambda x: 2 * x)
    double.defvjp(lambda ct, result, x: 7 * ct)
    x = gc.Graph().input("x", (2,))
    h = double(x)
    y = double(h)
    f = gc.function([h], [y, gc.grad(gc.sum(y), h)], **options)
    np.testing.assert_array_equal(f([1, 2]), [[2, 4], [7, 7]])


def _refused(use: Any) -> str:
    graph = gc.Graph()
    x = graph.input("x", (2,))
    w = graph.parameter("w", (2,))
    with pytest.raises(gc.GraphError) as raised:
        use(x, w)
    return str(raised.value)


def test_refusals() -> None:
    said = _refused(lambda x, w: gc.function([gc.exp(x)], x.graph.constant(1.0)))
    assert re.search(r"no output and no update depends on <exp %\d+ : f32\[2\]>", said)
    assert "\n  at test_cuts.py:" in said
    said = _refused(lambda x, w: gc.function([x * 2, gc.exp(x * 2)], gc.exp(x * 2)))
    assert said.startswith("no output and no update depends on <multiply")
    said = _refused(lambda x, w: gc.function([gc.exp(x), gc.exp(x)], gc.exp(x) + 1))
    assert re.search(r"^input <exp .*> is listed twice", said)
    said = _refused(lambda x, w: gc.function([x, x.graph.constant(2.0)], x * 2.0))
    assert re.search("^<constant .* cannot be an input: an input, a state or a computed", said)
    said = _refused(lambda x, w: gc.function([w, x], w * x, {w: w + x}))
    assert re.search("^<state w : .*> is an input, so it cannot be updated", said)
