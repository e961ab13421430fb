"""What &, |, ^ and ~ mean: of bools the logical ops, of integers those on bits."""

from __future__ import annotations

from typing import Any

from graphc.ir.given import is_tensor
from graphc.ir.op import Node, Op
from graphc.ir.ops import bitwise
from graphc.ir.ops import elementwise as ops


def bits_and(x: Any, y: Any) -> Node:
    """x & y"""
    return _of_dtype(ops.logical_and, bitwise.bitwise_and, x, y)


def bits_or(x: Any, y: Any) -> Node:
    """x | y"""
    return _of_dtype(ops.logical_or, bitwise.bitwise_or, x, y)


def bits_xor(x: Any, y: Any) -> Node:
    """x ^ y"""
    return _of_dtype(ops.logical_xor, bitwise.bitwise_xor, x, y)


def bits_not(x: Any) -> Node:
    """~x"""
    return _of_dtype(ops.logical_not, bitwise.invert, x)


def _of_dtype(of_bools: Op, of_integers: Op, *operands: Any) -> Node:
    tensors = [x for x in operands if is_tensor(x)]
    return (of_integers if any(x.dtype.is_integer for x in tensors) else of_bools)(*operands)
