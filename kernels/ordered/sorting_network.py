"""Sorting networks: exchanges that are the same whatever the elements are.

Lines are sorted side by side, one in each lane of a vector: element i of line l stands at
i * lanes + l. An exchange puts the lesser of two elements first, for all lines at once.

Few elements are sorted in registers. More are sorted in blocks of eight, which bitonic mergers
merge: in two sorted halves the first is compared with the last, the second with the last but one,
and so on, then what stands half their distance apart, a quarter of it, and so on. Two of these
steps are taken in one pass over the elements, the last three within blocks. An element that a line
has not would be greater than all others and never move, so exchanges with it fall away.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.kernels.loops.language.exchanges import BLOCK_SIZE, MOST_IN_REGISTERS
from graphc.kernels.loops.language.expressions import Name, of, texts
from graphc.kernels.loops.language.indices import ZERO
from graphc.kernels.loops.language.statements import Block, Call, Statement

BEGIN, PAIR = Name("begin"), Name("pair")
NETWORK_VARIABLES = texts(BEGIN, PAIR)

# The call of an exchanging primitive: of its name, the places of elements, and what other arguments
# it has.
Calling = Callable[..., Call]


def padded(length: int) -> int:
    """How many elements lines of `length` are sorted as; those behind are the greatest keys."""
    if length <= MOST_IN_REGISTERS:
        return length
    return -(-length // BLOCK_SIZE) * BLOCK_SIZE


def sorting_network(into: Block, length: int, call: Calling) -> None:
    """Appends what sorts lines of `length` elements, a padded number."""
    if length <= MOST_IN_REGISTERS:
        if length > 1:
            into.add(call("sort_few", [ZERO], length))
        return
    blocks = (0, length, BLOCK_SIZE)
    into.loop(BEGIN, blocks, Block.of(call("sort_few", [BEGIN], BLOCK_SIZE)))
    half = BLOCK_SIZE
    while half < length:
        _mirrored(into, length, half, call)
        stride = half // 4
        while stride > BLOCK_SIZE:
            _two_strides(into, length, stride, call)
            stride //= 4
        if stride == BLOCK_SIZE:
            _one_stride(into, length, stride, call)
        into.loop(BEGIN, blocks, Block.of(call("merge_block", [BEGIN])))
        half *= 2


def first_by_network(into: Block, length: int, call: Calling) -> None:
    """Appends what puts the first eight of lines of `length` elements, a padded number of more than
    one block, in order; of the others nothing is left. One block is sorted, and each of the others
    is merged into it."""
    into.add(call("sort_few", [ZERO], BLOCK_SIZE))
    kept = Block.of(call("keep_first", [ZERO, BEGIN]))
    into.loop(BEGIN, (BLOCK_SIZE, length, BLOCK_SIZE), kept)


def _mirrored(into: Block, length: int, half: int, call: Calling) -> None:
    """The first two steps of a merger: first with last, then at half the distance of halves."""
    low, high = BEGIN + PAIR, BEGIN + (2 * half - 1) - PAIR
    stride = half // 2
    four = [low, low + stride, high - stride, high]
    _each_pair(into, length, 2 * half, stride, call("exchange_mirrored", four))
    whole = length // (2 * half) * 2 * half
    places = range(whole + 2 * half - length, half)
    mirror = [of(whole) + PAIR, of(whole + 2 * half - 1) - PAIR]
    _pairs(into, places, call("exchange", mirror))
    _rest(into, length, whole, stride, call)


def _two_strides(into: Block, length: int, stride: int, call: Calling) -> None:
    """Two steps of a merger: at distance `stride`, then at half of it."""
    low = BEGIN + PAIR
    four = [low + (k * stride // 2) if k else low for k in range(4)]
    _each_pair(into, length, 2 * stride, stride // 2, call("exchange_four", four))
    whole = length // (2 * stride) * 2 * stride
    _rest(into, length, whole, stride, call)
    _rest(into, length, whole, stride // 2, call)


def _one_stride(into: Block, length: int, stride: int, call: Calling) -> None:
    low = BEGIN + PAIR
    _each_pair(into, length, 2 * stride, stride, call("exchange", [low, low + stride]))
    _rest(into, length, length // (2 * stride) * 2 * stride, stride, call)


def _each_pair(into: Block, length: int, block: int, pairs: int, statement: Statement) -> None:
    """The statement for the pairs of each whole block."""
    whole = length // block * block
    body = Block()
    body.loop(PAIR, pairs, Block.of(statement))
    if whole:
        into.loop(BEGIN, (0, whole, block), body)


def _pairs(into: Block, places: range, statement: Statement) -> None:
    if places:
        into.loop(PAIR, (places.start, places.stop), Block.of(statement))


def _rest(into: Block, length: int, whole: int, stride: int, call: Calling) -> None:
    """The exchanges at a distance in what is left behind the last whole block."""
    statement = call("exchange", [PAIR, PAIR + stride])
    for begin in range(whole, length, 2 * stride):
        _pairs(into, range(begin, min(begin + stride, length - stride)), statement)
