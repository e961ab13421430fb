"""Measuring a fused and an unfused step in turns, with and without clocks between kernels."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.compiler.fusion.grouping import computed_nodes
from graphc.compiler.load.native import LoadedProgram, native
from graphc.compiler.plan.planning import PlannedInstruction
from graphc.compiler.plan.work import kind_of, locations_of, nodes_of, work_of
from graphc.ir.types import f32, f64
from graphc.kernels.run.executor import Executor
from graphc.kernels.run.instruction_table import Timing
from graphc.profiling.measuring.savings import savings
from graphc.profiling.measuring.timeline import timeline
from graphc.profiling.results import KernelProfile, Line, Saving, StepProfile
from graphc.profiling.roofline import Roofline, Rooflines
from graphc.profiling.shown.display import DisplayedProfile

Array = np.ndarray[Any, np.dtype[Any]]

# One measurement repeats the step for about so long, but no more often than this: a net that is
# trained on the same few rows for long converges, and then computes with denormal numbers.
SECONDS_A_MEASUREMENT = 2e-3
MOST_REPEATS = 50


class Clock:
    """Finds out how long a tick of the cycle counter takes, from what passes until it is asked."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._start = self._now()

    def nanoseconds_per_cycle(self) -> float:
        """Raises RuntimeError for a counter that stands still."""
        nanoseconds, cycles = (
            now - then for now, then in zip(self._now(), self._start, strict=True)
        )
        if cycles <= 0:
            raise RuntimeError("the cycle counter does not advance")
        return nanoseconds / cycles

    def _now(self) -> tuple[int, int]:
        return time.perf_counter_ns(), self._executor.clock()


class Measured:
    """One step's measurements, round by round.

    steps: nanoseconds without clocks; timings: with them.
    lost: of the nanoseconds of all steps without clocks those in which the calling thread had no
    processor, or was held up by threads that had none.
    """

    def __init__(self, program: LoadedProgram, addresses: Sequence[int]) -> None:
        self.program = program
        self.addresses = addresses
        self.steps: list[float] = []
        self.timings: list[Timing] = []
        self.lost = self._elapsed = 0.0

    def measure(self, repeats: int) -> None:
        """The step in the executor's loop; a first one brings caches and threads back."""
        table = self.program.table
        table.run(self.addresses)
        table.held = 0
        start, start_on_processor = time.perf_counter_ns(), time.thread_time_ns()
        table.run(self.addresses, repeats)
        on_processor = time.thread_time_ns() - start_on_processor
        elapsed = time.perf_counter_ns() - start
        self.steps.append(elapsed / repeats)
        self.lost += min(max(elapsed - on_processor, 0) + table.held, elapsed)
        self._elapsed += elapsed

    def measure_kernels(self, repeats: int) -> None:
        """The same with clocks between kernels."""
        self.program.table.run(self.addresses)
        self.timings.append(self.program.table.run_timed(self.addresses, repeats))

    def median(self, of: Callable[[Timing], Array]) -> Array:
        """The median over all rounds of cycles in one step."""
        return np.asarray(np.median([of(each) / each.repeats for each in self.timings], 0))

    @property
    def lost_share(self) -> float:
        return self.lost / self._elapsed

    @property
    def clock_share(self) -> float:
        """How much longer a step takes with clocks."""
        return statistics.median(
            timing.nanoseconds / timing.repeats / step - 1
            for timing, step in zip(self.timings, self.steps, strict=True)
        )

    @property
    def typical(self) -> Timing:
        """The timing of the round whose time is the median."""
        ordered = sorted(self.timings, key=lambda timing: timing.total_cycles)
        return ordered[len(ordered) // 2]


def measure(
    name: str,
    dimensions: Mapping[str, int],
    programs: tuple[LoadedProgram, LoadedProgram],
    addresses: Sequence[int],
    restore: Callable[[], None],
    rounds: int,
    repeats: int | None,
) -> DisplayedProfile:
    """The fused and the unfused program, on inputs at `addresses`.

    restore: puts the states back, so that every measurement computes the same.
    """
    threads = programs[0].executable.threads
    clock = Clock(native().executor)
    rooflines = Rooflines(native(), threads, (f32, f64))
    rooflines.measure()
    if repeats is None:
        repeats = suitable_repeats(programs, addresses)
    both = tuple(Measured(program, addresses) for program in programs)
    for _ in range(rounds):
        for each in both:
            restore()
            each.measure(repeats)
        for each in both:
            restore()
            each.measure_kernels(repeats)
    rooflines.measure()
    tick = clock.nanoseconds_per_cycle()
    fused, unfused = both
    elapsed = [each.median(lambda timing: timing.cycles) * tick for each in both]
    calls = [each.median(lambda timing: timing.calls) for each in both]
    saved = savings(fused.program, unfused.program, *(each.tolist() for each in (*elapsed, *calls)))
    ratios = [slow / fast for fast, slow in zip(fused.steps, unfused.steps, strict=True)]
    return DisplayedProfile(
        program=name,
        dimensions=dict(dimensions),
        vector_bits=native().vector_bits,
        threads=threads,
        rounds=rounds,
        repeats=repeats,
        ratio=statistics.median(ratios),
        lost_share=max(each.lost_share for each in both),
        rooflines=tuple(rooflines.best.values()),
        fused=_step_profile(fused, tick, rooflines.best, saved),
        unfused=_step_profile(unfused, tick, rooflines.best, [None] * len(elapsed[1])),
    )


def suitable_repeats(programs: Sequence[LoadedProgram], addresses: Sequence[int]) -> int:
    """So many that a measurement takes the wanted time; the first step, on cold caches, tells
    nothing."""
    for _ in range(2):
        start = time.perf_counter()
        for program in programs:
            program.table.run(addresses)
        seconds = (time.perf_counter() - start) / len(programs)
    return int(min(max(SECONDS_A_MEASUREMENT / seconds, 1), MOST_REPEATS))


def _step_profile(
    measured: Measured,
    tick: float,
    rooflines: Mapping[int, Roofline],
    saved: Sequence[Saving | None],
) -> StepProfile:
    loaded = measured.program
    elapsed = measured.median(lambda timing: timing.cycles) * tick
    busy = measured.median(lambda timing: timing.busy) * tick
    waits = measured.median(lambda timing: timing.waits.mean(0)) * tick
    calls = measured.median(lambda timing: timing.calls)
    total = float(elapsed.sum())
    together = loaded.table.threads
    kernels = []
    for row, instruction in enumerate(loaded.plan.instructions):
        threads = together if instruction.shared else 1
        kernels.append(
            _kernel_profile(
                instruction,
                calls=float(calls[row]),
                nanoseconds=float(elapsed[row]),
                total=total,
                thread_nanoseconds=tuple(busy[:threads, row].tolist()),
                wait_nanoseconds=float(waits[row]),
                roofline=rooflines[threads],
                saving=saved[row],
            )
        )
    return StepProfile(
        step_nanoseconds=statistics.median(measured.steps),
        clock_share=measured.clock_share,
        kernels_nanoseconds=total,
        ops=len(computed_nodes(loaded.compilation.program)),
        arena_bytes=loaded.plan.arena.nbytes,
        kernels=tuple(kernels),
        timeline=timeline(measured.typical, tick),
        loaded=loaded,
    )


def _kernel_profile(
    instruction: PlannedInstruction,
    *,
    calls: float,
    nanoseconds: float,
    total: float,
    thread_nanoseconds: tuple[float, ...],
    wait_nanoseconds: float,
    roofline: Roofline,
    saving: Saving | None,
) -> KernelProfile:
    nodes, work = nodes_of(instruction), work_of(instruction, calls)
    roof = roofline.roof(work.bytes, work.working_set, work.flops, work.dtype)
    # A kernel that the clock did not see has no rates.
    rate = 1 / nanoseconds if nanoseconds else 0.0
    return KernelProfile(
        name=instruction.name,
        kind=kind_of(instruction),
        nanoseconds=nanoseconds,
        share=nanoseconds / total if total else 0.0,
        threads=len(thread_nanoseconds),
        thread_nanoseconds=thread_nanoseconds,
        wait_nanoseconds=wait_nanoseconds,
        calls=calls,
        bytes=work.bytes,
        flops=work.flops,
        dtype=work.dtype,
        # Bytes a nanosecond are gigabytes a second.
        gigabytes_per_second=work.bytes * rate,
        gigaflops_per_second=work.flops * rate,
        roofline_share=roof.nanoseconds * rate,
        bound=roof.bound,
        ops=tuple(node.op.name for node in nodes),
        lines=tuple(Line(at.filename, at.line, at.text) for at in locations_of(nodes)),
        saving=saving,
    )
