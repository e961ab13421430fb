"""How kernels compute an op: one of a few kinds, which later rooms look at and never at names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# What templates call the operands.
OPERAND_NAMES = ("x", "y", "z")


@dataclass(frozen=True)
class Leaf:
    """Lowering of a value that no kernel computes: an input, a state or a constant."""


@dataclass(frozen=True)
class Scalar:
    """Lowering of an elementwise op: a Python expression over the operands' scalars.

    In `template`, `{x}`, `{y}`, `{z}` are the operands, `{T}` casts to the result's dtype and
    attributes stand under their own names. `cost` counts about one per vector instruction; it
    decides what is cheap enough to be computed twice. `is_product`: of its two operands, so that
    to add it to a sum may be one operation, which rounds once.
    """

    template: str
    cost: int
    is_product: bool = False


@dataclass(frozen=True)
class LoopIndex:
    """Lowering of iota: an element's value is its number in row-major order."""


@dataclass(frozen=True)
class Reduction:
    """Lowering of a reduction: an accumulator that starts at `identity` and is combined.

    `combine` names a primitive of two scalars; `identity` maps a dtype to the neutral element.
    """

    combine: str
    identity: Callable[[Any], float | int]


@dataclass(frozen=True)
class Strided:
    """A place in memory: element offset and one stride (in elements) an axis."""

    offset: int
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Digit:
    """Part of an axis: `extent` places, `stride` elements apart."""

    extent: int
    stride: int


@dataclass(frozen=True)
class Digits:
    """A place in memory whose axes have digits, the slowest first: a place along an axis is a
    number whose digits count in their extents. An axis without digits has one element."""

    offset: int
    axes: tuple[tuple[Digit, ...], ...]


@dataclass(frozen=True)
class View:
    """Lowering of an op that only reads its operand's memory in another order.

    `place(at, operand_type, result_type, **attributes)` gives where the result stands in memory
    when the operand stands `at`, or None when no strides express it and a copy is needed.
    `axes(operand_type, result_type, **attributes)` gives for each axis of the operand the axis of
    the result that it becomes (of no meaning for an extent of 1), or None when the view does
    more than move, add and drop axes.
    repeats: whether an element may occur several times, at other places of existing axes.
    `digits(at, operand_type, result_type, **attributes)` is as `place` of an operand whose axes may
        have several digits, for views that join, split or move axes whatever their strides are.
    """

    place: Callable[..., Strided | None]
    axes: Callable[..., tuple[int, ...] | None]
    repeats: bool = False
    digits: Callable[..., Digits | None] | None = None


@dataclass(frozen=True)
class RegionCopy:
    """One copy of a movement op: all of operand number `operand` to a region of the result."""

    operand: int
    region: Strided


@dataclass(frozen=True)
class Assemble:
    """Lowering of an op that copies whole operands to regions of its result.

    `regions(result_type, operand_types, **attributes)` lists the copies; what they leave is zero
    when `zero_first`.
    """

    regions: Callable[..., tuple[RegionCopy, ...]]
    zero_first: bool


@dataclass(frozen=True)
class Gather:
    """Lowering of take: slices of operand 0 along an axis, chosen by the indices in operand 1."""


@dataclass(frozen=True)
class Scatter:
    """Lowering of take's adjoint and its like: slices, the last operand but one, put at the indices
    in the last one, in operand 0 where it `has_base`, else in zeros. Where it `adds` they are added
    to what is there."""

    has_base: bool
    adds: bool


@dataclass(frozen=True)
class ContractedAxes:
    """What the axes of an operand are to a contraction, those of each part slowest first.

    batch: those that both operands and the result have; one of extent 1 is repeated. free: those of
    this operand and the result. depth: those of both operands that are summed over.
    """

    batch: tuple[int, ...]
    free: tuple[int, ...]
    depth: tuple[int, ...]


@dataclass(frozen=True)
class Contract:
    """Lowering of a product of two operands that is summed over axes of both.

    `axes(x_rank, y_rank, **attributes)` says what the axes of each operand are to it. The result
    has the batch, then the free axes of the first operand, then those of the second.
    """

    axes: Callable[..., tuple[ContractedAxes, ContractedAxes]]


@dataclass(frozen=True)
class Cumulative:
    """Lowering of an op that goes along attribute `axis`, from its end where `reverse` is set: an
    element is made of the one before it and of the operands' elements.

    `step` is a Python expression over `{carry}`, the element before, and `{x}` and `{y}`, those of
    the operands. The first element is x itself. y's element i stands between elements i - 1 and i,
    whichever of them comes first. `in_blocks`: the step is a sum, which may be made of the sums of
    blocks.
    """

    step: str
    in_blocks: bool


@dataclass(frozen=True)
class Sorting:
    """Lowering of an op that puts lines along attribute `axis` in ascending order, or descending
    where `descending` is set. It keeps as many elements, from the first on, as its result has.

    `places`: the result has where the elements stood, in place of the elements.
    """

    places: bool


@dataclass(frozen=True)
class Region:
    """Lowering of a loop: attribute `body` is a program that is made `length` times, or, where the
    op has no such attribute, as long as its first carry is true.

    The node has several results, and is read by `Result` alone.
    """


@dataclass(frozen=True)
class Result:
    """Lowering of one result of a node that has several: number `number` of them."""


@dataclass(frozen=True)
class Composite:
    """An op that has a name for the sake of rewriting; `expand` builds it from primitives."""

    expand: Callable[..., Any]


Lowering = (
    Leaf
    | Scalar
    | LoopIndex
    | Reduction
    | View
    | Assemble
    | Gather
    | Scatter
    | Contract
    | Cumulative
    | Sorting
    | Region
    | Result
    | Composite
)
