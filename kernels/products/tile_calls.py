"""Calls of microkernels for tiles, the last of which may have fewer rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.kernels.loops.language.expressions import Expression, Operand, of
from graphc.kernels.loops.language.source import Microkernel
from graphc.kernels.loops.language.statements import Block, Call, Statement, assigned
from graphc.kernels.products.variables import BLOCK_END, BLOCK_ROWS, BLOCK_START, ROW_START


def called(kernel: Microkernel, *arguments: Operand) -> Call:
    """The call of a microkernel."""
    return Call(kernel.name, tuple(map(of, arguments)))


def end_of_block(rows: int, end: Expression) -> Statement:
    """Where the block from `block_start` on ends, of blocks of `rows` rows up to `end`."""
    return assigned(BLOCK_END, (BLOCK_START + rows).when(BLOCK_START.at_most(end - rows), end))


def rows_of_tile(rows: int, end: Expression) -> Statement:
    """How many rows the tile from `row_start` on has, of tiles of `rows` rows up to `end`."""
    return assigned(BLOCK_ROWS, of(rows).when(ROW_START.at_most(end - rows), end - ROW_START))


def tile_calls(sizes: Sequence[int], call: Callable[[int], Call]) -> Block:
    """The call for as many rows as a tile has: one of the sizes, and `block_rows` if there are
    several."""
    calls = Block()
    *cases, last = ((BLOCK_ROWS.equals(size), Block.of(call(size))) for size in sizes)
    calls.choose(cases, last[1])
    return calls
