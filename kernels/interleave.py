"""Loops with much arithmetic get a hint to work on two vectors at a time.

Vector math is a chain of operations that wait for each other. LLVM's vectoriser interleaves
iterations of short loops only; in a long one too few independent operations stand near each other
for the processor to find.
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


def interleave_long_loops(llvm_ir: str, vector_math_prefix: str, long_rows: bool) -> str:
    """The module with a hint at each innermost loop with several calls of functions whose names
    begin with the prefix; itself where there is none.

    long_rows: whether all loops run over many vectors, so that one call is enough. In a loop over
    fewer than `INTERLEAVED` vectors the hint would leave everything to the loop's scalar tail.

    llvm_ir: as numba writes it, before optimisation: a loop's last block jumps to its first, which
    stands before it.
    """
    lines = llvm_ir.split("\n")
    call = f"@{vector_math_prefix}"
    number = _first_free_metadata(lines)
    hints = []
    calls = 1 if long_rows else LONG_LOOP_CALLS
    for first, last in _innermost_loops(lines):
        if sum(call in line for line in lines[first:last]) < calls:
            continue
        lines[last] += f", !llvm.loop !{number}"
        hints += [
            f"!{number} = distinct !{{!{number}, !{number + 1}}}",
            f'!{number + 1} = !{{!"llvm.loop.interleave.count", i32 {INTERLEAVED}}}',
        ]
        number += 2
    return "\n".join([*lines, *hints, ""]) if hints else llvm_ir


def _first_free_metadata(lines: Sequence[str]) -> int:
    defined = (re.match(r"!(\d+) =", line) for line in lines)
    return max((int(match[1]) for match in defined if match), default=-1) + 1


def _innermost_loops(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(line of the first block's label, line of the last block's jump) of each."""
    loops = list(_loops(lines))
    for first, last in loops:
        if not any(first < other and end < last for other, end in loops):
            yield first, last


def _loops(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    labels: dict[str, int] = {}
    for number, line in enumerate(lines):
        if line.startswith("define"):
            labels = {}
        elif label := _BLOCK.match(line):
            labels[label[1]] = number
        elif (jump := _JUMP.match(line)) and jump[1] in labels:
            yield labels[jump[1]], number
