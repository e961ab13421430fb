"""Constants that kernels load, where many ops differ in nothing but a constant.

A constant number is part of a kernel's source, where the compiler folds it. A program in which an
op meets very many of them, such as tanh(x * c) for three hundred c, would have as many kernels to
compile that do the same. Loaded from memory, their constants leave one source for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.ir.graph import Node, Program, rebuild
from graphc.ir.nodes.lowering import Scalar
from graphc.ir.ops import leaf
from graphc.ir.ops.movement import movement
from graphc.ir.types import TensorType

# An op with more different constants than this loads them. Networks that people write have fewer,
# so their kernels know all of their numbers.
MANY_CONSTANTS = 16

# An op with its attributes, the type of its result, and the place of the constant among its
# operands.
_Use = tuple[object, tuple[tuple[str, Any], ...], TensorType, int]


def load_many_constants(program: Program) -> Program:
    """op(x, c) = op(x, load of c), of elementwise ops with more than `MANY_CONSTANTS` values c."""
    found: dict[_Use, set[Node]] = {}
    for node in program.nodes:
        for position, constant in _constants(node):
            found.setdefault(_use(node, position), set()).add(constant)
    many = {use for use, constants in found.items() if len(constants) > MANY_CONSTANTS}
    if not many:
        return program

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        with node.graph.at(node.location):
            loaded = list(operands)
            for position, constant in _constants(node):
                if _use(node, position) in many:
                    loaded[position] = _load(constant)
            return node.graph.apply(node.op, loaded, node.attributes)

    made = rebuild(program.roots, make)
    return program.map_roots(made.__getitem__)


def _constants(node: Node) -> Iterator[tuple[int, Node]]:
    """The operands of an elementwise op that are constant numbers, with their places."""
    if isinstance(node.op.lowering, Scalar):
        for position, operand in enumerate(node.operands):
            if operand.op is leaf.constant and operand.rank == 0:
                yield position, operand


def _use(node: Node, position: int) -> _Use:
    return node.op, tuple(sorted(node.attributes.items())), node.type, position


def _load(constant: Node) -> Node:
    """The number as a view of a constant array, which has memory of its own."""
    array = np.reshape(constant.attributes["value"].array, (1,))
    return movement.reshape(constant.graph.constant(array, constant.dtype), shape=())
