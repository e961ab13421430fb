"""The rows of a table before they have addresses, and how rows and arguments lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphc.kernels.run.executor_code.loop_ir import LEADING_ARGUMENTS, LOOP_WORDS, SLOT_WORDS

POINTER_BYTES = 8

# Arguments of different threads stand in lines of their own.
_LINE_WORDS = 16

# The bits of a row's flags.
_BARRIER = 1
_SOLO = 2
_JUMPS = 4


@dataclass(frozen=True)
class Instruction:
    """One kernel call. `arguments` are indices into the plan's list of buffers.

    barrier  all threads must have finished the instructions before this one. Without it a thread
             goes on as soon as its own share is done. Two walks of a run always have a barrier
             between them.
    solo     thread 0 alone calls the kernel, as the only one; the others pass by.
    starts   bytes from the beginning of each argument's buffer to where the kernel takes it to
             begin; () for none of all
    """

    name: str
    address: int
    arguments: tuple[int, ...]
    barrier: bool = False
    solo: bool = False
    starts: tuple[int, ...] = ()

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Of each argument the buffer, and the byte of it where it begins."""
        starts = self.starts or (0,) * len(self.arguments)
        return tuple(zip(self.arguments, starts, strict=True))


@dataclass(frozen=True)
class Slice:
    """A buffer that is another part of a greater one in each step of a loop.

    buffer  its number in the plan's list; it has no address of its own
    whole   the number of the greater buffer
    first   bytes from the beginning of that to the slice of step 0
    stride  bytes from one step to the next
    """

    buffer: int
    whole: int
    first: int
    stride: int


@dataclass(frozen=True)
class BeginLoop(Instruction):
    """The row before the steps of a loop. `arguments` hold the buffers that it has slices of.

    condition: the number of a buffer, a bool among the arguments: as long as it is true another
        step is made, and `length` says nothing. None where the steps are counted.
    """

    length: int = 1
    slices: tuple[Slice, ...] = ()
    condition: int | None = None


@dataclass(frozen=True)
class EndLoop(Instruction):
    """The row behind the rows of a step, for the last loop that has begun and not ended. It has no
    arguments of its own."""


@dataclass(frozen=True)
class Layout:
    """Where the arguments of each instruction stand, in words.

    Rows around a loop's steps have two words in front: the loop, and the number of the step.
    first: of each instruction the word of its first argument. ends: of each row that ends a loop,
    by its number, that of the row that begins it. words: in all. copies: one a thread where there
    are loops, since each thread writes the addresses of its slices itself.
    """

    instructions: tuple[Instruction, ...]
    first: tuple[int, ...]
    ends: dict[int, int]
    words: int
    copies: int

    @classmethod
    def of(cls, instructions: tuple[Instruction, ...], threads: int) -> Layout:
        """Raises ValueError where loops do not end in the order in which they began."""
        first: list[int] = []
        ends: dict[int, int] = {}
        begun: list[int] = []
        words = 0
        for number, each in enumerate(instructions):
            if isinstance(each, EndLoop):
                if not begun:
                    raise ValueError(f"instruction {number} ends a loop that has not begun")
                ends[number] = begun.pop()
                first.append(first[ends[number]])
                continue
            first.append(words)
            if isinstance(each, BeginLoop):
                begun.append(number)
                words += LEADING_ARGUMENTS
            words += len(each.arguments)
        if begun:
            raise ValueError(f"instruction {begun[-1]} begins a loop that does not end")
        copies = threads if ends else 1
        if copies > 1:
            words = -(-words // _LINE_WORDS) * _LINE_WORDS
        return cls(instructions, tuple(first), ends, words, copies)

    @property
    def stride(self) -> int:
        """Bytes from the arguments of one thread to those of the next."""
        return POINTER_BYTES * self.words if self.copies > 1 else 0

    def arguments(self, buffers: Sequence[int]) -> NDArray[np.int64]:
        """int64 (copies, words): the argument pointers of all instructions, one after the other."""
        arguments = np.zeros((self.copies, self.words), np.int64)
        for number, each in enumerate(self.instructions):
            pointers = [buffers[index] + start for index, start in each.places]
            start = self._start(number)
            arguments[:, start : start + len(pointers)] = pointers
        return arguments

    def _start(self, number: int) -> int:
        """The word of the first buffer of an instruction."""
        is_loop = isinstance(self.instructions[number], BeginLoop)
        return self.first[number] + (LEADING_ARGUMENTS if is_loop else 0)

    def rows(self, arguments: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 (instructions, 3): the rows (%Row), which point to the arguments of thread 0."""
        rows = np.zeros((len(self.instructions), 3), np.int64)
        for row, instruction, word in zip(rows, self.instructions, self.first, strict=True):
            flags = (_BARRIER if instruction.barrier else 0) | (_SOLO if instruction.solo else 0)
            flags |= _JUMPS if isinstance(instruction, BeginLoop | EndLoop) else 0
            row[:] = instruction.address, arguments.ctypes.data + POINTER_BYTES * word, flags
        return rows

    def patches(self, external: tuple[int, ...], arguments: NDArray[np.int64]) -> NDArray[np.int64]:
        """A %Patch for each argument slot that points into an external buffer."""
        numbers = {index: number for number, index in enumerate(external)}
        patches = [
            (copy.ctypes.data + POINTER_BYTES * (self._start(number) + k), numbers[index], start)
            for copy in arguments
            for number, each in enumerate(self.instructions)
            for k, (index, start) in enumerate(each.places)
            if index in numbers
        ]
        return np.array(patches, np.int64).reshape(len(patches), 3)

    def loops(self, arguments: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The words of each %Loop and its slots, to which the arguments then point."""
        loops = []
        for end, begin in self.ends.items():
            each = self.instructions[begin]
            assert isinstance(each, BeginLoop)
            slots = self._slots(each, begin, end)
            condition = 0
            if each.condition is not None:
                condition = LEADING_ARGUMENTS + each.arguments.index(each.condition)
            words = [each.length, begin + 1, len(slots), condition, end + 1]
            loop = np.array([*words, *np.ravel(slots)], np.int64)
            assert len(loop) == LOOP_WORDS + SLOT_WORDS * len(slots)
            arguments[:, self.first[begin]] = loop.ctypes.data
            loops.append(loop)
        return loops

    def _slots(self, loop: BeginLoop, begin: int, end: int) -> list[tuple[int, int, int, int]]:
        """The slots of the rows from `begin` to `end` that hold slices of this loop."""
        slices = {each.buffer: each for each in loop.slices}
        found = []
        for number in range(begin + 1, end):
            for position, (index, start) in enumerate(self.instructions[number].places):
                if index in slices:
                    each = slices[index]
                    word = self._start(number) + position - self.first[begin]
                    whole = LEADING_ARGUMENTS + loop.arguments.index(each.whole)
                    found.append((POINTER_BYTES * word, whole, each.first + start, each.stride))
        return found
