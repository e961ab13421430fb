"""The value of a polynomial."""

from typing import Any

from graphc.kernels.mathematics.arithmetic.primitives import fma
from graphc.kernels.mathematics.constants.vecmath_constants import Constants


def polynomial(coefficients: Constants, x: Any) -> Any:
    """The sum of the coefficients times powers of x, highest power first.

    Horner's scheme in x**2 over pairs of terms, which need not wait for each other (Estrin): half
    the latency for one more product. The last step is Horner's in x, which is more accurate.
    """
    *higher, last = coefficients
    square = x * x
    is_odd = len(higher) % 2
    result = higher[0] if is_odd else fma(higher[0], x, higher[1])
    rest = higher[1:] if is_odd else higher[2:]
    for first, second in zip(rest[::2], rest[1::2], strict=True):
        result = fma(result, square, fma(first, x, second))
    return fma(result, x, last)
