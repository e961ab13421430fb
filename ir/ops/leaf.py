"""Values that no operand feeds: inputs, states, constants, extents and index vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.errors import GraphError, ShapeError
from graphc.ir.nodes.attributes import BOOL, DTYPE, LITERAL, SHAPE, STRING, Literal
from graphc.ir.nodes.lowering import Leaf, LoopIndex
from graphc.ir.nodes.op import Array, Op
from graphc.ir.types import DType, Shape, TensorType, as_dtype, shape_text, static_shape


def _infer_declared(name: str, shape: Shape, dtype: DType, **_: Any) -> TensorType:
    if not name:
        raise ShapeError("a name is needed")
    return TensorType(dtype, shape)


def _infer_state(name: str, shape: Shape, dtype: DType, **_: Any) -> TensorType:
    declared = _infer_declared(name, shape, dtype)
    if not declared.is_static:
        raise ShapeError(f"state {name!r} needs a fixed shape, not {shape_text(shape)}")
    return declared


def _infer_constant(value: Literal) -> TensorType:
    return TensorType(as_dtype(value.array.dtype), value.array.shape)


def _is_given_at_run_time(result: TensorType, name: str, **_: Any) -> Array:
    raise GraphError(f"no value was given for {name!r}")


def _reference_iota(result: TensorType, shape: Shape, dtype: DType) -> Array:
    extents = static_shape(shape)
    return np.arange(math.prod(extents)).reshape(extents).astype(dtype.numpy)


def _reference_extent(result: TensorType, shape: Shape, dtype: DType) -> Array:
    return np.array(np.prod(static_shape(shape), dtype=np.int64), dtype.numpy)


input_: Op = Op(
    "input",
    arity=0,
    attributes={"name": STRING, "shape": SHAPE, "dtype": DTYPE},
    infer=_infer_declared,
    reference=_is_given_at_run_time,
    vjp=[],
    lowering=Leaf(),
)

state: Op = Op(
    "state",
    arity=0,
    attributes={"name": STRING, "shape": SHAPE, "dtype": DTYPE, "trainable": BOOL},
    infer=_infer_state,
    reference=_is_given_at_run_time,
    vjp=[],
    lowering=Leaf(),
)

constant: Op = Op(
    "constant",
    arity=0,
    attributes={"value": LITERAL},
    infer=_infer_constant,
    reference=lambda result, value: value.array,
    vjp=[],
    lowering=Leaf(),
)

extent: Op = Op(
    "extent",
    arity=0,
    attributes={"shape": SHAPE, "dtype": DTYPE},
    infer=lambda shape, dtype: TensorType(dtype, ()),
    reference=_reference_extent,
    vjp=[],
    lowering=Leaf(),
)

iota: Op = Op(
    "iota",
    arity=0,
    attributes={"shape": SHAPE, "dtype": DTYPE},
    infer=lambda shape, dtype: TensorType(dtype, shape),
    reference=_reference_iota,
    vjp=[],
    lowering=LoopIndex(),
)

OPS = (input_, state, constant, extent, iota)
