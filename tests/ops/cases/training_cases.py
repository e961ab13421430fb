"""Cases of values that differ between training and inference."""

from collections.abc import Iterator

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.ops import OPS
from graphc.testing.cases import (
    BATCH,
    TRANSPOSED,
    Case,
    ErrorCase,
    Operand,
    bools,
    case_name,
    integers,
    special,
)  # fmt: skip

training_form = OPS["training_form"]


def _cases() -> Iterator[Case]:
    for shape in (), (0,), (17,), (3, 5), ("batch", 4):
        yield Case(
            "training_form", case_name(shape), (Operand(shape), Operand(shape)),
            expect=lambda training, inference: training, bindings=BATCH,
        )  # fmt: skip
    strided = Operand((3, 5), sample=special, layout=TRANSPOSED)
    yield Case(
        "training_form", "special", (strided, Operand((3, 5), sample=special)),
        expect=lambda training, inference: training, gradient=False,
    )  # fmt: skip
    for dtype, sample in ("i64", integers(-9, 9)), ("u8", integers(0, 256)), ("bool", bools):
        yield Case(
            "training_form", dtype, (Operand((5,), dtype, sample), Operand((5,), dtype, sample)),
            expect=lambda training, inference: training,
        )  # fmt: skip


def _errors() -> Iterator[ErrorCase]:
    yield ErrorCase(
        "training_form", "shapes",
        lambda graph: training_form(graph.input("x", (3,)), graph.input("y", ("n",))),
        ShapeError, r"^training_form\(f32\[3\], f32\[n\]\): .* not of \[3\] and \[n\]",
    )  # fmt: skip
    yield ErrorCase(
        "training_form", "dtypes",
        lambda graph: training_form(graph.input("x", (3,)), graph.input("y", (3,), "f64")),
        DTypeError, "two values of one dtype expected; cast one",
    )  # fmt: skip


TRAINING_CASES: tuple[Case, ...] = tuple(_cases())
TRAINING_ERRORS: tuple[ErrorCase, ...] = tuple(_errors())
