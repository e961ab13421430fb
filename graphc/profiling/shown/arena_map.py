"""The arena over a step as a map: instructions to the right, offsets up, live values as areas."""

from __future__ import annotations

import html

from graphc.compiler.plan.planning import Plan
from graphc.profiling.shown.figures import scaled

# Areas of one colour beside each other could not be told apart.
TINTS = 6

# Pixels of the chart's own scale, which the page stretches.
WIDTH, HEIGHT = 1000, 300


def arena_map(plan: Plan, step: str) -> str:
    """An <svg> without text, to be stretched to any size. step: "fused" or "unfused"."""
    count, most_bytes = len(plan.instructions), max(plan.arena.nbytes, 1)
    parts = []
    for number, live in enumerate(plan.arena.ranges):
        storage, offset = live.storage, plan.arena.offsets[live.storage]
        last = min(live.last, count - 1)
        x, width = WIDTH * live.first / count, WIDTH * (last + 1 - live.first) / count
        height = HEIGHT * storage.nbytes / most_bytes
        y = HEIGHT * (1 - offset / most_bytes) - height
        until = "the end" if live.last >= count else plan.instructions[live.last].name
        text = (
            f"{storage.name}: {storage.dtype}[{storage.size:,}], {scaled(storage.nbytes, 'B')} "
            f"at {offset:,}, from {plan.instructions[live.first].name} to {until}"
        )
        parts.append(
            f'<rect class="live tint{number % TINTS}" x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" '
            f'height="{height:.2f}" data-kernel="{step}-{live.first}" '
            f'data-text="{html.escape(text)}"/>'
        )
    return (
        f'<svg class="arena" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Live values of the {step} step">{"".join(parts)}</svg>'
    )
