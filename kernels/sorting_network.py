"""Batcher's odd-even merge sort: a network of exchanges that is the same whatever the elements are.

Lines are sorted side by side, one in each lane of a vector: element i of line l stands at
i * lanes + l. An exchange puts the lesser of two elements first, for all lines at once. Source:
Batcher, Sorting networks and their applications, 1968.

An element that a line has not would be greater than all others and never move, so exchanges with
it fall away, and lines may have any length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphc.kernels.source import Block

# Lines of so many elements are sorted by exchanges that are written out, whose elements stay in
# registers; longer ones in blocks that are merged.
WRITTEN_OUT = 16
BLOCK_SIZE = 8

HALF, STRIDE, BEGIN, RUN, PAIR, RUN_END, PAIR_END = (
    "half", "stride", "begin", "run", "pair", "run_end", "pair_end",
)  # fmt: skip
NETWORK_VARIABLES = frozenset({HALF, STRIDE, BEGIN, RUN, PAIR, RUN_END, PAIR_END})

# Source of the exchange of the elements at two indices.
Exchange = Callable[[str, str], str]


def exchanges(length: int) -> Iterator[tuple[int, int]]:
    """The pairs of a network that sorts `length` elements."""
    half = 1
    while half < length:
        for begin in range(0, length, 2 * half):
            end = min(begin + 2 * half, length)
            for stride, first in _merging(half):
                for run in range(begin + first, end - stride, 2 * stride):
                    for pair in range(run, min(run + stride, end - stride)):
                        if pair + stride < begin + 2 * half:
                            yield pair, pair + stride
        half *= 2


def _merging(half: int) -> Iterator[tuple[int, int]]:
    """The distances of the exchanges that merge two halves, and where the first of them is."""
    yield half, 0
    stride = half // 2
    while stride:
        yield stride, stride
        stride //= 2


def sorting_network(into: Block, length: int, lanes: int, exchange: Exchange) -> None:
    """Appends what sorts lines of `length` elements."""
    if length <= WRITTEN_OUT:
        into.lines += [exchange(str(i * lanes), str(j * lanes)) for i, j in exchanges(length)]
        return
    block = [
        exchange(f"({BEGIN} + {i}) * {lanes}", f"({BEGIN} + {j}) * {lanes}")
        for i, j in exchanges(BLOCK_SIZE)
    ]
    whole = length // BLOCK_SIZE * BLOCK_SIZE
    into.nest(f"for {BEGIN} in range(0, {whole}, {BLOCK_SIZE}):", Block(block))
    into.lines += [
        exchange(str((whole + i) * lanes), str((whole + j) * lanes))
        for i, j in exchanges(length - whole)
    ]
    _merge_blocks(into, length, lanes, exchange)


def _merge_blocks(into: Block, length: int, lanes: int, exchange: Exchange) -> None:
    """Appends the loops that merge sorted blocks of growing size."""
    merged = Block()
    pairs = Block([f"{PAIR_END} = {BEGIN} + {HALF}"])
    pairs.add(f"{PAIR_END} = {PAIR_END} if {PAIR_END} < {length} - {HALF} else {length} - {HALF}")
    one = Block([exchange(f"{PAIR} * {lanes}", f"({PAIR} + {HALF}) * {lanes}")])
    pairs.nest(f"for {PAIR} in range({BEGIN}, {PAIR_END}):", one)
    merged.nest(f"for {BEGIN} in range(0, {length} - {HALF}, 2 * {HALF}):", pairs)
    merged.add(f"{STRIDE} = {HALF} >> 1")
    merged.nest(f"while {STRIDE} > 0:", _strides(length, lanes, exchange))
    merged.add(f"{HALF} = {HALF} << 1")
    into.add(f"{HALF} = {BLOCK_SIZE}")
    into.nest(f"while {HALF} < {length}:", merged)


def _strides(length: int, lanes: int, exchange: Exchange) -> Block:
    """The exchanges at one distance in all blocks."""
    body, inside, runs = Block(), Block(), Block()
    last = f"{length} - {STRIDE}"
    runs.add(f"{PAIR_END} = {RUN} + {STRIDE} if {RUN} + {STRIDE} < {last} else {last}")
    one = Block([exchange(f"{PAIR} * {lanes}", f"({PAIR} + {STRIDE}) * {lanes}")])
    runs.nest(f"for {PAIR} in range({RUN}, {PAIR_END}):", one)
    inside.add(f"{RUN_END} = {BEGIN} + 2 * {HALF} - {STRIDE}")
    inside.add(f"{RUN_END} = {RUN_END} if {RUN_END} < {last} else {last}")
    inside.nest(f"for {RUN} in range({BEGIN} + {STRIDE}, {RUN_END}, 2 * {STRIDE}):", runs)
    body.nest(f"for {BEGIN} in range(0, {length}, 2 * {HALF}):", inside)
    body.add(f"{STRIDE} = {STRIDE} >> 1")
    return body
