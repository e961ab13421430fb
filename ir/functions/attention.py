"""Attention with PyTorch's habits: masks, a bias, and heads of queries that share keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.arguments.checks import problem_with
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import as_array, as_number, check_tensors, is_tensor
from graphc.ir.dims import Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.functions.arrays.shaping import expand_dims, reshaped
from graphc.ir.functions.reductions import max as greatest_of
from graphc.ir.functions.reductions import softmax
from graphc.ir.nodes.op import Node
from graphc.ir.ops import attention as records
from graphc.ir.ops import contract
from graphc.ir.ops.composite import positions
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import i32

# Behind an axis of heads stand the rows and the features of each.
HEADS = -3


@checks_flags
def attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    causal: bool = False,
    bias: Any = None,
    scale: float | None = None,
) -> Node:
    """softmax(q k^T * scale + bias, masked) v, of q [..., n, d], k [..., m, d] and v [..., m, e]:
    [..., n, e].

    The axes in front are a batch and broadcast. Where they end with heads, [..., heads, n, d], and
    k and v have fewer, each of theirs serves as many heads of q in a row (grouped queries).

    mask: bools that broadcast to [..., n, m]; a query attends to the keys where it is True.
    causal: query i attends to the keys up to i alone, as the lower triangle of [n, m] says.
    bias: floats that broadcast to [..., n, m] and are added to the scores.
    scale: 1 / sqrt(d) unless given.

    A row that attends to nothing is 0, as with PyTorch since 2.5: what pads a batch would else hand
    NaN to everything that reads it. Keys and values must be finite where they are masked too, since
    they count 0 times. Long sequences are computed in blocks of scores, which are made again for
    derivatives. Source: Vaswani et al., Attention is all you need, 2017.

        mixed = gc.nn.attention(q, k, v, causal=True)

    Raises ShapeError where extents do not fit, DTypeError unless q, k, v and bias are all f32 or
    all f64, and for a mask of no bools.
    """
    check_tensors("attention", q, k, v)
    if min(q.rank, k.rank, v.rank) < 2:
        problem = f"matrices expected, and no keys {k.type} or values {v.type}"
        raise ShapeError(problem_with("attention", q, problem))
    added = _as_bias(q, mask, bias)
    shared = _shared_heads(q, k, v)
    result_shape = None
    if shared is not None:
        heads = q.shape[HEADS]
        groups = (shared, heads // shared)
        result_shape = (*q.shape[:HEADS], heads, q.shape[-2], v.shape[-1])
        q = reshaped(q, (*q.shape[:HEADS], *groups, *q.shape[-2:]))
        k, v = expand_dims(k, k.rank - 2), expand_dims(v, v.rank - 2)
        added = [_split_heads(each, groups) for each in added]
    number = _scale_of(q, scale)
    result = records.attention(q, k, v, *added, causal=bool(causal), scale=number, block=0)
    if result_shape is None:
        return result
    return reshaped(result, (*result.shape[:-4], *result_shape[HEADS:]))


@checks_flags
def attention_weights(
    q: Any,
    k: Any,
    mask: Any = None,
    causal: bool = False,
    bias: Any = None,
    scale: float | None = None,
) -> Node:
    """The weights by which `attention` adds up values: [..., n, d], [..., m, d] -> [..., n, m].

    Each row has the sum 1, or is 0 where it attends to nothing. They are stored whole. Heads must
    be as many in q and k. Arguments and errors are those of `attention`.

        weights = gc.nn.attention_weights(q, k, causal=True)
    """
    check_tensors("attention_weights", q, k)
    scores = contract.matmul(q, k, transpose_x=False, transpose_y=True) * _scale_of(q, scale)
    for each in _as_bias(q, mask, bias):
        scores = scores + each
    if causal:
        rows, columns = (
            positions(scores, axis, i32) for axis in (scores.rank - 2, scores.rank - 1)
        )
        scores = ops.where(ops.greater_equal(rows, columns), scores, -math.inf)
    attends = ops.greater(greatest_of(scores, axis=-1, keepdims=True), -math.inf)
    return ops.where(attends, softmax(ops.where(attends, scores, 0.0)), 0.0)


def _scale_of(q: Any, scale: float | None) -> float:
    if scale is not None:
        try:
            return as_number(scale)
        except TypeError as error:
            raise TypeError(problem_with("attention", q, f"scale: {error}")) from None
    features = q.shape[-1]
    if not isinstance(features, int):
        problem = "a last axis of fixed extent expected, or a scale"
        raise ShapeError(problem_with("attention", q, problem))
    return 1 / math.sqrt(max(features, 1))


def _as_bias(q: Any, mask: Any, bias: Any) -> list[Node]:
    """The bias with -inf where the mask is False, of rank 2 at least; none where both are None."""
    if bias is not None and not is_tensor(bias):
        bias = q.graph.constant(as_array(bias), q.dtype)
    if mask is not None:
        mask = _as_mask(q, mask)
        bias = ops.where(mask, _zero(q) if bias is None else bias, -math.inf)
    if bias is None:
        return []
    while bias.rank < 2:
        bias = expand_dims(bias, 0)
    return [bias]


def _zero(q: Any) -> Node:
    node: Node = q.graph.constant(0.0, q.dtype)
    return node


def _as_mask(q: Any, mask: Any) -> Node:
    if not is_tensor(mask):
        array = as_array(mask)
        if array.dtype != np.bool_:
            problem = f"a mask of bools expected, not of {array.dtype}; floats are a bias"
            raise DTypeError(problem_with("attention", q, problem))
        mask = q.graph.constant(array)
    if not mask.dtype.is_bool:
        problem = f"a mask of bools expected, not {mask.type}; floats are a bias"
        raise DTypeError(problem_with("attention", q, problem))
    node: Node = mask
    return node


def _shared_heads(q: Any, k: Any, v: Any) -> int | None:
    """The heads of k and v where each serves several of q; None where axes broadcast as they are.

    Raises ShapeError for heads that those of k do not divide.
    """
    if min(q.rank, k.rank, v.rank) < 3:
        return None
    heads, shared = q.shape[HEADS], k.shape[HEADS]
    if heads == shared or 1 in (heads, shared):
        return None
    known = isinstance(heads, int) and isinstance(shared, int) and shared > 0
    if not known or heads % shared or v.shape[HEADS] != shared:
        problem = f"{heads} heads for {shared} of keys and {v.shape[HEADS]} of values"
        raise ShapeError(problem_with("attention", q, problem))
    return int(shared)


def _split_heads(bias: Any, groups: tuple[int, int]) -> Node:
    """A bias for each head as one for each head of a group."""
    if bias.rank < 3:
        node: Node = bias
        return node
    extents: tuple[Extent, ...] = (1, 1) if bias.shape[HEADS] == 1 else groups
    return reshaped(bias, (*bias.shape[:HEADS], *extents, *bias.shape[-2:]))
