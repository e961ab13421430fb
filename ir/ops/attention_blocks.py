"""Attention as primitives: whole, or in blocks of scores that are gone before the next is made.

A block is made of some rows of queries and some of keys. Forward, each block has a maximum and a
sum of its own, and the results of the blocks of a row are merged (the online softmax of Milakov and
Gimelshein, 2018). Backward, the weights of a block are made again from the scores and the logarithm
of the row's sum, which alone is kept (FlashAttention of Dao et al., 2022). Blocks that causality
masks whole are never made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.dims import Extent
from graphc.ir.ops import movement
from graphc.ir.ops.contract import matmul
from graphc.ir.ops.elementwise import exp, greater_equal, log, maximum, where
from graphc.ir.ops.reduce import greatest, sum_
from graphc.ir.types import i32

QUERY, KEY, VALUE, BIAS = range(4)


@dataclass(frozen=True)
class Form:
    """The attributes of an attention: whether a query sees no key behind its own place, what
    products are multiplied by, and the rows of a block, 0 for all at once."""

    causal: bool
    scale: float
    block: int


@dataclass(frozen=True)
class _Span:
    """Rows of queries or of keys, from `start` up to `end`."""

    start: int
    end: int

    def of(self, x: Any, axis: int = -2) -> Any:
        """These rows of x along an axis counted from the end; all of an extent of 1."""
        axis += len(x.shape)
        if x.shape[axis] in (1, self.end - self.start):
            return x
        starts = tuple(self.start if a == axis else 0 for a in range(len(x.shape)))
        count = self.end - self.start
        counts = tuple(count if a == axis else extent for a, extent in enumerate(x.shape))
        return movement.slice_(x, starts=starts, counts=counts, steps=(1,) * len(x.shape))


def lowest(dtype: Any) -> float:
    """The least finite number, which stands for the maximum of a row that is masked whole."""
    return float(np.finfo(dtype.numpy).min)


# --- whole -----------------------------------------------------------------------------------


def scores_of(q: Any, k: Any, bias: tuple[Any, ...], form: Form) -> Any:
    """q k^T * scale + bias, -inf where causality masks: [..., n, m]."""
    return _scores(q, k, bias, form.scale, form.causal)


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
    groups = [_forward(rows, q, k, v, bias, form)[0] for rows in _spans(q, form)]
    return _joined(groups)


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


def _scores(q: Any, k: Any, bias: tuple[Any, ...], scale: float, is_causal: bool) -> Any:
    """The scores of these queries and keys, which begin at the same place where it is causal."""
    scores = matmul(q, k, transpose_x=False, transpose_y=True)
    if scale != 1:
        scores = scores * scale
    for each in bias:
        scores = scores + each
    if is_causal:
        scores = where(_seen(scores, *scores.shape[-2:]), scores, float("-inf"))
    return scores


def _seen(x: Any, rows: Extent, columns: Extent) -> Any:
    """Where a key is not behind the query: [rows, columns]."""
    return greater_equal(x.graph.iota((rows, 1), i32), x.graph.iota((1, columns), i32))


def _exponentials(scores: Any) -> tuple[Any, Any, Any]:
    """exp(scores - peak), the peak of each row, a finite number, and the row's sum."""
    last = (len(scores.shape) - 1,)
    peak = maximum(greatest(scores, axes=last), lowest(scores.dtype))
    e = exp(scores - peak)
    return e, peak, sum_(e, axes=last)


# --- in blocks -------------------------------------------------------------------------------


def _has_blocks(q: Any, k: Any, form: Form) -> bool:
    """Whether there is more than one block; open extents have none."""
    extents = (q.shape[-2], k.shape[-2])
    if not all(isinstance(extent, int) and extent > 0 for extent in extents):
        return False
    return 0 < form.block < max(extents)


def _spans(x: Any, form: Form) -> list[_Span]:
    """The rows of x in blocks; what is left behind them is one of its own."""
    extent = x.shape[-2]
    return [_Span(a, min(a + form.block, extent)) for a in range(0, extent, form.block)]


def _pairs(rows: _Span, k: Any, form: Form) -> Iterator[_Span]:
    """The blocks of keys that some query in `rows` sees."""
    for columns in _spans(k, form):
        if not form.causal or columns.start <= rows.start:
            yield columns


def _forward(
    rows: _Span, q: Any, k: Any, v: Any, bias: tuple[Any, ...], form: Form
) -> tuple[Any, Any]:
    """The attention of some queries, and the logarithm of their sums of exponentials.

    Blocks a and b, of peaks p and sums t, merge to max(p_a, p_b) and t_a exp(p_a - p) + t_b
    exp(p_b - p), and so do their values.
    """
    result: Any = None
    peak: Any = None
    total: Any = None
    for columns in _pairs(rows, k, form):
        inside = tuple(columns.of(rows.of(each), -1) for each in bias)
        on_diagonal = form.causal and columns.start == rows.start
        scores = _scores(rows.of(q), columns.of(k), inside, form.scale, on_diagonal)
        e, block_peak, block_total = _exponentials(scores)
        value = matmul(e, columns.of(v), transpose_x=False, transpose_y=False)
        if result is None:
            result, peak, total = value, block_peak, block_total
            continue
        common = maximum(peak, block_peak)
        before, now = exp(peak - common), exp(block_peak - common)
        result = result * before + value * now
        peak, total = common, total * before + block_total * now
    total = maximum(total, 1.0)
    return result / total, peak + log(total)


def _slope_in_blocks(
    ct: Any, q: Any, k: Any, v: Any, bias: tuple[Any, ...], form: Form
) -> tuple[Any, ...]:
    """The cotangents of q, k and v. Those of a block are made one after the other, so that nothing
    of what it holds is alive beside the next."""
    of_q: list[Any] = []
    of_k: dict[_Span, Any] = {}
    of_v: dict[_Span, Any] = {}
    for rows in _spans(q, form):
        result, log_sum = _forward(rows, q, k, v, bias, form)
        ct_rows, q_rows = rows.of(ct), rows.of(q)
        mean = turned(sum_(result * ct_rows, axes=(len(result.shape) - 1,)))
        total: Any = None
        for columns in _pairs(rows, k, form):
            weights = exp(_turned_scores(q, k, bias, form, rows, columns) - turned(log_sum))
            of_weights = matmul(columns.of(v), ct_rows, transpose_x=False, transpose_y=True)
            of_scores = weights * (of_weights - mean)
            _add(of_v, columns, matmul(weights, ct_rows, transpose_x=False, transpose_y=False))
            _add(of_k, columns, matmul(of_scores, q_rows, transpose_x=False, transpose_y=False))
            part = matmul(of_scores, columns.of(k), transpose_x=True, transpose_y=False)
            total = part if total is None else total + part
        of_q.append(total * form.scale)
    of_k = {columns: x * form.scale for columns, x in of_k.items()}
    return _joined(of_q), *(_filled(parts, k, form) for parts in (of_k, of_v))


def _turned_scores(
    q: Any, k: Any, bias: tuple[Any, ...], form: Form, rows: _Span, columns: _Span
) -> Any:
    """A block of the scores, transposed: [..., columns, rows].

    So it is no value of the forward pass, which would be kept until now, and most products read it
    in the order of memory.
    """
    inside = tuple(turned(columns.of(rows.of(each), -1)) for each in bias)
    scores = _scores(columns.of(k), rows.of(q), inside, form.scale, False)
    if form.causal and columns.start == rows.start:
        seen = turned(_seen(scores, scores.shape[-1], scores.shape[-2]))
        scores = where(seen, scores, float("-inf"))
    return scores


def turned(x: Any) -> Any:
    """x with its last two axes in each other's place."""
    rank = len(x.shape)
    return movement.transpose(x, axes=(*range(rank - 2), rank - 1, rank - 2))


def _add(sums: dict[_Span, Any], columns: _Span, part: Any) -> None:
    sums[columns] = sums[columns] + part if columns in sums else part


def _filled(parts: dict[_Span, Any], k: Any, form: Form) -> Any:
    """The parts in their order, with zeros for keys that no query sees."""
    known = next(iter(parts.values()))
    blocks = []
    for columns in _spans(k, form):
        if columns not in parts:
            shape = (*known.shape[:-2], columns.end - columns.start, known.shape[-1])
            parts[columns] = movement.broadcast_to(k.graph.constant(0, k.dtype), shape=shape)
        blocks.append(parts[columns])
    return _joined(blocks)


def _joined(blocks: list[Any]) -> Any:
    """Blocks of rows below each other."""
    if len(blocks) == 1:
        return blocks[0]
    return movement.concatenate(*blocks, axis=len(blocks[0].shape) - 2)
