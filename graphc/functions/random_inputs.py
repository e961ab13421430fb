"""Random arrays for the inputs of a compiled program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.ir.graph import Node, Program
from graphc.ir.ops import leaf
from graphc.ir.ops.elementwise import elementwise
from graphc.ir.ops.movement.indexed import in_range, index_from_front
from graphc.kernels.nests.node_kinds import is_view

Array = np.ndarray[Any, np.dtype[Any]]

# Integer inputs that index nothing are drawn below this.
UNLIMITED_INTEGERS = 10


def random_inputs(program: Program, seed: int = 0) -> list[Array]:
    """Arrays for the inputs of a compiled program: floats uniform in [0, 1), indices in range."""
    generator = np.random.default_rng(seed)
    limits = _index_limits(program)
    return [_random(node, limits, generator) for node in program.inputs]


def _random(node: Node, limits: Mapping[str, int], generator: np.random.Generator) -> Array:
    shape, dtype = node.type.dims, node.dtype
    if dtype.is_float:
        return generator.random(shape).astype(dtype.numpy)
    limit = limits.get(node.name, UNLIMITED_INTEGERS if dtype.is_integer else 2)
    return generator.integers(0, limit, shape).astype(dtype.numpy)


def _index_limits(program: Program) -> dict[str, int]:
    """The names of inputs that index something, each with the least bound of its values."""
    limits: dict[str, int] = {}
    for node in program.nodes:
        if node.op is in_range:
            limit, source = node.attributes["limit"], node.operands[0]
            while is_view(source) or source.op in (elementwise.cast, index_from_front):
                source = source.operands[0]
            if source.op is leaf.input_:
                limits[source.name] = min(limit, limits.get(source.name, limit))
    return limits
