"""Cases of attention and of its derivative: masks, rows masked whole, blocks, shared heads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.graph import Graph
from graphc.ir.ops.attention import attention, attention_slope
from graphc.ir.ops.attention_blocks import BIAS, KEY, QUERY, VALUE
from graphc.testing.cases import (
    BATCH,
    REVERSED,
    STEPPED,
    TRANSPOSED,
    Case,
    ErrorCase,
    Operand,
    case_name,
    fixed,
)

INF = math.inf
SCALE = 0.5
# Of a few keys and of second derivatives.
LENGTH = 64


def _weights(q: Any, k: Any, bias: Any, causal: bool) -> Any:
    """Row by row, by the textbook's sums."""
    scores = np.einsum("...nd,...md->...nm", q, k) * SCALE + bias
    weights = np.zeros(scores.shape)
    for place in np.ndindex(*scores.shape[:-1]):
        seen = scores.shape[-1] if not causal else min(place[-1] + 1, scores.shape[-1])
        row = scores[place][:seen]
        if seen and row.max() > -INF:
            e = [math.exp(each - row.max()) for each in row]
            weights[(*place, slice(seen))] = np.array(e) / math.fsum(e)
    return weights


def _attention(causal: bool) -> Any:
    def expect(q: Any, k: Any, v: Any, bias: Any = 0.0) -> Any:
        weights = _weights(q, k, bias, causal)
        return np.einsum("...nm,...md->...nd", weights, v)

    return expect


def _slope(of: int, causal: bool) -> Any:
    def expect(ct: Any, q: Any, k: Any, v: Any, bias: Any = 0.0) -> Any:
        weights = _weights(q, k, bias, causal)
        if of == VALUE:
            return np.einsum("...nm,...nd->...md", weights, ct)
        # The Jacobian of a row's softmax is diag(p) - p p^T.
        eye = np.eye(weights.shape[-1])
        jacobian = np.einsum("...m,ml->...ml", weights, eye)
        jacobian = jacobian - np.einsum("...m,...l->...ml", weights, weights)
        of_weights = np.einsum("...nd,...md->...nm", ct, v)
        of_scores = np.einsum("...nml,...nl->...nm", jacobian, of_weights)
        if of == BIAS:
            return of_scores
        if of == QUERY:
            return SCALE * np.einsum("...nm,...md->...nd", of_scores, k)
        return SCALE * np.einsum("...nm,...nd->...md", of_scores, q)

    return expect


# Leading axes of q, k, v and the bias (None: there is none); queries, keys, features of keys and of
# values; whether it is causal, and queries of a block.
_SHAPES: tuple[tuple[tuple[Any, ...], tuple[int, int, int, int], bool, int], ...] = (
    (((), (), (), None), (1, 1, 1, 1), False, 0),
    (((), (), (), None), (3, 5, 4, 2), True, 0),
    (((2, 3), (2, 3), (2, 3), None), (5, 4, 2, 3), True, 0),
    (((2, 1), (3,), (3,), (2, 3)), (2, 3, 2, 2), False, 0),
    (((2,), (2,), (2,), ()), (17, 16, 3, 2), False, 0),
    (((0,), (0,), (0,), None), (3, 3, 2, 2), False, 2),
    (((2,), (2,), (2,), ()), (0, 3, 2, 2), True, 2),
    (((2,), (2,), (2,), ()), (3, 0, 2, 2), False, 2),
    (((2,), (2,), (2,), None), (3, 3, 0, 2), False, 0),
    (((2,), (2,), (2,), None), (3, 3, 2, 0), True, 2),
    (((2,), (2,), (2,), None), (7, 7, 3, 2), True, 3),
    (((2, 2), (2, 1), (2, 1), (1,)), (4, 5, 2, 2), False, 2),
    (((), (), (), None), (2, 6, 2, 2), True, 1),
    (((), (), (), ()), (6, 2, 2, 2), True, 4),
)
_DERIVED = (1, 3, 7, 8, 10, 11, 12)


def _operands(leading: tuple[Any, ...], extents: tuple[int, ...]) -> tuple[Operand, ...]:
    n, m, d, e = extents
    inner = ((n, d), (m, d), (m, e), (n, m))
    return tuple(
        Operand((*axes, *last))
        for axes, last in zip(leading, inner, strict=True)
        if axes is not None
    )


def _attributes(causal: bool, block: int) -> dict[str, Any]:
    return {"causal": causal, "scale": SCALE, "block": block}


def _shape_cases() -> Iterator[Case]:
    for number, (leading, extents, causal, block) in enumerate(_SHAPES):
        batch = np.broadcast_shapes(*leading[:3])
        operands = _operands(leading, extents)
        name = case_name(batch, extents, "causal" if causal else "all", block)
        yield Case(
            "attention", name, operands, _attributes(causal, block), _attention(causal),
            reduction_length=LENGTH,
        )  # fmt: skip
        for of in range(len(operands)) if number in _DERIVED else ():
            ct = Operand((*batch, extents[0], extents[3]))
            yield Case(
                "attention_slope", f"{name}_of_{of}", (ct, *operands),
                {"of": of, **_attributes(causal, block)}, _slope(of, causal),
                reduction_length=LENGTH,
            )  # fmt: skip


def _special_cases() -> Iterator[Case]:
    """Rows masked whole, extreme scores, layouts, and open extents."""
    masked = Operand((3, 4), sample=fixed([-INF] * 4 + [0.5, -INF, 1.0, -INF] + [0.0] * 4))
    whole = tuple(Operand(shape) for shape in ((3, 2), (4, 2), (4, 2)))
    for block in (0, 2):
        yield Case(
            "attention", f"masked_{block}", (*whole, masked), _attributes(False, block),
            _attention(False), smooth=False, reduction_length=LENGTH,
        )  # fmt: skip
        yield Case(
            "attention_slope", f"masked_{block}", (Operand((3, 2)), *whole, masked),
            {"of": QUERY, **_attributes(False, block)}, _slope(QUERY, False), smooth=False,
            reduction_length=LENGTH,
        )  # fmt: skip
        far = Operand((3, 4), sample=fixed([1e4, 0, -1e4, 1e4, 3e38, 0, 0, 3e38, -3e38, 0, 0, 0]))
        ones = tuple(replace(each, sample=fixed([0.5, 1.0])) for each in whole)
        yield Case(
            "attention", f"far_{block}", (*ones, far), _attributes(False, block),
            _attention(False), gradient=False, reduction_length=LENGTH,
        )  # fmt: skip
        nan = Operand((3, 4), sample=fixed([math.nan] + 11 * [0.0]))
        yield Case(
            "attention", f"nan_{block}", (*whole, nan), _attributes(False, block), gradient=False,
            reduction_length=LENGTH,
        )  # fmt: skip
    for layout in (TRANSPOSED, STEPPED, REVERSED):
        operands = tuple(
            Operand(shape, layout=layout) for shape in ((2, 4, 3), (2, 5, 3), (2, 5, 2))
        )
        yield Case(
            "attention", layout.name, operands, _attributes(True, 2), _attention(True),
            reduction_length=LENGTH,
        )  # fmt: skip
    rows = tuple(Operand(("batch", "batch", 2)) for _ in range(3))
    yield Case(
        "attention", "open", rows, _attributes(True, 0), _attention(True), bindings=BATCH,
        reduction_length=LENGTH,
    )  # fmt: skip
    yield Case(
        "attention_slope", "open", (rows[0], *rows), {"of": KEY, **_attributes(True, 0)},
        _slope(KEY, True), bindings=BATCH, reduction_length=LENGTH,
    )  # fmt: skip


ATTENTION_CASES: tuple[Case, ...] = (*_shape_cases(), *_special_cases())


def _refused(name: str, shapes: tuple[Any, ...], error: type[Exception], match: str) -> ErrorCase:
    def build(graph: Graph) -> Any:
        operands = [graph.input("xyzuvw"[n], shape) for n, shape in enumerate(shapes)]
        return attention(*operands, causal=False, scale=1.0, block=0)

    return ErrorCase("attention", name, build, error, match)


def _slope_refused(name: str, ct: Any, of: int, match: str) -> ErrorCase:
    def build(graph: Graph) -> Any:
        operands = [graph.input(each, (3, 2)) for each in "xyz"]
        given = graph.input("ct", ct)
        return attention_slope(given, *operands, of=of, causal=False, scale=1.0, block=0)

    return ErrorCase("attention_slope", name, build, ShapeError, match)


def _of_integers(graph: Graph) -> Any:
    operands = [graph.input(each, (3, 2), "i32") for each in "xyz"]
    return attention(*operands, causal=False, scale=1.0, block=0)


def _of_a_negative_block(graph: Graph) -> Any:
    operands = [graph.input(each, (3, 2)) for each in "xyz"]
    return attention(*operands, causal=False, scale=1.0, block=-1)


ATTENTION_ERRORS: tuple[ErrorCase, ...] = (
    _refused("features", ((3, 2), (3, 4), (3, 2)), ShapeError, "2 features and keys of 4 differ"),
    _refused("keys", ((3, 2), (3, 2), (4, 2)), ShapeError, "3 keys for 4 values"),
    _refused("vectors", ((2,), (3, 2), (3, 2)), ShapeError, "matrices expected"),
    _refused("bias", ((3, 2), (4, 2), (4, 2), (4, 3)), ShapeError, "do not broadcast"),
    _refused("batch_of_bias", ((3, 2), (4, 2), (4, 2), (5, 3, 4)), ShapeError, "broadcasts to"),
    _refused("two_biases", ((3, 2),) * 3 + ((3, 3),) * 2, ShapeError, "one bias at most"),
    ErrorCase("attention", "integers", _of_integers, DTypeError, "f32 or all of f64"),
    ErrorCase("attention", "block", _of_a_negative_block, ShapeError, "queries of a block"),
    _slope_refused("cotangent", (3, 3), 0, "a cotangent"),
    _slope_refused("operand", (3, 2), 3, "the number of an operand"),
)
