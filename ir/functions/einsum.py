"""Sums of products in Einstein's notation, as matrix products."""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.ir.arguments.given import check_tensors, is_tensor
from graphc.ir.dims import Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.functions import build
from graphc.ir.functions.arrays.filling import diagonal
from graphc.ir.functions.arrays.shaping import broadcast_to, expand_dims, reshaped
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.op import Node
from graphc.ir.ops import contract
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement


def einsum(subscripts: str, *operands: Any) -> Node:
    """The sum of products that `subscripts` says, as numpy's: a letter for each axis of each
    operand, "..." for axes that broadcast, and behind "->" the letters of the result, of which the
    others are summed over. Without "->" these are all that occur once, in the order of the
    alphabet. A letter that an operand has twice is its diagonal.

    More than two operands are multiplied from the left to the right, each time by a matrix product
    where letters are summed over. Raises ShapeError for subscripts that do not fit, DTypeError for
    operands of two dtypes.

        scores = gc.einsum("bqhd,bkhd->bhqk", queries, keys)
    """
    first = next((x for x in operands if is_tensor(x)), None)
    if first is None:
        check_tensors("einsum", *operands[:1] or (subscripts,))
    assert first is not None
    nodes = [build.lift(x, first) for x in operands]
    try:
        terms, wanted = _read(subscripts, nodes)
        return _sum_of_products(terms, wanted)
    except (ShapeError, DTypeError) as error:
        types = ", ".join(str(x.type) for x in nodes)
        said = str(error).split("\n", 1)[0]
        problem = f"einsum({subscripts!r}, {types}): {said}"
        raise type(error)(located(problem, callers_location())) from None


def outer(x: Any, y: Any) -> Node:
    """x_i y_j: a row for each element of `x`, a column for each of `y`, whatever their shapes.
    Raises DTypeError for two dtypes.

        table = gc.outer(x, y)  # [3], [4] -> [3, 4]
    """
    if not is_tensor(x):
        check_tensors("outer", y)
        x = build.lift(x, y)
    y = build.lift(y, x)
    return ops.multiply(reshaped(x, (x.size, 1)), reshaped(y, (1, y.size)))


@dataclass(frozen=True, eq=False)
class _Term:
    """A tensor with a label for each axis: a letter, or the number of an axis of "..."."""

    value: Any
    labels: tuple[Any, ...]

    def extent(self, label: Any) -> Extent:
        extent: Extent = self.value.shape[self.labels.index(label)]
        return extent


# --- subscripts ------------------------------------------------------------------------------


def _read(subscripts: Any, nodes: Sequence[Any]) -> tuple[list[_Term], tuple[Any, ...]]:
    """Each operand with its labels, and those of the result. Raises ShapeError."""
    if not isinstance(subscripts, str):
        raise ShapeError("subscripts are a text such as 'ij,jk->ik'")
    given, arrow, result = subscripts.replace(" ", "").partition("->")
    texts = given.split(",")
    if len(texts) != len(nodes):
        raise ShapeError(f"subscripts of {len(texts)} operands, but {len(nodes)} are given")
    terms = [_Term(x, _labels(text, x.rank)) for text, x in zip(texts, nodes, strict=True)]
    dots = max((_dots(term.labels) for term in terms), key=len, default=())
    occurs = Counter(label for term in terms for label in term.labels if isinstance(label, str))
    if arrow:
        wanted = _labels(result, len(result.replace("...", "")) + len(dots) * ("..." in result))
    else:
        wanted = (*dots, *sorted(label for label, times in occurs.items() if times == 1))
    twice = [label for label, times in Counter(wanted).items() if times > 1]
    unknown = [label for label in wanted if isinstance(label, str) and label not in occurs]
    if twice or unknown:
        raise ShapeError(f"the result has {(twice or unknown)[0]!r} twice, or as the only one")
    if "..." in given and arrow and "..." not in result and dots:
        raise ShapeError("axes of ... are no axes of the result")
    return _of_one_extent([_without_repeats(term) for term in terms]), wanted


def _labels(text: str, rank: int) -> tuple[Any, ...]:
    """A letter for each axis; the axes of "..." are numbered from the right: -1, -2, ..."""
    before, dots, behind = text.partition("...")
    letters = before + behind
    wrong = [letter for letter in letters if letter not in string.ascii_letters]
    if wrong:
        raise ShapeError(f"{wrong[0]!r} is no letter")
    between = rank - len(letters)
    if between < 0 or (between > 0 and not dots):
        raise ShapeError(f"{text!r} has {len(letters)} letters for rank {rank}")
    return (*before, *range(-between, 0), *behind)


def _dots(labels: Iterable[Any]) -> tuple[int, ...]:
    return tuple(label for label in labels if isinstance(label, int))


def _without_repeats(term: _Term) -> _Term:
    """The diagonal along axes of one label."""
    labels = term.labels
    repeated = next((label for label in labels if labels.count(label) > 1), None)
    if repeated is None:
        return term
    one = labels.index(repeated)
    other = labels.index(repeated, one + 1)
    if term.value.shape[one] != term.value.shape[other]:
        extents = f"{term.value.shape[one]} and {term.value.shape[other]}"
        raise ShapeError(f"{repeated!r} is {extents} in one operand")
    rest = tuple(label for axis, label in enumerate(labels) if axis not in (one, other))
    return _without_repeats(_Term(diagonal(term.value, 0, one, other), (*rest, repeated)))


def _of_one_extent(terms: Sequence[_Term]) -> list[_Term]:
    """The terms without axes of extent 1 whose label is longer elsewhere. Raises ShapeError."""
    extents: dict[Any, Extent] = {}
    for term in terms:
        for label in term.labels:
            extent = term.extent(label)
            known = extents.setdefault(label, extent)
            if known == 1:
                extents[label] = extent
            elif extent not in (1, known):
                raise ShapeError(f"{label!r} is {known} and {extent}")
    fitting = []
    for term in terms:
        kept = [label for label in term.labels if term.extent(label) == extents[label]]
        shape = tuple(extents[label] for label in kept)
        fitting.append(_Term(reshaped(term.value, shape), tuple(kept)))
    return fitting


# --- products --------------------------------------------------------------------------------


def _sum_of_products(terms: Sequence[_Term], wanted: tuple[Any, ...]) -> Node:
    first, *others = terms
    for number, other in enumerate(others):
        needed = {*wanted, *(label for term in others[number + 1 :] for label in term.labels)}
        first = _product(first, other, needed)
    summed = _summed(first, set(wanted))
    return _in_order(summed, wanted)


def _product(x: _Term, y: _Term, needed: Collection[Any]) -> _Term:
    """x times y, summed over the labels that nothing needs any more."""
    x = _summed(x, {*needed, *y.labels})
    y = _summed(y, {*needed, *x.labels})
    shared = [label for label in x.labels if label in y.labels]
    depth = [label for label in shared if label not in needed]
    batch = [label for label in shared if label in needed]
    rows = [label for label in x.labels if label not in shared]
    columns = [label for label in y.labels if label not in shared]
    if not depth or not (rows or columns) or not x.value.dtype.is_float:
        labels = (*batch, *rows, *columns, *depth)
        product = ops.multiply(_spread(x, labels), _spread(y, labels))
        return _summed(_Term(product, labels), {*needed})
    left = _merged(x, (batch, rows, depth))
    right = _merged(y, (batch, depth, columns))
    product = contract.matmul(left, right, transpose_x=False, transpose_y=False)
    shape = (
        *(x.extent(label) for label in (*batch, *rows)),
        *(y.extent(label) for label in columns),
    )
    return _Term(reshaped(product, shape), (*batch, *rows, *columns))


def _summed(term: _Term, kept: Collection[Any]) -> _Term:
    axes = [axis for axis, label in enumerate(term.labels) if label not in kept]
    if not axes:
        return term
    labels = tuple(label for label in term.labels if label in kept)
    return _Term(build.sum(term.value, axes), labels)


def _transposed(term: _Term, labels: Sequence[Any]) -> Any:
    order = tuple(term.labels.index(label) for label in labels)
    if order == tuple(range(len(order))):
        return term.value
    return movement.transpose(term.value, axes=order)


def _merged(term: _Term, parts: tuple[list[Any], list[Any], list[Any]]) -> Any:
    """The term as matrices: a batch, and what stands in each of two axes."""
    batch, one, other = parts
    moved = _transposed(term, (*batch, *one, *other))
    shape = (
        *(term.extent(label) for label in batch),
        math.prod(term.extent(label) for label in one),
        math.prod(term.extent(label) for label in other),
    )
    return reshaped(moved, shape)


def _spread(term: _Term, labels: Sequence[Any]) -> Any:
    """The term's axes in the order of `labels`, of extent 1 where it has none."""
    value = _transposed(term, [label for label in labels if label in term.labels])
    for axis, label in enumerate(labels):
        if label not in term.labels:
            value = expand_dims(value, axis)
    return value


def _in_order(term: _Term, wanted: Sequence[Any]) -> Node:
    """The result: an axis of "..." that no operand has any more is of extent 1."""
    value: Node = _spread(term, wanted)
    return broadcast_to(value, value.shape)
