"""Losses and logsumexp at infinite scores: values and gradients, in every mode and dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.types import DType, f32, f64

INF, NAN = np.inf, np.nan
Build = Callable[..., gc.Node]

MODES: tuple[dict[str, Any], ...] = ({"mode": "reference"}, {"fuse": False}, {})


LOW, HIGH, HALF = [-INF, -INF], [INF, 0.0], [-INF, 2.0]

# name: loss, inputs, its value, the gradient by the first input
CASES: dict[str, tuple[Build, dict[str, Any], float, Any]] = {
    "pick of a zero": (
        lambda p, t: -gc.sum(gc.log(gc.pick(p, t))),
        {"p": [[0.0, 0.5, 0.5]], "t": [0]}, INF, [[-INF, 0, 0]],
    ),
    "gather of a zero": (
        lambda p, t: -gc.sum(gc.log(gc.gather(p, t, 0))),
        {"p": [[0.0, 0.5], [0.5, 1.0]], "t": [0, 1]}, INF, [[-INF, 0], [0, -1]],
    ),
    "take of a zero": (
        lambda p, t: -gc.sum(gc.log(gc.take(p, t))),
        {"p": [0.0, 0.5, 0.5], "t": [0]}, INF, [-INF, 0, 0],
    ),
    "root of a greatest zero": (
        lambda x: gc.sqrt(gc.max(x)), {"x": [0.0, -1.0]}, 0, [INF, 0],
    ),
    "root of maxout": (
        lambda x: gc.sum(gc.sqrt(gc.maxout(x, 2))), {"x": [0.0, -1.0, 4.0, 1.0]},
        2, [INF, 0, 0.25, 0],
    ),
    "logsumexp": (
        lambda x: gc.logsumexp(x), {"x": [-INF, 1.0, 1.0]}, 1 + np.log(2), [0, 0.5, 0.5],
    ),
    "logsumexp of low": (lambda x: gc.logsumexp(x), {"x": LOW}, -INF, [0, 0]),
    "logsumexp of high": (lambda x: gc.logsumexp(x), {"x": HIGH}, INF, [1, 0]),
    "written logsumexp of low": (lambda x: gc.log(gc.sum(gc.exp(x))), {"x": LOW}, -INF, [0, 0]),
    "written logsumexp of high": (lambda x: gc.log(gc.sum(gc.exp(x))), {"x": HIGH}, INF, [1, 0]),
    "written logsumexp of rows": (
        lambda x: gc.log(gc.sum(gc.exp(x))), {"x": [LOW, HALF]}, 2, [[0, 0], [0, 1]],
    ),
    "two high": (lambda x: gc.logsumexp(x), {"x": [INF, 0, INF]}, INF, [0.5, 0, 0.5]),
    "soft labels": (
        lambda x, t: gc.losses.softmax_cross_entropy(x, t),
        {"x": [[-INF, 0.0]], "t": [[0.0, 1.0]]}, 0, [[0, 0]],
    ),
    "soft labels of three": (
        lambda x, t: gc.losses.softmax_cross_entropy(x, t, "sum"),
        {"x": [[-INF, 1.0, 1.0]], "t": [[0.0, 0.5, 0.5]]}, np.log(2), [[0, 0, 0]],
    ),
    "labels": (
        lambda x, t: gc.losses.softmax_cross_entropy(x, t),
        {"x": [[-INF, 0.0]], "t": [1]}, 0, [[0, 0]],
    ),
    "sigmoid": (
        lambda x, t: gc.losses.sigmoid_cross_entropy(x, t, "sum"),
        {"x": [INF, -INF, 0.0], "t": [1.0, 0.0, 0.5]}, np.log(2), [0, 0, 0],
    ),
    "sigmoid and wrong": (
        lambda x, t: gc.losses.sigmoid_cross_entropy(x, t, "sum"),
        {"x": [INF, -INF], "t": [0.0, 1.0]}, INF, [1, -1],
    ),
    "hinge": (
        lambda x, t: gc.losses.multiclass_hinge(x, t),
        {"x": [[-INF, 0.0, 0.5]], "t": [1]}, 1.5, [[0, -1, 1]],
    ),
    "absolute error": (
        lambda x, t: gc.losses.mean_absolute_error(x, t, "sum"),
        {"x": [1.0, INF, -2.0], "t": [1.0, 0.0, 0.0]}, INF, [0, 1, -1],
    ),
    "huber": (
        lambda x, t: gc.losses.huber(x, t, 1.0, "sum"),
        {"x": [0.0, 1.0, -INF, 0.5], "t": [0.0] * 4}, INF, [0, 1, -1, 0.5],
    ),
    "log_cosh": (
        lambda x, t: gc.losses.log_cosh(x, t, "sum"),
        {"x": [0.0, INF, -100.0], "t": [0.0] * 3}, INF, [0, 1, -1],
    ),
    "weighted sigmoid": (
        lambda x, t: gc.losses.sigmoid_cross_entropy(x, t, "sum", pos_weight=2.0),
        {"x": [INF, -INF, 0.0], "t": [1.0, 0.0, 1.0]}, 2 * np.log(2), [0, 0, -1],
    ),
    "weighted sigmoid and wrong": (
        lambda x, t: gc.losses.sigmoid_cross_entropy(x, t, "sum", pos_weight=2.0),
        {"x": [INF, -INF], "t": [0.0, 1.0]}, INF, [1, -2],
    ),
    "weightless sigmoid": (
        lambda x, t: gc.losses.sigmoid_cross_entropy(x, t, "sum", pos_weight=0.0),
        {"x": [-INF, 1.0], "t": [1.0, 1.0]}, 0, [0, 0],
    ),
    "focal sigmoid": (
        lambda x, t: gc.losses.sigmoid_focal_cross_entropy(x, t, 0.5, reduction="sum"),
        {"x": [INF, -INF, 2000.0, -2000.0], "t": [1.0, 0.0, 1.0, 0.0]}, 0, [0, 0, 0, 0],
    ),
    "focal sigmoid and wrong": (
        lambda x, t: gc.losses.sigmoid_focal_cross_entropy(x, t, reduction="sum"),
        {"x": [INF, -INF], "t": [0.0, 1.0]}, INF, [1, -1],
    ),
    "focal sigmoid without weight": (
        lambda x, t: gc.losses.sigmoid_focal_cross_entropy(x, t, alpha=1.0, reduction="sum"),
        {"x": [INF, -INF], "t": [0.0, 0.0]}, 0, [0, 0],
    ),
    "focal sigmoid of weights": (
        lambda x, t: gc.losses.sigmoid_focal_cross_entropy(x, t, alpha=0.0, reduction="sum"),
        {"x": [-INF, INF], "t": [1.0, 0.0]}, INF, [0, 1],
    ),
    "focal softmax": (
        lambda x, t: gc.losses.softmax_focal_cross_entropy(x, t),
        {"x": [[-INF, 0.0]], "t": [1]}, 0, [[0, 0]],
    ),
    "focal softmax and wrong": (
        lambda x, t: gc.losses.softmax_focal_cross_entropy(x, t),
        {"x": [[-INF, 0.0]], "t": [0]}, INF, [[-1, 1]],
    ),
    "focal softmax of soft labels": (
        lambda x, t: gc.losses.softmax_focal_cross_entropy(x, t, 0.5),
        {"x": [[-INF, 0.0]], "t": [[0.0, 1.0]]}, 0, [[0, 0]],
    ),
    "ignored": (
        lambda x, t: gc.losses.softmax_cross_entropy(x, t, ignore_index=-1),
        {"x": [[-INF, 0.0], [INF, INF]], "t": [1, -1]}, 0, [[0, 0], [0, 0]],
    ),
    "all ignored": (
        lambda x, t: gc.losses.softmax_cross_entropy(x, t, ignore_index=-1),
        {"x": [[1.0, 0.0]], "t": [-1]}, 0, [[0, 0]],
    ),
    "a class without weight": (
        lambda x, t: gc.losses.softmax_cross_entropy(x, t, class_weight={0: 0.0}),
        {"x": [[-INF, 0.0]], "t": [0]}, 0, [[0, 0]],
    ),
    "likelihood without weight": (
        lambda x, t: gc.losses.negative_log_likelihood(x, t, class_weight=[0.0, 1.0]),
        {"x": [[-INF, 0.0]], "t": [0]}, 0, [[0, 0]],
    ),
    "divergence": (
        lambda x, t: gc.losses.kl_divergence(x, t),
        {"x": [[-INF, 0.0]], "t": [[0.0, 1.0]]}, 0, [[0, -1]],
    ),
    "divergence of logarithms": (
        lambda x, t: gc.losses.kl_divergence(x, t, log_target=True),
        {"x": [[-INF, 0.0]], "t": [[-INF, 0.0]]}, 0, [[0, -1]],
    ),
    "divergence by logarithms": (
        lambda t, x: gc.losses.kl_divergence(x, t, log_target=True),
        {"t": [[-INF, 0.0]], "x": [[-INF, 0.0]]}, 0, [[0, 1]],
    ),
    "divergence by the targets": (
        lambda t, x: gc.losses.kl_divergence(x, t),
        {"t": [[0.0, 1.0]], "x": [[0.0, 0.0]]}, 0, [[0, 1]],
    ),
    "hinge of one score": (
        lambda x, t: gc.losses.hinge(x, t, "sum"),
        {"x": [INF, -INF, 1.0, -2.0], "t": [1.0, 1.0, 1.0, -1.0]}, INF, [0, -1, 0, 0],
    ),
    "binary hinge": (
        lambda x, t: gc.losses.binary_hinge(x, t, "sum"),
        {"x": [INF, -1.0, 0.5], "t": [1.0, 0.0, 0.0]}, 1.5, [0, 0, 1],
    ),
    "counts": (
        lambda x, t: gc.losses.poisson_nll(x, t, reduction="sum"),
        {"x": [-INF, 0.0], "t": [0.0, 2.0]}, 1, [0, -1],
    ),
    "counts of nothing": (
        lambda x, t: gc.losses.poisson_nll(x, t, reduction="sum"),
        {"x": [-INF], "t": [1.0]}, INF, [-1],
    ),
    "counts of rates": (
        lambda x, t: gc.losses.poisson_nll(x, t, False, epsilon=0.0),
        {"x": [0.0], "t": [0.0]}, 0, [1],
    ),
    "a small variance": (
        lambda v, x, t: gc.losses.gaussian_nll(x, t, v, epsilon=1.0, reduction="sum"),
        {"v": [0.5, 2.0], "x": [1.0, 2.0], "t": [0.0, 0.0]}, 1.5 + np.log(2) / 2, [0, -0.25],
    ),
    "equal vectors": (
        lambda a, b, c: gc.losses.triplet_margin(a, b, c, epsilon=0.0),
        {"a": [[1.0, 2.0]], "b": [[1.0, 2.0]], "c": [[1.0, 2.0]]}, 1, [[0, 0]],
    ),
    "signs of a vector": (
        lambda a, b, t: gc.losses.cosine_embedding(a, b, t),
        {"a": [[0.0, 2.0]], "b": [[0.0, -1.0]], "t": [-1.0]}, 0, [[0, 0]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("options", MODES, ids=str)
@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
def test_values_and_gradients(dtype: DType, options: dict[str, Any]) -> None:
    """All cases in one program."""
    graph = gc.Graph()
    inputs, given, outputs = [], [], {}
    for name, (build, arrays, *_) in CASES.items():
        operands = []
        for letter, array in arrays.items():
            is_float = np.asarray(array).dtype.kind == "f"
            given.append(np.asarray(array, dtype.numpy if is_float else "i4"))
            operands.append(
                graph.input(f"{name} {letter}", given[-1].shape, dtype if is_float else "i32")
            )
        inputs += operands
        value = build(*operands)
        outputs[name] = value
        outputs[f"d {name}"] = gc.grad(value, operands[0])
    results = gc.function(inputs, outputs, **options)(*given)
    rtol = 4 * float(np.finfo(dtype.numpy).eps)
    for name, (_, _, value, slope) in CASES.items():
        np.testing.assert_allclose(results[name], value, rtol=rtol, err_msg=name)
        np.testing.assert_allclose(results[f"d {name}"], slope, rtol=rtol, atol=rtol, err_msg=name)
