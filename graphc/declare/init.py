"""Initialisers: frozen callables (generator, shape, dtype) -> array.

The fans of a shape are those of a product x @ kernel: (inputs, units) has fan_in = inputs and
fan_out = units; further axes at the front, (*window, inputs, units), multiply both, as for a
convolution kernel. A vector has fan_in = fan_out = its length, a scalar 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from graphc.declare.hyperparameters import check_number
from graphc.errors import DTypeError, ShapeError
from graphc.ir.arguments.given import as_array, as_number, is_one_of, shown
from graphc.ir.graph import check_fits
from graphc.ir.types import DType, Shape

__all__ = [
    "Initializer",
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "uniform",
    "zeros",
]

Array = np.ndarray[Any, np.dtype[Any]]
Extents = tuple[int, ...]


class Initializer(Protocol):
    """What makes a variable's first value of `shape` and `dtype`."""

    def __call__(self, rng: np.random.Generator, shape: Extents, dtype: DType) -> Array: ...


def fans(shape: Extents) -> tuple[int, int]:
    """fan_in and fan_out of a kernel of `shape`, as the module describes."""
    if len(shape) < 2:
        extent = shape[0] if shape else 1
        return extent, extent
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


@dataclass(frozen=True)
class Constant:
    """Every element is `value`."""

    value: float

    def __post_init__(self) -> None:
        if not isinstance(self.value, bool):
            as_number(self.value)

    def __call__(self, rng: np.random.Generator, shape: Extents, dtype: DType) -> Array:
        return np.full(shape, self.value, dtype.numpy)

    def check(self, shape: Shape, dtype: DType) -> None:
        """Raises DTypeError unless the value is one of `dtype`."""
        _check_holds(as_array(self.value), dtype)


@dataclass(frozen=True)
class RandomKey:
    """Whole numbers from 0 to 2^62, so that a key that steps count on from never overflows."""

    def __call__(self, rng: np.random.Generator, shape: Extents, dtype: DType) -> Array:
        return rng.integers(2**62, size=shape, dtype=dtype.numpy)


@dataclass(frozen=True, eq=False)
class Given:
    """The elements of `array`. Raises ShapeError when asked for another shape."""

    array: Array

    def __call__(self, rng: np.random.Generator, shape: Extents, dtype: DType) -> Array:
        if self.array.shape != shape:
            raise ShapeError(f"an initial value of shape {self.array.shape}, not {shape}")
        return np.array(self.array, dtype.numpy)

    def check(self, shape: Shape, dtype: DType) -> None:
        """Raises ShapeError for another shape, DTypeError for an element of no such dtype."""
        if self.array.shape != shape:
            raise ShapeError(f"an initial value of shape {self.array.shape}, not {shape}")
        _check_holds(self.array, dtype)


def _check_holds(array: Array, dtype: DType) -> None:
    """Raises DTypeError unless each element is a value of `dtype`, to which floats are rounded."""
    if array.dtype.kind == "f" and dtype.is_integer:
        limits = np.iinfo(dtype.numpy)
        is_held = (np.trunc(array) == array) & (array >= limits.min) & (array < limits.max + 1.0)
    elif dtype.is_bool:
        is_held = (array == 0) | (array == 1)
    else:
        check_fits(array, dtype)
        return
    if not is_held.all():
        raise DTypeError(f"{array[~is_held].flat[0]} is no value of {dtype}")


@dataclass(frozen=True)
class Uniform:
    """Uniform on [low, high)."""

    low: float
    high: float

    def __post_init__(self) -> None:
        check_number("low", self.low)
        check_number("high", self.high, least=self.low)

    def __call__(self, rng: np.random.Generator, shape: Extents, dtype: DType) -> Array:
        return np.asarray(rng.uniform(self.low, self.high, shape), dtype.numpy)


@dataclass(frozen=True)
class Normal:
    """Normal of the given mean and standard deviation."""

    mean: float
    deviation: float

    def __post_init__(self) -> None:
        check_number("mean", self.mean)
        check_number("deviation", self.deviation, least=0)

    def __call__(self, rng: np.random.Generator, shape: Extents, dtype: DType) -> Array:
        return np.asarray(rng.normal(self.mean, self.deviation, shape), dtype.numpy)


@dataclass(frozen=True)
class VarianceScaling:
    """Mean 0 and variance gain / fan, where the fan is "in", "out" or their "average".

    `distribution` is "normal", or "uniform" on +-sqrt(3 * variance).
    """

    gain: float
    fan: str
    distribution: str

    def __post_init__(self) -> None:
        check_number("gain", self.gain, least=0)
        if not is_one_of(self.fan, ("in", "out", "average")):
            raise ValueError(f"a fan of 'in', 'out' or 'average' expected, not {shown(self.fan)}")
        if not is_one_of(self.distribution, ("normal", "uniform")):
            raise ValueError(f"'normal' or 'uniform' expected, not {shown(self.distribution)}")

    def __call__(self, rng: np.random.Generator, shape: Extents, dtype: DType) -> Array:
        fan_in, fan_out = fans(shape)
        fan = {"in": fan_in, "out": fan_out, "average": (fan_in + fan_out) / 2}[self.fan]
        deviation = math.sqrt(self.gain / max(fan, 1))
        if self.distribution == "normal":
            return Normal(0.0, deviation)(rng, shape, dtype)
        limit = math.sqrt(3) * deviation
        return Uniform(-limit, limit)(rng, shape, dtype)


@dataclass(frozen=True)
class Orthogonal:
    """`gain` times a matrix with orthonormal rows or columns, whichever are fewer.

    Axes before the last are taken together as rows. Source: Saxe, McClelland and Ganguli, Exact
    solutions to the nonlinear dynamics of learning, 2014. Raises ShapeError below rank 2.
    """

    gain: float

    def __post_init__(self) -> None:
        check_number("gain", self.gain)

    def __call__(self, rng: np.random.Generator, shape: Extents, dtype: DType) -> Array:
        if len(shape) < 2:
            raise ShapeError(f"orthogonal: a matrix expected, not {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        gaussian = rng.normal(size=(max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(gaussian)
        # The signs of R's diagonal make the distribution uniform over orthogonal matrices.
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        matrix = q if rows >= columns else q.T
        return np.asarray(self.gain * matrix.reshape(shape), dtype.numpy)


zeros = Constant(0.0)
ones = Constant(1.0)


def constant(value: float) -> Initializer:
    """Every element is `value`. Raises TypeError for what is no number.

    bias = graph.parameter("bias", (4,), gc.init.constant(0.1))
    """
    return Constant(value)


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Uniform on [low, high). Raises ValueError for bounds that are not finite or in order.

    kernel = graph.parameter("kernel", (3, 4), gc.init.uniform(-0.1, 0.1))
    """
    return Uniform(low, high)


def normal(mean: float = 0.0, deviation: float = 0.05) -> Initializer:
    """Normal of the given mean and standard deviation. Raises ValueError for a deviation below 0
    and for what is not finite.

        kernel = graph.parameter("kernel", (3, 4), gc.init.normal(0.0, 0.1))
    """
    return Normal(mean, deviation)


def orthogonal(gain: float = 1.0) -> Initializer:
    """`gain` times a matrix with orthonormal rows or columns, whichever are fewer. Raises
    ValueError for a gain that is not finite; its use for a vector raises ShapeError.

        kernel = graph.parameter("kernel", (4, 4), gc.init.orthogonal())
    """
    return Orthogonal(gain)


# Glorot and Bengio, Understanding the difficulty of training deep feedforward networks, 2010.
glorot_uniform = VarianceScaling(1.0, "average", "uniform")
glorot_normal = VarianceScaling(1.0, "average", "normal")
# He et al., Delving deep into rectifiers, 2015; the gain 2 is that of relu.
he_uniform = VarianceScaling(2.0, "in", "uniform")
he_normal = VarianceScaling(2.0, "in", "normal")
kaiming_uniform = he_uniform
kaiming_normal = he_normal
# LeCun et al., Efficient BackProp, 1998.
lecun_uniform = VarianceScaling(1.0, "in", "uniform")
lecun_normal = VarianceScaling(1.0, "in", "normal")


def as_initializer(value: object) -> Initializer:
    """`value` itself when it is callable; a number or an array as the initial value.

    Raises TypeError for anything else, masked arrays too.
    """
    if callable(value):
        return value
    if isinstance(value, np.ndarray | np.generic) and value.ndim == 0:
        return Constant(as_array(value).item())
    if isinstance(value, bool | int | float):
        return Constant(value)
    if isinstance(value, np.ndarray | list | tuple):
        return Given(np.array(as_array(value)))
    raise TypeError(f"an initialiser, a number or an array expected, not {shown(value)}")
