"""Contractions: matrix products with batch dimensions and operands read transposed."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.nodes.attributes import BOOL
from graphc.ir.nodes.lowering import Contract, ContractedAxes
from graphc.ir.nodes.op import Array, Op
from graphc.ir.types import TensorType, broadcast_shapes


def _infer_matmul(x: TensorType, y: TensorType, transpose_x: bool, transpose_y: bool) -> TensorType:
    if x.dtype != y.dtype or not x.dtype.is_float:
        raise DTypeError("two operands of f32 or two of f64 expected; cast first")
    if x.rank < 2 or y.rank < 2:
        raise ShapeError("matrices expected, with or without batch dimensions before them")
    rows, depth = x.shape[-2:][::-1] if transpose_x else x.shape[-2:]
    depth_y, columns = y.shape[-2:][::-1] if transpose_y else y.shape[-2:]
    if depth != depth_y:
        raise ShapeError(f"inner extents {depth} and {depth_y} differ")
    batch = broadcast_shapes([x.shape[:-2], y.shape[:-2]])
    return x.with_shape((*batch, rows, columns))


def _reference_matmul(
    result: TensorType, x: Array, y: Array, transpose_x: bool, transpose_y: bool
) -> Array:
    left = x.swapaxes(-1, -2) if transpose_x else x
    right = y.swapaxes(-1, -2) if transpose_y else y
    return np.asarray(np.matmul(left, right))


def _vjp_left(ct: Any, r: Any, x: Any, y: Any, transpose_x: bool, transpose_y: bool) -> Any:
    """d(xy) = dx y, hence dx = ct yT; with x transposed the transpose of that, y ctT."""
    if transpose_x:
        return matmul(y, ct, transpose_x=transpose_y, transpose_y=True)
    return matmul(ct, y, transpose_x=False, transpose_y=not transpose_y)


def _vjp_right(ct: Any, r: Any, x: Any, y: Any, transpose_x: bool, transpose_y: bool) -> Any:
    """d(xy) = x dy, hence dy = xT ct; with y transposed the transpose of that, ctT x."""
    if transpose_y:
        return matmul(ct, x, transpose_x=True, transpose_y=transpose_x)
    return matmul(x, ct, transpose_x=not transpose_x, transpose_y=False)


def _axes_of_matmul(
    x_rank: int, y_rank: int, transpose_x: bool, transpose_y: bool
) -> tuple[ContractedAxes, ContractedAxes]:
    """The last two axes of x are rows and depth, of y depth and columns, if not transposed."""
    return _last_two(x_rank, depth_last=not transpose_x), _last_two(y_rank, depth_last=transpose_y)


def _last_two(rank: int, depth_last: bool) -> ContractedAxes:
    before, last = rank - 2, rank - 1
    free, depth = (before, last) if depth_last else (last, before)
    return ContractedAxes(tuple(range(rank - 2)), (free,), (depth,))


matmul: Op = Op(
    "matmul",
    arity=2,
    attributes={"transpose_x": BOOL, "transpose_y": BOOL},
    infer=_infer_matmul,
    reference=_reference_matmul,
    vjp=[_vjp_left, _vjp_right],
    lowering=Contract(_axes_of_matmul),
)

OPS = (matmul,)
