"""Loops in LLVM IR as numba writes it, and what LLVM is told of them.

Before optimisation a loop's last block jumps to its first, which stands before it, and loops stand
in the order of the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

# Any number of steps, however long the code gets.
UNROLLED_WHOLE = '!"llvm.loop.unroll.full"'
# What a loop calls that is to be unrolled so, and how LLVM and numba write that.
UNROLLED_MARKER = "unrolled_loop"
MARKER_CALL = f'call void @"{UNROLLED_MARKER}"()'

# Numba puts all names behind a `%` in quotes, LLVM those that need them.
_BLOCK = re.compile(r'"?([\w.$]+)"?:')
_JUMP = re.compile(r'  br label %"?([\w.$]+)"?(?:, !dbg !\d+)?$')


def loops(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(line of the first block's label, line of the last block's jump) of each."""
    labels: dict[str, int] = {}
    for number, line in enumerate(lines):
        if line.startswith("define"):
            labels = {}
        elif label := _BLOCK.match(line):
            labels[label[1]] = number
        elif (jump := _JUMP.match(line)) and jump[1] in labels:
            yield labels[jump[1]], number


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


def unroll_marked(llvm_ir: str) -> str:
    """The module with a hint at each loop that calls the marker of unrolled ones, not in a loop
    inside of it, and without these calls."""
    lines = llvm_ir.split("\n")
    found, hints = list(loops(lines)), {}
    for number, line in enumerate(lines):
        if MARKER_CALL in line:
            around = [(first, last) for first, last in found if first < number < last]
            hints[max(around)[1]] = [UNROLLED_WHOLE]
            lines[number] = ""
    return "\n".join(with_hints(lines, hints)) if hints else llvm_ir


def _first_free_metadata(lines: Sequence[str]) -> int:
    defined = (re.match(r"!(\d+) =", line) for line in lines)
    return max((int(match[1]) for match in defined if match), default=-1) + 1
