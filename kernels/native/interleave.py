"""Loops with much arithmetic get a hint to work on two vectors at a time.

Vector math is a chain of operations that wait for each other. LLVM's vectoriser interleaves
iterations of short loops only; in a long one too few independent operations stand near each other
for the processor to find.

Loops around a call that is inlined later look short, and are not: they get the hint to be left as
they are. With a branch in each vector there is nothing to interleave.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# Vectors at a time. Four need more registers than there are.
INTERLEAVED = 2
# Calls of vector math from which on a loop has much arithmetic.
LONG_LOOP_CALLS = 2

_BLOCK = re.compile(r'("?[\w.$]+"?):')
_JUMP = re.compile(r'  br label %("?[\w.$]+"?)(?:, !dbg !\d+)?$')


def interleave_long_loops(
    llvm_ir: str, vector_math_prefix: str, long_rows: bool, inlined_later: Sequence[str] = ()
) -> str:
    """The module with a hint at each innermost loop with several calls of functions whose names
    begin with the prefix; itself where there is none.

    long_rows: whether all loops run over many vectors, so that one call is enough. In a loop over
    fewer than `INTERLEAVED` vectors the hint would leave everything to the loop's scalar tail.

    inlined_later: functions that are calls until loops are vectorised.

    llvm_ir: as numba writes it, before optimisation: a loop's last block jumps to its first, which
    stands before it.
    """
    lines = llvm_ir.split("\n")
    call = f"@{vector_math_prefix}"
    number = _first_free_metadata(lines)
    hints: list[str] = []
    calls = 1 if long_rows else LONG_LOOP_CALLS
    loops = list(_loops(lines))
    innermost = set(_innermost(loops))
    for first, last in loops:
        body = lines[first:last]
        attributes = []
        if any(f"@{name}(" in line for line in body for name in inlined_later):
            attributes = ['!"llvm.loop.unroll.disable"', _vectors_at_a_time(1)]
        elif (first, last) in innermost and sum(call in line for line in body) >= calls:
            attributes = [_vectors_at_a_time(INTERLEAVED)]
        if attributes:
            lines[last] += f", !llvm.loop !{number}"
            operands = ", ".join(f"!{number + 1 + k}" for k in range(len(attributes)))
            hints.append(f"!{number} = distinct !{{!{number}, {operands}}}")
            hints += [f"!{number + 1 + k} = !{{{text}}}" for k, text in enumerate(attributes)]
            number += 1 + len(attributes)
    return "\n".join([*lines, *hints, ""]) if hints else llvm_ir


def _vectors_at_a_time(count: int) -> str:
    return f'!"llvm.loop.interleave.count", i32 {count}'


def _first_free_metadata(lines: Sequence[str]) -> int:
    defined = (re.match(r"!(\d+) =", line) for line in lines)
    return max((int(match[1]) for match in defined if match), default=-1) + 1


def _innermost(loops: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for first, last in loops:
        if not any(first < other and end < last for other, end in loops):
            yield first, last


def _loops(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(line of the first block's label, line of the last block's jump) of each."""
    labels: dict[str, int] = {}
    for number, line in enumerate(lines):
        if line.startswith("define"):
            labels = {}
        elif label := _BLOCK.match(line):
            labels[label[1]] = number
        elif (jump := _JUMP.match(line)) and jump[1] in labels:
            yield labels[jump[1]], number
