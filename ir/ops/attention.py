"""Attention by scaled products: each query's mean of the values, weighted by how its key fits.

Operands are q [..., n, d], k [..., m, d], v [..., m, e] and, where there is one, a bias that
broadcasts to the scores [..., n, m]; the axes before them broadcast.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.nodes.attributes import BOOL, COUNT, FLOAT
from graphc.ir.nodes.lowering import Composite
from graphc.ir.nodes.op import Array, Op
from graphc.ir.ops.attention_blocks import (
    BIAS,
    KEY,
    QUERY,
    VALUE,
    Form,
    expand_attention,
    expand_slope,
    lowest,
    scores_of,
    turned,
    weights_of,
)
from graphc.ir.ops.contract import matmul
from graphc.ir.ops.reductions.reduce import sum_
from graphc.ir.types import Shape, TensorType, broadcast_shapes, shape_text, static_shape

_ATTRIBUTES = {"causal": BOOL, "scale": FLOAT, "block": COUNT}


def scores_type(q: TensorType, k: TensorType, v: TensorType, *bias: TensorType) -> TensorType:
    """The type of all scores: [..., n, m]."""
    return q.with_shape((*_batch_of(q, k, v, bias), q.shape[-2], k.shape[-2]))


def _batch_of(q: TensorType, k: TensorType, v: TensorType, bias: tuple[TensorType, ...]) -> Shape:
    """The axes before the last two of the result. Raises DTypeError and ShapeError for what is no
    attention."""
    if not q.dtype.is_float or any(each.dtype != q.dtype for each in (k, v, *bias)):
        raise DTypeError("operands all of f32 or all of f64 expected; cast first")
    if len(bias) > 1:
        raise ShapeError("one bias at most expected")
    if min(each.rank for each in (q, k, v, *bias)) < 2:
        raise ShapeError("matrices expected, with or without batch dimensions before them")
    if q.shape[-1] != k.shape[-1]:
        raise ShapeError(f"queries of {q.shape[-1]} features and keys of {k.shape[-1]} differ")
    if k.shape[-2] != v.shape[-2]:
        raise ShapeError(f"{k.shape[-2]} keys for {v.shape[-2]} values")
    batch = broadcast_shapes([each.shape[:-2] for each in (q, k, v)])
    scores = (*batch, q.shape[-2], k.shape[-2])
    for each in bias:
        if broadcast_shapes([each.shape, scores]) != scores:
            problem = f"a bias that broadcasts to the scores {shape_text(scores)} expected, not"
            raise ShapeError(f"{problem} {shape_text(each.shape)}")
    return batch


def _check_block(block: int) -> None:
    if block < 0:
        raise ShapeError(f"queries of a block, or 0 for all, expected, not {block}")


def _infer(
    q: TensorType, k: TensorType, v: TensorType, *bias: TensorType,
    causal: bool, scale: float, block: int,
) -> TensorType:  # fmt: skip
    _check_block(block)
    return q.with_shape((*_batch_of(q, k, v, bias), q.shape[-2], v.shape[-1]))


def _infer_slope(
    ct: TensorType, q: TensorType, k: TensorType, v: TensorType, *bias: TensorType,
    of: int, causal: bool, scale: float, block: int,
) -> TensorType:  # fmt: skip
    expected = _infer(q, k, v, *bias, causal=causal, scale=scale, block=block)
    if ct != expected:
        raise ShapeError(f"a cotangent {expected} expected, not {ct}")
    if not 0 <= of < 3 + len(bias):
        raise ShapeError(f"the number of an operand expected, not {of}")
    scores = scores_type(q, k, v, *bias)
    return scores if of == BIAS else q.with_shape((*scores.shape[:-2], *(q, k, v)[of].shape[-2:]))


# --- in numpy --------------------------------------------------------------------------------


def _turn(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _weights(result: TensorType, q: Array, k: Array, bias: tuple[Array, ...], form: Form) -> Array:
    """softmax(q k^T * scale + bias, masked) along the last axis, 0 where all of a row is -inf."""
    scores = np.matmul(q, _turn(k)) * q.dtype.type(form.scale)
    for each in bias:
        scores = scores + each
    if form.causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=np.bool_), scores, q.dtype.type(-np.inf))
    peak = scores.max(axis=-1, keepdims=True, initial=lowest(result.dtype))
    e = np.exp(scores - peak)
    return np.asarray(e / np.maximum(e.sum(axis=-1, keepdims=True), q.dtype.type(1)))


def _reference(
    result: TensorType, q: Array, k: Array, v: Array, *bias: Array, **attributes: Any
) -> Array:
    return np.asarray(np.matmul(_weights(result, q, k, bias, Form(**attributes)), v))


def _reference_slope(
    result: TensorType, ct: Array, q: Array, k: Array, v: Array, *bias: Array,
    of: int, **attributes: Any,
) -> Array:  # fmt: skip
    form = Form(**attributes)
    weights = _weights(result, q, k, bias, form)
    if of == VALUE:
        return np.asarray(np.matmul(_turn(weights), ct))
    of_weights = np.matmul(ct, _turn(v))
    of_scores = weights * (of_weights - (weights * of_weights).sum(axis=-1, keepdims=True))
    if of == BIAS:
        return np.asarray(np.broadcast_to(of_scores, static_shape(result.shape)))
    product = np.matmul(of_scores, k) if of == QUERY else np.matmul(_turn(of_scores), q)
    return np.asarray(product * q.dtype.type(form.scale))


# --- derivatives -----------------------------------------------------------------------------


def _vjp(ct: Any, r: Any, *operands: Any, position: int, **attributes: Any) -> Any:
    """Of the operand at `position`: dP = ct v^T, dS = P (dP - sum(P dP)) for the weights P, hence
    dq = dS k, dk = dS^T q, dv = P^T ct (Dao et al., FlashAttention, 2022, Appendix B)."""
    return attention_slope(ct, *operands, of=position, **attributes)


def _vjp_slope(
    u: Any, r: Any, ct: Any, q: Any, k: Any, v: Any, *bias: Any,
    of: int, position: int, **attributes: Any,
) -> Any:  # fmt: skip
    """Of ct (position 0), q, k, v or bias, where dq, dk, dv or dS has the cotangent u.

    (u, dv) is (V, P) with V = ct u^T; (u, dS) and, through it, dq and dk are (W, dS) with W = u,
    scale u k^T and scale q u^T. dS depends on P and dP.
    """
    operand = position - 1
    form = Form(**attributes)
    weights = weights_of(scores_of(q, k, bias, form))
    if of == VALUE:
        if position == 0:
            return _product(weights, u)
        return None if operand == VALUE else _through_scores(
            _of_scores(weights, _product(ct, turned(u))), q, k, operand, form
        )  # fmt: skip
    of_weights = _product(ct, turned(v))
    mean = _row_sum(weights * of_weights)
    of_slope = _of_slope(u, q, k, of, form)
    mean_slope = _row_sum(weights * of_slope)
    if position == 0:
        return _product(weights * (of_slope - mean_slope), v)
    if operand == VALUE:
        return _product(turned(weights * (of_slope - mean_slope)), ct)
    of_p = of_slope * of_weights - mean * of_slope - mean_slope * of_weights
    through = _through_scores(_of_scores(weights, of_p), q, k, operand, form)
    if (of, operand) == (KEY, QUERY):
        return through + _product(weights * (of_weights - mean), u) * form.scale
    if (of, operand) == (QUERY, KEY):
        return through + _product(turned(weights * (of_weights - mean)), u) * form.scale
    return through


def _of_slope(u: Any, q: Any, k: Any, of: int, form: Form) -> Any:
    """The cotangent of dS where u is that of what is made of it."""
    if of == BIAS:
        return u
    return (_product(u, turned(k)) if of == QUERY else _product(q, turned(u))) * form.scale


def _of_scores(weights: Any, of_weights: Any) -> Any:
    """The cotangent of the scores where `of_weights` is that of their softmax."""
    return weights * (of_weights - _row_sum(weights * of_weights))


def _through_scores(of_scores: Any, q: Any, k: Any, operand: int, form: Form) -> Any:
    if operand == BIAS:
        return of_scores
    if operand == QUERY:
        return _product(of_scores, k) * form.scale
    return _product(turned(of_scores), q) * form.scale


def _product(x: Any, y: Any) -> Any:
    return matmul(x, y, transpose_x=False, transpose_y=False)


def _row_sum(x: Any) -> Any:
    return sum_(x, axes=(len(x.shape) - 1,))


# softmax(q k^T * scale + bias) v; a row whose scores are all -inf gives zeros, as in torch 2.5 and
# later: the row of a query that is padding then hands no NaN on to others.
attention: Op = Op(
    "attention",
    arity=None,
    attributes=_ATTRIBUTES,
    infer=_infer,
    reference=_reference,
    vjp=[_vjp],
    lowering=Composite(expand_attention),
)

# The cotangent of operand `of` of an attention, before it is summed over axes that broadcast.
attention_slope: Op = Op(
    "attention_slope",
    arity=None,
    attributes={"of": COUNT, **_ATTRIBUTES},
    infer=_infer_slope,
    reference=_reference_slope,
    vjp=[_vjp_slope],
    lowering=Composite(expand_slope),
)

OPS = (attention, attention_slope)
