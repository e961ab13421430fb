"""What machine code says about a kernel: are its inner loops vectorised, do they use registers?"""

import re
from dataclasses import dataclass

_LABEL = re.compile(r"^(\.?[A-Za-z_][\w.$]*):")
_INSTRUCTION = re.compile(r"^\s+([a-z][\w.]*)\s*(.*?)\s*(?:#.*)?$")
_REGISTER_BITS = {"zmm": 512, "ymm": 256, "xmm": 128}


# A slot of the stack frame at a fixed place: with an index it would be an element of an array.
_FIXED_SLOT = r"-?\d*\({}\)"
_STACK_POINTER = "%rsp"
_FRAME_POINTER = "%rbp"


@dataclass(frozen=True)
class InnerLoop:
    """An innermost loop of a function in x86 assembly: its widest vector register, its instructions
    counted.

    `packed` and `scalar` count float arithmetic on vectors and on single elements, `fused` the
    packed fused multiply-adds, `spills` the registers that are saved on the stack and `reloads` the
    fixed places of the stack that are read: values which no register was free for.
    """

    function: str
    label: str
    vector_bits: int
    instructions: int
    packed: int
    scalar: int
    fused: int
    calls: int
    spills: int
    reloads: int


@dataclass(frozen=True)
class _Instruction:
    """`frame` are the registers that point into the stack frame of `function`."""

    function: str
    mnemonic: str
    operands: str
    frame: tuple[str, ...]


def inner_loops(assembly: str) -> list[InnerLoop]:
    """Every innermost loop, a backward jump to a label with no other such loop inside.

    A jump from behind a loop into its middle makes none: it comes back from a block that stands
    apart since it seldom runs.
    """
    labels: dict[str, int] = {}
    instructions: list[_Instruction] = []
    spans: list[tuple[int, int, str]] = []
    function = ""
    frame: tuple[str, ...] = (_STACK_POINTER,)
    for line in assembly.splitlines():
        if label := _LABEL.match(line):
            labels[label.group(1)] = len(instructions)
            if not label.group(1).startswith("."):
                # It uses %rbp as it likes unless it says so.
                function, frame = label.group(1), (_STACK_POINTER,)
        elif instruction := _INSTRUCTION.match(line):
            mnemonic, operands = instruction.groups()
            if operands == f"{_STACK_POINTER}, {_FRAME_POINTER}":
                frame = (_STACK_POINTER, _FRAME_POINTER)
            instructions.append(_Instruction(function, mnemonic, operands, frame))
            if mnemonic.startswith("j") and operands in labels:
                spans.append((labels[operands], len(instructions), operands))
    loops: list[tuple[int, int, str]] = []
    for span in sorted(spans, key=lambda span: span[1]):
        if not any(other[0] < span[0] < other[1] for other in loops):
            loops.append(span)
    innermost = [
        span
        for span in loops
        if not any(
            other != span and span[0] <= other[0] and other[1] <= span[1] and other[2] != span[2]
            for other in loops
        )
    ]
    return [_describe(label, instructions[first:last]) for first, last, label in innermost]


def _describe(label: str, instructions: list[_Instruction]) -> InnerLoop:
    text = " ".join(each.operands for each in instructions)
    mnemonics = [each.mnemonic for each in instructions]
    arithmetic = re.compile(r"v?(f?n?m?(add|sub|mul|div|max|min)\w*|sqrt)([ps])[sd]$")
    kinds = [match.group(3) for match in map(arithmetic.match, mnemonics) if match]
    uses = [use for each in instructions if (use := _stack_use(each))]
    return InnerLoop(
        function=instructions[0].function,
        label=label,
        vector_bits=max((bits for name, bits in _REGISTER_BITS.items() if name in text), default=0),
        instructions=len(instructions),
        packed=kinds.count("p"),
        scalar=kinds.count("s"),
        fused=sum(bool(re.match(r"vfn?m(add|sub)\d+p[sd]", name)) for name in mnemonics),
        calls=mnemonics.count("callq") + mnemonics.count("call"),
        spills=uses.count("spill"),
        reloads=uses.count("reload"),
    )


def _stack_use(instruction: _Instruction) -> str:
    """`spill` for a store to a fixed place of the stack, `reload` where one is read, else ""."""
    for register in instruction.frame:
        slot = _FIXED_SLOT.format(register)
        if re.search(rf"%\w+, {slot}$", instruction.operands) and "mov" in instruction.mnemonic:
            return "spill"
        if re.search(slot, instruction.operands) and not instruction.mnemonic.startswith("lea"):
            return "reload"
    return ""
