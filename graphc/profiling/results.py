"""What a profile says, as plain data."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from graphc.compiler.load.native import LoadedProgram
from graphc.profiling.roofline import Roofline

# What the clock between two kernels is wrong by: a processor begins with the next kernel while some
# hundred instructions of the one before are still to be done. A time of which that is more than
# this share is rough.
CLOCK_ERROR_NANOSECONDS = 30.0
MOST_ERROR = 0.1
SHORTEST_EXACT_NANOSECONDS = CLOCK_ERROR_NANOSECONDS / MOST_ERROR

# From this share on what is measured is the work of others.
MOST_LOST_SHARE = 0.1


@dataclass(frozen=True)
class Line:
    """A line of the user's script."""

    file: str
    line: int
    text: str

    @property
    def name(self) -> str:
        """The file without its folders."""
        return os.path.basename(self.file)


@dataclass(frozen=True)
class Value:
    """A value of the program: what it is called, its type, and its bytes."""

    name: str
    type: str
    bytes: int


@dataclass(frozen=True)
class Saving:
    """What one fused kernel saves against a kernel an op.

    unfused_kernels, unfused_nanoseconds, unfused_bytes: of the kernels of the same ops. An op that
    several fused kernels compute counts for the first of them alone.
    nanoseconds, bytes: theirs less those of the fused kernel and of what finishes its sums.
    intermediates: values that the unfused kernels write to memory and the fused one does not.
    """

    unfused_kernels: int
    unfused_nanoseconds: float
    unfused_bytes: int
    nanoseconds: float
    bytes: int
    intermediates: tuple[Value, ...]


# What is said of kernels that seem to be faster than the machine.
MEASURED_BUSY = "measured on a busy machine"


@dataclass(frozen=True)
class KernelProfile:
    """One row of the instruction table.

    nanoseconds: of one step, from the kernel's start until the first thread goes on to the next
    one, the median over all rounds; share: of the sum of all kernels.
    threads: that call it. thread_nanoseconds: in the kernel, by thread; wait_nanoseconds: for
    other threads behind it, the mean over all threads of the step.
    calls: in one step, counted: in a loop one for each of its steps, the mean where they differ.
    Times, bytes and flops are those of all calls.
    bytes: read and written at the least. flops: two for each multiply-add of a product, one for any
    other element; dtype: "f32" or "f64", that of the arithmetic.
    roofline_share: the least time on this machine over the time measured; bound: what sets the
    least time, "compute" or a level of memory. See graphc.profiling.roofline.
    ops: names of the ops computed, in order. saving: None for an unfused kernel, and for one that
    checks indices or finishes another's sums.
    """

    name: str
    kind: str
    nanoseconds: float
    share: float
    threads: int
    thread_nanoseconds: tuple[float, ...]
    wait_nanoseconds: float
    calls: float
    bytes: int
    flops: int
    dtype: str
    gigabytes_per_second: float
    gigaflops_per_second: float
    roofline_share: float
    bound: str
    ops: tuple[str, ...]
    lines: tuple[Line, ...]
    saving: Saving | None = None

    @property
    def is_rough(self) -> bool:
        """Whether the time is so short that the clock's error shows in it, and in all rates."""
        return self.nanoseconds < SHORTEST_EXACT_NANOSECONDS


@dataclass(frozen=True)
class Slice:
    """What a thread did for a while in one step: nanoseconds from the start of the step.

    kernel: the number of the row; None while it waits for other threads.
    """

    thread: int
    kernel: int | None
    start: float
    end: float


@dataclass(frozen=True)
class StepProfile:
    """A compiled step.

    step_nanoseconds: in the executor's loop, without clocks between kernels; clock_share: how much
    longer a step takes with them, as a share of it. Both are medians over all rounds.
    kernels_nanoseconds: the sum of the kernels' times.
    timeline: one step of the round whose time is the median; loaded: what was measured. as_dict
    leaves both out.
    """

    step_nanoseconds: float
    clock_share: float
    kernels_nanoseconds: float
    ops: int
    arena_bytes: int
    kernels: tuple[KernelProfile, ...]
    timeline: tuple[Slice, ...] = field(repr=False)
    loaded: LoadedProgram = field(repr=False, compare=False)

    @property
    def shared_kernels(self) -> int:
        """How many kernels several threads share; the others run on one."""
        return sum(kernel.threads > 1 for kernel in self.kernels)

    def as_dict(self) -> dict[str, Any]:
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        del kept["timeline"], kept["loaded"]
        return {**kept, "kernels": [asdict(kernel) for kernel in self.kernels]}


@dataclass(frozen=True)
class Profile:
    """Fused and unfused steps of one program, measured in turns.

    ratio: the median over the rounds of unfused over fused time. lost_share: the share of the time
    in which processors that the steps needed were others', of the two steps the larger.
    rooflines: of one thread and of as many as the steps have.
    """

    program: str
    dimensions: dict[str, int]
    vector_bits: int
    threads: int
    rounds: int
    repeats: int
    ratio: float
    lost_share: float
    rooflines: tuple[Roofline, ...]
    fused: StepProfile
    unfused: StepProfile

    def as_dict(self) -> dict[str, Any]:
        """The same as plain dicts, lists and numbers, fit for JSON; without timelines."""
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            **kept,
            "rooflines": [asdict(each) for each in self.rooflines],
            "fused": self.fused.as_dict(),
            "unfused": self.unfused.as_dict(),
        }

    @property
    def roofline(self) -> Roofline:
        """That of all threads."""
        return self.rooflines[-1]

    @property
    def has_kernels_above_roof(self) -> bool:
        """Whether a kernel seems to be faster than the machine, beyond the clock's error."""
        kernels = (*self.fused.kernels, *self.unfused.kernels)
        return any(kernel.roofline_share > 1 and not kernel.is_rough for kernel in kernels)

    @property
    def busy_text(self) -> str | None:
        """What is to be said of the figures where the machine had other work, else None."""
        if self.lost_share <= MOST_LOST_SHARE:
            return None
        return (
            "the machine was busy: other processes had processors for "
            f"{self.lost_share:.0%} of the time that was measured, so times and ratios say little"
        )

    @property
    def threads_text(self) -> str:
        """How many threads the steps may use, in words."""
        return "1 thread" if self.threads == 1 else f"at most {self.threads} threads"
