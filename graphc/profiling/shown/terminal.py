"""A profile as text for a terminal of any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from graphc.profiling.results import (
    CLOCK_ERROR_NANOSECONDS,
    MEASURED_BUSY,
    SHORTEST_EXACT_NANOSECONDS,
    KernelProfile,
    Line,
    Profile,
    Saving,
    StepProfile,
    Value,
)
from graphc.profiling.roofline import Roofline
from graphc.profiling.shown.figures import microseconds, percent, roof, scaled, significant
from graphc.profiling.shown.layout import Column, table, wrapped

# So many are named in one row; the file written with --json has them all.
LINES_SHOWN = 3
OPS_SHOWN = 8
VALUES_SHOWN = 4


def print_profile(profile: Profile, console: Console) -> None:
    """Prints the kernels of the fused and of the unfused step, what each fusion saved, and the
    ratio of whole steps."""
    for line in profile_lines(profile, console.width):
        console.print(line, soft_wrap=True)


def profile_lines(profile: Profile, width: int) -> Iterator[Text]:
    """The report, in lines of at most `width` where figures allow it."""
    for line in _unwrapped_lines(profile, width):
        yield from wrapped(line, width)


def _unwrapped_lines(profile: Profile, width: int) -> Iterator[Text]:
    sizes = ", ".join(f"{name} {extent}" for name, extent in profile.dimensions.items())
    yield Text(
        f"{profile.program} step{', ' if sizes else ''}{sizes}: {profile.fused.ops} ops, "
        f"{profile.threads_text}, {profile.vector_bits}-bit vectors; "
        f"median of {profile.rounds} rounds of {profile.repeats} steps"
    )
    for roofline in profile.rooflines:
        yield Text(_roofline_text(roofline), style="dim")
    for title, step in (("fused", profile.fused), ("unfused", profile.unfused)):
        yield Text("")
        yield Text(_step_title(title, step, profile.threads))
        yield from _kernel_table(step, width)
    yield from _notes(profile)
    yield Text("")
    yield from _saving_table(profile.fused, width)
    if profile.busy_text is not None:
        yield Text(profile.busy_text, style="yellow")
    yield Text(f"fused over unfused: {profile.ratio:.2f}x", style="bold")


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _roofline_text(roofline: Roofline) -> str:
    peaks = ", ".join(
        f"{significant(rate)} GFLOP/s {name}" for name, rate in roofline.peaks.items()
    )
    levels = ", ".join(
        f"{each.name} {significant(each.gigabytes_per_second)} GB/s" for each in roofline.levels
    )
    return f"roofline of {_threads(roofline.threads)}: {peaks}; {levels}"


def _notes(profile: Profile) -> Iterator[Text]:
    """What some figures of the tables need to be read rightly."""
    kernels = (*profile.fused.kernels, *profile.unfused.kernels)
    if any(kernel.is_rough for kernel in kernels):
        yield Text(
            f"~ under {SHORTEST_EXACT_NANOSECONDS:.0f} ns, where the clock's error of some "
            f"{CLOCK_ERROR_NANOSECONDS:.0f} ns shows in all figures of the row: a kernel may seem "
            "faster than the roofline",
            style="dim",
        )
    if profile.has_kernels_above_roof:
        yield Text(
            f"roof over 100%: {MEASURED_BUSY}, which slowed down its roofline; or the kernel found "
            "more in a cache than is counted",
            style="dim",
        )


def _step_title(title: str, step: StepProfile, threads: int) -> str:
    shared = f" ({step.shared_kernels or 'none'} on {threads} threads)" if threads > 1 else ""
    covered = step.kernels_nanoseconds / step.step_nanoseconds
    return (
        f"{title}: {microseconds(step.step_nanoseconds)} us a step, "
        f"{len(step.kernels)} kernels{shared}, arena {step.arena_bytes:,} bytes; "
        f"kernels add up to {covered:.1%} of the step, clocks add {max(step.clock_share, 0):.1%}"
    )


def _kernel_table(step: StepProfile, width: int) -> Iterator[Text]:
    kernels = step.kernels

    def column(heading: str, cells: Iterator[str], drop: int = 0) -> Column:
        return Column(heading, tuple(cells), drop)

    figures = [
        column("us", (microseconds(k.nanoseconds) for k in kernels)),
        column("share", (percent(k.share) for k in kernels)),
        column("calls", (f"{k.calls:.4g}" for k in kernels), 4),
        column("bytes", (scaled(k.bytes, "B") for k in kernels)),
        column("FLOPs", (scaled(k.flops) for k in kernels)),
        column("GB/s", (significant(k.gigabytes_per_second) for k in kernels)),
        column("GFLOP/s", (significant(k.gigaflops_per_second) for k in kernels)),
        column("roof", (roof(k.roofline_share, k.is_rough) for k in kernels)),
        column("bound", (k.bound for k in kernels), 2),
    ]
    if any(k.calls > 1 for k in kernels):
        figures.insert(3, column("us a call", (_of_a_call(k) for k in kernels), 4))
    if step.shared_kernels:
        figures.insert(2, column("wait us", (microseconds(k.wait_nanoseconds) for k in kernels), 1))
        figures.insert(3, column("threads", (str(k.threads) for k in kernels), 3))
    names = column("kernel", (k.name for k in kernels))
    return table(names, figures, [_details(kernel) for kernel in kernels], width)


def _of_a_call(kernel: KernelProfile) -> str:
    return microseconds(kernel.nanoseconds / max(kernel.calls, 1))


def _details(kernel: KernelProfile) -> str:
    """The ops, unless the name says them, and the user's lines."""
    left = len(kernel.ops) - OPS_SHOWN
    more = f" and {left} more" if left > 0 else ""
    ops = " ".join(kernel.ops[:OPS_SHOWN]) + more if len(kernel.ops) > 1 else ""
    lines = lines_text(kernel.lines)
    return f"{ops} · {lines}" if ops and lines else ops or lines


def lines_text(lines: Sequence[Line]) -> str:
    """`digits.py:12, 14 ...`: each file once."""
    shown: list[str] = []
    file = None
    for each in lines[:LINES_SHOWN]:
        shown.append(str(each.line) if each.file == file else f"{each.name}:{each.line}")
        file = each.file
    more = " ..." if len(lines) > LINES_SHOWN else ""
    return ", ".join(shown) + more


def _saving_table(step: StepProfile, width: int) -> Iterator[Text]:
    """The fusions that save most time first."""
    fusions = [
        (kernel.name, kernel.saving)
        for kernel in step.kernels
        if kernel.saving is not None and kernel.saving.unfused_kernels > 1
    ]
    if not fusions:
        yield Text("no two ops share a kernel")
        return
    fusions.sort(key=lambda fusion: -fusion[1].nanoseconds)
    savings = [saving for _, saving in fusions]
    total = sum(saving.nanoseconds for saving in savings)
    moved = sum(saving.bytes for saving in savings)
    yield Text(
        f"what each fusion saves: {microseconds(total)} us and {scaled(moved, 'B')} in all; "
        f"below each the values that never reach memory"
    )
    yield from table(
        Column("kernel", tuple(name for name, _ in fusions)),
        [
            Column("of", tuple(str(saving.unfused_kernels) for saving in savings)),
            Column("us unfused", tuple(microseconds(s.unfused_nanoseconds) for s in savings), 1),
            Column("us saved", tuple(microseconds(s.nanoseconds) for s in savings)),
            Column("bytes unfused", tuple(scaled(s.unfused_bytes, "B") for s in savings), 2),
            Column("bytes saved", tuple(scaled(s.bytes, "B") for s in savings)),
        ],
        [_values_text(saving) for saving in savings],
        width,
    )


def _values_text(saving: Saving) -> str:
    values: Sequence[Value] = sorted(saving.intermediates, key=lambda value: -value.bytes)
    shown = ", ".join(f"{value.name}: {value.type}" for value in values[:VALUES_SHOWN])
    left = len(values) - VALUES_SHOWN
    return f"{shown} and {left} more" if left > 0 else shown
