"""Loops: a program that is made again and again, and the results of nodes that have several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.ir.dims import Extent
from graphc.ir.errors import DTypeError, GraphError, ShapeError
from graphc.ir.nodes.attributes import BOOL, COUNT, EXTENT, AttributeKind
from graphc.ir.nodes.lowering import Region, Result, Scalar
from graphc.ir.nodes.op import Node, NonDifferentiable, Op
from graphc.ir.types import TensorType, TupleType, bool_, shape_text


def _as_program(value: Any) -> Any:
    if not hasattr(value, "structure"):
        raise TypeError(f"a program expected, not {value!r}")
    return value


def _in_short(program: Any) -> str:
    return f"{len(program.inputs)} values to {len(program.outputs)}"


def _elsewhere(*_: Any, **__: Any) -> Any:
    raise GraphError("a program is written, read and evaluated where programs are")


# A program, which is printed and read with the one around it (`graphc.ir.text.parsing`).
PROGRAM = AttributeKind(
    "program", _as_program, _in_short, _elsewhere, key=lambda program: program.structure(),
    deeper=None,
)  # fmt: skip


@dataclass(frozen=True)
class Steps:
    """What the node of a loop says of its steps; its attributes have the names of the fields.

    length: how many there are; None where the first carry says before each whether it is made.
    """

    body: Any
    carries: int
    slices: int = 0
    length: Extent | None = None
    reverse: bool = False
    recompute: bool = False

    @classmethod
    def of(cls, loop: Node) -> Steps:
        return cls(**loop.attributes)


def _infer_scan(
    *operands: TensorType,
    body: Any,
    carries: int,
    slices: int,
    length: Extent,
    reverse: bool,
    recompute: bool,
) -> TensorType:
    if min(carries, slices) < 0 or (isinstance(length, int) and length < 0):
        raise ShapeError(f"no loop has {carries} carries, {slices} stacks and {length} steps")
    given = [node.type for node in body.inputs]
    made = [node.type for _, node in body.outputs]
    if len(operands) != len(given) or carries + slices > len(given) or carries > len(made):
        raise ShapeError(
            f"the body takes {len(given)} values and makes {len(made)}, which do not fit "
            f"{carries} carries, {slices} stacked inputs and {len(operands)} operands"
        )
    for number, (carry, after) in enumerate(zip(given[:carries], made, strict=False)):
        _check_same(f"carry {number} after a step", carry, after)
    expected = [
        _stacked(each, length) if carries <= number < carries + slices else each
        for number, each in enumerate(given)
    ]
    for number, (wanted, found) in enumerate(zip(expected, operands, strict=True)):
        _check_same(f"operand {number}", wanted, found)
    return TupleType.of([*made[:carries], *(_stacked(each, length) for each in made[carries:])])


def _infer_while(*operands: TensorType, body: Any, carries: int) -> TensorType:
    given = [node.type for node in body.inputs]
    made = [node.type for _, node in body.outputs]
    if not len(operands) == len(given) >= carries == len(made) or carries < 1:
        raise ShapeError(
            f"the body takes {len(given)} values and makes {len(made)}, which do not fit "
            f"{carries} carries and {len(operands)} operands"
        )
    _check_same("the condition", TensorType(bool_, ()), given[0])
    for number, (carry, after) in enumerate(zip(given, made, strict=False)):
        _check_same(f"carry {number} after a step", carry, after)
    for number, (wanted, found) in enumerate(zip(given, operands, strict=True)):
        _check_same(f"operand {number}", wanted, found)
    return TupleType.of(made)


def _check_same(what: str, wanted: TensorType, found: TensorType) -> None:
    if found.shape != wanted.shape:
        raise ShapeError(
            f"{what}: shape {shape_text(wanted.shape)} expected, not {shape_text(found.shape)}"
        )
    if found.dtype != wanted.dtype:
        raise DTypeError(f"{what}: {wanted.dtype} expected, not {found.dtype}")


def _stacked(each: TensorType, length: Extent) -> TensorType:
    """The type of the values of all steps."""
    return each.with_shape((length, *each.shape))


def _infer_result(operand: TensorType, number: int) -> TensorType:
    if not isinstance(operand, TupleType):
        raise ShapeError(f"a value of several results expected, not {operand}")
    if not 0 <= number < len(operand.results):
        raise ShapeError(f"result {number} of {len(operand.results)}")
    return operand.results[number]


def _reference_result(result: TensorType, values: Sequence[Any], number: int) -> Any:
    return values[number]


# Operands: the carries as they are at first, stacked inputs of which each step reads its slice, and
# values that are the same for all steps. The body takes them in this order and makes the next
# carries and then the values that are stacked. Results: the last carries, and the stacks.
# reverse: steps go from the last slice to the first. recompute: derivatives keep carries alone.
scan: Op = Op(
    "scan",
    arity=None,
    attributes={
        "carries": COUNT,
        "slices": COUNT,
        "length": EXTENT,
        "reverse": BOOL,
        "recompute": BOOL,
        "body": PROGRAM,
    },
    infer=_infer_scan,
    reference=_elsewhere,
    vjp=[_elsewhere],
    lowering=Region(),
)

# Operands: the carries as they are at first, and values that are the same for all steps. The first
# carry is a bool: as long as it is true another step is made, whose first result is the next one.
# So a step ends with the condition of the one behind it, beside the values that it is made of.
while_loop: Op = Op(
    "while_loop",
    arity=None,
    attributes={"carries": COUNT, "body": PROGRAM},
    infer=_infer_while,
    reference=_elsewhere,
    vjp=[
        NonDifferentiable(
            "the number of its steps is open; gc.scan and gc.fori_loop, which know it, have a "
            "derivative"
        )
    ],
    lowering=Region(),
)

result: Op = Op(
    "result",
    arity=1,
    attributes={"number": COUNT},
    infer=_infer_result,
    reference=_reference_result,
    vjp=[_elsewhere],
    lowering=Result(),
)

# The value itself in memory that a loop may write over: no two loops begin with the same number.
start: Op = Op(
    "start",
    arity=1,
    attributes={"number": COUNT},
    infer=lambda x, number: x,
    reference=lambda result, x, number: x,
    vjp=[lambda ct, result, x, number: ct],
    lowering=Scalar("{x}", cost=0),
)

OPS = (scan, while_loop, result, start)
