"""Every op on every case: type, value, first and second derivative, refusals, lowering."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc.ir.derive.autodiff import gradients
from graphc.ir.errors import DTypeError, NotDifferentiableError, ShapeError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node
from graphc.ir.nodes.lowering import Assemble, Composite, Scalar, Strided, View
from graphc.ir.nodes.op import Array, NonDifferentiable
from graphc.ir.ops import OPS
from graphc.ir.ops.elementwise import references, special_references
from graphc.ir.reference import evaluate
from graphc.ir.types import (
    DTYPES,
    DType,
    TensorType,
    bind_shape,
    f32,
    f64,
    row_major_strides,
    static_shape,
)
from graphc.testing import checks
from graphc.testing.cases import Case, ErrorCase
from graphc.testing.tolerance import assert_close
from tests.ops.cases.cases import (
    CASES,
    ERRORS,
    apply_case,
    build_case,
    differentiable,
    every_case,
    every_case_and_dtype,
)
from tests.ops.cases.random_cases import bits_of, fraction_of

TESTS = Path(__file__).parent

FIRST_ORDER = [case for case in every_case() if case.gradient and differentiable(case)]
SECOND_ORDER = [case for case in FIRST_ORDER if case.smooth]
# Ops whose derivative is zero wherever it exists.
STEPS = ("sign",)
# Its derivative is what the user says, whatever its values are: tests/ir/derive/test_custom_vjp.py.
STATED = ("custom_vjp",)
# Their derivatives are those of their bodies: tests/ir/test_loops.py.
OF_BODIES = ("scan", "while_loop", "result")


@pytest.mark.parametrize("name", OPS)
def test_op_has_cases(name: str) -> None:
    assert len(CASES[name]) >= 2, f"{name} needs cases in tests/ops"
    assert len(ERRORS[name]) >= 2, f"{name} needs at least two refused uses in tests/ops"


def test_case_names_differ() -> None:
    for cases in (*CASES.values(), *ERRORS.values()):
        names = [str(case) for case in cases]
        assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", OPS)
def test_op_has_an_open_dimension_case(name: str) -> None:
    if OPS[name].arity == 0 or name in (
        "logical_and",
        "logical_or",
        "logical_xor",
        "logical_not",
        "cast",
    ):
        return
    assert any(
        not apply_case(case, f64).result.type.is_static or case.bindings for case in CASES[name]
    )


@pytest.mark.parametrize(("case", "dtype"), every_case_and_dtype(), ids=str)
def test_type_and_value(case: Case, dtype: DType) -> None:
    checks.check_type_and_value(case, dtype)


@pytest.mark.parametrize(("case", "dtype"), every_case_and_dtype(), ids=str)
def test_text(case: Case, dtype: DType) -> None:
    checks.check_text(case, dtype)


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
def test_the_reference_raises_no_ieee_exception(name: str, dtype: DType) -> None:
    """As kernels do not: numpy would warn of overflow, of 0 / 0 and their like."""
    for case in CASES[name]:
        program, inputs = build_case(case, dtype)
        limits = np.finfo(dtype.numpy)
        edges = [limits.max, -limits.max, limits.tiny, np.inf, -np.inf, np.nan, 0.0, limits.max]
        extreme = {
            key: np.resize(edges, value.shape).astype(value.dtype)
            if value.dtype == dtype.numpy
            else value
            for key, value in inputs.items()
        }
        with np.errstate(all="raise"):
            checks.run_case(program, extreme, case)


# --- derivatives -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", FIRST_ORDER, ids=str)
def test_gradient(case: Case) -> None:
    checks.check_gradient(case)


@pytest.mark.parametrize("case", SECOND_ORDER, ids=str)
def test_second_order(case: Case) -> None:
    checks.check_second_order(case)


@pytest.mark.parametrize("name", [name for name in OPS if OPS[name].arity != 0])
def test_derivative_is_tested_or_refused(name: str) -> None:
    """Each operand either has a gradient case or a declared reason, which the error repeats."""
    op = OPS[name]
    for position, rule in enumerate(op.vjp):
        tested = any(position in differentiable(case) for case in FIRST_ORDER if case.op == name)
        assert tested == (callable(rule) and name not in (*STATED, *OF_BODIES))
        if not isinstance(rule, NonDifferentiable):
            continue
        for case in CASES[name]:
            applied = apply_case(case, f64)
            by = applied.operands[position]
            if by.dtype.is_float and by.number < applied.result.number:
                loss = build.sum(build.cast(applied.result, f64))
                with pytest.raises(NotDifferentiableError, match=f"{name}: "):
                    gradients(loss, [by])


def test_gradient_check_would_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that is wrong by a thousandth fails."""
    case = next(case for case in FIRST_ORDER if case.op == "tanh" and case.name != "0")
    wrong = [lambda ct, r, x: ct * (1 - build.power(r, 2)) * 1.001]
    monkeypatch.setitem(OPS["tanh"].__dict__, "vjp", wrong)
    with pytest.raises(AssertionError, match="derived"):
        test_gradient(case)


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for cases in ERRORS.values() for case in cases], ids=str)
def test_refusal(case: ErrorCase) -> None:
    graph = Graph()
    with pytest.raises(Exception) as raised:
        node = case.build(graph)
        if case.inputs is not None:
            given = {graph.inputs[name]: np.asarray(v) for name, v in case.inputs.items()}
            evaluate((node,), given)
    message = str(raised.value)
    assert type(raised.value) is case.error, message
    assert re.search(case.match, message), message
    if case.inputs is None:
        line = next(e for e in reversed(raised.traceback) if e.path.is_relative_to(TESTS))
        assert f"\n  at {line.path.name}:{line.lineno + 1}: " in message, message


# --- lowering: each kind in numpy, against the reference -------------------------------------


def _cases_lowered_by(kind: type) -> list[Any]:
    return [
        (case, dtype)
        for case, dtype in every_case_and_dtype()
        if isinstance(OPS[case.op].lowering, kind) and not case.build
    ]


def _operands_and_result(case: Case, dtype: DType) -> tuple[Node, list[Array], Array]:
    """The case's op node, its operands' values and its value."""
    applied = apply_case(case, dtype)
    values = {node: applied.inputs[node.name] for node in applied.given}
    results = evaluate((*applied.operands, applied.result), values, case.bindings)
    return applied.result, [results[x] for x in applied.operands], results[applied.result]


SCALAR_PRIMITIVES: Mapping[str, Any] = {
    "select": lambda c, x, y: x if c else y,
    "absolute": np.abs,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "sigmoid": lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))),
    "sigmoid_tail": lambda x: np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))),
    "tanh_tail": lambda x: 2 * np.exp(-2 * np.abs(x)) / (1 + np.exp(-2 * np.abs(x))),
    "softplus": lambda x: np.logaddexp(x, x.dtype.type(0)),
    "pow": np.power,
    **{
        name: getattr(np, f"arc{name[1:]}")
        for name in ["asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2"]
    },
    "inf": np.inf,
    "round_even": np.rint,
    "silu": lambda x: x / (1 + np.exp(-x)) if x != -np.inf else x.dtype.type(0),
    "silu_slope": lambda x: references.silu_slope(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)) if x != -np.inf else x.dtype.type(0),
    "mish_slope": lambda x: references.mish_slope(x),
    "threefry_i32": lambda key, counter: bits_of(key, counter, 1),
    "threefry_i64": lambda key, counter: bits_of(key, counter, 2),
    "threefry_second": lambda key, counter: (bits_of(key, counter, 2) >> 32).astype(np.int32),
    "unit_interval": fraction_of,
    **{f"cast_{name}": known.numpy.type for name, known in DTYPES.items()},
    "mod": np.mod,
    **{
        name: getattr(special_references, name)
        for name in ["erf", "erfc", "exp_minus_square", "gelu", "gelu_slope"]
    },
    **{name: getattr(special_references, name) for name in ["lgamma", "digamma", "trigamma"]},
    **{
        function.__name__: function
        for function in (
            *(np.sqrt, np.exp, np.expm1, np.log, np.log1p, np.sin, np.cos, np.tanh, np.floor),
            *(np.ceil, np.trunc, np.floor_divide, np.left_shift, np.right_shift, np.copysign),
            *(np.exp2, np.log2, np.log10, np.tan, np.sinh, np.cosh, np.hypot),
        )
    },
}


@pytest.mark.parametrize(("case", "dtype"), _cases_lowered_by(Scalar), ids=str)
def test_scalar_template(case: Case, dtype: DType) -> None:
    node, operands, expected = _operands_and_result(case, dtype)
    lowering = node.op.lowering
    assert isinstance(lowering, Scalar)
    attributes = {
        name: kind.bind(node.attributes[name], case.bindings)
        if kind.bind
        else node.attributes[name]
        for name, kind in node.op.attributes.items()
    }
    expression = lowering.template.format(
        **dict(zip("xyz", "xyz", strict=False)), T="T", **attributes
    )
    namespace = {**SCALAR_PRIMITIVES, "T": node.dtype.numpy.type}
    compiled = compile(expression, case.op, "eval")
    actual = np.empty(expected.shape, expected.dtype)
    arrays = np.broadcast_arrays(*operands)
    with np.errstate(all="ignore"):
        for place in np.ndindex(*expected.shape):
            scalars = dict(zip("xyz", (array[place] for array in arrays), strict=False))
            actual[place] = eval(compiled, namespace | scalars)
    assert_close(actual, expected, node.dtype)


@pytest.mark.parametrize(("case", "dtype"), _cases_lowered_by(View), ids=str)
def test_view_place(case: Case, dtype: DType) -> None:
    """The place reads the operand's memory as the reference does, whatever lies in front."""
    node, (operand,), expected = _operands_and_result(case, dtype)
    lowering = node.op.lowering
    assert isinstance(lowering, View)
    bound = TensorType(node.dtype, static_shape(bind_shape(node.shape, case.bindings)))
    attributes = {
        name: kind.bind(value, case.bindings) if kind.bind else value
        for (name, kind), value in zip(
            node.op.attributes.items(), node.attributes.values(), strict=True
        )
    }
    for source in (np.ascontiguousarray(operand).reshape(operand.shape), *_padded(operand)):
        memory = source.base if source.base is not None and source.base.ndim == 1 else source
        start = source.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
        at = Strided(start // source.itemsize, tuple(s // source.itemsize for s in source.strides))
        operand_type = TensorType(node.operands[0].dtype, source.shape)
        place = lowering.place(at, operand_type, bound, **attributes)
        if place is None:
            assert case.op == "reshape" and source.base is not None
            continue
        flat = memory.reshape(-1)
        strides = tuple(s * source.itemsize for s in place.strides)
        if expected.size:
            view = np.lib.stride_tricks.as_strided(flat[place.offset :], expected.shape, strides)
            np.testing.assert_array_equal(view, expected)


def _padded(operand: Array) -> list[Array]:
    """The operand in memory that has gaps along its last axis, and reversed there."""
    if operand.ndim == 0 or operand.size == 0:
        return []
    width = operand.shape[-1]
    memory = np.zeros(operand.size * 2, operand.dtype)
    rows = memory.reshape(*operand.shape[:-1], 2 * width)
    gaps, backwards = rows[..., ::2], rows[..., width - 1 :: -1]
    gaps_value = gaps.copy()
    gaps[...] = operand
    assert gaps_value.shape == operand.shape
    other = np.zeros(operand.size * 2, operand.dtype)
    backwards = other.reshape(*operand.shape[:-1], 2 * width)[..., width - 1 :: -1]
    backwards[...] = operand
    return [gaps, backwards]


@pytest.mark.parametrize(("case", "dtype"), _cases_lowered_by(Assemble), ids=str)
def test_assembled_regions(case: Case, dtype: DType) -> None:
    node, operands, expected = _operands_and_result(case, dtype)
    lowering = node.op.lowering
    assert isinstance(lowering, Assemble)
    attributes = {
        name: kind.bind(node.attributes[name], case.bindings)
        if kind.bind
        else node.attributes[name]
        for name, kind in node.op.attributes.items()
    }
    types = tuple(TensorType(node.dtype, operand.shape) for operand in operands)
    regions = lowering.regions(TensorType(node.dtype, expected.shape), types, **attributes)
    memory = np.full(expected.size, 0 if lowering.zero_first else 77).astype(expected.dtype)
    for copy in regions:
        for place in np.ndindex(*operands[copy.operand].shape):
            offset = sum(i * s for i, s in zip(place, copy.region.strides, strict=True))
            memory[copy.region.offset + offset] = operands[copy.operand][place]
    np.testing.assert_array_equal(memory.reshape(expected.shape), expected)


@pytest.mark.parametrize(("case", "dtype"), _cases_lowered_by(Composite), ids=str)
def test_expansion(case: Case, dtype: DType) -> None:
    checks.check_expansion(case, dtype)


def test_row_major_strides_are_numpys() -> None:
    for shape in ((), (3,), (2, 3, 4)):
        assert row_major_strides(shape) == tuple(s // 8 for s in np.zeros(shape).strides)


def test_errors_are_value_errors() -> None:
    assert issubclass(ShapeError, ValueError) and issubclass(DTypeError, ValueError)
