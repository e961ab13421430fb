"""Casts of floats beyond the integers: the nearest integer, NaN 0, the same however computed."""

from __future__ import annotations

import math

import numpy as np
import pytest

import graphc as gc
from graphc.ir.types import DTYPES
from graphc.kernels.mathematics.arithmetic import primitives

LIMITS = {name: np.iinfo(DTYPES[name].numpy) for name in ("i32", "i64", "u8")}


def _samples(source: str) -> np.ndarray:
    """Around each limit, and special values, in more than a vector."""
    dtype = DTYPES[source].numpy.type
    given = [0.0, -0.0, 0.9, -0.9, 1.5, -1.5, 255.9, 1e10, -1e10, 1e30, -1e30]
    given += [math.inf, -math.inf, math.nan, float(np.finfo(dtype).max)]
    for limit in (*LIMITS.values(),):
        for edge in (dtype(limit.min), dtype(limit.max)):
            given += [edge, np.nextafter(edge, dtype(np.inf)), np.nextafter(edge, -dtype(np.inf))]
    return np.array(given * 3, dtype)


def _expected(value: float, limits: np.iinfo) -> int:
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return limits.max if value > 0 else limits.min
    return min(max(int(value), limits.min), limits.max)


@pytest.mark.parametrize("source", ["f32", "f64"])
def test_floats_beyond_the_integers_become_their_limits(source: str) -> None:
    values = _samples(source)
    graph = gc.Graph()
    x = graph.input("x", values.shape, source)
    outputs = {name: gc.cast(x, name) for name in (*LIMITS, "bool")}
    # Inside a longer expression, and folded.
    outputs |= {f"{name}+": gc.cast(gc.cast(x * 1, name), "f64") for name in LIMITS}
    folded = {f"{name}=": gc.cast(graph.constant(values, source), name) for name in LIMITS}
    for options in ({"mode": "reference"}, {}, {"fuse": False}):
        found = gc.function([x], {**outputs, **folded}, **options)(values)
        for name, limits in LIMITS.items():
            expected = [_expected(float(value), limits) for value in values]
            assert found[name].tolist() == found[f"{name}="].tolist() == expected
            assert found[f"{name}+"].tolist() == [float(each) for each in expected]
        assert found["bool"].tolist() == [bool(value) for value in values]


def test_integers_keep_the_bits_that_fit() -> None:
    values = np.array([-(2**40) - 3, 2**31, 300, -1, 7], np.int64)
    graph = gc.Graph()
    x = graph.input("x", values.shape, "i64")
    for options in ({"mode": "reference"}, {}):
        for name in ("i32", "u8"):
            found = gc.function([x], gc.cast(x, name), **options)(values)
            assert found.tolist() == values.astype(DTYPES[name].numpy).tolist()


@pytest.mark.parametrize("name", LIMITS)
def test_the_primitive_means_the_same(name: str) -> None:
    values = _samples("f64")
    cast = primitives.cast_to(DTYPES[name])
    assert cast(values).tolist() == [_expected(float(value), LIMITS[name]) for value in values]
