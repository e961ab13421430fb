"""Cases of values whose derivative the user has written."""

from collections.abc import Iterator
from typing import Any

from graphc.ir.errors import DTypeError, GraphError, ShapeError
from graphc.ir.graph import Graph, Node
from graphc.ir.ops import OPS
from graphc.ir.types import DType
from graphc.testing.cases import BATCH, TRANSPOSED, Case, ErrorCase, Operand, case_name, special


def _cases() -> Iterator[Case]:
    pairs = (Operand((4,)), Operand((4,)))
    # The formal parameters may be any values: nothing reads them but derivatives.
    for shape in (), (0,), (17,), (3, 5), ("batch", 4):
        value = Operand(shape)
        yield Case(
            "custom_vjp", case_name(shape), (value, value, value, *pairs),
            expect=lambda value, *_: value, gradient=False, bindings=BATCH,
        )  # fmt: skip
    strided = Operand((3, 5), sample=special, layout=TRANSPOSED)
    yield Case(
        "custom_vjp", "special", (strided, strided, strided, *pairs),
        expect=lambda value, *_: value, gradient=False,
    )  # fmt: skip
    for shape in (), (3, 5), ("batch", 4):
        # No kernel computes one by itself: it is gone with what depends on it.
        yield Case(
            "formal", case_name(shape), (Operand(shape),), expect=lambda x: x, bindings=BATCH,
            build=_with_formals,
        )  # fmt: skip


def _with_formals(graph: Graph, operands: tuple[Node, ...], dtype: DType) -> Node:
    (x,) = operands
    formals = [
        graph.apply(OPS["formal"], (), {"number": number, "shape": x.shape, "dtype": dtype})
        for number in range(2)
    ]
    return graph.apply(OPS["custom_vjp"], (x, *formals, x, formals[0] * formals[1]), {})


def _applied(*types: tuple[tuple[Any, ...], str]) -> Any:
    def build(graph: Graph) -> Node:
        operands = [graph.input(f"x{n}", *declared) for n, declared in enumerate(types)]
        return graph.apply(OPS["custom_vjp"], operands, {})

    return build


def _formal(**attributes: Any) -> Any:
    return lambda graph: graph.apply(OPS["formal"], (), attributes)


def _errors() -> Iterator[ErrorCase]:
    one, other, whole = ((3,), "f32"), ((4,), "f32"), ((3,), "i32")
    for name, types in ("no_pair", (one, one, one)), ("half_a_pair", (one,) * 4):
        yield ErrorCase("custom_vjp", name, _applied(*types), ShapeError, "pairs of values")
    yield ErrorCase(
        "custom_vjp", "formal", _applied(one, other, one, one, one), ShapeError,
        r"^custom_vjp\(.*\): formal parameters of the value's type",
    )  # fmt: skip
    yield ErrorCase(
        "custom_vjp", "cotangent", _applied(one, one, one, one, other), ShapeError,
        r"a cotangent of f32\[3\] expected, not f32\[4\]",
    )  # fmt: skip
    yield ErrorCase(
        "custom_vjp", "integers", _applied(one, one, one, whole, whole), DTypeError, "f32 or f64"
    )
    yield ErrorCase(
        "formal", "absent", _formal(number=0, shape=()), GraphError, r"'dtype'.* expected"
    )
    yield ErrorCase(
        "formal", "dtype", _formal(number=0, shape=(), dtype="f16"),
        DTypeError, "'f16' is no dtype",
    )  # fmt: skip


CUSTOM_CASES: tuple[Case, ...] = tuple(_cases())
CUSTOM_ERRORS: tuple[ErrorCase, ...] = tuple(_errors())
