"""The statements of a product's kernel that reduce blocks of its rows."""

from __future__ import annotations

from graphc.ir.graph import Node
from graphc.ir.types import row_major_strides
from graphc.kernels.loops.language.expressions import Element, Expression, Name, Parenthesized
from graphc.kernels.loops.language.indices import index_expression
from graphc.kernels.loops.language.scalar import combined_in_order, dtype_name, neutral_element
from graphc.kernels.loops.language.source import Arguments, StorageOf
from graphc.kernels.loops.language.statements import Block, Stack
from graphc.kernels.nests.access import Access, Loop
from graphc.kernels.nests.names import Names, label


class BlockReductions:
    """What `contraction_source` asks of the reductions of an epilogue.

    Each accumulates into an array on the stack: the result's own memory may stand in a line of the
    cache that another thread writes to.
    """

    def __init__(
        self,
        reductions: tuple[Node, ...],
        storage_of: StorageOf,
        arguments: Arguments,
        names: Names,
    ) -> None:
        self._results = {node: arguments.name(storage_of(node)) for node in reductions}
        self._parts = {node: Name(names.unique(f"{label(node)}_parts")) for node in reductions}

    def declared(self, elements: int) -> list[Stack]:
        return [
            Stack(parts, dtype_name(node.dtype), elements) for node, parts in self._parts.items()
        ]

    def begun(self, *, element: Expression) -> Block:
        begun = Block()
        for node, parts in self._parts.items():
            begun.assign(Element(parts, element), neutral_element(node))
        return begun

    def accumulate(self, into: Block, node: Node, element: Expression, value: Expression) -> None:
        """Adds a row's value. In order: a tile's height must not regroup a sum."""
        target = Element(self._parts[node], element)
        into.accumulate(target, combined_in_order(node, target, value), node)

    def ended(
        self,
        *,
        batch_indices: tuple[Name, ...],
        block: Name,
        column: Name,
        elements: tuple[Expression, ...],
    ) -> Block:
        ended = Block()
        for node, result in self._results.items():
            parts: list[Expression] = [Element(self._parts[node], each) for each in elements]
            index = _index(node, (*batch_indices, block, column))
            ended.assign(Element(result, index), _in_pairs(node, parts))
        return ended


def _in_pairs(node: Node, values: list[Expression]) -> Expression:
    """The reduction of values, whose number is a power of two, neighbours first."""
    pairs = zip(values[::2], values[1::2], strict=True)
    combined = [combined_in_order(node, x, y) for x, y in pairs]
    return combined[0] if len(combined) == 1 else _in_pairs(node, [*map(Parenthesized, combined)])


def _index(node: Node, variables: tuple[Name, ...]) -> Expression:
    """The index of a block's result, which stands at [*batch, block, 0, column]."""
    *batch, blocks, _, columns = node.type.dims
    extents = (*batch, blocks, columns)
    loops = [
        Loop(variable.text, extent, (axis,))
        for axis, (variable, extent) in enumerate(zip(variables, extents, strict=True))
    ]
    return index_expression(Access("", 0, row_major_strides(extents)), loops)
