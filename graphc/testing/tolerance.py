"""How far two evaluations of one formula may be apart."""

from math import ceil, log2
from typing import Any

import numpy as np

# Terms that are added up one after the other at most.
LONGEST_BLOCK = 1024


def tolerance(dtype: Any, reduction_length: int = 1, ulps: float = 4.0) -> float:
    """The relative error that rounding explains: eps * (ulps + roundings of a term in the sum).

    A sum of which each term goes through r roundings errs by at most r * eps * sum(|terms|)
    (Higham, Accuracy and Stability of Numerical Algorithms, 4.2): n - 1 in a block of n terms, and
    one more for each time that the number of blocks doubles. `ulps` covers the elementwise
    functions before and after it. `dtype` is a numpy dtype or anything with one in `.numpy`.
    Integers and bools are exact: 0.
    """
    numpy_dtype = np.dtype(getattr(dtype, "numpy", dtype))
    if numpy_dtype.kind != "f":
        return 0.0
    in_block = min(max(reduction_length, 1), LONGEST_BLOCK)
    doublings = ceil(log2(max(reduction_length, 1) / in_block))
    return float(np.finfo(numpy_dtype).eps) * (ulps + in_block - 1 + doublings)


def assert_close(
    actual: Any,
    expected: Any,
    dtype: Any,
    *,
    reduction_length: int = 1,
    ulps: float = 4.0,
    scale: float = 1.0,
) -> None:
    """Raises AssertionError unless shapes agree and |actual - expected| is at most tolerance *
    max(|expected|, scale).

    `scale` is the size of the terms that cancel in the result. NaN equals NaN, and an infinity
    only itself.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    relative = tolerance(dtype, reduction_length, ulps)
    if relative == 0.0:
        np.testing.assert_array_equal(actual, expected)
        return
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected), "NaN in other places")
    np.testing.assert_array_equal(
        np.where(np.isinf(actual), actual, 0), np.where(np.isinf(expected), expected, 0)
    )
    finite = np.isfinite(expected)
    got, wanted = actual[finite].astype(np.float64), expected[finite].astype(np.float64)
    excess = np.abs(got - wanted) / (relative * np.maximum(np.abs(wanted), scale))
    if excess.size and excess.max() > 1:
        worst = int(excess.argmax())
        raise AssertionError(
            f"{got[worst]!r} instead of {wanted[worst]!r}: "
            f"{excess[worst]:.3g} times the tolerance {relative:.3g}"
        )
