"""Derivatives that users write: straight through, reversal, second order, refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import Program
from graphc.ir.ops import OPS
from graphc.ir.programs.custom_vjp import without_custom_vjp
from graphc.ir.programs.lower import specialize
from graphc.ir.text.parsing import parse_program, print_program

AT = np.array([-1.5, -0.25, 0.5, 2.0])


@gc.custom_vjp
def binarized(x: Any) -> Any:
    """-1 or 1, with the slope of the identity where |x| <= 1 (Courbariaux et al., 2016)."""
    return gc.cast(gc.where(x >= 0, 1.0, -1.0), x.dtype)


@binarized.defvjp
def _(ct: Any, result: Any, x: Any) -> Any:
    return gc.where(gc.abs(x) <= 1, ct, 0.0)


@gc.custom_vjp
def reversed_gradient(x: Any, scale: float = 1.0) -> Any:
    """x, with the gradient's sign turned (Ganin and Lempitsky, 2015)."""
    return x


@reversed_gradient.defvjp
def _(ct: Any, result: Any, x: Any, scale: float = 1.0) -> Any:
    return -scale * ct


@gc.custom_vjp
def scaled_exp(x: Any, y: Any) -> Any:
    """y exp(x), whose derivative by x is said to be three times what it is."""
    return y * gc.exp(x)


@scaled_exp.defvjp
def _(ct: Any, result: Any, x: Any, y: Any) -> Any:
    return 3 * (ct * result), None


def _vector(dtype: str = "f64") -> Any:
    return gc.Graph().input("x", (4,), dtype)


def _values(x: Any, outputs: Any, at: Any = AT, **options: Any) -> Any:
    return gc.function([x], outputs, **options)(at)


@pytest.mark.parametrize("options", [{"mode": "reference"}, {"fuse": False}, {}], ids=str)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_straight_through(dtype: str, options: dict[str, Any]) -> None:
    x = _vector(dtype)
    y = binarized(x)
    slope = gc.grad(gc.sum(y * y * y * 0.5 + y), x)
    value, derived = _values(x, [y, slope], **options)
    np.testing.assert_array_equal(value, np.where(AT >= 0, 1, -1))
    np.testing.assert_allclose(derived, np.where(np.abs(AT) <= 1, 2.5, 0))


def test_reversal_with_an_option() -> None:
    x = _vector()
    loss = gc.sum(gc.square(reversed_gradient(x, scale=0.5)))
    np.testing.assert_allclose(_values(x, gc.grad(loss, x)), -0.5 * 2 * AT)
    loss = gc.sum(gc.square(reversed_gradient(x, 0.25)) + x)
    np.testing.assert_allclose(_values(x, gc.grad(loss, x)), -0.25 * 2 * AT + 1)


def test_derivatives_of_any_order_go_through_the_backward_function() -> None:
    x = _vector()
    derived = x
    for order in range(1, 4):
        derived = gc.grad(gc.sum(scaled_exp(x, 2.0 + 0 * x) if order == 1 else derived), x)
        np.testing.assert_allclose(_values(x, derived), 3**order * 2 * np.exp(AT), rtol=1e-14)


def test_none_is_zero_and_integers_have_none() -> None:
    graph = gc.Graph()
    x, y = graph.input("x", (4,), "f64"), graph.input("y", (4,), "f64")
    by_x, by_y = gc.grad(gc.sum(scaled_exp(x, y)), [x, y])
    values = gc.function([x, y], [by_x, by_y])(AT, AT)
    np.testing.assert_allclose(values[0], 3 * AT * np.exp(AT))
    np.testing.assert_array_equal(values[1], np.zeros(4))
    labels = graph.input("labels", (4,), "i32")

    @gc.custom_vjp
    def chosen(x: Any, labels: Any) -> Any:
        return gc.where(labels == 1, x, 0.0)

    chosen.defvjp(lambda ct, result, x, labels: (2 * ct, None))
    slope = gc.function([x, labels], gc.grad(gc.sum(chosen(x, labels)), x))
    np.testing.assert_array_equal(slope(AT, [0, 1, 2, 1]), np.full(4, 2.0))


def test_one_function_inside_another_and_twice_in_a_row() -> None:
    """Each application has formal parameters of its own."""

    @gc.custom_vjp
    def doubled(x: Any) -> Any:
        return 2 * scaled_exp(x, gc.stop_gradient(x))

    doubled.defvjp(lambda ct, result, x: scaled_exp(ct, x) + 5 * result)
    x = _vector()
    y = doubled(reversed_gradient(doubled(x)))
    inner = 2 * AT * np.exp(AT)

    def backward(ct: Any, x: Any) -> Any:
        return x * np.exp(ct) + 5 * (2 * x * np.exp(x))

    expected = backward(-backward(np.ones(4), inner), AT)
    np.testing.assert_allclose(_values(x, gc.grad(gc.sum(y), x)), expected, rtol=1e-12)


def test_a_backward_function_need_not_be_linear() -> None:
    clipped = gc.custom_vjp(lambda x: x)
    clipped.defvjp(lambda ct, result, x: gc.minimum(gc.maximum(ct, -1.0), 1.0))
    x = _vector()
    slope = gc.grad(gc.sum(gc.square(clipped(x))), x)
    np.testing.assert_allclose(_values(x, slope), np.clip(2 * AT, -1, 1))


def test_open_dimensions_and_broadcasting_in_the_function() -> None:
    graph = gc.Graph(seed=1)
    x = graph.input("x", ("batch", 3))
    w = graph.parameter("w", (3,))

    @gc.custom_vjp
    def scaled(x: Any, w: Any) -> Any:
        return x * w

    scaled.defvjp(lambda ct, result, x, w: (ct * w, gc.sum(ct * x, 0)))
    loss = gc.mean(gc.square(scaled(x, w)))
    step = gc.function([x], loss, gc.optim.SGD(0.1).updates(loss))
    plain = gc.mean(gc.square(x * w))
    same = gc.function([x], gc.grad(plain, w) - gc.grad(loss, w))
    data = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(same(data), np.zeros(3), atol=1e-7)
    first = step(data)
    for _ in range(5):
        last = step(data)
    assert last < first


def test_it_is_gone_before_a_function_is_compiled() -> None:
    x = _vector()
    y = binarized(x)
    program = gc.function([x], y).program
    assert not {"custom_vjp", "formal"} & {node.op.name for node in program.nodes}
    declared = Program("declared", (x,), (("y", y),))
    assert without_custom_vjp(declared).outputs[0][1] is program.outputs[0][1]


def test_text_keeps_the_derivative() -> None:
    x = _vector()
    declared = Program("declared", (x,), (("y", scaled_exp(x, x * x)),))
    read = parse_program(print_program(declared))
    assert read == declared
    graph, ((_, y),) = read.graph, read.outputs
    slopes = []
    for program_x, value in ((graph.inputs["x"], y), (x, declared.outputs[0][1])):
        slope = gc.grad(gc.sum(value), program_x)
        made = specialize(Program("slope", (program_x,), (("slope", slope),)), {})
        slopes.append(print_program(without_custom_vjp(made)))
    assert slopes[0] == slopes[1]


def test_declared_after_reading_it_has_formal_parameters_of_its_own() -> None:
    x = _vector()
    read = parse_program(print_program(Program("p", (x,), (("y", scaled_exp(x, x * x)),))))
    graph, x = read.graph, read.inputs[0]
    before = {node for node in graph.nodes if node.op is OPS["formal"]}
    for _ in range(40):
        y = reversed_gradient(scaled_exp(x, x))
    after = {node for node in graph.nodes if node.op is OPS["formal"]} - before
    assert len(after) == 160
    assert y.op is OPS["custom_vjp"]


# --- refusals --------------------------------------------------------------------------------


def _with_backward(function: Callable[..., Any], backward: Callable[..., Any]) -> Any:
    made = gc.custom_vjp(function)
    made.defvjp(backward)
    return made


def _same(x: Any) -> Any:
    return x


REFUSALS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no backward function": (
        lambda x: gc.custom_vjp(_same)(x), "custom_vjp _same: no backward function; .* defvjp"
    ),
    "no tensor": (
        lambda x: _with_backward(_same, _same)(1.0), "at least one argument is a tensor"
    ),
    "by name": (lambda x: reversed_gradient(x=x), "the tensor 'x' is given by name"),
    "several results": (
        lambda x: _with_backward(lambda x: (x, x), _same)(x), "one tensor expected as its result"
    ),
    "no result": (
        lambda x: _with_backward(lambda x: None, _same)(x), "a tensor expected .*, not None"
    ),
    "an integer": (
        lambda x: _with_backward(lambda x: gc.argmax(x, -1), _same)(x),
        "a float expected as its result",
    ),
    "another state": (
        lambda x: _with_backward(lambda x: x * x.graph.parameter("w", (), dtype="f64"), _same)(x),
        "depends on <state w : .*>, which is no argument .* stop_gradient",
    ),
    "too few cotangents": (
        lambda x: _with_backward(lambda x, y: x * y, lambda ct, r, x, y: ct)(x, x),
        "returns 1 cotangents, and 2 of its arguments are tensors",
    ),
    "no cotangent": (
        lambda x: _with_backward(_same, lambda ct, r, x: 1.0)(x),
        "the cotangent of tensor 0, <input x : .*>: a tensor or None expected, not 1.0",
    ),
    "a cotangent of another shape": (
        lambda x: _with_backward(_same, lambda ct, r, x: gc.sum(ct))(x),
        r"f64\[4\] expected, not f64\[\]",
    ),
    "a cotangent of an integer": (
        lambda x: _with_backward(
            lambda x, i: x * gc.cast(i, "f64"), lambda ct, r, x, i: (ct, ct)
        )(x, gc.argmax(x, -1)),
        "None expected, since it is i64",
    ),
    "only integers": (
        lambda x: _with_backward(lambda i: gc.cast(i, "f64"), lambda *_: None)(gc.argmax(x, -1)),
        "no argument is a float",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(name: str) -> None:
    use, message = REFUSALS[name]
    with pytest.raises(gc.GraphError) as raised:
        use(_vector())
    said = str(raised.value)
    assert said.startswith("custom_vjp ") and re.search(message, said.replace("\n", " ")), said
    assert "\n  at test_custom_vjp.py:" in said


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="custom_vjp: a function expected, not 3"):
        gc.custom_vjp(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="custom_vjp _same: defvjp: a function expected, not 3"):
        gc.custom_vjp(_same).defvjp(3)  # type: ignore[arg-type]


def test_stop_gradient_is_a_constant_for_derivatives() -> None:
    x = _vector()
    slope = gc.grad(gc.sum(x * gc.stop_gradient(x) + gc.stop_gradient(gc.exp(x))), x)
    np.testing.assert_array_equal(_values(x, slope), AT)
    with pytest.raises(TypeError, match="stop_gradient: a tensor of a graph expected, not 3"):
        gc.stop_gradient(3)
