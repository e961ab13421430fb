"""Refused uses of leaves, reductions, movements, products and composites."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.dims import Dim
from graphc.ir.errors import DTypeError, GraphError, ShapeError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node
from graphc.ir.ops import composite, contract
from graphc.ir.ops.movement import indexed, movement
from graphc.ir.ops.reductions import reduce
from graphc.testing.cases import ErrorCase


def _x(graph: Graph, shape: Any = (3, 4), dtype: str = "f32") -> Node:
    return graph.input("x", shape, dtype)


def _i(graph: Graph, shape: Any = (2,), dtype: str = "i64") -> Node:
    return graph.input("i", shape, dtype)


def _slice(graph: Graph, start: Any, count: Any, step: int, extent: Any = 4) -> Node:
    x = _x(graph, (extent,))
    return movement.slice_(x, starts=(start,), counts=(count,), steps=(step,))


def _embed(graph: Graph, start: int, step: int, extent: Any, given: Any = 3) -> Node:
    x = _x(graph, (given,))
    return movement.embed(x, shape=(extent,), starts=(start,), steps=(step,))


def _matmul(graph: Graph, x: Any, y: Any, dtypes: tuple[str, str] = ("f32", "f32")) -> Node:
    left, right = graph.input("x", x, dtypes[0]), graph.input("y", y, dtypes[1])
    return contract.matmul(left, right, transpose_x=False, transpose_y=False)


_VALUES = np.zeros((3, 4), np.float32)

# The pattern starts with what a message must start with: the op on its operands' types.
_LEAVES = (
    ErrorCase("input", "taken", lambda g: (_x(g), g.input("x"))[1], GraphError, "'x' is taken"),
    ErrorCase("input", "unnamed", lambda g: g.input("", (3,)), ShapeError, r"^input\(\): a name"),
    ErrorCase("input", "negative", lambda g: g.input("x", (-3,)), ShapeError, "^input.*-3"),
    ErrorCase("input", "dtype", lambda g: g.input("x", (3,), "real"), DTypeError, "^input.*'real'"),
    ErrorCase("input", "no_name", lambda g: g.input("x", ("a-b",)), ShapeError, "^input.*'a-b'"),
    ErrorCase("input", "not_given", lambda g: g.input("x"), GraphError, "input x", {}),
    ErrorCase("state", "open", lambda g: g.state("w", ("batch",)), ShapeError, "state.*'w'.*fixed"),
    ErrorCase("state", "taken", lambda g: (_x(g), g.state("x"))[1], GraphError, "'x' is taken"),
    ErrorCase("state", "dtype", lambda g: g.state("w", (3,), "c64"), DTypeError, "^state.*'c64'"),
    ErrorCase("state", "not_given", lambda g: g.state("w"), GraphError, "state w", {}),
    ErrorCase("constant", "text", lambda g: g.constant("one"), DTypeError, "^constant: bools"),
    ErrorCase("constant", "dtype", lambda g: g.constant(1, "f8x"), DTypeError, "^constant.*'f8x'"),
    ErrorCase("constant", "ragged", lambda g: g.constant([[1], [2, 3]]), GraphError, "^constant"),
    ErrorCase(
        "constant", "byte", lambda g: g.constant(256, "u8"), DTypeError, "^constant.*256.*u8"
    ),
    ErrorCase("constant", "below", lambda g: g.constant(-1, "u8"), DTypeError, "^constant.*-1.*u8"),
    ErrorCase("constant", "wide", lambda g: g.constant(2**40, "i32"), DTypeError, "^constant.*i32"),
    ErrorCase(
        "extent", "dtype", lambda g: g.extent(("batch",), "f16"), DTypeError, "^extent.*'f16'"
    ),
    ErrorCase("extent", "open", lambda g: g.extent(("batch",), "f32"), ShapeError, "batch", {}),
    ErrorCase("iota", "negative", lambda g: g.iota(-1, "i64"), ShapeError, "^iota.*-1"),
    ErrorCase("iota", "open", lambda g: g.iota("batch", "i64"), ShapeError, "batch", {}),
)

_REDUCTIONS = tuple(
    case
    for op, record, constructor in (
        ("sum", reduce.sum_, build.sum),
        ("max", reduce.max_, build.max),
        ("min", reduce.min_, build.min),
    )
    for case in (
        ErrorCase(
            op, "axis", lambda g, f=constructor: f(_x(g), 2),
            ShapeError, rf"^{op}\(f32\[3,4\]\): axis 2 is outside rank 2",
        ),
        ErrorCase(
            op, "twice", lambda g, f=constructor: f(_x(g), (0, -2)),
            ShapeError, rf"^{op}\(f32\[3,4\]\): an axis is named twice",
        ),
        ErrorCase(
            op, "unsorted", lambda g, f=record: f(_x(g), axes=(1, 0)),
            ShapeError, rf"^{op}\(f32\[3,4\]\): sorted axes",
        ),
        ErrorCase(
            op, "far_axis", lambda g, f=record: f(_x(g), axes=(-5,)),
            ShapeError, rf"^{op}\(f32\[3,4\]\): axis -5 is outside rank 2",
        ),
        ErrorCase(
            op, "bool", lambda g, f=record: f(_x(g, (3,), "bool"), axes=(0,)),
            DTypeError, rf"^{op}\(bool\[3\]\): f32, f64, i32 or i64 expected, not bool; cast first",
        ),
    )
) + tuple(
    ErrorCase(
        op, "empty", lambda g, f=record: f(_x(g, (0, 4)), axes=(0,)),
        ShapeError, rf"^{op}\(f32\[0,4\]\): an extreme of no elements",
    )
    for op, record in (
        ("max", reduce.max_), ("min", reduce.min_), ("greatest", reduce.greatest),
        ("least", reduce.least), ("logsumexp", composite.logsumexp),
    )
) + (
    *(
        ErrorCase(
            op, "axis", lambda g, f=record: f(_x(g), axes=(2,)),
            ShapeError, rf"^{op}\(f32\[3,4\]\): axis 2 is outside rank 2",
        )
        for op, record in (("greatest", reduce.greatest), ("least", reduce.least))
    ),
    ErrorCase(
        "logsumexp", "unsorted", lambda g: composite.logsumexp(_x(g), axes=(1, 0)),
        ShapeError, r"^logsumexp\(f32\[3,4\]\): sorted axes",
    ),
    ErrorCase(
        "logsumexp", "axis", lambda g: build.logsumexp(_x(g), 2),
        ShapeError, r"^logsumexp\(f32\[3,4\]\): axis 2 is outside rank 2",
    ),
    ErrorCase(
        "logsumexp", "integers", lambda g: composite.logsumexp(_x(g, (3,), "i32"), axes=(0,)),
        DTypeError, r"^logsumexp\(i32\[3\]\): f32 or f64 expected, not i32",
    ),
)  # fmt: skip

_MOVEMENTS = (
    ErrorCase(
        "reshape", "size", lambda g: build.reshape(_x(g), (5, 2)),
        ShapeError, r"^reshape\(f32\[3,4\]\): cannot become \[5,2\]",
    ),
    ErrorCase(
        "reshape", "two_free", lambda g: build.reshape(_x(g), (-1, -1)),
        ShapeError, r"^reshape\(f32\[3,4\]\): only one extent may be -1",
    ),
    ErrorCase(
        "reshape", "incomplete", lambda g: build.reshape(_x(g), (5, -1)),
        ShapeError, r"^reshape\(f32\[3,4\]\): no extent completes \[5\]",
    ),
    ErrorCase(
        "reshape", "negative", lambda g: build.reshape(_x(g), (-2, 6)),
        ShapeError, r"^reshape\(f32\[3,4\]\): .*-2",
    ),
    ErrorCase(
        "reshape", "open", lambda g: build.reshape(_x(g, ("batch", 4)), (12,)),
        ShapeError, r"^reshape\(f32\[batch,4\]\): cannot become \[12\]",
    ),
    ErrorCase(
        "transpose", "repeated", lambda g: build.transpose(_x(g), (0, 0)),
        ShapeError, r"^transpose\(f32\[3,4\]\): axes \(0, 0\) are no permutation",
    ),
    ErrorCase(
        "transpose", "outside", lambda g: build.transpose(_x(g), (0, 2)),
        ShapeError, r"^transpose\(f32\[3,4\]\): axis 2 is outside",
    ),
    ErrorCase(
        "transpose", "few", lambda g: movement.transpose(_x(g), axes=(0,)),
        ShapeError, r"^transpose\(f32\[3,4\]\): axes \(0,\)",
    ),
    ErrorCase(
        "broadcast_to", "differs", lambda g: build.broadcast_to(_x(g), (3, 5)),
        ShapeError, r"^broadcast_to\(f32\[3,4\]\): extents 4 and 5",
    ),
    ErrorCase(
        "broadcast_to", "rank", lambda g: build.broadcast_to(_x(g), (4,)),
        ShapeError, r"^broadcast_to\(f32\[3,4\]\): does not stretch to \[4\]",
    ),
    ErrorCase(
        "broadcast_to", "shrinks", lambda g: build.broadcast_to(_x(g), (1, 4)),
        ShapeError, r"^broadcast_to\(f32\[3,4\]\): does not stretch to \[1,4\]",
    ),
    ErrorCase(
        "broadcast_to", "negative", lambda g: build.broadcast_to(_x(g), (-3, 4)),
        ShapeError, r"^broadcast_to\(f32\[3,4\]\): .*-3",
    ),
    ErrorCase(
        "slice", "beyond", lambda g: _slice(g, 2, 3, 1),
        ShapeError, r"^slice\(f32\[4\]\): elements 2 to 4 do not lie in an extent of 4",
    ),
    ErrorCase(
        "slice", "before", lambda g: _slice(g, 1, 3, -1),
        ShapeError, r"^slice\(f32\[4\]\): elements 1 to -1",
    ),
    ErrorCase(
        "slice", "still", lambda g: _slice(g, 1, 3, 0), ShapeError, r"^slice\(f32\[4\]\): "
    ),
    ErrorCase(
        "slice", "open", lambda g: _slice(g, 1, 2, 1, "batch"),
        ShapeError, r"^slice\(f32\[batch\]\): dimension batch is open",
    ),
    ErrorCase(
        "slice", "negative", lambda g: _slice(g, Dim("batch") - 1, 1, 1, "batch"),
        ShapeError, r"^slice\(f32\[batch\]\): dimension batch is open",
    ),
    ErrorCase(
        "slice", "rank", lambda g: movement.slice_(_x(g), starts=(0,), counts=(3,), steps=(1,)),
        ShapeError, r"^slice\(f32\[3,4\]\): a start, count and step for each of 2 axes",
    ),
    ErrorCase(
        "embed", "beyond", lambda g: _embed(g, 2, 1, 4),
        ShapeError, r"^embed\(f32\[3\]\): elements 2 to 4 do not lie in an extent of 4",
    ),
    ErrorCase(
        "embed", "open", lambda g: _embed(g, 0, 1, "batch"),
        ShapeError, r"^embed\(f32\[3\]\): dimension batch is open",
    ),
    ErrorCase(
        "concatenate", "shapes",
        lambda g: build.concatenate([_x(g), g.input("y", (2, 5))]),
        ShapeError, r"^concatenate\(f32\[3,4\], f32\[2,5\]\): shapes may differ in axis 0 alone",
    ),
    ErrorCase(
        "concatenate", "dtypes",
        lambda g: build.concatenate([_x(g), g.input("y", (3, 4), "f64")]),
        DTypeError, r"^concatenate\(f32\[3,4\], f64\[3,4\]\): operands of one dtype",
    ),
    ErrorCase(
        "concatenate", "axis", lambda g: build.concatenate([_x(g)], 2),
        ShapeError, r"^concatenate\(f32\[3,4\]\): axis 2 is outside rank 2",
    ),
    ErrorCase(
        "concatenate", "open",
        lambda g: build.concatenate([_x(g, ("batch", 2)), g.input("y", ("time", 2))], 1),
        ShapeError, r"^concatenate\(f32\[batch,2\], f32\[time,2\]\): shapes may differ in axis 1",
    ),
)  # fmt: skip

_INDEXING = (
    ErrorCase(
        "take", "floats", lambda g: build.take(_x(g), _i(g, (2,), "f32")),
        DTypeError, r"^take\(f32\[3,4\], f32\[2\]\): integer indices expected",
    ),
    ErrorCase(
        "take", "fractions", lambda g: build.take(_x(g), [0.5, 1.0]),
        DTypeError, r"^take\(f32\[3,4\].*integer indices expected",
    ),
    ErrorCase(
        "take", "axis", lambda g: build.take(_x(g), _i(g), 2),
        ShapeError, r"^take\(f32\[3,4\]\): axis 2 is outside rank 2",
    ),
    ErrorCase(
        "take", "beyond", lambda g: build.take(_x(g), _i(g)),
        IndexError, r"^take: an index in <input i : i64\[2\]> is outside -3 to 2",
        {"x": _VALUES, "i": [0, 3]},
    ),
    ErrorCase(
        "take", "negative", lambda g: build.take(_x(g), _i(g)),
        IndexError, "^take: .* outside -3 to 2", {"x": _VALUES, "i": [0, -4]},
    ),
    ErrorCase(
        "scatter_add", "slices",
        lambda g: indexed.scatter_add(_x(g), _i(g), axis=0, shape=(9, 4)),
        ShapeError, r"^scatter_add\(f32\[3,4\], i64\[2\]\): slices of f32\[2,4\] expected",
    ),
    ErrorCase(
        "scatter_add", "floats",
        lambda g: indexed.scatter_add(_x(g), _i(g, (3,), "f32"), axis=0, shape=(9, 4)),
        DTypeError, r"^scatter_add\(f32\[3,4\], f32\[3\]\): integer indices",
    ),
    ErrorCase(
        "scatter_add", "bytes",
        lambda g: indexed.scatter_add(_x(g, (2, 4), "u8"), _i(g), axis=0, shape=(9, 4)),
        DTypeError, r"^scatter_add\(u8\[2,4\], i64\[2\]\): .* expected, not u8; cast first",
    ),
    ErrorCase(
        "scatter_add", "beyond",
        lambda g: indexed.scatter_add(_x(g), _i(g, (3,)), axis=0, shape=(9, 4)),
        IndexError, "^scatter_add: .* outside 0 to 8", {"x": _VALUES, "i": [0, 9, 1]},
    ),
    ErrorCase(
        "index_add", "slices",
        lambda g: indexed.index_add(_x(g), g.input("y", (3, 4)), _i(g), axis=0),
        ShapeError, r"^index_add\(f32.*, i64\[2\]\): slices of f32\[2,4\] expected",
    ),
    ErrorCase(
        "index_add", "dtypes",
        lambda g: indexed.index_add(_x(g), g.input("y", (2, 4), "f64"), _i(g), axis=0),
        DTypeError, r"^index_add\(f32\[3,4\], f64\[2,4\], i64\[2\]\): slices of the base's dtype",
    ),
    ErrorCase(
        "index_add", "bytes",
        lambda g: indexed.index_add(
            _x(g, (2, 4), "u8"), g.input("y", (2, 4), "u8"), _i(g), axis=0
        ),
        DTypeError, r"^index_add\(u8\[2,4\], u8\[2,4\], i64\[2\]\): .* not u8; cast first",
    ),
    ErrorCase(
        "index_add", "beyond",
        lambda g: indexed.index_add(_x(g), g.constant(np.zeros((2, 4)), "f32"), _i(g), axis=0),
        IndexError, "^index_add: .* outside 0 to 2", {"x": _VALUES, "i": [0, 3]},
    ),
    ErrorCase(
        "index_set", "slices",
        lambda g: indexed.index_set(_x(g), g.input("y", (3, 4)), _i(g), axis=0),
        ShapeError, r"^index_set\(f32.*, i64\[2\]\): slices of f32\[2,4\] expected",
    ),
    ErrorCase(
        "index_set", "dtypes",
        lambda g: indexed.index_set(_x(g), g.input("y", (2, 4), "f64"), _i(g), axis=0),
        DTypeError, r"^index_set\(f32\[3,4\], f64\[2,4\], i64\[2\]\): slices of the base's dtype",
    ),
    ErrorCase(
        "index_set", "beyond",
        lambda g: indexed.index_set(_x(g), g.constant(np.zeros((2, 4)), "f32"), _i(g), axis=0),
        IndexError, "^index_set: .* outside 0 to 2", {"x": _VALUES, "i": [0, 3]},
    ),
    ErrorCase(
        "index_from_front", "floats", lambda g: indexed.index_from_front(_x(g), limit=3),
        DTypeError, r"^index_from_front\(f32\[3,4\]\): integer indices expected",
    ),
    ErrorCase(
        "index_from_front", "narrow",
        lambda g: indexed.index_from_front(_i(g, (2,), "u8"), limit=257),
        DTypeError, r"^index_from_front\(u8\[2\]\): 257 elements are more than u8 holds",
    ),
    ErrorCase(
        "in_range", "floats", lambda g: indexed.in_range(_x(g), limit=3),
        DTypeError, r"^in_range\(f32\[3,4\]\): integer indices expected",
    ),
    ErrorCase(
        "in_range", "beyond", lambda g: indexed.in_range(_i(g), limit=3),
        IndexError, "^in_range: .* outside 0 to 2", {"i": [0, 3]},
    ),
    ErrorCase(
        "in_range", "negative", lambda g: indexed.in_range(_i(g), limit=3),
        IndexError, "^in_range: .* outside 0 to 2", {"i": [-1, 2]},
    ),
    ErrorCase(
        "one_hot", "floats", lambda g: build.one_hot(_x(g), 3),
        DTypeError, r"^one_hot\(f32\[3,4\]\): integer labels expected, not f32",
    ),
    ErrorCase(
        "one_hot", "byte_beyond", lambda g: build.one_hot(_i(g, (2,), "u8"), 200),
        IndexError, "^one_hot: .* outside 0 to 199", {"i": np.array([0, 200], np.uint8)},
    ),
    ErrorCase(
        "one_hot", "depth", lambda g: build.one_hot(_i(g), 0),
        ShapeError, r"^one_hot\(i64\[2\]\): a depth of at least 1",
    ),
    ErrorCase(
        "one_hot", "dtype", lambda g: build.one_hot(_i(g), 3, "f16"),
        DTypeError, r"^one_hot\(i64\[2\]\): .*'f16' is no dtype",
    ),
    ErrorCase(
        "one_hot", "beyond", lambda g: build.one_hot(_i(g), 3),
        IndexError, "^one_hot: .* outside 0 to 2", {"i": [0, 3]},
    ),
    ErrorCase(
        "pick", "shapes", lambda g: build.pick(_x(g), _i(g)),
        ShapeError, r"^pick\(f32\[3,4\], i64\[2\]\): a label for each position",
    ),
    ErrorCase(
        "pick", "floats", lambda g: build.pick(_x(g), _i(g, (3,), "f32")),
        DTypeError, r"^pick\(f32\[3,4\], f32\[3\]\): integer labels",
    ),
    ErrorCase(
        "pick", "beyond", lambda g: build.pick(_x(g), _i(g, (3,))),
        IndexError, "^pick: .* outside 0 to 3", {"x": _VALUES, "i": [0, 1, 4]},
    ),
)  # fmt: skip

_PRODUCTS = (
    ErrorCase(
        "matmul", "inner", lambda g: _matmul(g, (2, 3), (4, 5)),
        ShapeError, r"^matmul\(f32\[2,3\], f32\[4,5\]\): inner extents 3 and 4 differ",
    ),
    ErrorCase(
        "matmul", "vector", lambda g: _matmul(g, (3,), (3, 5)),
        ShapeError, r"^matmul\(f32\[3\], f32\[3,5\]\): matrices expected",
    ),
    ErrorCase(
        "matmul", "batch", lambda g: _matmul(g, (2, 2, 3), (4, 3, 5)),
        ShapeError, r"^matmul\(f32\[2,2,3\], f32\[4,3,5\]\): extents 2 and 4",
    ),
    ErrorCase(
        "matmul", "open", lambda g: _matmul(g, (2, "batch"), (4, 5)),
        ShapeError, r"^matmul\(f32\[2,batch\], f32\[4,5\]\): inner extents batch and 4",
    ),
    ErrorCase(
        "matmul", "mixed", lambda g: _matmul(g, (2, 3), (3, 5), ("f32", "f64")),
        DTypeError, r"^matmul\(f32\[2,3\], f64\[3,5\]\): two operands of f32 or two of f64",
    ),
    ErrorCase(
        "matmul", "integers", lambda g: _matmul(g, (2, 3), (3, 5), ("i64", "i64")),
        DTypeError, r"^matmul\(i64\[2,3\], i64\[3,5\]\): ",
    ),
)  # fmt: skip

_COMPOSITES = tuple(
    case
    for op, record, constructor, problem in (
        ("softmax", composite.softmax, build.softmax, "axis 0 is empty"),
        ("log_softmax", composite.log_softmax, build.log_softmax, "axis 0 is empty"),
        ("argmax", composite.argmax, build.argmax, "an extreme of no elements"),
        ("argmin", composite.argmin, build.argmin, "an extreme of no elements"),
    )
    for case in (
        ErrorCase(
            op, "axis", lambda g, f=constructor: f(_x(g), 2),
            ShapeError, rf"^{op}\(f32\[3,4\]\): axis 2 is outside rank 2",
        ),
        ErrorCase(
            op, "negative_axis", lambda g, f=record: f(_x(g), axis=-1),
            ShapeError, rf"^{op}\(f32\[3,4\]\): axis -1 is outside rank 2",
        ),
        ErrorCase(
            op, "dtype", lambda g, f=record: f(_x(g, (3,), "bool"), axis=0),
            DTypeError, rf"^{op}\(bool\[3\]\): .* expected, not bool",
        ),
        ErrorCase(
            op, "empty", lambda g, f=record: f(_x(g, (0, 4)), axis=0),
            ShapeError, rf"^{op}\(f32\[0,4\]\): {problem}",
        ),
    )
)  # fmt: skip

TENSOR_ERRORS: tuple[ErrorCase, ...] = (
    *_LEAVES, *_REDUCTIONS, *_MOVEMENTS, *_INDEXING, *_PRODUCTS, *_COMPOSITES,
)  # fmt: skip
