"""What each thread did in one step."""

from __future__ import annotations

from collections.abc import Iterator

from graphc.kernels.run.instruction_table import Timing
from graphc.profiling.results import Slice


def timeline(timing: Timing, nanoseconds_per_cycle: float) -> tuple[Slice, ...]:
    """The last step that was timed, thread by thread in the order of time.

    A thread that is in no kernel waits for others: until it starts one, or until the step ends.
    """
    started = timing.spans[..., 0]
    begin = int(started[started > 0].min()) if started.any() else timing.end

    def after_begin(cycles: int) -> float:
        return (cycles - begin) * nanoseconds_per_cycle

    return tuple(
        Slice(thread, kernel, after_begin(start), after_begin(end))
        for thread in range(len(timing.spans))
        for kernel, start, end in _cycles(timing, thread, begin)
    )


def _cycles(timing: Timing, thread: int, begin: int) -> Iterator[tuple[int | None, int, int]]:
    clock = begin
    for kernel, (start, end) in enumerate(timing.spans[thread].tolist()):
        if not start:
            continue
        if start > clock:
            yield None, clock, start
        yield kernel, start, end
        clock = end
    if timing.end > clock:
        yield None, clock, timing.end
