"""Cases of products, of questions to all elements, of variances, and of reductions of bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.functions import build
from graphc.ir.ops import OPS
from graphc.testing.cases import (
    BATCH,
    BYTES,
    PLAIN,
    REVERSED,
    STEPPED,
    TRANSPOSED,
    Case,
    ErrorCase,
    Layout,
    Operand,
    Sampler,
    bools,
    case_name,
    fixed,
    integers,
    special,
    uniform,
)

near_one = uniform(0.5, 1.5)
# No, one, two and three zeros in a row of five.
ZEROS = (
    1.5, -2.0, 0.5, 1.25, -0.75, 1.5, 0.0, 0.5, 1.25, -0.75, 0.0, 2.0, 0.5, -0.0, 1.5, 0.0, 0.0,
    0.5, 0.0, 2.0,
)  # fmt: skip

REDUCED: tuple[tuple[Any, tuple[int, ...], Layout], ...] = (
    ((1,), (0,), PLAIN), ((15,), (0,), PLAIN), ((17, 3), (0,), PLAIN), ((3, 16), (1,), TRANSPOSED),
    ((3, 17), (1,), PLAIN), ((2, 3, 4), (0, 2), STEPPED), ((2, 9, 15), (1,), PLAIN),
    ((2, 3, 2, 4), (1, 3), REVERSED), ((3, 5), (), PLAIN), ((3, 0), (0,), PLAIN),
    (("batch", 4), (1,), PLAIN), ((2, "batch", 3), (1, 2), PLAIN),
)  # fmt: skip

# Each is many kernels.
OTHERS = ((1,), (2, 3, 4), (3, 0), ("batch", 4), (3, 5), (2, "batch", 3))


def _product(x: Any, axes: tuple[int, ...]) -> Any:
    """The list of elements that share the other indices, one after the other; integers wrap."""
    return np.multiply.reduce(x, axis=axes, dtype=x.dtype, keepdims=True) if axes else x


def _others(x: Any, axis: int) -> Any:
    """The products of rows from which one element each is taken."""
    rows = [np.prod(np.delete(x, i, axis), axis=axis, dtype=x.dtype) for i in range(x.shape[axis])]
    return np.stack(rows, axis) if rows else x


def _product_cases() -> Iterator[Case]:
    for shape, axes, layout in REDUCED:
        yield Case(
            "prod", case_name(shape, axes, layout.name),
            (Operand(shape, sample=near_one, layout=layout),), {"axes": axes},
            lambda x, axes=axes: _product(x, axes), bindings=BATCH, reduction_length=20,
        )  # fmt: skip
        for axis in axes[:1] if shape in OTHERS else ():
            yield Case(
                "product_of_others", case_name(shape, axis, layout.name),
                (Operand(shape, sample=near_one, layout=layout),), {"axis": axis},
                lambda x, axis=axis: _others(x, axis), bindings=BATCH, reduction_length=40,
            )  # fmt: skip
    zeros = Operand((4, 5), sample=fixed(ZEROS))
    yield Case("prod", "zeros", (zeros,), {"axes": (1,)}, lambda x: _product(x, (1,)))
    yield Case("prod", "all_with_zeros", (zeros,), {"axes": (0, 1)}, lambda x: np.zeros((1, 1)))
    yield Case("product_of_others", "zeros", (zeros,), {"axis": 1}, lambda x: _others(x, 1))
    yield Case(
        "prod", "empty", (Operand((0, 3)),), {"axes": (0,)}, lambda x: np.ones((1, 3)),
    )  # fmt: skip
    for length in (100, 5000):
        yield Case(
            "prod", f"long_{length}", (Operand((length,), sample=uniform(0.99, 1.01)),),
            {"axes": (0,)}, lambda x: np.array([math.prod(x)]), gradient=False,
            reduction_length=length,
        )  # fmt: skip
    for dtype in ("i32", "i64"):
        operand = Operand((3, 17), dtype, integers(-9, 9))
        # What is beyond the dtype wraps.
        yield Case("prod", dtype, (operand,), {"axes": (1,)}, lambda x: _product(x, (1,)))
    signs = Operand((3, 4), sample=fixed([np.inf, -1.0, 2.0, np.nan, -np.inf]))
    yield Case("prod", "special", (signs,), {"axes": (0,)}, gradient=False)


def _question_cases() -> Iterator[Case]:
    samples: tuple[tuple[str, Sampler], ...] = (
        ("mixed", bools), ("true", fixed([True])), ("false", fixed([False])),
    )  # fmt: skip
    for op, function in (("any", np.logical_or), ("all", np.logical_and)):
        for shape, axes, layout in REDUCED[2:6] + REDUCED[-2:]:
            for name, sample in samples if shape == (3, 17) else samples[:1]:
                yield Case(
                    op, case_name(shape, axes, layout.name, name),
                    (Operand(shape, "bool", sample, layout),), {"axes": axes},
                    lambda x, axes=axes, function=function: (
                        function.reduce(x, axis=axes, keepdims=True) if axes else x
                    ),
                    bindings=BATCH,
                )  # fmt: skip
        yield Case(
            op, "long", (Operand((3, 5001), "bool", bools),), {"axes": (1,)},
            lambda x, is_all=op == "all": np.full((3, 1), not is_all),
        )  # fmt: skip
        yield Case(
            op, "empty", (Operand((0, 3), "bool", bools),), {"axes": (0,)},
            lambda x, is_all=op == "all": np.full((1, 3), is_all),
        )  # fmt: skip


def _byte_cases() -> Iterator[Case]:
    for op, function in (
        ("max", np.max), ("greatest", np.max), ("min", np.min), ("least", np.min),
    ):  # fmt: skip
        for shape, axes in (((3, 17), (1,)), ((65, 3), (0,)), ((4, 5), (0, 1))):
            yield Case(
                op, case_name("bytes", shape, axes), (Operand(shape, "u8", BYTES),),
                {"axes": axes},
                lambda x, axes=axes, function=function: function(x, axis=axes, keepdims=True),
            )  # fmt: skip


def _variance(x: Any, axes: tuple[int, ...], ddof: int) -> Any:
    """The mean square of the differences of all pairs is twice the variance."""
    if not axes:
        return x * 0
    rest = [axis for axis in range(x.ndim) if axis not in axes]
    count = math.prod(x.shape[axis] for axis in axes)
    rows = np.transpose(x, (*rest, *axes)).reshape(*(x.shape[axis] for axis in rest), count)
    pairs = np.square(rows[..., :, None] - rows[..., None, :]).sum((-1, -2)) / (2 * max(count, 1))
    kept = tuple(1 if axis in axes else extent for axis, extent in enumerate(x.shape))
    return np.reshape(pairs, kept) / np.float64(max(count - ddof, 0))


def _variance_cases() -> Iterator[Case]:
    for op, root in (("var", lambda x: x), ("std", np.sqrt)):
        for shape, axes, layout in REDUCED:
            # A root has no slope at 0, where there is one element alone.
            alone = op == "std" and (not axes or shape == (1,))
            for ddof in (0, 1) if shape == (3, 17) else (0,):
                yield Case(
                    op, case_name(shape, axes, layout.name, ddof),
                    (Operand(shape, layout=layout),), {"axes": axes, "ddof": ddof},
                    lambda x, axes=axes, ddof=ddof, root=root: root(_variance(x, axes, ddof)),
                    bindings=BATCH, reduction_length=30, gradient=not alone,
                )  # fmt: skip
        yield Case(
            op, "too_few", (Operand((3, 1)),), {"axes": (1,), "ddof": 1},
            lambda x: np.full((3, 1), np.nan), gradient=False,
        )  # fmt: skip
        # What remains is 0, not negative: infinite, as numpy has it.
        yield Case(
            op, "fewer", (Operand((3, 2)),), {"axes": (1,), "ddof": 5},
            lambda x: np.full((3, 1), np.inf), gradient=False,
        )  # fmt: skip
        equal = Operand((2, 8), sample=fixed([0.5] * 8 + [-3.0] * 8))
        yield Case(
            op, "equal", (equal,), {"axes": (1,), "ddof": 0}, lambda x: np.zeros((2, 1)),
            gradient=op == "var",
        )  # fmt: skip
        yield Case(
            op, "special", (Operand((17, 3), sample=special),), {"axes": (0,), "ddof": 0},
            gradient=False,
        )  # fmt: skip
        # Two passes: the squares of what is far from 0 would cancel.
        far = Operand((2, 100), sample=lambda rng, shape: 4096 + rng.integers(0, 8, shape) / 8)
        yield Case(
            op, "far", (far,), {"axes": (1,), "ddof": 0},
            lambda x, root=root: root(_variance(x, (1,), 0)), reduction_length=100,
            smooth=False,
        )  # fmt: skip


def _errors() -> Iterator[ErrorCase]:
    refused: dict[str, tuple[dict[str, Any], str]] = {
        "prod": ({}, "bool"), "any": ({}, "f32"), "all": ({}, "i32"),
        "var": ({"ddof": 0}, "i32"), "std": ({"ddof": 0}, "i64"),
    }  # fmt: skip
    for op, (more, dtype) in refused.items():
        yield ErrorCase(
            op, "dtype",
            lambda g, op=op, more=more, dtype=dtype: OPS[op](
                g.input("x", (3,), dtype), axes=(0,), **more
            ),
            DTypeError, rf"^{op}\({dtype}\[3\]\): .* expected, not {dtype}",
        )  # fmt: skip
        yield ErrorCase(
            op, "axis", lambda g, op=op: getattr(build, op)(g.input("x", (3, 4)), 2),
            ShapeError, rf"^{op}\(f32\[3,4\]\): axis 2 is outside rank 2",
        )  # fmt: skip
        kind = "bool" if op in ("any", "all") else "f32"
        yield ErrorCase(
            op, "unsorted",
            lambda g, op=op, more=more, kind=kind: OPS[op](
                g.input("x", (3, 4), kind), axes=(1, 0), **more
            ),
            ShapeError, rf"^{op}\({kind}\[3,4\]\): sorted axes",
        )  # fmt: skip
    others = OPS["product_of_others"]
    yield ErrorCase(
        "product_of_others", "dtype", lambda g: others(g.input("x", (3,), "u8"), axis=0),
        DTypeError, r"^product_of_others\(u8\[3\]\): .* expected, not u8; cast first",
    )  # fmt: skip
    yield ErrorCase(
        "product_of_others", "axis", lambda g: others(g.input("x", (3,)), axis=1),
        ShapeError, r"^product_of_others\(f32\[3\]\): axis 1 is outside rank 1",
    )  # fmt: skip


STATISTICS_CASES: tuple[Case, ...] = (
    *_product_cases(), *_question_cases(), *_byte_cases(), *_variance_cases(),
)  # fmt: skip
STATISTICS_ERRORS: tuple[ErrorCase, ...] = tuple(_errors())
