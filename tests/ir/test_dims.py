"""Open extents in arithmetic: sums and products of named dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphc.ir.dims import Dim, bindings_of, is_natural, quotient_of
from graphc.ir.errors import ShapeError
from graphc.ir.nodes.attributes import PLACES, SHAPE

N: Any = Dim("n")
M: Any = Dim("m")
AT = {"n": 3, "m": 5}


@st.composite
def extents(draw: st.DrawFn, depth: int = 3) -> Any:
    """An extent that arithmetic makes of two dimensions and small numbers."""
    leaves = st.sampled_from([N, M]) | st.integers(0, 4)
    value = draw(leaves)
    for _ in range(draw(st.integers(0, depth))):
        other, kind = draw(leaves), draw(st.sampled_from("+*-"))
        value = {"+": value + other, "*": value * other, "-": value - other}[kind]
    return value


def _value(extent: Any, at: Any = AT) -> int:
    bound = extent.bound(at) if isinstance(extent, Dim) else extent
    assert isinstance(bound, int)
    return bound


@given(extents(), extents())
def test_arithmetic_is_that_of_numbers(x: Any, y: Any) -> None:
    assert _value(x + y) == _value(x) + _value(y)
    assert _value(x - y) == _value(x) - _value(y)
    assert _value(x * y) == _value(x) * _value(y)
    assert x - x == 0 and x * 0 == 0


@given(extents(), extents(), extents())
def test_equal_polynomials_are_equal(x: Any, y: Any, z: Any) -> None:
    assert (x + y) * z == x * z + z * y
    assert hash((x + y) * z) == hash(z * y + z * x)


@given(extents(), extents())
def test_a_product_is_divisible(x: Any, y: Any) -> None:
    if y != 0:
        assert quotient_of(x * y, y) == x


@given(extents())
def test_text_is_read_back(x: Any) -> None:
    if isinstance(x, Dim):
        assert Dim(str(x)) == x and Dim(f" {x} ") == x
    for kind in (PLACES, *([SHAPE] if isinstance(x, Dim) or x >= 0 else [])):
        assert kind.read(kind.show((x, 2))) == (x, 2)


def test_text() -> None:
    assert [str(e) for e in (N * 2, N * M, N + M, N * M * 2 + N - 1, N * N, 3 - N)] == [
        "2*n", "m*n", "m+n", "2*m*n+n-1", "n*n", "-n+3",
    ]  # fmt: skip
    assert Dim("n*2") == N * 2 and Dim("n+n") == 2 * N and Dim("m * n - n") == N * (M - 1)
    assert (N * 2).names == ("n",) and (M * N).names == ("m", "n")
    assert N.is_named and not (2 * N).is_named


def test_numbers_of_numpy() -> None:
    assert np.int64(2) * N == N * np.int32(2) == 2 * N
    assert np.int64(2) + N == N + 2


@pytest.mark.parametrize("text", ["", "2", "n-n", "n+", "*n", "n m", "2n", "n**2", "n/2", "(n)"])
def test_what_is_no_extent(text: str) -> None:
    with pytest.raises(ShapeError, match=r"open extent has a name|must be an identifier"):
        Dim(text)


def test_quotients() -> None:
    assert (N * 6) // 3 == N * 2 and (N * M) // N == M and (N * N - 1) // (N + 1) == N - 1
    for extent, divisor in ((N, 2), (N * 2, M), (N + 1, N), (N * 3, N * 2)):
        with pytest.raises(ShapeError, match=r"is not divisible by .* whatever its dimensions are"):
            extent // divisor
    assert quotient_of(N, 0) is None and quotient_of(0, N) == 0 and quotient_of(6, 3) == 2
    for other in (1.5, "2", None):
        with pytest.raises(TypeError):
            N * other
        with pytest.raises(TypeError):
            N // other
        with pytest.raises(TypeError):
            other + N


def test_what_is_surely_no_less_than_zero() -> None:
    assert all(map(is_natural, (0, 3, N, N * 2 + M, N * M)))
    assert not any(map(is_natural, (-1, N - 1, N - M, -1 * N)))


def test_bindings_follow_from_extents() -> None:
    assert bindings_of([(N, 3), (4, 4), (M, 5)]) == AT
    assert bindings_of([(N * 2 + M, 11), (M, 5)]) == AT
    assert bindings_of([(N * M, 15), (N * 2 - 1, 5)]) == AT
    assert bindings_of([(N * M, 15)]) == {} and bindings_of([(N * N, 9)]) == {}
    # That 7 is no double is for the caller to find.
    assert bindings_of([(N * 2, 7)]) == {"n": 3}
