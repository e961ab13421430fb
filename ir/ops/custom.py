"""A value whose derivative the user has written: the ops of `graphc.ir.programs.custom_vjp`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.nodes.attributes import DTYPE, INT, SHAPE
from graphc.ir.nodes.lowering import Composite, Leaf
from graphc.ir.nodes.op import Array, Op
from graphc.ir.types import DType, Shape, TensorType, static_shape

# Operands of custom_vjp before the pairs of argument and cotangent.
VALUE, COTANGENT, RESULT = range(3)
BEFORE_PAIRS = 3


def _reference_formal(result: TensorType, number: int, shape: Shape, dtype: DType) -> Array:
    """Zeros: where a program is evaluated, nothing reads what is made of a formal parameter."""
    return np.zeros(static_shape(shape), dtype.numpy)


# A formal parameter of a backward function: a derivative puts a value in its place.
formal: Op = Op(
    "formal",
    arity=0,
    attributes={"number": INT, "shape": SHAPE, "dtype": DTYPE},
    infer=lambda number, shape, dtype: TensorType(dtype, shape),
    reference=_reference_formal,
    vjp=[],
    lowering=Leaf(),
)


def _infer(*types: TensorType) -> TensorType:
    if len(types) <= BEFORE_PAIRS or (len(types) - BEFORE_PAIRS) % 2:
        raise ShapeError("a value, two formal parameters and pairs of values expected")
    value = types[VALUE]
    if not all(operand.dtype.is_float for operand in types):
        raise DTypeError("f32 or f64 expected")
    if not value == types[COTANGENT] == types[RESULT]:
        raise ShapeError("formal parameters of the value's type expected")
    pairs = zip(types[BEFORE_PAIRS::2], types[BEFORE_PAIRS + 1 :: 2], strict=True)
    for argument, cotangent in pairs:
        if argument != cotangent:
            raise ShapeError(f"a cotangent of {argument} expected, not {cotangent}")
    return value


def _vjp(ct: Any, result: Any, *operands: Any, position: int) -> Any:
    """What the backward function made for an argument; 0 for all that is no argument."""
    if position < BEFORE_PAIRS or (position - BEFORE_PAIRS) % 2:
        return None
    actual = {operands[COTANGENT]: ct, operands[RESULT]: result}
    return substituted(operands[position + 1], actual)


def substituted(root: Any, actual: Mapping[Any, Any]) -> Any:
    """`root` with formal parameters replaced by values of their types.

    What was made before the formal parameters does not depend on them, and is not walked through.
    """
    oldest = min(node.number for node in actual)
    made: dict[Any, Any] = dict(actual)
    stack = [root]
    while stack:
        node = stack[-1]
        if node in made:
            stack.pop()
        elif node.number <= oldest:
            made[node] = node
        elif unknown := [operand for operand in node.operands if operand not in made]:
            stack.extend(unknown)
        else:
            operands = tuple(made[operand] for operand in node.operands)
            is_same = all(new is old for new, old in zip(operands, node.operands, strict=True))
            with node.graph.at(node.location):
                made[node] = (
                    node if is_same else node.graph.apply(node.op, operands, node.attributes)
                )
    return made[root]


# The value itself. Operands: the value, the formal parameters for its cotangent and for itself, and
# then each argument followed by the cotangent that the backward function makes for it of these two.
custom_vjp: Op = Op(
    "custom_vjp",
    arity=None,
    infer=_infer,
    reference=lambda result, value, *_: value,
    vjp=[_vjp],
    lowering=Composite(lambda value, *_: value),
)

OPS = (formal, custom_vjp)
