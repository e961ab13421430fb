"""Types of values: dtypes, named dimensions, shapes and tensor types."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.arguments.given import as_integer, is_tensor, shown
from graphc.ir.dims import Dim, Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.lazy import Lazy


@dataclass(frozen=True, eq=False)
class DType:
    """An element type: its one spelling, its numpy type and what arithmetic it allows.

    It equals what names it, as a dtype of numpy does: `x.dtype == "f32"`, `x.dtype == np.float32`.
    """

    name: str
    numpy: np.dtype[Any]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DType):
            return self.name == other.name
        try:
            return self.name == as_dtype(other).name
        except DTypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def is_float(self) -> bool:
        return self.numpy.kind == "f"

    @property
    def is_integer(self) -> bool:
        """Whether values are whole numbers, which may be labels and indices."""
        return self.numpy.kind in "iu"

    @property
    def is_bool(self) -> bool:
        return self.numpy.kind == "b"

    @property
    def has_arithmetic(self) -> bool:
        """Whether ops calculate with it. bool and u8 are kept, moved, compared and cast."""
        return self.numpy.kind in "fi"

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.numpy.itemsize

    def __repr__(self) -> str:
        return self.name


f32 = DType("f32", np.dtype(np.float32))
f64 = DType("f64", np.dtype(np.float64))
i32 = DType("i32", np.dtype(np.int32))
i64 = DType("i64", np.dtype(np.int64))
u8 = DType("u8", np.dtype(np.uint8))
bool_ = DType("bool", np.dtype(np.bool_))

DTYPES: Mapping[str, DType] = {dtype.name: dtype for dtype in (f32, f64, i32, i64, u8, bool_)}


def check_arithmetic(dtype: DType) -> None:
    """Raises DTypeError for a dtype that ops do not calculate with."""
    if not dtype.has_arithmetic:
        *others, last = [name for name, known in DTYPES.items() if known.has_arithmetic]
        raise DTypeError(f"{', '.join(others)} or {last} expected, not {dtype}; cast first")


def as_dtype(value: object) -> DType:
    """The DType that `value` names: a DType, its spelling (`"f32"`) or anything numpy understands.

    Raises DTypeError when there is no such dtype.
    """
    if isinstance(value, DType):
        return value
    if isinstance(value, str) and value in DTYPES:
        return DTYPES[value]
    # numpy takes None for float64, both to make a dtype and to compare with one.
    try:
        wanted = None if value is None else np.dtype(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        wanted = None
    for dtype in DTYPES.values():
        if wanted is not None and dtype.numpy == wanted:
            return dtype
    raise DTypeError(f"{value!r} is no dtype of graphc; there are {', '.join(DTYPES)}")


Shape = tuple[Extent, ...]


def as_shape(extents: Iterable[int | str | Dim] | int | str | Dim) -> Shape:
    """A shape from integers and names: `as_shape(("batch", 64))`.

    Raises ShapeError for negative extents and for anything else.
    """
    several = (extents,) if isinstance(extents, str | Dim) else each_of(extents)
    return tuple(_as_extent(extent) for extent in several)


def _as_extent(extent: object) -> Extent:
    if isinstance(extent, Dim):
        return extent
    if isinstance(extent, str):
        if not extent.isidentifier():
            raise ShapeError(f"a dimension's name must be an identifier, not {extent!r}")
        return Dim(extent)
    try:
        number = as_integer(extent)
    except TypeError:
        problem = f"an extent is an integer or a name, not {shown(extent)}"
        raise ShapeError(problem) from None
    if number < 0:
        raise ShapeError(f"an extent must not be negative, but one is {number}")
    if number > sys.maxsize:
        raise ShapeError(f"an extent beyond all memory: {number}")
    return number


def each_of(value: Any) -> tuple[Any, ...]:
    """What `value` is made of where it is gone through, else itself alone."""
    return tuple(value) if is_several(value) else (value,)


def is_several(value: object) -> bool:
    """Whether `value` is gone through, which a tensor and an array without axes are not."""
    return isinstance(value, Iterable) and not is_tensor(value) and getattr(value, "ndim", 1) != 0


@dataclass(frozen=True)
class TensorType:
    """The dtype and shape of a value."""

    dtype: DType
    shape: Shape

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_static(self) -> bool:
        """Whether no extent is left open."""
        return all(isinstance(extent, int) for extent in self.shape)

    @Lazy
    def dims(self) -> tuple[int, ...]:
        """The shape as integers. Raises ShapeError while a named dimension is open."""
        return static_shape(self.shape)

    @Lazy
    def size(self) -> int:
        """Number of elements. Raises ShapeError while a named dimension is open."""
        return math.prod(self.dims)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.dtype, shape)

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def __repr__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, repr=False)
class TupleType(TensorType):
    """The type of a node that has several results, which `result` takes out: `results` are theirs.

    Dtype and shape are those of the first.
    """

    results: tuple[TensorType, ...]

    @classmethod
    def of(cls, results: Sequence[TensorType]) -> TupleType:
        """The type of these results. Raises ShapeError where there are none."""
        if not results:
            raise ShapeError("at least one result expected")
        return cls(results[0].dtype, results[0].shape, tuple(results))

    def __repr__(self) -> str:
        return f"({', '.join(map(repr, self.results))})"


def named_dimensions(shapes: Iterable[Shape]) -> tuple[str, ...]:
    """The names of open dimensions, those in sums and products too, in order of appearance."""
    extents = (extent for shape in shapes for extent in shape if isinstance(extent, Dim))
    return tuple(dict.fromkeys(name for extent in extents for name in extent.names))


def static_shape(shape: Shape) -> tuple[int, ...]:
    """`shape` as integers. Raises ShapeError while a named dimension is open."""
    for extent in shape:
        if isinstance(extent, Dim):
            raise ShapeError(f"dimension {extent} of {shape_text(shape)} has no extent yet")
    return tuple(extent for extent in shape if isinstance(extent, int))


def shape_text(shape: Shape) -> str:
    return f"[{','.join(map(str, shape))}]"


def broadcast_shapes(shapes: Sequence[Shape]) -> Shape:
    """The common shape under numpy's rule: aligned at the right, an extent of 1 stretches.

    A named dimension fits itself and 1. Raises ShapeError where two extents differ.
    """
    rank = max((len(shape) for shape in shapes), default=0)
    result: list[Extent] = []
    for axis in range(rank):
        extent: Extent = 1
        for shape in shapes:
            position = axis - (rank - len(shape))
            if position < 0 or shape[position] == 1 or shape[position] == extent:
                continue
            if extent != 1:
                raise ShapeError(f"extents {extent} and {shape[position]} do not broadcast")
            extent = shape[position]
        result.append(extent)
    return tuple(result)


def bind_shape(shape: Shape, bindings: Mapping[str, int]) -> Shape:
    """`shape` with every named dimension that `bindings` knows replaced by its extent.

    Raises ShapeError for an extent that is negative then.
    """
    bound = bind_places(shape, bindings)
    for extent, wanted in zip(bound, shape, strict=True):
        if isinstance(extent, int) and extent < 0:
            raise ShapeError(f"the extent {wanted} of {shape_text(shape)} is {extent}")
    return bound


def bind_places(places: Shape, bindings: Mapping[str, int]) -> Shape:
    """`places` along axes, as `bind_shape`; they may be negative."""
    return tuple(each.bound(bindings) if isinstance(each, Dim) else each for each in places)


def normalize_axis(axis: int, rank: int) -> int:
    """`axis` counted from the front. Raises ShapeError when it is no integer or outside `rank`."""
    try:
        number = as_integer(axis)
    except TypeError:
        raise ShapeError(f"an axis is an integer, not {shown(axis)}") from None
    if not -rank <= number < rank:
        raise ShapeError(f"axis {number} is outside rank {rank}")
    return number % rank


def normalize_axes(axes: int | Iterable[int] | None, rank: int) -> tuple[int, ...]:
    """Sorted axes counted from the front; None means all.

    Raises ShapeError for an axis outside `rank` or named twice.
    """
    if axes is None:
        return tuple(range(rank))
    result = tuple(sorted(normalize_axis(axis, rank) for axis in each_of(axes)))
    if len(set(result)) != len(result):
        raise ShapeError(f"an axis is named twice in {each_of(axes)}")
    return result


def row_major_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in elements of a contiguous array of `shape`, last axis fastest."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)
