"""A profile's timelines in the Chrome trace format, which Perfetto and speedscope open.

Source: Trace Event Format, Google, 2016: complete events ("X") with times in microseconds, and
metadata events ("M") that name processes and threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphc.profiling.results import KernelProfile, Profile, Slice, StepProfile

WAIT = "wait"


def chrome_trace(profile: Profile) -> dict[str, Any]:
    """The JSON object of a trace: a process for the fused step and one for the unfused step, both
    from time 0 on, with a track a thread."""
    events: list[dict[str, Any]] = []
    for process, (title, step) in enumerate(
        (("fused step", profile.fused), ("unfused step", profile.unfused)), 1
    ):
        events += _names(process, f"{profile.program}, {title}", step)
        events += (_event(process, each, step) for each in step.timeline)
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {
            "program": profile.program,
            "dimensions": ", ".join(f"{k}={v}" for k, v in profile.dimensions.items()),
            "threads": str(profile.threads),
        },
    }


def _names(process: int, title: str, step: StepProfile) -> Iterator[dict[str, Any]]:
    yield _metadata(process, 0, "process_name", {"name": title})
    yield _metadata(process, 0, "process_sort_index", {"sort_index": process})
    for thread in sorted({each.thread for each in step.timeline}):
        yield _metadata(process, thread, "thread_name", {"name": f"thread {thread}"})
        yield _metadata(process, thread, "thread_sort_index", {"sort_index": thread})


def _metadata(process: int, thread: int, name: str, args: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "ph": "M", "pid": process, "tid": thread, "args": args}


def _event(process: int, each: Slice, step: StepProfile) -> dict[str, Any]:
    kernel = None if each.kernel is None else step.kernels[each.kernel]
    return {
        "name": WAIT if kernel is None else kernel.name,
        "cat": WAIT if kernel is None else kernel.kind,
        "ph": "X",
        "pid": process,
        "tid": each.thread,
        "ts": each.start / 1e3,
        "dur": (each.end - each.start) / 1e3,
        "args": {} if kernel is None else _args(kernel),
    }


def _args(kernel: KernelProfile) -> dict[str, Any]:
    return {
        "ops": " ".join(kernel.ops),
        "lines": ", ".join(f"{line.name}:{line.line} {line.text}" for line in kernel.lines),
        "bytes": kernel.bytes,
        "flops": kernel.flops,
        "threads": kernel.threads,
        "percent of roofline": round(100 * kernel.roofline_share, 1),
    }
