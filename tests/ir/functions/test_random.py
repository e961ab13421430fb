"""How random the numbers of keys and counters are, and how the checks fail on numbers that are not.

Each check gives a statistic in units of its standard deviation over random numbers. The samples
are fixed, so a check passes or fails for good; one in a million random samples exceeds the bound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphc.ir.nodes.op import Array
from graphc.ir.ops.random import bits_i32, bits_i64, fraction

SIZE = 2**18
DEVIATIONS = 5.0
BUCKETS = 256
KEY = 0x0FEDCBA987654321
# Neighbours, vectors and rows of common layers; blocks that share all but one bit of the counter.
LAGS = (1, 2, 3, 16, 64, 256, 784, 1000, 2**16)
# The next steps of a stream, and keys that differ in one bit.
KEYS = (KEY + 1, KEY + 2, KEY + 1000, KEY ^ 1 << 31, KEY ^ 1 << 32, KEY ^ 1 << 61, 0, 1)

Generator = Callable[[Array, Array], Array]
COUNTER = np.arange(SIZE, dtype=np.int32)


def uniform(generator: Generator, key: int) -> Array:
    return fraction(generator(np.array(key), COUNTER)).astype(np.float64)


def moments(generator: Generator) -> list[float]:
    """Mean and variance, 1/2 and 1/12; their variances over n numbers are 1/12n and 1/180n."""
    values = uniform(generator, KEY)
    mean = (values.mean() - 1 / 2) / np.sqrt(1 / 12 / SIZE)
    variance = (np.square(values - 1 / 2).mean() - 1 / 12) / np.sqrt(1 / 180 / SIZE)
    return [mean, variance]


def buckets(generator: Generator) -> list[float]:
    """Chi squared of n equal buckets has the mean n - 1 and the variance 2(n - 1)."""
    counts = np.histogram(uniform(generator, KEY), BUCKETS, (0.0, 1.0))[0]
    chi_squared = np.square(counts - SIZE / BUCKETS).sum() / (SIZE / BUCKETS)
    return [(chi_squared - (BUCKETS - 1)) / np.sqrt(2 * (BUCKETS - 1))]


def single_bits(generator: Generator) -> list[float]:
    """Each bit is 1 in half of the numbers, and agrees with its next in half; variance n/4."""
    bits = generator(np.array(KEY), COUNTER)
    width = 8 * bits.itemsize
    ones = [int(np.count_nonzero(bits >> bit & 1)) for bit in range(width)]
    same = [int(np.count_nonzero((bits ^ bits >> 1) >> bit & 1)) for bit in range(width - 1)]
    return [(count - SIZE / 2) / np.sqrt(SIZE / 4) for count in (*ones, *same)]


def serial(generator: Generator) -> list[float]:
    """Numbers at a distance do not go together; a correlation of n numbers has variance 1/n."""
    values = uniform(generator, KEY) - 1 / 2
    return [_correlation(values[:-lag], values[lag:]) for lag in LAGS]


def streams(generator: Generator) -> list[float]:
    """Numbers of two keys at the same place do not go together."""
    values = uniform(generator, KEY) - 1 / 2
    return [_correlation(values, uniform(generator, key) - 1 / 2) for key in KEYS]


def _correlation(x: Array, y: Array) -> float:
    return float((x * y).mean() * 12 * np.sqrt(len(x)))


CHECKS = (moments, buckets, single_bits, serial, streams)


@pytest.mark.parametrize("generator", [bits_i32, bits_i64])
@pytest.mark.parametrize("check", CHECKS)
def test_numbers_are_random(
    check: Callable[[Generator], list[float]], generator: Generator
) -> None:
    assert max(map(abs, check(generator))) < DEVIATIONS


def _multiplied(key: Array, counter: Array) -> Array:
    """A congruential generator: evenly spread, and far from random."""
    with np.errstate(over="ignore"):
        return ((counter + key) * 0x5851F42D4C957F2D >> 32).astype(np.int32)


@pytest.mark.parametrize("check", CHECKS)
def test_a_bad_generator_would_fail(check: Callable[[Generator], list[float]]) -> None:
    def biased(key: Array, counter: Array) -> Array:
        return bits_i32(key, counter) & bits_i32(key, counter >> 4)

    bad = {moments: biased, buckets: biased, single_bits: biased}.get(check, _multiplied)
    assert max(map(abs, check(bad))) > DEVIATIONS
