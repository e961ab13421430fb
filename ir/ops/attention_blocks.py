"""Attention as primitives: whole, or in blocks of scores that are gone before the next is made.

A block is made of some rows of queries and of all keys that they see, so causality halves the work.
Backward, the weights of a block are made again from the scores and the logarithm of each row's sum,
which alone is kept (Dao et al., FlashAttention, 2022, Appendix B).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.ops.contract import matmul
from graphc.ir.ops.elementwise.elementwise import (
    exp,
    greater_equal,
    less_equal,
    log,
    maximum,
    where,
)
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions.reduce import greatest, sum_
from graphc.ir.types import i32

QUERY, KEY, VALUE, BIAS = range(4)


@dataclass(frozen=True)
class Form:
    """The attributes of an attention: whether a query sees no key behind its own place, what
    products are multiplied by, and the queries of a block, 0 for all at once."""

    causal: bool
    scale: float
    block: int


def lowest(dtype: Any) -> float:
    """The least finite number, which stands for the maximum of a row that is masked whole."""
    return float(np.finfo(dtype.numpy).min)


# --- whole -----------------------------------------------------------------------------------


def scores_of(q: Any, k: Any, bias: tuple[Any, ...], form: Form) -> Any:
    """q k^T * scale + bias, -inf where causality masks: [..., n, m]."""
    scores = _scores(q, k, bias, form.scale)
    if form.causal:
        queries, keys = scores.shape[-2:]
        index = scores.graph.iota((queries, 1), i32), scores.graph.iota((1, keys), i32)
        scores = where(greater_equal(*index), scores, float("-inf"))
    return scores


def weights_of(scores: Any) -> Any:
    """softmax(scores) along the last axis; 0 in rows that are -inf throughout."""
    if scores.shape[-1] == 0:
        return scores
    e, _, total = _exponentials(scores)
    return e / maximum(total, 1.0)


def expand_attention(q: Any, k: Any, v: Any, *bias: Any, **attributes: Any) -> Any:
    form = Form(**attributes)
    if not _has_blocks(q, k, form):
        return matmul(
            weights_of(scores_of(q, k, bias, form)), v, transpose_x=False, transpose_y=False
        )
    blocks = _blocks(q, k, form)
    return _joined([_forward(block, q, k, v, bias, form)[0] for block in blocks])


def expand_slope(ct: Any, q: Any, k: Any, v: Any, *bias: Any, of: int, **attributes: Any) -> Any:
    form = Form(**attributes)
    if _has_blocks(q, k, form) and of != BIAS:
        return _slope_in_blocks(ct, q, k, v, bias, form)[of]
    weights = weights_of(scores_of(q, k, bias, form))
    if of == VALUE:
        return matmul(weights, ct, transpose_x=True, transpose_y=False)
    of_weights = matmul(ct, v, transpose_x=False, transpose_y=True)
    mean = sum_(weights * of_weights, axes=(len(weights.shape) - 1,))
    of_scores = weights * (of_weights - mean)
    if of == BIAS:
        return of_scores
    other = k if of == QUERY else q
    return matmul(of_scores, other, transpose_x=of == KEY, transpose_y=False) * form.scale


def _scores(q: Any, k: Any, bias: tuple[Any, ...], scale: float) -> Any:
    scores = matmul(q, k, transpose_x=False, transpose_y=True)
    if scale != 1:
        scores = scores * scale
    for each in bias:
        scores = scores + each
    return scores


def _exponentials(scores: Any) -> tuple[Any, Any, Any]:
    """exp(scores - peak), the peak of each row, a finite number, and the row's sum."""
    last = (len(scores.shape) - 1,)
    peak = maximum(greatest(scores, axes=last), lowest(scores.dtype))
    e = exp(scores - peak)
    return e, peak, sum_(e, axes=last)


# --- in blocks -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Block:
    """The queries from `start` up to `end`, and as many keys from the first on as they see."""

    start: int
    end: int
    keys: int
    is_causal: bool

    def queries_of(self, x: Any, axis: int = -2) -> Any:
        return _part(x, axis, self.start, self.end)

    def keys_of(self, x: Any, axis: int = -2) -> Any:
        return _part(x, axis, 0, self.keys)

    def inside(self, bias: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self.keys_of(self.queries_of(each), -1) for each in bias)

    def seen(self, x: Any, queries_first: bool) -> Any:
        """Where a key is not behind the query, as [queries, keys] or the other way round."""
        queries, keys = self.end - self.start, self.keys
        if queries_first:
            place = x.graph.iota((queries, 1), i32) + self.start
            return greater_equal(place, x.graph.iota((1, keys), i32))
        place = x.graph.iota((1, queries), i32) + self.start
        return less_equal(x.graph.iota((keys, 1), i32), place)


def _part(x: Any, axis: int, start: int, end: int) -> Any:
    """x from one place of an axis to before another; all of an extent of 1, which broadcasts."""
    axis += len(x.shape)
    if x.shape[axis] in (1, end - start):
        return x
    starts = tuple(start if a == axis else 0 for a in range(len(x.shape)))
    counts = tuple(end - start if a == axis else extent for a, extent in enumerate(x.shape))
    return movement.slice_(x, starts=starts, counts=counts, steps=(1,) * len(x.shape))


def _has_blocks(q: Any, k: Any, form: Form) -> bool:
    """Whether there is more than one block; open extents have none."""
    queries, keys = q.shape[-2], k.shape[-2]
    known = isinstance(queries, int) and isinstance(keys, int) and keys > 0
    return known and 0 < form.block < queries


def _blocks(q: Any, k: Any, form: Form) -> list[_Block]:
    """The last one has what queries are left."""
    queries, keys = q.shape[-2], k.shape[-2]
    blocks = []
    for start in range(0, queries, form.block):
        end = min(start + form.block, queries)
        seen = min(end, keys) if form.causal else keys
        blocks.append(_Block(start, end, seen, form.causal and start < keys))
    return blocks


def _forward(
    block: _Block, q: Any, k: Any, v: Any, bias: tuple[Any, ...], form: Form
) -> tuple[Any, Any]:
    """The attention of some queries, and the logarithm of their sums of exponentials."""
    scores = _scores(block.queries_of(q), block.keys_of(k), block.inside(bias), form.scale)
    if block.is_causal:
        scores = where(block.seen(scores, True), scores, float("-inf"))
    e, peak, total = _exponentials(scores)
    total = maximum(total, 1.0)
    value = matmul(e, block.keys_of(v), transpose_x=False, transpose_y=False)
    return value / total, peak + log(total)


def _slope_in_blocks(
    ct: Any, q: Any, k: Any, v: Any, bias: tuple[Any, ...], form: Form
) -> tuple[Any, ...]:
    """The cotangents of q, k and v. Those of a block are made one after the other, so that nothing
    of what it holds is alive beside the next."""
    of_q: list[Any] = []
    of_k: Any = None
    of_v: Any = None
    for block in _blocks(q, k, form):
        result, log_sum = _forward(block, q, k, v, bias, form)
        own_ct, own_q = block.queries_of(ct), block.queries_of(q)
        mean = turned(sum_(result * own_ct, axes=(len(result.shape) - 1,)))
        weights = exp(_turned_scores(block, q, k, bias, form) - turned(log_sum))
        of_weights = matmul(block.keys_of(v), own_ct, transpose_x=False, transpose_y=True)
        of_scores = weights * (of_weights - mean)
        part_of_v = matmul(weights, own_ct, transpose_x=False, transpose_y=False)
        part_of_k = matmul(of_scores, own_q, transpose_x=False, transpose_y=False) * form.scale
        of_v, of_k = _added(of_v, part_of_v), _added(of_k, part_of_k)
        of_block = matmul(of_scores, block.keys_of(k), transpose_x=True, transpose_y=False)
        of_q.append(of_block * form.scale)
    keys = k.shape[-2]
    return _joined(of_q), _with_zeros(of_k, keys), _with_zeros(of_v, keys)


def _turned_scores(block: _Block, q: Any, k: Any, bias: tuple[Any, ...], form: Form) -> Any:
    """The scores of a block, transposed: [..., keys, queries].

    So they are no values of the forward pass, which would be kept until now, and most products read
    them in the order of memory.
    """
    inside = tuple(turned(each) for each in block.inside(bias))
    scores = _scores(block.keys_of(k), block.queries_of(q), inside, form.scale)
    if block.is_causal:
        scores = where(block.seen(scores, False), scores, float("-inf"))
    return scores


def _added(total: Any, part: Any) -> Any:
    """total + part, of which the first may have fewer rows: zeros are behind them."""
    if total is None:
        return part
    rows, known = part.shape[-2], total.shape[-2]
    if rows == known:
        return total + part
    return _joined([total + _part(part, -2, 0, known), _part(part, -2, known, rows)])


def _with_zeros(x: Any, rows: int) -> Any:
    """x with zeros below it, so many rows in all."""
    if x.shape[-2] == rows:
        return x
    shape = (*x.shape[:-2], rows - x.shape[-2], x.shape[-1])
    return _joined([x, movement.broadcast_to(x.graph.constant(0, x.dtype), shape=shape)])


def turned(x: Any) -> Any:
    """x with its last two axes in each other's place."""
    rank = len(x.shape)
    return movement.transpose(x, axes=(*range(rank - 2), rank - 1, rank - 2))


def _joined(blocks: list[Any]) -> Any:
    """Blocks of rows below each other."""
    if len(blocks) == 1:
        return blocks[0]
    return movement.concatenate(*blocks, axis=len(blocks[0].shape) - 2)
