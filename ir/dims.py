"""Open extents: named dimensions, and what sums and products make of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphc.ir.arguments.given import as_integer, shown
from graphc.ir.errors import ShapeError
from graphc.ir.lazy import Lazy

# A product of names, sorted; () is 1. A polynomial has a factor other than 0 for each.
Product = tuple[str, ...]
Terms = dict[Product, int]

_TERM = re.compile(r"\s*+([+-]?)\s*+((?:[^\W\d]\w*|\d+)(?:\s*\*\s*(?:[^\W\d]\w*|\d+))*)\s*+")
# More than anybody writes: what a text says takes neither memory nor time without end.
MOST_TERMS = 1000
MOST_FACTORS = 64


@dataclass(frozen=True)
class Dim:
    """An extent that is left open until compilation: a named dimension, or a sum of products.

    `Dim("batch") * 2 + 1` is `Dim("2*batch+1")`: whole numbers and dimensions are added, subtracted
    and multiplied; `//` divides where nothing remains, whatever the dimensions are. Equal
    polynomials are equal. A result without a dimension is an int. Raises ShapeError for a text
    that is none, and for a quotient that is none.
    """

    name: str

    # Leaves `numpy.int64(2) * dim` to the dimension.
    __array_ufunc__ = None

    def __post_init__(self) -> None:
        terms = _read(self.name)
        if not any(terms):
            raise ShapeError(f"an open extent has a name in it, but {shown(self.name)} has none")
        object.__setattr__(self, "name", _text(terms))

    def __repr__(self) -> str:
        return self.name

    @Lazy
    def terms(self) -> Terms:
        """The factor of each product of names."""
        return _read(self.name)

    @Lazy
    def names(self) -> tuple[str, ...]:
        """The dimensions that it is made of, in the order of the alphabet."""
        return tuple(sorted({name for product in self.terms for name in product}))

    @property
    def is_named(self) -> bool:
        """Whether it is a single named dimension."""
        return self.name.isidentifier()

    def __add__(self, other: Any) -> Extent:
        return _sum(self, other, 1)

    def __sub__(self, other: Any) -> Extent:
        return _sum(self, other, -1)

    def __rsub__(self, other: Any) -> Extent:
        return _sum(self * -1, other, 1)

    def __mul__(self, other: Any) -> Extent:
        terms = _terms(other)
        if terms is None:
            return NotImplemented
        if len(self.terms) * len(terms) > MOST_TERMS:
            raise ShapeError(f"an extent of more than {MOST_TERMS} terms")
        made: Terms = {}
        for left, x in self.terms.items():
            for right, y in terms.items():
                product = tuple(sorted((*left, *right)))
                made[product] = made.get(product, 0) + x * y
        return _extent(made)

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Extent:
        if _terms(other) is None:
            return NotImplemented
        quotient = quotient_of(self, other)
        if quotient is None:
            raise ShapeError(f"{self} is not divisible by {other} whatever its dimensions are")
        return quotient

    def bound(self, bindings: Mapping[str, int]) -> Extent:
        """The extent with the dimensions that `bindings` knows replaced by theirs."""
        made: Terms = {}
        for product, factor in self.terms.items():
            left = tuple(name for name in product if name not in bindings)
            for name in product:
                factor *= bindings.get(name, 1)
            made[left] = made.get(left, 0) + factor
        return _extent(made)


Extent = int | Dim


def is_natural(extent: Extent) -> bool:
    """Whether the extent is 0 or more, whatever its dimensions are; False where that is open."""
    return all(factor >= 0 for factor in (_terms(extent) or {}).values())


def quotient_of(extent: Extent, divisor: Extent) -> Extent | None:
    """`extent / divisor` where that is an extent, whatever the dimensions are; else None.

    Long division: the leading term of what is left by that of the divisor, until nothing is left.
    """
    rest, by = dict(_terms(extent) or {}), _terms(divisor) or {}
    if not by:
        return None
    leading = max(by, key=_degree)
    made: Terms = {}
    while rest:
        first = max(rest, key=_degree)
        product = _without(first, leading)
        factor, remainder = divmod(rest[first], by[leading])
        if product is None or remainder:
            return None
        made[product] = factor
        for each, x in by.items():
            term = tuple(sorted((*each, *product)))
            rest[term] = rest.get(term, 0) - factor * x
            if not rest[term]:
                del rest[term]
    return _extent(made)


def bindings_of(extents: Iterable[tuple[Extent, int]]) -> dict[str, int]:
    """The named dimensions that follow from extents and what they are in truth.

    A named dimension is what it is; one in a sum follows where all else in it is known. Whether
    the extents fit each other is left to the caller, and so is what no extent gives.
    """
    found: dict[str, int] = {}
    left = [(extent, actual) for extent, actual in extents if isinstance(extent, Dim)]
    for extent, actual in left:
        if extent.is_named:
            found.setdefault(extent.name, actual)
    for _ in left:
        for extent, actual in left:
            open_part = extent.bound(found)
            if isinstance(open_part, Dim) and len(open_part.terms.keys() - {()}) == 1:
                ((product, factor),) = ((p, f) for p, f in open_part.terms.items() if p)
                if len(product) == 1:
                    found[product[0]] = (actual - open_part.terms.get((), 0)) // factor
    return found


# --- polynomials -----------------------------------------------------------------------------


def _terms(extent: Any) -> Terms | None:
    """The polynomial of an extent; None for what is none."""
    if isinstance(extent, Dim):
        return extent.terms
    try:
        number = as_integer(extent)
    except TypeError:
        return None
    return {(): number} if number else {}


def _extent(terms: Terms) -> Extent:
    left = _checked({product: factor for product, factor in terms.items() if factor})
    return Dim(_text(left)) if any(left) else left.get((), 0)


def _checked(terms: Terms) -> Terms:
    """The terms themselves. Raises ShapeError for more of them than anybody writes."""
    if len(terms) > MOST_TERMS:
        raise ShapeError(f"an extent of more than {MOST_TERMS} terms")
    if any(len(product) > MOST_FACTORS for product in terms):
        raise ShapeError(f"an extent of more than {MOST_FACTORS} factors")
    if any(abs(factor) > sys.maxsize for factor in terms.values()):
        raise ShapeError("an extent beyond all memory")
    return terms


def _sum(x: Any, y: Any, sign: int) -> Extent:
    left, right = _terms(x), _terms(y)
    if left is None or right is None:
        return NotImplemented
    made = dict(left)
    for product, factor in right.items():
        made[product] = made.get(product, 0) + sign * factor
    return _extent(made)


def _degree(product: Product) -> tuple[int, Product]:
    """Orders products by how many names they have, then by these; multiplication keeps it."""
    return len(product), product


def _without(product: Product, factor: Product) -> Product | None:
    """`product / factor`, None where that is none."""
    left = list(product)
    for name in factor:
        if name not in left:
            return None
        left.remove(name)
    return tuple(left)


# --- text ------------------------------------------------------------------------------------


def _text(terms: Terms) -> str:
    """The terms, those of most names first, as in `2*batch*time+batch-1`."""
    text = ""
    for product in sorted(terms, key=lambda product: (-len(product), product)):
        factor = terms[product]
        size = [str(abs(factor))] if abs(factor) != 1 or not product else []
        sign = "-" if factor < 0 else "+" if text else ""
        text += sign + "*".join([*size, *product])
    return text


def _read(text: str) -> Terms:
    """The inverse of `_text`, for any order and with blanks. Raises ShapeError."""
    terms: Terms = {}
    at = 0
    while at < len(text) or not at:
        found = _TERM.match(text, at)
        if found is None or (at and not found[1]):
            problem = f"a dimension's name must be an identifier, not {shown(text)}"
            raise ShapeError(problem)
        factor = -1 if found[1] == "-" else 1
        names: list[str] = []
        for part in re.split(r"\s*\*\s*", found[2]):
            if part.isdecimal():
                factor *= _read_factor(part)
            else:
                names.append(part)
        product = tuple(sorted(names))
        terms[product] = terms.get(product, 0) + factor
        at = found.end()
    return _checked({product: factor for product, factor in terms.items() if factor})


def _read_factor(digits: str) -> int:
    if len(digits) > len(str(sys.maxsize)):
        raise ShapeError("an extent beyond all memory")
    return int(digits)
