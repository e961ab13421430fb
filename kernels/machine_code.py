"""What machine code says about a kernel: are its inner loops vectorised?"""

import re
from dataclasses import dataclass

_LABEL = re.compile(r"^(\.?[A-Za-z_][\w.$]*):")
_INSTRUCTION = re.compile(r"^\s+([a-z][\w.]*)\s*(.*?)\s*(?:#.*)?$")
_REGISTER_BITS = {"zmm": 512, "ymm": 256, "xmm": 128}


@dataclass(frozen=True)
class InnerLoop:
    """An innermost loop of x86 assembly: its widest vector register, its instructions counted.

    `packed` and `scalar` count float arithmetic on vectors and on single elements, `fused` the
    packed fused multiply-adds.
    """

    label: str
    vector_bits: int
    instructions: int
    packed: int
    scalar: int
    fused: int
    calls: int


def inner_loops(assembly: str) -> list[InnerLoop]:
    """Every innermost loop, a backward jump to a label with no other such loop inside."""
    labels: dict[str, int] = {}
    instructions: list[tuple[str, str]] = []
    spans: list[tuple[int, int, str]] = []
    for line in assembly.splitlines():
        if label := _LABEL.match(line):
            labels[label.group(1)] = len(instructions)
        elif instruction := _INSTRUCTION.match(line):
            mnemonic, operands = instruction.groups()
            instructions.append((mnemonic, operands))
            if mnemonic.startswith("j") and operands in labels:
                spans.append((labels[operands], len(instructions), operands))
    innermost = [
        span
        for span in spans
        if not any(
            other != span and span[0] <= other[0] and other[1] <= span[1] and other[2] != span[2]
            for other in spans
        )
    ]
    return [_describe(label, instructions[first:last]) for first, last, label in innermost]


def _describe(label: str, instructions: list[tuple[str, str]]) -> InnerLoop:
    text = " ".join(operands for _, operands in instructions)
    mnemonics = [mnemonic for mnemonic, _ in instructions]
    arithmetic = re.compile(r"v?(f?n?m?(add|sub|mul|div|max|min)\w*|sqrt)([ps])[sd]$")
    kinds = [match.group(3) for match in map(arithmetic.match, mnemonics) if match]
    return InnerLoop(
        label=label,
        vector_bits=max((bits for name, bits in _REGISTER_BITS.items() if name in text), default=0),
        instructions=len(instructions),
        packed=kinds.count("p"),
        scalar=kinds.count("s"),
        fused=sum(bool(re.match(r"vfn?m(add|sub)\d+p[sd]", name)) for name in mnemonics),
        calls=mnemonics.count("callq") + mnemonics.count("call"),
    )
