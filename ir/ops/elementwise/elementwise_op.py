"""How the record of an elementwise op is made: its types, its reference, its documentation."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError
from graphc.ir.nodes.attributes import AttributeKind
from graphc.ir.nodes.lowering import Composite, Scalar
from graphc.ir.nodes.op import Array, Op, Vjp
from graphc.ir.types import DType, TensorType, broadcast_shapes, check_arithmetic

# Raises DTypeError for a dtype that the op does not take.
Accepts = Callable[[DType], None]

# Costs of Scalar.cost, in about one vector instruction each.
ARITHMETIC = 1
DIVISION = 5
POLYNOMIAL = 15
LONG_POLYNOMIAL = 40


def accepts_any(dtype: DType) -> None:
    """Every dtype."""


accepts_numbers: Accepts = check_arithmetic


def accepts_floats(dtype: DType) -> None:
    if not dtype.is_float:
        raise DTypeError(f"f32 or f64 expected, not {dtype}; cast first")


def accepts_integers(dtype: DType) -> None:
    if not dtype.is_integer:
        raise DTypeError(f"i32, i64 or u8 expected, not {dtype}; cast first")


def accepts_bools(dtype: DType) -> None:
    if not dtype.is_bool:
        raise DTypeError(f"bool expected, not {dtype}")


def _infer_same(accepts: Accepts, result: DType | None) -> Callable[..., TensorType]:
    """Equal dtypes that `accepts` allows; the result has `result` or the operands' dtype."""

    def infer(*types: TensorType, **_: Any) -> TensorType:
        for operand in types:
            accepts(operand.dtype)
            if operand.dtype != types[0].dtype:
                raise DTypeError("operands of one dtype expected; cast one")
        return TensorType(result or types[0].dtype, broadcast_shapes([t.shape for t in types]))

    return infer


infer_floats: Callable[..., TensorType] = _infer_same(accepts_floats, None)


def as_reference(function: Callable[..., Any]) -> Callable[..., Array]:
    """`function` as a reference, in the result's dtype."""

    def reference(result: TensorType, *operands: Array, **attributes: Any) -> Array:
        return np.asarray(function(*operands, **attributes), dtype=result.dtype.numpy)

    return reference


def elementwise(
    name: str,
    arity: int,
    reference: Callable[..., Any],
    scalar: str | Composite,
    vjp: Sequence[Vjp],
    *,
    cost: int = ARITHMETIC,
    accepts: Accepts = accepts_floats,
    result: DType | None = None,
    attributes: Mapping[str, AttributeKind] | None = None,
    commutative: bool = False,
    conditions: tuple[int, ...] = (),
    logit: int | None = None,
    is_product: bool = False,
    formula: str = "",
) -> Op:
    """An elementwise op: numpy function, scalar template (or what it is made of) and VJP rules.

    formula: the op as its documentation begins; one that users call has it.
    """
    return Op(
        name,
        arity=arity,
        attributes=attributes or {},
        infer=_infer_same(accepts, result),
        reference=as_reference(reference),
        vjp=vjp,
        lowering=Scalar(scalar, cost, is_product) if isinstance(scalar, str) else scalar,
        commutative=commutative,
        conditions=conditions,
        logit=logit,
        doc=_documentation(name, arity, formula, _TAKEN[accepts], result) if formula else "",
    )


# Columns of text, which `help` indents.
_DOCUMENTATION_WIDTH = 88

# What operands an op takes, as its documentation says it.
_TAKEN: Mapping[Accepts, str] = {
    accepts_any: "of any dtype",
    accepts_numbers: "of f32, f64, i32 or i64",
    accepts_floats: "of f32 or f64",
    accepts_integers: "of i32, i64 or u8",
    accepts_bools: "of bools",
}


def _documentation(name: str, arity: int, formula: str, taken: str, result: DType | None) -> str:
    names = ", ".join("xyz"[:arity])
    made = f"a tensor of {result}" if result else "of the operands' dtype"
    if arity == 1:
        shapes = f"x: a tensor {taken}, of any shape. The result has its shape and is {made}."
        raised = "Raises DTypeError for other dtypes"
    else:
        shapes = (
            f"{names}: tensors {taken}, both of one dtype; a number or an array takes that of the "
            f"tensor beside it. Shapes broadcast as in numpy; the result is {made}."
        )
        raised = "Raises DTypeError for other dtypes and for two, ShapeError for shapes that differ"
    text = f"{shapes} {raised}, TypeError where no operand is a tensor."
    wrapped = textwrap.fill(text, _DOCUMENTATION_WIDTH)
    return f"{formula}, elementwise.\n\n{wrapped}\n\n    result = gc.{name}({names})"
