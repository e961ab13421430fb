"""Convolutions and poolings by loops over positions, in numpy: what layers are held to."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

Array = Any


def same(extents: Any, sizes: Any, strides: Any) -> list[tuple[int, int]]:
    """Zeros before and after each axis, so that there is a position for each step of the stride."""
    sides = []
    for extent, size, stride in zip(extents, sizes, strides, strict=True):
        total = max((-(-extent // stride) - 1) * stride + size - extent, 0)
        sides.append((total // 2, total - total // 2))
    return sides


def with_zeros(x: Array, sides: Any, value: float = 0.0) -> Array:
    return np.pad(x, [(0, 0), *sides, (0, 0)], constant_values=value)


def each_window(x: Array, sizes: Any, strides: Any, gaps: Any = None) -> Any:
    """(position, window) of x [batch, *spatial, channels]; a window is [batch, *size, channels]."""
    gaps = gaps or (1,) * len(sizes)
    counts = [
        range((n - (size - 1) * gap - 1) // stride + 1)
        for n, size, stride, gap in zip(x.shape[1:-1], sizes, strides, gaps, strict=True)
    ]
    for position in itertools.product(*counts):
        parts = zip(position, sizes, strides, gaps, strict=True)
        cut = [slice(p * s, p * s + (size - 1) * gap + 1, gap) for p, size, s, gap in parts]
        yield position, x[(slice(None), *cut)]


def of_windows(x: Array, sizes: Any, strides: Any, function: Any, gaps: Any = None) -> Array:
    """`function` of each window, [batch, *size, channels] -> [batch, results], where it stands."""
    found = {p: function(window) for p, window in each_window(x, sizes, strides, gaps)}
    shape = [max(p[axis] for p in found) + 1 for axis in range(len(sizes))]
    rows = np.stack(list(found.values()), 1)
    return rows.reshape(x.shape[0], *shape, rows.shape[-1])


def conv(x: Array, kernel: Array, strides: Any, gaps: Any = None, groups: int = 1) -> Array:
    channels, filters = x.shape[-1] // groups, kernel.shape[-1] // groups

    def of(window: Array) -> Array:
        rows = window.reshape(len(window), -1, groups, channels)
        columns = kernel.reshape(-1, channels, groups, filters)
        return np.einsum("nkgc,kcgf->ngf", rows, columns).reshape(len(window), -1)

    return of_windows(x, kernel.shape[:-2], strides, of, gaps)


def depthwise(x: Array, kernel: Array, strides: Any) -> Array:
    def of(window: Array) -> Array:
        rows = window.reshape(len(window), -1, window.shape[-1])
        columns = kernel.reshape(-1, *kernel.shape[-2:])
        return np.einsum("nkc,kcm->ncm", rows, columns).reshape(len(window), -1)

    return of_windows(x, kernel.shape[:-2], strides, of)


def transposed(x: Array, kernel: Array, strides: Any, extents: Any, before: Any) -> Array:
    """Each element of x adds the kernel times itself; `extents` of that from `before` on."""
    sizes = kernel.shape[:-2]
    far = [(n - 1) * s + size for n, s, size in zip(x.shape[1:-1], strides, sizes, strict=True)]
    whole = [max(a, b + e) for a, b, e in zip(far, before, extents, strict=True)]
    value = np.zeros((len(x), *whole, kernel.shape[-2]))
    for place in np.ndindex(*x.shape[1:-1]):
        parts = zip(place, strides, sizes, strict=True)
        cut = [slice(p * s, p * s + size) for p, s, size in parts]
        value[(slice(None), *cut)] += np.einsum("...fc,nc->n...f", kernel, x[(slice(None), *place)])
    return value[(slice(None), *(slice(b, b + e) for b, e in zip(before, extents, strict=True)))]


def to_last(x: Array) -> Array:
    return np.moveaxis(x, 1, -1)


def to_first(x: Array) -> Array:
    return np.moveaxis(x, -1, 1)


def spatial_axes(x: Array) -> tuple[int, ...]:
    return tuple(range(1, x.ndim - 1))


def greatest(window: Array) -> Array:
    return window.max(spatial_axes(window))


def mean(window: Array) -> Array:
    """Of what is no padding, which is NaN."""
    return np.nanmean(window, spatial_axes(window))


def adaptive(x: Array, sizes: Any, function: Any) -> Array:
    """`function` of windows that cover x, one axis after the other."""
    for axis, count in enumerate(sizes, 1):
        n = x.shape[axis]
        cuts = [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
        parts = [function(x.take(range(a, b), axis), axis) for a, b in cuts]
        x = np.stack(parts, axis)
    return x


def interpolated(x: Array, times: Any) -> Array:
    """Linearly between the centres of elements, and the last one's value beyond it."""
    for axis, each in enumerate(times, 1):
        n = x.shape[axis]
        at = (np.arange(n * each) + 0.5) / each - 0.5
        lines = np.moveaxis(x, axis, -1)
        found = [np.interp(at, np.arange(n), line) for line in lines.reshape(-1, n)]
        x = np.moveaxis(np.reshape(found, (*lines.shape[:-1], n * each)), -1, axis)
    return x
