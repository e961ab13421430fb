"""A user's own op: one record, as built-in ops have one."""

from __future__ import annotations

import ast
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.ir.arguments.given import as_integer, is_one_of, shown
from graphc.ir.derive.custom_op import derived_from_expansion, inferred_by_expansion
from graphc.ir.graph import Node
from graphc.ir.nodes.attributes import AXES, BOOL, DTYPE, FLOAT, INT, SHAPE, AttributeKind
from graphc.ir.nodes.lowering import OPERAND_NAMES, Composite, Scalar
from graphc.ir.nodes.op import Array, NonDifferentiable, Op, Vjp
from graphc.ir.ops import OPS
from graphc.ir.ops.elementwise.elementwise_op import (
    ARITHMETIC,
    DIVISION,
    LONG_POLYNOMIAL,
    POLYNOMIAL,
    infer_floats,
)
from graphc.ir.types import TensorType

KINDS: Mapping[str, AttributeKind] = {
    kind.name: kind for kind in (FLOAT, INT, BOOL, DTYPE, SHAPE, AXES)
}

# What a template may call besides graphc's vector math: instructions, each with its cost.
_INSTRUCTIONS: Mapping[str, int] = {
    "sqrt": DIVISION,
    **dict.fromkeys(
        [
            "select", "absolute", "minimum", "maximum", "floor", "ceil", "round_even", "copysign",
            "fma",
        ],
        ARITHMETIC,
    ),
}  # fmt: skip
_CAST = "T"
_OPERATORS = (
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub, ast.Not, ast.BitAnd, ast.BitOr,
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip
_EXPRESSIONS = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Constant, ast.Load,
)  # fmt: skip


def custom_op(
    name: str,
    reference: Callable[..., Any],
    *,
    template: str | None = None,
    expand: Callable[..., Node] | None = None,
    vjp: Sequence[Callable[..., Node | None] | None] | None = None,
    arity: int = 1,
    attributes: Mapping[str, str] | None = None,
    infer: Callable[..., TensorType] | None = None,
) -> Op:
    """An op of your own: a record as graphc's ops have one. Call it with tensors and attributes.

    name: its name in text, messages and kernels; an identifier that no op of graphc has.
    reference: its meaning in numpy: (*arrays, **attributes) -> array.
    template: for an elementwise op a scalar expression, in which `{x}`, `{y}` and `{z}` are the
        operands, `{T}(...)` a number in their dtype, and attributes stand under their names:
        "{x} / ({T}(1) + exp({T}(-1) * {x}))". Operands are floats of one dtype and broadcast.
    expand: for any other op what it is made of: (*tensors, **attributes) -> tensor, by other ops.
    vjp: for each operand a rule (ct, result, *operands, **attributes) -> the operand's cotangent,
        which may be of the result's shape where the operand was broadcast, or None for 0. None in
        the place of a rule: no derivative. Without `vjp` an expansion is derived as it stands, and
        a template has no derivative.
    arity: the number of its operands.
    attributes: static parameters by name, each with its kind: float, int, bool, dtype, shape or
        axes.
    infer: (*TensorType, **attributes) -> TensorType of the result, where it does not follow from
        the above.

        cube = gc.custom_op("cube", lambda x: x**3, expand=lambda x: x * gc.square(x))

    Its template, or what it expands to, is part of what compiled programs are kept by. Raises
    TypeError and ValueError for arguments that are none of these, and for a template that kernels
    do not know.
    """
    _check_name(name)
    if not callable(reference):
        raise TypeError(f"custom_op {name}: reference: a function expected, not {shown(reference)}")
    if (template is None) == (expand is None):
        raise TypeError(f"custom_op {name}: a template or an expansion expected, and not both")
    count = as_integer(arity)
    if count < 1 or (template is not None and count > len(OPERAND_NAMES)):
        raise ValueError(f"custom_op {name}: arity {count}: at least 1 operand, of a template at "
                         f"most {len(OPERAND_NAMES)}")  # fmt: skip
    kinds = _kinds(name, attributes or {})
    lowering: Scalar | Composite
    if expand is not None:
        if not callable(expand):
            raise TypeError(f"custom_op {name}: expand: a function expected, not {shown(expand)}")
        lowering, found = Composite(expand), infer or inferred_by_expansion(expand)
    else:
        assert template is not None
        cost = _cost_of(name, template, OPERAND_NAMES[:count], kinds)
        lowering, found = Scalar(template, cost), infer or infer_floats
    return Op(
        name,
        arity=count,
        attributes=kinds,
        infer=found,
        reference=_in_dtype(reference),
        vjp=_rules(name, vjp, expand, count),
        lowering=lowering,
    )


def _check_name(name: Any) -> None:
    if not (isinstance(name, str) and name.isidentifier() and name.isascii()):
        raise ValueError(f"custom_op: an identifier expected as its name, not {shown(name)}")
    if name in OPS:
        raise ValueError(f"custom_op {name}: graphc has an op of that name")


def _kinds(name: str, attributes: Mapping[str, str]) -> dict[str, AttributeKind]:
    for attribute, kind in attributes.items():
        if not is_one_of(kind, KINDS):
            raise ValueError(
                f"custom_op {name}: attribute {attribute}: one of {', '.join(KINDS)} expected, not "
                f"{shown(kind)}"
            )
        if attribute in (*OPERAND_NAMES, _CAST) or not attribute.isidentifier():
            raise ValueError(f"custom_op {name}: {attribute!r} cannot be an attribute's name")
    return {attribute: KINDS[kind] for attribute, kind in attributes.items()}


def _rules(name: str, vjp: Any, expand: Callable[..., Node] | None, arity: int) -> list[Vjp]:
    if vjp is None and expand is not None:
        return [derived_from_expansion(expand, position) for position in range(arity)]
    given = [None] * arity if vjp is None else list(vjp)
    if len(given) != arity or not all(rule is None or callable(rule) for rule in given):
        raise TypeError(f"custom_op {name}: vjp: a function or None for each of {arity} operands")
    return [NonDifferentiable("no derivative was given for it") if r is None else r for r in given]


def _in_dtype(reference: Callable[..., Any]) -> Callable[..., Array]:
    def apply(result: TensorType, *operands: Array, **attributes: Any) -> Array:
        return np.asarray(reference(*operands, **attributes), dtype=result.dtype.numpy)

    return apply


# --- templates -------------------------------------------------------------------------------


def _calls() -> Mapping[str, int]:
    """What a template may call, with its cost."""
    # Imported here: a process whose plans are on disk starts without it.
    from graphc.kernels.mathematics.vecmath import VECTOR_MATH

    return {**_INSTRUCTIONS, **dict.fromkeys(VECTOR_MATH, POLYNOMIAL), "pow": LONG_POLYNOMIAL}


def _cost_of(name: str, template: str, operands: Sequence[str], attributes: Any) -> int:
    """The template's cost. Raises ValueError for a template that kernels cannot compute."""
    fields = {_CAST, *operands, *attributes}
    try:
        found = {field for _, field, _, _ in string.Formatter().parse(template)}
        tree = ast.parse(template.format(**{field: field for field in fields}), mode="eval")
    except (KeyError, IndexError, ValueError, SyntaxError, TypeError) as error:
        known = ", ".join(f"{{{field}}}" for field in sorted(fields))
        problem = f"an expression of {known} expected, not {shown(template)}: {error}"
        raise ValueError(f"custom_op {name}: template: {problem}") from None
    missing = [operand for operand in operands if operand not in found]
    if missing:
        raise ValueError(f"custom_op {name}: template: operand {{{missing[0]}}} is not in it")
    _check_numbers(name, tree, set(attributes))
    calls = _calls()
    return max(sum(_cost(name, node, fields, calls) for node in ast.walk(tree)), ARITHMETIC)


def _cost(name: str, node: ast.AST, fields: set[str], calls: Mapping[str, int]) -> int:
    """What the node itself costs. Raises ValueError for what kernels do not know."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id == _CAST:
            return 0
        if node.func.id in calls:
            return calls[node.func.id]
        raise ValueError(
            f"custom_op {name}: template: {node.func.id} is none of {_CAST}, {', '.join(calls)}"
        )
    if isinstance(node, ast.Name) and node.id not in {*fields, *calls}:
        raise ValueError(f"custom_op {name}: template: {node.id} is no operand and no attribute")
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        raise ValueError(f"custom_op {name}: template: one comparison at a time; join them by &")
    if not isinstance(node, (*_OPERATORS, *_EXPRESSIONS)):
        kind = type(node).__name__
        raise ValueError(f"custom_op {name}: template: {kind} is nothing that kernels compute")
    if isinstance(node, ast.BinOp):
        return DIVISION if isinstance(node.op, ast.Div) else ARITHMETIC
    return ARITHMETIC if isinstance(node, ast.UnaryOp | ast.Compare) else 0


def _check_numbers(name: str, tree: ast.AST, attributes: set[str]) -> None:
    """Raises ValueError for a number that is not cast: beside it, f32 would become f64."""
    cast: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == _CAST:
            cast.update(each for argument in node.args for each in ast.walk(argument))
    for node in ast.walk(tree):
        is_number = isinstance(node, ast.Constant) or (
            isinstance(node, ast.Name) and node.id in attributes
        )
        if is_number and node not in cast:
            text = ast.unparse(node)
            of = f"{{{text}}}" if text in attributes else text
            raise ValueError(
                f"custom_op {name}: template: {of} is a number without a dtype; {{T}}({of}) has "
                "that of the operands"
            )
