"""A case for each layer with windows, and for those that reshape, pad and repeat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gc
from tests.declare.nn import window_formulas as formulas

FIRST = "channels_first"


@dataclass(frozen=True)
class Case:
    """A layer on x [2, *inner], and its formula of x and its values by their last names."""

    make: Callable[[], gc.nn.Layer]
    inner: tuple[int, ...]
    formula: Callable[..., Any]


def _bias() -> Any:
    return gc.init.uniform(-1, 1)


def _conv(strides: Any, sides: Any = None, gaps: Any = None, groups: int = 1) -> Any:
    def formula(x: Any, v: Any) -> Any:
        given = x if sides is None else formulas.with_zeros(x, sides)
        return formulas.conv(given, v["kernel"], strides, gaps, groups) + v["bias"]

    return formula


def _first(formula: Any) -> Any:
    return lambda x, v: formulas.to_first(formula(formulas.to_last(x), v))


def _separable(x: Any, v: Any) -> Any:
    hidden = formulas.depthwise(x, v["depthwise_kernel"], (1,) * (x.ndim - 2))
    return hidden @ v["pointwise_kernel"].reshape(hidden.shape[-1], -1) + v["bias"]


def _transposed(strides: Any, extents: Any, before: Any) -> Any:
    return lambda x, v: formulas.transposed(x, v["kernel"], strides, extents, before) + v["bias"]


def _pooled(
    sizes: Any, strides: Any, function: Any, sides: Any = None, value: Any = 0, gaps: Any = None
) -> Any:
    def formula(x: Any, v: Any) -> Any:
        given = x if sides is None else formulas.with_zeros(x, sides, value)
        return formulas.of_windows(given, sizes, strides, function, gaps)

    return formula


def _repeated(*times: int) -> Any:
    def formula(x: Any, v: Any) -> Any:
        for axis, each in enumerate(times, 1):
            x = x.repeat(each, axis)
        return x

    return formula


nn, inf, nan = gc.nn, np.inf, np.nan
CASES = {
    "Conv1D causal": Case(
        lambda: nn.Conv1D(4, 3, padding="causal", dilation_rate=2, bias_init=_bias()), (7, 3),
        _conv((1,), [(4, 0)], (2,)),
    ),
    "Conv2D": Case(
        lambda: nn.Conv2D(5, (3, 2), (2, 1), "same", activation="tanh", bias_init=_bias()),
        (6, 5, 3), lambda x, v: np.tanh(_conv((2, 1), [(0, 1), (0, 1)])(x, v)),
    ),
    "Conv2D in groups, channels first": Case(
        lambda: nn.Conv2D(4, 2, padding=1, data_format=FIRST, groups=2, bias_init=_bias()),
        (4, 3, 5), _first(_conv((1, 1), [(1, 1), (1, 1)], None, 2)),
    ),
    "Conv2D of single elements": Case(
        lambda: nn.Conv2D(3, 1, use_bias=False), (2, 3, 4), lambda x, v: x @ v["kernel"][0, 0]
    ),
    "Conv3D": Case(
        lambda: nn.Conv3D(2, 2, padding=((0, 1), (1, 0), (0, 0)), bias_init=_bias()), (2, 3, 2, 3),
        _conv((1, 1, 1), [(0, 1), (1, 0), (0, 0)]),
    ),
    "DepthwiseConv1D": Case(
        lambda: nn.DepthwiseConv1D(3, 2, depth_multiplier=2, bias_init=_bias()), (8, 3),
        lambda x, v: formulas.depthwise(x, v["kernel"], (2,)) + v["bias"],
    ),
    "DepthwiseConv2D": Case(
        lambda: nn.DepthwiseConv2D(2, use_bias=False), (3, 4, 17),
        lambda x, v: formulas.depthwise(x, v["kernel"], (1, 1)),
    ),
    "SeparableConv1D": Case(
        lambda: nn.SeparableConv1D(4, 3, bias_init=_bias()), (5, 3), _separable
    ),
    "SeparableConv2D": Case(
        lambda: nn.SeparableConv2D(3, 2, depth_multiplier=2, bias_init=_bias()), (3, 4, 2),
        _separable,
    ),
    "Conv1DTranspose": Case(
        lambda: nn.Conv1DTranspose(2, 3, 2, output_padding=1, bias_init=_bias()), (4, 3),
        _transposed((2,), (10,), (0,)),
    ),
    "Conv2DTranspose": Case(
        lambda: nn.Conv2DTranspose(3, 3, 2, "same", bias_init=_bias()), (2, 3, 4),
        _transposed((2, 2), (4, 6), (0, 0)),
    ),
    "Conv2DTranspose with wide strides": Case(
        lambda: nn.Conv2DTranspose(2, (2, 4), (3, 1), 1, bias_init=_bias()), (3, 4, 2),
        _transposed((3, 1), (6, 5), (1, 1)),
    ),
    "Conv2DTranspose in groups, channels first": Case(
        lambda: nn.Conv2DTranspose(6, (3, 2), 2, groups=2, data_format=FIRST, bias_init=_bias()),
        (4, 2, 3),
        _first(
            lambda x, v: np.concatenate([
                formulas.transposed(x[..., cut], v["kernel"][..., cut], (2, 2), (5, 6), (0, 0))
                for cut in (slice(0, 2), slice(2, 4))
            ], -1) + v["bias"]
        ),
    ),
    "Conv3DTranspose": Case(
        lambda: nn.Conv3DTranspose(2, 2, bias_init=_bias()), (2, 1, 2, 3),
        _transposed((1, 1, 1), (3, 2, 3), (0, 0, 0)),
    ),
    "MaxPool1D": Case(
        lambda: nn.MaxPool1D(3, 1, "same"), (5, 3),
        _pooled((3,), (1,), formulas.greatest, [(1, 1)], -inf),
    ),
    "MaxPool2D": Case(
        lambda: nn.MaxPool2D(), (5, 4, 3), _pooled((2, 2), (2, 2), formulas.greatest)
    ),
    "MaxPool2D that overlaps, channels first": Case(
        lambda: nn.MaxPool2D(3, 2, 1, FIRST), (3, 5, 4),
        _first(_pooled((3, 3), (2, 2), formulas.greatest, [(1, 1), (1, 1)], -inf)),
    ),
    "MaxPool2D of scattered elements": Case(
        lambda: nn.MaxPool2D((3, 2), 1, ((2, 1), (0, 0)), dilation=(2, 3)), (4, 5, 2),
        _pooled((3, 2), (1, 1), formulas.greatest, [(2, 1), (0, 0)], -inf, (2, 3)),
    ),
    "MaxPool3D": Case(
        lambda: nn.MaxPool3D(2, 1), (2, 3, 2, 2), _pooled((2,) * 3, (1,) * 3, formulas.greatest)
    ),
    "AveragePooling1D": Case(
        lambda: nn.AveragePooling1D(3, 2, "same"), (6, 2),
        _pooled((3,), (2,), formulas.mean, [(0, 1)], nan),
    ),
    "AveragePooling2D": Case(
        lambda: nn.AveragePooling2D(2, 1, 1), (3, 4, 2),
        _pooled((2, 2), (1, 1), formulas.mean, [(1, 1), (1, 1)], nan),
    ),
    "AveragePooling2D, one axis padded": Case(
        lambda: nn.AveragePooling2D((2, 3), 1, (0, 1)), (3, 4, 2),
        _pooled((2, 3), (1, 1), formulas.mean, [(0, 0), (1, 1)], nan),
    ),
    "AveragePooling3D": Case(
        lambda: nn.AveragePooling3D(), (2, 4, 2, 3), _pooled((2,) * 3, (2,) * 3, formulas.mean)
    ),
    "GlobalMaxPool1D": Case(lambda: nn.GlobalMaxPool1D(), (5, 3), lambda x, v: x.max(1)),
    "GlobalMaxPool2D": Case(
        lambda: nn.GlobalMaxPool2D(FIRST, keepdims=True), (3, 2, 4),
        lambda x, v: x.max((2, 3), keepdims=True),
    ),
    "GlobalMaxPool3D": Case(
        lambda: nn.GlobalMaxPool3D(), (2, 3, 2, 2), lambda x, v: x.max((1, 2, 3))
    ),
    "GlobalAveragePooling1D": Case(
        lambda: nn.GlobalAveragePooling1D(), (5, 3), lambda x, v: x.mean(1)
    ),
    "GlobalAveragePooling2D": Case(
        lambda: nn.GlobalAveragePooling2D(), (3, 2, 4), lambda x, v: x.mean((1, 2))
    ),
    "GlobalAveragePooling3D": Case(
        lambda: nn.GlobalAveragePooling3D(), (2, 3, 2, 2), lambda x, v: x.mean((1, 2, 3))
    ),
    "AdaptiveAveragePooling1D": Case(
        lambda: nn.AdaptiveAveragePooling1D(3), (7, 2),
        lambda x, v: formulas.adaptive(x, (3,), np.mean),
    ),
    "AdaptiveAveragePooling2D": Case(
        lambda: nn.AdaptiveAveragePooling2D((2, 3)), (4, 5, 2),
        lambda x, v: formulas.adaptive(x, (2, 3), np.mean),
    ),
    "AdaptiveAveragePooling3D": Case(
        lambda: nn.AdaptiveAveragePooling3D(2), (3, 2, 4, 1),
        lambda x, v: formulas.adaptive(x, (2, 2, 2), np.mean),
    ),
    "AdaptiveMaxPooling1D": Case(
        lambda: nn.AdaptiveMaxPooling1D(4), (6, 2), lambda x, v: formulas.adaptive(x, (4,), np.max)
    ),
    "AdaptiveMaxPooling2D": Case(
        lambda: nn.AdaptiveMaxPooling2D(2), (5, 2, 3),
        lambda x, v: formulas.adaptive(x, (2, 2), np.max),
    ),
    "AdaptiveMaxPooling3D": Case(
        lambda: nn.AdaptiveMaxPooling3D((1, 2, 2)), (2, 3, 2, 1),
        lambda x, v: formulas.adaptive(x, (1, 2, 2), np.max),
    ),
    "ZeroPadding1D": Case(
        lambda: nn.ZeroPadding1D((2, 1)), (3, 2), lambda x, v: formulas.with_zeros(x, [(2, 1)])
    ),
    "ZeroPadding2D": Case(
        lambda: nn.ZeroPadding2D(((1, 0), (2, 1))), (3, 2, 2),
        lambda x, v: formulas.with_zeros(x, [(1, 0), (2, 1)]),
    ),
    "ZeroPadding3D": Case(
        lambda: nn.ZeroPadding3D((1, 0, 2)), (2, 2, 1, 2),
        lambda x, v: formulas.with_zeros(x, [(1, 1), (0, 0), (2, 2)]),
    ),
    "UpSampling1D": Case(lambda: nn.UpSampling1D(3), (4, 2), _repeated(3)),
    "UpSampling2D": Case(lambda: nn.UpSampling2D((2, 3)), (2, 3, 2), _repeated(2, 3)),
    "UpSampling2D by interpolation": Case(
        lambda: nn.UpSampling2D((2, 3), interpolation="bilinear"), (2, 3, 2),
        lambda x, v: formulas.interpolated(x, (2, 3)),
    ),
    "UpSampling2D by interpolation, channels first": Case(
        lambda: nn.UpSampling2D(2, FIRST, "bilinear"), (2, 3, 1),
        _first(lambda x, v: formulas.interpolated(x, (2, 2))),
    ),
    "UpSampling3D": Case(lambda: nn.UpSampling3D(), (2, 1, 2, 2), _repeated(2, 2, 2)),
    "Reshape": Case(
        lambda: nn.Reshape((2, -1)), (3, 4), lambda x, v: x.reshape(len(x), 2, 6)
    ),
    "Permute": Case(
        lambda: nn.Permute((3, 1, 2)), (2, 3, 4), lambda x, v: x.transpose(0, 3, 1, 2)
    ),
}  # fmt: skip
