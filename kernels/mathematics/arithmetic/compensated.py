"""Sums, products and quotients with what their rounding loses, over the primitives.

A pair is a value and a small one that it lacks.
"""

from typing import Any

from graphc.kernels.mathematics.arithmetic.primitives import fma

Pair = tuple[Any, Any]


def two_sum(x: Any, y: Any) -> Pair:
    """x + y, exactly (Knuth)."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def quick_two_sum(x: Any, y: Any) -> Pair:
    """x + y, exactly, where |x| >= |y| (Dekker)."""
    total = x + y
    return total, (x - total) + y


def two_product(x: Any, y: Any) -> Pair:
    """x * y, exactly unless something under- or overflows."""
    product = x * y
    return product, fma(x, y, -product)


def pair_product(x: Pair, y: Pair) -> Pair:
    """x * y of pairs, without the product of what both lack."""
    product, error = two_product(x[0], y[0])
    return product, error + (x[0] * y[1] + x[1] * y[0])


def pair_quotient(x: Pair, y: Pair, one: Any) -> Any:
    """x / y of pairs, rounded about once."""
    return quotient_by(x, y, one / y[0])


def quotient_by(x: Pair, y: Pair, reciprocal: Any) -> Any:
    """x / y of pairs, rounded about once, where the rounded reciprocal of y[0] is at hand."""
    quotient = x[0] * reciprocal
    rest = fma(-quotient, y[0], x[0]) + (x[1] - quotient * y[1])
    return fma(rest, reciprocal, quotient)
