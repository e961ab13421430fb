"""Kernels run as the Python that they are, with every access to memory noted, byte by byte.

What a run on a machine shows only by chance is exact here: an access outside a buffer, memory that
two threads touch between two meetings, a state that is read after it was overwritten. Microkernels,
which are LLVM IR, are stood for by what their docstrings say that they read and write.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType, MappingProxyType
from typing import Any

import numpy as np

from graphc.compiler.load.assemble import executable_of
from graphc.compiler.load.executable import Buffer, BufferRole, Loop, Row
from graphc.compiler.pipeline import Compilation
from graphc.compiler.plan.planning import PlannedInstruction
from graphc.ir.nodes.lowering import Scatter
from graphc.ir.nodes.op import Array
from graphc.ir.types import DTYPES
from graphc.kernels.loops.language.exchanges import EXCHANGES, odd_even_merge_sort
from graphc.kernels.loops.language.scalar import dtype_name
from graphc.kernels.loops.language.statements import MARKERS
from graphc.kernels.mathematics.arithmetic import primitives
from graphc.kernels.mathematics.vecmath import VECTOR_MATH
from tests.compiler.traces.traced_microkernels import traced_microkernel

CHECK_FAILED = 1  # what a kernel that checks indices returns


class OutsideError(AssertionError):
    """A kernel touched memory beside a buffer."""


class LostValueError(AssertionError):
    """A kernel read what it had overwritten."""


class RaceError(AssertionError):
    """Two threads touched the same memory between two meetings, and one of them wrote."""


@dataclass
class Space:
    """A run of bytes that buffers lie in: the arena, or the array of an input, state or constant.

    read, written: by the thread whose turn it is, since the last meeting.
    """

    name: str
    memory: Array
    read: Array = field(init=False)
    written: Array = field(init=False)

    def __post_init__(self) -> None:
        self.read, self.written = self.no_marks()

    def no_marks(self) -> tuple[Array, Array]:
        return np.zeros(self.memory.size, bool), np.zeros(self.memory.size, bool)


@dataclass(eq=False)
class Pointer:
    """What `buffer`, `advance` and `stack` give in kernel source."""

    space: Space
    elements: Array
    first_byte: int
    start: int = 0
    # Of a state: the elements that the running kernel has overwritten.
    lost: Array | None = None

    def __getitem__(self, index: Any) -> Any:
        place = self._inside(index)
        if self.lost is not None and self.lost[place].any():
            raise LostValueError(f"{self.space.name}[{place}] is read after it was overwritten")
        self._mark(self.space.read, place)
        return self.elements[place]

    def __setitem__(self, index: Any, value: Any) -> None:
        place = self._inside(index)
        self._mark(self.space.written, place)
        if self.lost is not None:
            self.lost[place] = True
        self.elements[place] = value

    def advanced(self, offset: Any) -> Pointer:
        start = self.start + int(offset)
        return Pointer(self.space, self.elements, self.first_byte, start, self.lost)

    def _inside(self, index: Any) -> Any:
        if isinstance(index, int | np.integer):
            # Most are: as arrays they would take several times as long.
            number = int(index) + self.start
            if not 0 <= number < self.elements.size:
                raise OutsideError(f"{self.space.name}[{number}] of {self.elements.size} elements")
            return number
        place = np.asarray(index) + self.start
        if place.size and not (place.min() >= 0 and place.max() < self.elements.size):
            raise OutsideError(f"{self.space.name}[{place}] of {self.elements.size} elements")
        return place

    def _mark(self, marks: Array, place: Any) -> None:
        size = self.elements.itemsize
        if isinstance(place, int):
            first = self.first_byte + place * size
            marks[first : first + size] = True
        else:
            marks[self.first_byte + place[..., np.newaxis] * size + np.arange(size)] = True


# --- kernels ---------------------------------------------------------------------------------


def _vector_math(name: str) -> Any:
    def call(*operands: Any) -> Any:
        dtype = "f32" if np.result_type(*operands) == np.float32 else "f64"
        with np.errstate(all="ignore"):
            return VECTOR_MATH[name][dtype](*operands)

    return call


@functools.cache
def _code(text: str, filename: str) -> CodeType:
    """Each thread runs it."""
    return compile(text, filename, "exec")


def _namespace() -> dict[str, Any]:
    names = {name: _vector_math(name) for name in VECTOR_MATH}
    # Of floats and integers both, where vector math has the floats alone.
    names |= {name: value for name, value in vars(primitives).items() if callable(value)}
    names |= {dtype_name(dtype): _cast(dtype.numpy) for dtype in DTYPES.values()}
    names |= {
        "inf": np.inf,
        "nan": np.nan,
        "buffer": lambda arguments, number, count, dtype: arguments[number],
        "buffer_in_run": lambda arguments, first, number, count, dtype: arguments[first + number],
        "stack": _stack,
        "advance": lambda pointer, offset: pointer.advanced(offset),
        "prefetch": lambda pointer, index: None,
        **{marker: lambda: None for marker in MARKERS.values()},
        "transpose_block": _transpose_block,
        **{name: _exchanging(name, 1) for name in (*EXCHANGES, "sort_few")},
        **{f"{name}_pairs": _exchanging(name, 2) for name in (*EXCHANGES, "sort_few")},
    }
    return names


def _cast(dtype: Any) -> Any:
    def cast(value: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(value).astype(dtype)[()]

    cast.dtype = np.dtype(dtype)  # type: ignore[attr-defined]
    return cast


def _transpose_block(
    y: Pointer, i: Any, y_apart: Any, x: Pointer, j: Any, x_apart: Any, lanes: int
) -> None:
    rows = [[x[j + k * x_apart + lane] for lane in range(lanes)] for k in range(lanes)]
    for k, row in enumerate(rows):
        for lane, value in enumerate(row):
            y[i + lane * y_apart + k] = value


def _exchanging(name: str, buffers: int) -> Any:
    """A primitive that exchanges elements, lane by lane, of so many buffers."""

    def exchange(*given: Any) -> None:
        arrays, places, lanes = given[:buffers], list(given[buffers:-1]), given[-1]
        pairs = EXCHANGES.get(name)
        if pairs is None:
            pairs = odd_even_merge_sort(places.pop())
        each = (1 + max(j for _, j in pairs)) // len(places)
        places = [place + k * lanes for place in places for k in range(each)]
        for i, j in pairs:
            for lane in range(lanes):
                both = [[array[places[k] + lane] for array in arrays] for k in (i, j)]
                for k, values in zip((i, j), sorted(both), strict=True):
                    for array, value in zip(arrays, values, strict=True):
                        array[places[k] + lane] = value

    return exchange


def _stack(dtype: Any, count: int) -> Pointer:
    elements = np.zeros(count, dtype.dtype)
    return Pointer(Space("stack", elements.view(np.uint8)), elements, 0)


@dataclass(frozen=True)
class Turn:
    """A row of the table in one step of the loops around it.

    slices: of buffers that are slices in that step, which buffer they are of, and from which byte.
    """

    row: Row
    instruction: PlannedInstruction
    slices: Mapping[int, tuple[int, int]]


@dataclass
class Traced:
    """A compiled program whose kernels run as Python, each thread between two meetings in turn."""

    compilation: Compilation
    threads: int
    spaces: dict[int, Space] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.executable = executable_of(self.compilation)
        self.instructions = self.compilation.plan.instructions
        # What no kernel has written is not a number, or no index.
        self.arena = Space("arena", np.full(self.executable.arena_bytes, 0xFF, np.uint8))

    def run(self, inputs: Mapping[str, Array], states: Mapping[str, Array]) -> None:
        """Runs the program once, up to the meeting behind a check of indices that failed.

        Raises OutsideError, LostValueError or RaceError.
        """
        given = {**inputs, **states}
        for number, buffer in enumerate(self.executable.buffers):
            if buffer.role not in (BufferRole.ARENA, BufferRole.SLICE):
                self.spaces[number] = self._space(buffer, given)
        self.stopped = False
        self._waiting: list[Turn] = []
        self._forget()
        for turn in self._turns(0, len(self.executable.rows), {}):
            if turn.row.barrier:
                self._meet()
            if self.stopped:
                return
            self._waiting.append(turn)
        self._meet()

    def _turns(self, begin: int, end: int, slices: Mapping[int, tuple[int, int]]) -> Iterator[Turn]:
        """The rows from `begin` to `end` in the order in which a thread gets to them."""
        loops: dict[int, Loop] = {loop.begin: loop for loop in self.executable.loops}
        number = begin
        while number < end:
            row = self.executable.rows[number]
            yield Turn(row, self.instructions[number], slices)
            loop = loops.get(number)
            number += 1
            if loop is None:
                continue
            step = 0
            while self._makes(loop, step, row.shared, slices):
                moved = {
                    each.buffer: (each.whole, each.first + step * each.stride)
                    for each in loop.slices
                }
                yield from self._turns(number, loop.end + 1, {**slices, **moved})
                step += 1
            number = loop.end + 1

    def _makes(
        self, loop: Loop, step: int, shared: bool, slices: Mapping[int, tuple[int, int]]
    ) -> bool:
        """Whether the step is made, which each thread that walks the loop asks for itself."""
        if loop.condition is None:
            return step < loop.length
        self._catch_up()
        if self.stopped:
            return False
        holds = self._pointer(loop.condition, False, slices)
        for thread in range(self.threads if shared else 1):
            self._mark_as(thread)
            found = bool(holds[0])
        return found

    def output(self, name: str) -> Array:
        """What the last run has left of an output."""
        output = next(each for each in self.executable.outputs if each.name == name)
        elements = self._pointer(output.buffer, keeps=False).elements
        if not elements.size:
            return np.empty(output.shape, elements.dtype)
        strides = [stride * elements.itemsize for stride in output.strides]
        return np.lib.stride_tricks.as_strided(elements[output.offset :], output.shape, strides)

    def state(self, name: str) -> Array:
        """What the last run has left in a state."""
        for number, buffer in enumerate(self.executable.buffers):
            if buffer.name == name and buffer.role in (BufferRole.STATE, BufferRole.PARAMETER):
                state = next(each for each in self.compilation.program.states if each.name == name)
                return self._pointer(number, keeps=False).elements.reshape(state.type.dims)
        raise KeyError(name)

    def _space(self, buffer: Buffer, given: Mapping[str, Array]) -> Space:
        value = given[buffer.name] if buffer.value is None else buffer.value.array
        flat = np.array(value, buffer.dtype.numpy).reshape(-1)
        return Space(buffer.name or "constant", flat.view(np.uint8))

    def _meet(self) -> None:
        """All threads have finished what they were to do, and none has touched what another one
        wrote."""
        self._catch_up()
        for number, mine in enumerate(self._marks):
            for theirs in self._marks[:number]:
                for space, marks, others in zip(self._touched, mine, theirs, strict=True):
                    _check_race(space, marks, others)
        self._forget()

    def _catch_up(self) -> None:
        """Each thread does what it is to do up to here; one that a check stops does no more."""
        for thread in range(self.threads):
            self._mark_as(thread)
            for turn in self._waiting:
                calls = turn.row.kernel and (thread == 0 or turn.row.shared)
                if calls and self._run_kernel(turn, thread):
                    self.stopped = True
                    break
        self._waiting.clear()

    def _forget(self) -> None:
        """Of each thread what it has read and written since the last meeting: nothing."""
        self._touched = [self.arena, *self.spaces.values()]
        self._marks = [[space.no_marks() for space in self._touched] for _ in range(self.threads)]

    def _mark_as(self, thread: int) -> None:
        for space, (read, written) in zip(self._touched, self._marks[thread], strict=True):
            space.read, space.written = read, written

    def _run_kernel(self, turn: Turn, thread: int) -> bool:
        """Whether it stops the run."""
        row, instruction = turn.row, turn.instruction
        source = instruction.source
        names = _namespace()
        names |= {kernel.name: traced_microkernel(kernel) for kernel in source.microkernels}
        exec(_code(source.text, f"<{source.name}>"), names)
        adds = any(
            isinstance(node.op.lowering, Scatter)
            for node in (instruction.group.nodes if instruction.group else ())
        )
        wholes = [self._pointer(number, not adds, turn.slices) for number in row.arguments]
        starts = row.starts or (0,) * len(wholes)
        pointers = [
            whole.advanced(start // whole.elements.itemsize)
            for whole, start in zip(wholes, starts, strict=True)
        ]
        with np.errstate(all="ignore"):
            status = names[source.name](pointers, thread, self.threads if row.shared else 1)
        assert status in (0, CHECK_FAILED)
        return bool(status)

    def _pointer(
        self, number: int, keeps: bool, slices: Mapping[int, tuple[int, int]] = MappingProxyType({})
    ) -> Pointer:
        """keeps: whether a state's element has its old value until nobody reads it any more."""
        buffer = self.executable.buffers[number]
        nbytes, dtype, first = buffer.nbytes, buffer.dtype.numpy, 0
        while buffer.role is BufferRole.SLICE:
            number, offset = slices[number]
            buffer, first = self.executable.buffers[number], first + offset
        space = self.arena if buffer.role is BufferRole.ARENA else self.spaces[number]
        first += buffer.offset
        elements = space.memory[first : first + nbytes].view(dtype)
        is_state = buffer.role in (BufferRole.STATE, BufferRole.PARAMETER)
        lost = np.zeros(elements.size, bool) if is_state and keeps else None
        return Pointer(space, elements, first, 0, lost)


def _check_race(space: Space, one: tuple[Array, Array], other: tuple[Array, Array]) -> None:
    (read, written), (their_read, their_written) = one, other
    touched = (written & (their_read | their_written)) | (their_written & read)
    if touched.any():
        raise RaceError(f"two threads touch {space.name} at byte {int(touched.argmax())}")
