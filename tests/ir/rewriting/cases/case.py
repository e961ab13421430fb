"""What a case of a rule is, and what the rules' cases share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce

Write = Callable[..., Node]

PAIRS = (196,)  # room for every pair of special values
ROWS = (4, 3)


@dataclass(frozen=True)
class Case:
    """`write(*inputs)` becomes `expected(*inputs)` by `rule`.

    shapes: of the inputs, all floats unless `dtypes` says otherwise. exact: the same bits for all
    values, NaN and infinities and zeros' signs included; else within rounding for moderate ones.
    """

    rule: str
    write: Write
    expected: Write
    shapes: tuple[tuple[Any, ...], ...] = (PAIRS,)
    exact: bool = True
    dtypes: tuple[str, ...] = ()


def constant(beside: Node, value: Any, dtype: Any = None) -> Node:
    return beside.graph.constant(value, dtype or beside.dtype)


def known(beside: Node, value: bool) -> Node:
    return beside.graph.constant(value)


def filled(beside: Node, value: Any, shape: Any) -> Node:
    return movement.broadcast_to(constant(beside, value), shape=shape)


def swap(x: Node) -> Node:
    return build.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


def by_axis(op: Any, x: Node, *axes: int) -> Node:
    return op(x, axes=axes)


def stable_log_sum(x: Node, axis: int) -> Node:
    peak = reduce.max_(x, axes=(axis,))
    return ops.log(reduce.sum_(ops.exp(x - peak), axes=(axis,))) + peak


TWO = (PAIRS, PAIRS)
THREE = (PAIRS, PAIRS, PAIRS)
