"""Loops in LLVM IR as numba writes it, and what LLVM is told of them.

Before optimisation a loop's last block jumps to its first, which stands before it, and loops stand
in the order of the source. What is behind a branch of an operation, as numba makes one of each
division, stands behind all other blocks, so a jump into a loop may come from below as well. A block
has the number of the instruction of Python that it begins with, those behind a branch that of the
block that they were a part of, which tells the two apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

# Any number of steps, however long the code gets.
UNROLLED_WHOLE = '!"llvm.loop.unroll.full"'
# Nothing before it is vectorised, and then what few steps no vector takes.
NOT_UNROLLED = (
    '!"llvm.loop.unroll.disable"',
    '!"llvm.loop.vectorize.followup_all", !{!"llvm.loop.isvectorized", i32 1}',
)
# What a loop calls that is to be unrolled whole, or to be vectorised first.
UNROLLED_MARKER, VECTORS_MARKER = "unrolled_loop", "loop_in_vectors"
_HINTS_OF = {UNROLLED_MARKER: (UNROLLED_WHOLE,), VECTORS_MARKER: NOT_UNROLLED}

# Numba puts all names behind a `%` in quotes, LLVM those that need them.
_BLOCK = re.compile(r'"?([\w.$]+)"?:')
_PLACE = re.compile(r"B(\d+)")
_MARKER_CALL = re.compile(r'call void @"(\w+)"\(\)')
_JUMP = re.compile(r'  br label %"?([\w.$]+)"?(?:, !dbg !\d+)?$')


def loops(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(line of the first block's label, line of the last block's jump) of each."""
    labels: dict[str, int] = {}
    block = ""
    for number, line in enumerate(lines):
        if line.startswith("define"):
            labels = {}
        elif label := _BLOCK.match(line):
            block = label[1]
            labels[block] = number
        elif (jump := _JUMP.match(line)) and jump[1] in labels and _is_back(block, jump[1]):
            yield labels[jump[1]], number


def _is_back(block: str, target: str) -> bool:
    """Whether a jump from a block goes back in the source."""
    return _place(block) >= _place(target)


def _place(block: str) -> int:
    """Where a block was in the source; 0 of those that numba has not named."""
    place = _PLACE.match(block)
    return int(place[1]) if place else 0


def with_hints(lines: Sequence[str], hints: Mapping[int, Sequence[str]]) -> list[str]:
    """The lines of a module with `hints`, as metadata is written, at the jumps in these lines."""
    lines, number = list(lines), _first_free_metadata(lines)
    metadata: list[str] = []
    for jump, attributes in hints.items():
        lines[jump] += f", !llvm.loop !{number}"
        operands = ", ".join(f"!{number + 1 + k}" for k in range(len(attributes)))
        metadata.append(f"!{number} = distinct !{{!{number}, {operands}}}")
        metadata += [f"!{number + 1 + k} = !{{{text}}}" for k, text in enumerate(attributes)]
        number += 1 + len(attributes)
    return [*lines, *metadata, ""]


def hint_marked(llvm_ir: str) -> str:
    """The module with hints at each loop that calls a marker, not in a loop inside of it, and
    without these calls."""
    lines = llvm_ir.split("\n")
    found: list[tuple[int, int]] | None = None
    hints: dict[int, Sequence[str]] = {}
    for number, line in enumerate(lines):
        if (call := _MARKER_CALL.search(line)) and call[1] in _HINTS_OF:
            found = list(loops(lines)) if found is None else found
            around = [(first, last) for first, last in found if first < number < last]
            hints[max(around)[1]] = _HINTS_OF[call[1]]
            lines[number] = ""
    return "\n".join(with_hints(lines, hints)) if hints else llvm_ir


def _first_free_metadata(lines: Sequence[str]) -> int:
    defined = (re.match(r"!(\d+) =", line) for line in lines)
    return max((int(match[1]) for match in defined if match), default=-1) + 1
