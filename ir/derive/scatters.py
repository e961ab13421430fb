"""The sum of what lookups in one tensor contribute, as derivatives of `take` do.

The derivative of a lookup is `scatter_add`, zeros but for the slices that were looked up, and T
lookups in one tensor would be T tensors to add. They become one `scatter_add` of all slices, and
the time is linear in T.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.functions.arrays.shaping import concatenate, reshaped
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import indexed
from graphc.ir.types import i64


def sum_of_scattered(scattered: Sequence[Node]) -> Node:
    """The sum of nodes of the op `scatter_add`, all of one type; there is at least one.

    Slices that are added at the same index are added in the order of their nodes.
    """
    by_axis: dict[int, list[Node]] = {}
    apart: list[Node] = []
    for node in scattered:
        if _is_small(node):
            by_axis.setdefault(node.attributes["axis"], []).append(node)
        else:
            apart.append(node)
    first, *others = [*map(_joined, by_axis.values()), *apart]
    for other in others:
        first = first + other
    return first


def _is_small(node: Node) -> bool:
    """Whether to copy the slices takes less than to add the tensor; those of open extents do."""
    slices, whole = node.operands[0].size, node.size
    return not (isinstance(slices, int) and isinstance(whole, int)) or slices <= whole


def _joined(nodes: Sequence[Node]) -> Node:
    """Nodes of one axis as one."""
    first = nodes[0]
    if len(nodes) == 1:
        return first
    axis = first.attributes["axis"]
    kinds = {node.operands[1].dtype for node in nodes}
    slices, indices = [], []
    for node in nodes:
        x, chosen = node.operands
        after = x.shape[axis + chosen.rank :]
        slices.append(reshaped(x, (*x.shape[:axis], chosen.size, *after)))
        flat = reshaped(chosen, (chosen.size,))
        indices.append(flat if len(kinds) == 1 else ops.cast(flat, dtype=i64))
    joined: Node = indexed.scatter_add(
        concatenate(slices, axis), concatenate(indices, 0), axis=axis, shape=first.shape
    )
    return joined
