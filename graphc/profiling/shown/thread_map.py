"""One step as a map: time to the right, a row a thread, kernels and waits as areas."""

from __future__ import annotations

import html

from graphc.profiling.results import Slice, StepProfile
from graphc.profiling.shown.arena_map import TINTS
from graphc.profiling.shown.figures import microseconds

# The chart's own scale, which the page stretches: its width, and a thread's row and what is free
# of it.
WIDTH, ROW, GAP = 1000, 30, 4


def thread_map(step: StepProfile, which: str) -> str:
    """An <svg> without text, to be stretched to any size. which: "fused" or "unfused"."""
    threads = 1 + max((each.thread for each in step.timeline), default=0)
    end = max((each.end for each in step.timeline), default=0.0) or 1.0
    areas = "".join(_area(each, step, which, WIDTH / end) for each in step.timeline)
    return (
        f'<svg class="threads" viewBox="0 0 {WIDTH} {ROW * threads}" preserveAspectRatio="none" '
        f'style="height:{ROW * threads}px" role="img" aria-label="What each thread does in the '
        f'{which} step">{areas}</svg>'
    )


def _area(each: Slice, step: StepProfile, which: str, scale: float) -> str:
    x, width = each.start * scale, (each.end - each.start) * scale
    name = "wait" if each.kernel is None else step.kernels[each.kernel].name
    text = f"{name}: thread {each.thread}, {microseconds(each.end - each.start)} us"
    text += f" from {microseconds(each.start)} us on"
    kind, key = "wait", ""
    if each.kernel is not None:
        kind, key = f"live tint{each.kernel % TINTS}", f' data-kernel="{which}-{each.kernel}"'
    return (
        f'<rect class="{kind}" x="{x:.2f}" y="{ROW * each.thread + GAP / 2:.0f}" '
        f'width="{width:.2f}" height="{ROW - GAP}" data-text="{html.escape(text)}"{key}/>'
    )
