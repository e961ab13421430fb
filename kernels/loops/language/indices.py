"""Where elements stand in memory, and what shares of loops are, as expressions."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.kernels.loops.language.expressions import (
    Applied,
    Constant,
    Expression,
    Name,
    applied,
    of,
    total,
)
from graphc.kernels.nests.access import Access, Loop

ZERO = Constant("0")

# The primitive that makes a buffer of what stands behind a place in another one.
ADVANCE = "advance"

# The number of a share among equal ones, and how many there are.
Share = tuple[Name, Expression]
THREAD, THREADS = Name("thread"), Name("threads")
THREAD_SHARE: Share = (THREAD, THREADS)


def share_limits(share: Share, extent: int) -> tuple[Expression, Expression]:
    """The range of a share of `extent`: as even as can be, together all of it."""
    part, count = share
    return part * extent // count, (part + 1) * extent // count


def flat_index(*terms: tuple[Expression, int], offset: int = 0) -> Expression:
    """offset + sum of term * stride, without what is zero."""
    parts = [term if stride == 1 else term * stride for term, stride in terms if stride != 0]
    if offset or not parts:
        parts.append(of(offset))
    return total(*parts)


def index_expression(access: Access, loops: Sequence[Loop]) -> Expression:
    """The index of the current element: `i * 64 + j`."""
    terms = [
        (Name(loop.variable), access.strides[loop.axes[-1]]) for loop in loops if loop.extent != 1
    ]
    return flat_index(*terms, offset=access.offset)


def advanced(buffer: Name, index: Expression) -> Name | Applied:
    """The buffer from an element on."""
    return buffer if index == ZERO else applied(ADVANCE, buffer, index)
