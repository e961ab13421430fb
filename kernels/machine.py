"""What the compiler takes a machine for: sizes of its caches, and cycles of one core.

Every estimate in cycles rests on these numbers, and so do the limits of what "fits a cache". They
are of a core with vectors of 512 bits and are not measured on the host, so that the same program
gives the same kernels, and the same bits, everywhere; they need to be right within a factor of two.
What a form of kernel costs beside that, such as a tile, stands beside the form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Machine:
    """One core, its caches, and what threads cost that meet.

    line_bytes: of a cache line. page_bytes: of a page of memory.
    near_pages: whose translated addresses a core has at hand, beside those of a few others.
    first_cache_bytes, first_cache_ways: of the nearest cache of data.
    second_cache_bytes: of a core's second cache, by the smallest that is common.
    vector_registers: how many there are, by their width in bits.

    shortest_step_cycles: a step of fewer independent FMAs waits for the FMA unit.
    narrow_fma_cycles: of an FMA of at most 256 bits, where those of 512 are done in two halves.
    call_cycles: of a call, the loads behind it and the end of its loop.
    copied_element_cycles: to copy one element of vectors, or to set it.
    nominal_lanes: elements of the vector instruction that an op's cost counts.
    second_cache_bytes_a_cycle: what comes from the second cache.
    streamed_bytes_a_cycle: what comes from beyond it, in order, while a loop does little else.
    strided_bytes_a_cycle: what comes from there line by line, each in another page.
    overlapped_bytes_a_cycle: what comes from there while products compute, and hides most of it.
    meeting_cycles: to meet, and then to fetch from other cores' caches what they have written; a
        kernel less saves as much.
    joining_cycles: of one more kernel before a meeting that takes place anyway.
    """

    line_bytes: int = 64
    page_bytes: int = 4096
    near_pages: int = 48
    first_cache_bytes: int = 32 * 1024
    first_cache_ways: int = 8
    second_cache_bytes: int = 512 * 1024
    vector_registers: Mapping[int, int] = field(
        default_factory=lambda: MappingProxyType({128: 16, 256: 16, 512: 32})
    )

    shortest_step_cycles: int = 8
    narrow_fma_cycles: float = 0.5
    call_cycles: int = 30
    copied_element_cycles: float = 0.25
    nominal_lanes: int = 16
    second_cache_bytes_a_cycle: int = 128
    streamed_bytes_a_cycle: int = 8
    strided_bytes_a_cycle: int = 16
    overlapped_bytes_a_cycle: int = 32
    meeting_cycles: int = 1_000
    joining_cycles: int = 100

    @property
    def first_cache_share_bytes(self) -> int:
        """What one of two operands may use of the nearest cache."""
        return self.first_cache_bytes // 2

    @property
    def first_cache_way_bytes(self) -> int:
        """Addresses so far apart compete for the ways of one set."""
        return self.first_cache_bytes // self.first_cache_ways

    @property
    def second_cache_share_bytes(self) -> int:
        """What stays in the second cache while as much again passes through it."""
        return self.second_cache_bytes // 2

    @property
    def second_cache_beside_bytes(self) -> int:
        """What stays in the second cache beside several others of that size."""
        return self.second_cache_bytes // 4


MACHINE = Machine()


def lanes_of(vector_bits: int, itemsize: int) -> int:
    """The elements of `itemsize` bytes in a vector of so many bits: 16 floats in 512."""
    return vector_bits // (8 * itemsize)
