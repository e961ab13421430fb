"""Bitwise functions, and what &, |, ^ and ~ mean: of bools the logical ops, of integers those on
bits."""

from __future__ import annotations

from typing import Any

from graphc.ir.arguments.given import is_tensor
from graphc.ir.nodes.op import Node, Op
from graphc.ir.ops.elementwise import bitwise
from graphc.ir.ops.elementwise import elementwise as ops


def bitwise_and(x: Any, y: Any, /) -> Node:
    """x & y, elementwise: bits that both integers have, or whether both bools are True; of the
    shape that they broadcast to, in their dtype.

        low = gc.bitwise_and(codes, 15)

    Raises DTypeError for floats and for two dtypes, ShapeError for shapes that do not broadcast.
    """
    return _of_dtype(ops.logical_and, bitwise.bitwise_and, x, y)


def bitwise_or(x: Any, y: Any, /) -> Node:
    """x | y, elementwise: bits that one of both has. The rest, and what it Raises, as
    `bitwise_and`.

        flags = gc.bitwise_or(flags, 4)
    """
    return _of_dtype(ops.logical_or, bitwise.bitwise_or, x, y)


def bitwise_xor(x: Any, y: Any, /) -> Node:
    """x ^ y, elementwise: bits that one alone has. The rest, and what it Raises, as `bitwise_and`.

    changed = gc.bitwise_xor(before, after)
    """
    return _of_dtype(ops.logical_xor, bitwise.bitwise_xor, x, y)


def invert(x: Any, /) -> Node:
    """~x, elementwise: the other bits of integers, -x - 1 where they have a sign, or the other of
    bools. Raises DTypeError for floats.

        others = gc.invert(mask)
    """
    return _of_dtype(ops.logical_not, bitwise.invert, x)


def _of_dtype(of_bools: Op, of_integers: Op, *operands: Any) -> Node:
    tensors = [x for x in operands if is_tensor(x)]
    return (of_bools if all(x.dtype.is_bool for x in tensors) else of_integers)(*operands)
