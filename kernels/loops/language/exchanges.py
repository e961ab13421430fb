"""The sorting and merging of a few elements, as exchanges: each puts the lesser of two first.

They are the same whatever the elements are. Source: Batcher, Sorting networks and their
applications, 1968.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Pairs = tuple[tuple[int, int], ...]

BLOCK_SIZE = 8
# As many elements are sorted in registers.
MOST_IN_REGISTERS = 16


def odd_even_merge_sort(length: int) -> Pairs:
    """The exchanges that sort `length` elements. One with an element beyond them, which would be
    greater than all others, falls away."""
    found = []
    half = 1
    while half < length:
        for begin in range(0, length, 2 * half):
            found += [(begin + i, begin + j) for i, j in _merging(half) if begin + j < length]
        half *= 2
    return tuple(found)


def _merging(half: int) -> Iterator[tuple[int, int]]:
    """Batcher's merger of two sorted halves."""
    yield from ((i, i + half) for i in range(half))
    stride = half // 2
    while stride:
        for run in range(stride, 2 * half - stride, 2 * stride):
            yield from ((i, i + stride) for i in range(run, run + stride))
        stride //= 2


def _bitonic_strides(length: int) -> Iterator[tuple[int, int]]:
    """The last steps of a bitonic merger: at half the length, at a quarter of it, and so on."""
    stride = length // 2
    while stride:
        yield from ((i, i + stride) for i in range(length) if not i & stride)
        stride //= 2


def _first_of_two_blocks() -> Iterator[tuple[int, int]]:
    """Sorts the second block, and merges it into the first, which is sorted: of the first of one
    and the last of the other the lesser stays, and so on, and those that stay are bitonic."""
    yield from ((BLOCK_SIZE + i, BLOCK_SIZE + j) for i, j in odd_even_merge_sort(BLOCK_SIZE))
    yield from ((i, 2 * BLOCK_SIZE - 1 - i) for i in range(BLOCK_SIZE))
    yield from _bitonic_strides(BLOCK_SIZE)


# Of the elements at two indices, at four, of a block, or of two blocks.
EXCHANGES: Mapping[str, Pairs] = {
    "exchange": ((0, 1),),
    "exchange_four": ((0, 2), (1, 3), (0, 1), (2, 3)),
    "exchange_mirrored": ((0, 3), (1, 2), (0, 1), (2, 3)),
    "merge_block": tuple(_bitonic_strides(BLOCK_SIZE)),
    "keep_first": tuple(_first_of_two_blocks()),
}
