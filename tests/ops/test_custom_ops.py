"""Ops that users write: every check on them, text, kept plans, refusals; and checks that notice."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.plan_cache import program_digest
from graphc.compiler.options import Options
from graphc.ir.graph import Graph, Program
from graphc.ir.ops import OPS
from graphc.ir.programs.verify import verify
from graphc.ir.text.parsing import parse_program, print_program
from graphc.testing import Case, ErrorCase, Operand, check_op, integers, uniform
from tests.ops.cases.custom.custom_ops import hypotenuse, rms, rolled, swish

X = Operand((3, 4))
OPEN = Operand(("batch", 4))
BATCH = {"batch": 5}


def _row_cases(reduction_length: int, **attributes: Any) -> list[Case]:
    return [
        Case("", "matrix", (X,), attributes, reduction_length=reduction_length),
        Case("", "open", (OPEN,), attributes, bindings=BATCH, reduction_length=reduction_length),
        Case("", "vector", (Operand((17,)),), attributes, reduction_length=17),
    ]


SWISH = _row_cases(1, beta=1.5)
FAR = uniform(1.0, 2.0)
HYPOTENUSE = [
    Case("", "same", (replace(X, sample=FAR), X), expect=lambda x, y: np.sqrt(x**2 + y**2)),
    Case("", "broadcast", (replace(OPEN, sample=FAR), Operand((4,))), bindings=BATCH,
         reduction_length=5),
]  # fmt: skip
ROLLED = [
    Case("", f"by_{n}", (OPEN, X if n == 2 else OPEN), {"amount": n}, bindings={"batch": 3})
    for n in (1, 3)
]


def test_a_template() -> None:
    whole = ErrorCase(
        "", "integers", lambda graph: swish(graph.input("x", (3,), "i32"), beta=1.0),
        gc.DTypeError, r"^swish\(i32\[3\]\): f32 or f64 expected",
    )  # fmt: skip
    check_op(swish, SWISH, [whole])
    check_op(hypotenuse, HYPOTENUSE)


def test_an_expansion_is_derived_as_it_stands() -> None:
    check_op(rms, _row_cases(4))
    check_op(rolled, ROLLED)


def test_an_expansion_with_a_rule_of_its_own() -> None:
    def rule(ct: Any, r: Any, x: Any) -> Any:
        return ct * x / (r * x.shape[-1])

    own = gc.custom_op("rms_2", rms_in_numpy, expand=rms.lowering.expand, vjp=[rule])  # type: ignore[union-attr]
    check_op(own, _row_cases(4))


def rms_in_numpy(x: Any) -> Any:
    return np.sqrt(np.mean(x * x, -1, keepdims=True))


def test_one_operand_may_depend_on_another() -> None:
    """The way past the op counts once."""
    x = gc.Graph().input("x", (2, 3), "f64")
    slope = gc.grad(gc.sum(rolled(x, gc.exp(x), amount=1)), x)
    at = np.random.default_rng(0).normal(size=(2, 3))
    expected = np.roll(np.exp(at), 1, 1) + np.roll(at, -1, 1) * np.exp(at)
    np.testing.assert_allclose(gc.function([x], slope)(at), expected, rtol=1e-12)


def test_a_network_of_them_trains_and_explains_itself() -> None:
    graph = gc.Graph(seed=0)
    x, t = graph.input("x", ("batch", 3)), graph.input("t", ("batch", 1))
    loss = gc.losses.mean_squared_error(rms(swish(gc.nn.dense(x, 8), beta=1.0)), t)
    step = gc.function([x, t], loss, gc.optim.Adam(0.05).updates(loss))
    data = np.random.default_rng(0).normal(size=(16, 3)), np.ones((16, 1))
    before = step(*data)
    for _ in range(50):
        after = step(*data)
    assert after < before / 10
    assert "swish[beta=1.0](" in print_program(step.program)


def test_text_needs_the_op() -> None:
    x = Graph().input("x", (3,))
    program = Program("p", (x,), (("y", swish(x, beta=2.0)),))
    text = print_program(program)
    assert parse_program(text, ops=[swish]) == program
    with pytest.raises(gc.GraphError, match="an op expected, not 'swish'"):
        parse_program(text)


def test_two_ops_of_one_name_are_seen() -> None:
    other = gc.custom_op("swish", np.tanh, template="tanh({x})")
    x = Graph().input("x", (3,))
    program = Program("p", (x,), (("y", swish(x, beta=2.0) + other(x)),))
    with pytest.raises(gc.GraphError, match="another op has that name"):
        verify(program)
    one, two = (Program("p", (x,), (("y", y),)) for y in (swish(x, beta=2.0), other(x)))
    assert one != two


# --- what compiled programs are kept by ------------------------------------------------------


def _digest(op: gc.Op, extent: Any = "n") -> str:
    x = Graph().input("x", (extent, 4))
    program = Program("p", (x,), (("y", op(x)),))
    return program_digest(program, Options({"n": 3}, True, 256))


def _scaled(scale: float) -> gc.Op:
    return gc.custom_op("scaled", lambda x: scale * x, expand=lambda x: scale * x)


def test_the_content_is_part_of_a_digest() -> None:
    doubled = [gc.custom_op("same", lambda x: x, template=t) for t in ("{x} + {x}", "{x} * {x}")]
    assert _digest(doubled[0]) != _digest(doubled[1])
    again = gc.custom_op("same", lambda x: x, template="{x} + {x}")
    assert _digest(doubled[0]) == _digest(again)
    # What an expansion refers to counts, wherever it stands.
    assert _digest(_scaled(2.0)) == _digest(_scaled(2.0)) != _digest(_scaled(3.0))


def test_the_content_of_an_op_inside_of_an_expansion_is_part_of_it() -> None:
    def outer(template: str) -> gc.Op:
        inner = gc.custom_op("inner", lambda x: x, template=template)
        return gc.custom_op("outer", lambda x: x, expand=lambda x: inner(x) * 2)

    assert _digest(outer("{x} + {x}")) != _digest(outer("{x} * {x}"))


def test_an_expansion_may_look_at_fixed_extents() -> None:
    def expand(x: Any) -> Any:
        return x * 2 if x.shape[0] == 3 else x * 3

    op = gc.custom_op("by_extent", lambda x: x, expand=expand)
    assert _digest(op) == _digest(op) and _digest(op, 3) != _digest(op, 4)


# --- refusals --------------------------------------------------------------------------------


def _template(text: str, **options: Any) -> Callable[[], Any]:
    return lambda: gc.custom_op("mine", np.exp, template=text, **options)


REFUSALS: dict[str, tuple[Callable[[], Any], str]] = {
    "no name": (lambda: gc.custom_op("my op", np.exp, template="{x}"), "an identifier expected"),
    "a known name": (lambda: gc.custom_op("tanh", np.exp, template="{x}"), "has an op of that"),
    "no reference": (lambda: gc.custom_op("mine", 3, template="{x}"), "a function expected"),  # type: ignore[arg-type]
    "nothing": (lambda: gc.custom_op("mine", np.exp), "a template or an expansion"),
    "both": (_template("{x}", expand=gc.exp), "a template or an expansion expected, and not both"),
    "no expansion": (lambda: gc.custom_op("mine", np.exp, expand=3), "expand: a function"),  # type: ignore[arg-type]
    "no operand": (_template("{x}", arity=0), "arity 0: at least 1 operand"),
    "many operands": (_template("{x}", arity=4), "arity 4: .* at most 3"),
    "too few rules": (_template("{x} + {y}", arity=2, vjp=[None]), "for each of 2 operands"),
    "no kind": (_template("{x}", attributes={"a": "real"}), "attribute a: one of float, int"),
    "an operand's name": (_template("{x}", attributes={"y": "int"}), "'y' cannot be an attribute"),
    "syntax": (_template("{x} +"), "an expression of .* expected"),
    "a field": (_template("{z}"), "an expression of {T}, {x} expected"),
    "an operand left out": (_template("{x}", arity=2), "operand {y} is not in it"),
    "a function": (_template("cbrt({x})"), "cbrt is none of T, sqrt"),
    "a name": (_template("{x} + pi"), "pi is no operand"),
    "a bare number": (_template("{x} * 2"), r"2 is a number without a dtype; {T}\(2\) has"),
    "a bare attribute": (
        _template("{a} * {x}", attributes={"a": "float"}), r"{a} is a number .* {T}\({a}\)"
    ),
    "a chain": (_template("select({T}(0) < {x} < {x}, {x}, {x})"), "one comparison at a time"),
    "a power": (_template("{x} ** {x}"), "Pow is nothing that kernels compute"),
    "an attribute of Python": (_template("{x}.real"), "nothing that kernels compute|expected"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(name: str) -> None:
    make, message = REFUSALS[name]
    with pytest.raises((TypeError, ValueError)) as raised:
        make()
    said = str(raised.value)
    assert said.startswith("custom_op") and re.search(message, said), said


def test_a_template_without_rules_has_no_derivative() -> None:
    op = gc.custom_op("floored", np.floor, template="floor({x})")
    x = gc.Graph().input("x", (3,))
    with pytest.raises(gc.NotDifferentiableError, match="floored: no derivative was given"):
        gc.grad(gc.sum(op(x)), x)
    check_op(op, [Case("", "row", (Operand((5,)),))])


def test_other_lowerings_are_refused() -> None:
    op = replace(OPS["sum"], name="total")
    x = Graph().input("x", (3,))
    with pytest.raises(gc.GraphError, match="is no template and no expansion"):
        verify(Program("p", (x,), (("y", op(x, axes=(0,))),)))


# --- checks that notice ----------------------------------------------------------------------


def _wrong(**changes: Any) -> gc.Op:
    given: dict[str, Any] = {
        "reference": np.sinh,
        "template": "{T}(0.5) * (exp({x}) - exp(-{x}))",
        "vjp": [lambda ct, r, x: ct * 0.5 * (gc.exp(x) + gc.exp(-x))],
    }
    given |= changes
    return gc.custom_op("hyperbolic", given.pop("reference"), **given)


NOTICED: dict[str, tuple[dict[str, Any], str]] = {
    "derivative": ({"vjp": [lambda ct, r, x: ct * gc.exp(x)]}, "gradient"),
    "template": ({"template": "{T}(0.5) * (exp({x}) + exp(-{x}))"}, "fused kernels"),
    "reference": ({"reference": lambda x: np.sinh(x)[:1]}, "type and value"),
    "no slope of a slope": (
        {"vjp": [lambda ct, r, x: gc.stop_gradient(ct * 0.5 * (gc.exp(x) + gc.exp(-x)))]},
        "second derivative",
    ),
    "expansion": (
        {"template": None, "vjp": None, "expand": lambda x: gc.exp(x)}, "expansion"
    ),
}  # fmt: skip


def test_the_right_one_passes() -> None:
    check_op(_wrong(), [Case("", "row", (Operand((6,)),))])


@pytest.mark.parametrize("name", NOTICED)
def test_what_is_wrong_is_noticed(name: str) -> None:
    changes, check = NOTICED[name]
    with pytest.raises(AssertionError) as raised:
        check_op(_wrong(**changes), [Case("", "row", (Operand((6,)),))])
    (note,) = raised.value.__notes__
    assert note.startswith(f"in the {check}") and "hyperbolic-row" in note


def test_cases_must_derive_by_every_operand() -> None:
    with pytest.raises(AssertionError, match="no case derives by operand 0"):
        check_op(_wrong(), [Case("", "row", (Operand((6,)),), gradient=False)])
    with pytest.raises(ValueError, match="at least one case"):
        check_op(_wrong(), [])


def test_cases_are_no_arrays() -> None:
    for given in ([np.ones((3, 4))], [X]):
        with pytest.raises(TypeError, match=r"^check_op: swish: cases expected, such as \[Case\("):
            check_op(swish, given)  # type: ignore[arg-type]


def test_refusals_must_be_refused() -> None:
    accepted = ErrorCase(
        "", "floats", lambda graph: swish(graph.input("x", (3,)), beta=1.0), gc.DTypeError, "f32"
    )
    with pytest.raises(AssertionError, match="DTypeError expected, and nothing was raised"):
        check_op(swish, SWISH[:1], [accepted])


def test_integers_by_an_own_rule_of_types() -> None:
    op = gc.custom_op(
        "tripled", lambda x: 3 * x, template="{x} + {x} + {x}", infer=lambda x: x
    )  # fmt: skip
    check_op(
        op, [Case("", kind, (Operand((5,), kind, integers(-9, 9)),)) for kind in ("i32", "i64")]
    )
