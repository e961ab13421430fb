"""Cases of loops and their results; derivatives are those of tests/ir/test_loops.py."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError, GraphError, ShapeError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.ops import OPS
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.programs import loops
from graphc.ir.types import DType
from graphc.testing.cases import BATCH, Case, ErrorCase, Operand, case_name, integers


def _build(length: Any, reverse: bool, number: int) -> Callable[..., Node]:
    """Result `number` of a loop of two carries, which stacks two values."""

    def made(graph: Graph, operands: tuple[Node, ...], dtype: DType) -> Node:
        carry, stack, weight = operands

        def step(carries: list[Node], slices: list[Node]) -> tuple[list[Node], list[Node]]:
            (h, count), (x,) = carries, slices
            after = weight * h + x
            return [after, count + 1], [after * 2, count]

        count = build.broadcast_to(graph.constant(3, "i32"), (2,))
        last, stacked = loops.scan(step, [carry, count], [stack], length, reverse=reverse)
        return [*last, *stacked][number]

    return made


def _expected(reverse: bool, number: int) -> Callable[..., Any]:
    def expect(carry: Any, stack: Any, weight: Any) -> Any:
        count = np.full(2, 3)
        length = len(stack)
        stacks = np.zeros((length, *carry.shape)), np.zeros((length, 2), np.int32)
        for t in reversed(range(length)) if reverse else range(length):
            carry = weight * carry + stack[t]
            stacks[0][t], stacks[1][t] = carry * 2, count
            count = count + 1
        return (carry, count, *stacks)[number]

    return expect


def _build_while(number: int, limit: int) -> Callable[..., Node]:
    """Carry `number` of a loop of two, of `limit` steps at the most."""

    def made(graph: Graph, operands: tuple[Node, ...], dtype: DType) -> Node:
        carry, weight = operands

        def step(carries: list[Node]) -> list[Node]:
            h, count = carries
            return [weight * h + 1.0, count + 1]

        def holds(carries: list[Node]) -> Node:
            h, count = carries
            return ops.logical_and(count < limit, build.sum(h) < 50.0)

        return loops.while_loop(holds, step, [carry, graph.constant(0, "i32")])[number]

    return made


def _expected_while(number: int, limit: int) -> Callable[..., Any]:
    def expect(carry: Any, weight: Any) -> Any:
        count = 0
        while count < limit and carry.sum() < 50:
            carry, count = weight * carry + 1, count + 1
        return (carry, np.int32(count))[number]

    return expect


def _while_cases() -> Iterator[Case]:
    for number in 0, 1:
        for limit in 0, 1, 17:
            yield Case(
                "while_loop", case_name(limit, number), (Operand((3, 5)), Operand((3, 5))),
                expect=_expected_while(number, limit), build=_build_while(number, limit),
                reduction_length=limit + 15,
            )  # fmt: skip
    yield Case(
        "while_loop", "open", (Operand(("batch",)), Operand(("batch",))),
        expect=_expected_while(0, 4), bindings=BATCH, build=_build_while(0, 4),
        reduction_length=20,
    )  # fmt: skip


def _cases() -> Iterator[Case]:
    yield from _while_cases()
    for op, number in ("scan", 0), ("scan", 2), ("result", 1), ("result", 3):
        for length in 0, 1, 17:
            for reverse in False, True:
                shape = (3, 5)
                yield Case(
                    op, case_name(length, number, "reverse" if reverse else "forward"),
                    (Operand(shape), Operand((length, *shape)), Operand(shape)),
                    expect=_expected(reverse, number), build=_build(length, reverse, number),
                    reduction_length=length + 1,
                )  # fmt: skip
        yield Case(
            op, case_name("open", number),
            (Operand(("batch",)), Operand(("time", "batch")), Operand(("batch",))),
            expect=_expected(False, number), bindings={**BATCH, "time": 4}, reduction_length=5,
            build=lambda graph, operands, dtype, number=number: _build(
                operands[1].shape[0], False, number
            )(graph, operands, dtype),
        )  # fmt: skip
    for shape in (), (0,), (17,), (3, 5), ("batch", 4):
        yield Case(
            "start", case_name(shape), (Operand(shape),), {"number": 2}, lambda x: x,
            bindings=BATCH,
        )  # fmt: skip
    whole = Operand((5,), "i64", integers(-9, 9))
    yield Case("start", "i64", (whole,), {"number": 0}, lambda x: x)


def _scan(carry: tuple[Any, ...], stack: tuple[Any, ...], **changes: Any) -> Any:
    """A loop whose body adds its slice to its carry, [3]."""

    def build_it(graph: Graph) -> Node:
        inner = Graph()
        c, x = inner.input("c", (3,)), inner.input("x", (3,))
        body = Program("body", (c, x), (("c", changes.pop("after", lambda c, x: c + x)(c, x)),))
        attributes = {
            "carries": 1, "slices": 1, "length": 4, "reverse": False, "recompute": False,
            "body": body, **changes,
        }  # fmt: skip
        return graph.apply(
            OPS["scan"], (graph.input("h", *carry), graph.input("xs", *stack)), attributes
        )

    return build_it


def _while(flag: tuple[Any, ...], carry: tuple[Any, ...], **changes: Any) -> Any:
    """A loop that doubles its carry, [3]."""

    def build_it(graph: Graph) -> Node:
        inner = Graph()
        more, c = (
            inner.input("more", *changes.pop("condition", ((), "bool"))),
            inner.input("c", (3,)),
        )
        body = Program("body", (more, c), (("more", more), ("c", changes.pop("after", c + c))))
        attributes = {"carries": 2, "body": body, **changes}
        operands = (graph.input("flag", *flag), graph.input("h", *carry))
        return graph.apply(OPS["while_loop"], operands, attributes)

    return build_it


def _while_errors() -> Iterator[ErrorCase]:
    flag, carry = ((), "bool"), ((3,), "f32")
    yield ErrorCase(
        "while_loop", "condition", _while(((), "i32"), carry, condition=((), "i32")), DTypeError,
        "the condition: bool expected, not i32",
    )  # fmt: skip
    yield ErrorCase(
        "while_loop", "condition_of_many", _while(((3,), "bool"), carry, condition=((3,), "bool")),
        ShapeError, r"the condition: shape \[\] expected, not \[3\]",
    )  # fmt: skip
    yield ErrorCase(
        "while_loop", "carry", _while(flag, ((2,), "f32")), ShapeError,
        r"operand 1: shape \[3\] expected, not \[2\]",
    )  # fmt: skip
    yield ErrorCase(
        "while_loop", "counts", _while(flag, carry, carries=1), ShapeError,
        "takes 2 values and makes 2, which do not fit 1 carries",
    )  # fmt: skip
    yield ErrorCase(
        "while_loop", "body", _while(flag, carry, body=3), GraphError, "a program expected"
    )


def _errors() -> Iterator[ErrorCase]:
    yield from _while_errors()
    carry, stack = ((3,), "f32"), ((4, 3), "f32")
    yield ErrorCase(
        "scan", "carry", _scan(((2,), "f32"), stack), ShapeError,
        r"^scan\(f32\[2\], f32\[4,3\]\): operand 0: shape \[3\] expected, not \[2\]",
    )  # fmt: skip
    yield ErrorCase(
        "scan", "length", _scan(carry, ((5, 3), "f32")), ShapeError,
        r"operand 1: shape \[4,3\] expected, not \[5,3\]",
    )  # fmt: skip
    yield ErrorCase(
        "scan", "dtype", _scan(carry, ((4, 3), "f64")), DTypeError,
        "operand 1: f32 expected, not f64",
    )  # fmt: skip
    yield ErrorCase(
        "scan", "carry_after", _scan(carry, stack, after=lambda c, x: build.sum(c)), ShapeError,
        r"carry 0 after a step: shape \[3\] expected, not \[\]",
    )  # fmt: skip
    yield ErrorCase(
        "scan", "counts", _scan(carry, stack, carries=2), ShapeError,
        "takes 2 values and makes 1, which do not fit 2 carries",
    )  # fmt: skip
    yield ErrorCase("scan", "steps", _scan(carry, stack, length=-1), ShapeError, "and -1 steps")
    yield ErrorCase("scan", "stacks", _scan(carry, stack, slices=-1), ShapeError, "-1 stacks")
    yield ErrorCase("scan", "body", _scan(carry, stack, body=3), GraphError, "a program expected")
    x, result = lambda graph: graph.input("x", (3,)), OPS["result"]
    yield ErrorCase(
        "result", "of_a_tensor", lambda graph: result(x(graph), number=0), ShapeError,
        r"^result\(f32\[3\]\): a value of several results expected",
    )  # fmt: skip
    yield ErrorCase(
        "result", "number", lambda graph: result(_scan(carry, stack)(graph), number=1), ShapeError,
        "result 1 of 1",
    )  # fmt: skip
    start = OPS["start"]
    yield ErrorCase(
        "start", "attribute", lambda graph: start(x(graph)), GraphError, "'number'.* expected"
    )
    yield ErrorCase(
        "start", "number", lambda graph: start(x(graph), number="a"), GraphError, "number"
    )


LOOP_CASES: tuple[Case, ...] = tuple(_cases())
LOOP_ERRORS: tuple[ErrorCase, ...] = tuple(_errors())
