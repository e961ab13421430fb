"""Loops with much arithmetic get a hint to work on two vectors at a time.

Vector math is a chain of operations that wait for each other. LLVM's vectoriser interleaves
iterations of short loops only; in a long one too few independent operations stand near each other
for the processor to find.

Loops around a call that is inlined later look short, and are not: they get the hint to be left as
they are. With a branch in each vector there is nothing to interleave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphc.kernels.native.loop_hints import loops, with_hints

# Vectors at a time. Four need more registers than there are.
INTERLEAVED = 2
# Calls of vector math from which on a loop has much arithmetic.
LONG_LOOP_CALLS = 2


def interleave_long_loops(
    llvm_ir: str, vector_math_prefix: str, long_rows: bool, inlined_later: Sequence[str] = ()
) -> str:
    """The module with a hint at each innermost loop with several calls of functions whose names
    begin with the prefix; itself where there is none.

    long_rows: whether all loops run over many vectors, so that one call is enough. In a loop over
    fewer than `INTERLEAVED` vectors the hint would leave everything to the loop's scalar tail.

    inlined_later: functions that are calls until loops are vectorised.

    llvm_ir: as numba writes it, before optimisation.
    """
    lines = llvm_ir.split("\n")
    call = f"@{vector_math_prefix}"
    hints: dict[int, list[str]] = {}
    calls = 1 if long_rows else LONG_LOOP_CALLS
    found = list(loops(lines))
    innermost = set(_innermost(found))
    for first, last in found:
        body = lines[first:last]
        attributes = []
        if any(f"@{name}(" in line for line in body for name in inlined_later):
            attributes = ['!"llvm.loop.unroll.disable"', _vectors_at_a_time(1)]
        elif (first, last) in innermost and sum(call in line for line in body) >= calls:
            attributes = [_vectors_at_a_time(INTERLEAVED)]
        if attributes:
            hints[last] = attributes
    return "\n".join(with_hints(lines, hints)) if hints else llvm_ir


def _vectors_at_a_time(count: int) -> str:
    return f'!"llvm.loop.interleave.count", i32 {count}'


def _innermost(found: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for first, last in found:
        if not any(first < other and end < last for other, end in found):
            yield first, last
