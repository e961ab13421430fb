"""A profile as one HTML page that holds all it shows: nothing is fetched from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.resources import files
from string import Template
from typing import Any

from graphc.drawing.kernels import fusion_diagrams
from graphc.drawing.page import graph_panel, panel_script, panel_style, script_json
from graphc.errors import MissingExtraError
from graphc.profiling.results import (
    CLOCK_ERROR_NANOSECONDS,
    SHORTEST_EXACT_NANOSECONDS,
    KernelProfile,
    Profile,
    StepProfile,
)
from graphc.profiling.shown.arena_map import arena_map
from graphc.profiling.shown.figures import microseconds, percent, roof, scaled, significant
from graphc.profiling.shown.roofline_chart import roofline_chart
from graphc.profiling.shown.thread_map import thread_map

# One chart for wide and one for narrow windows: text must not be scaled with it.
WIDE_CHART, NARROW_CHART = (820, 440), (360, 330)

# The id of the graph's panel.
GRAPH_PANEL = "graph"

# Pixels of the page in a notebook, which scrolls inside.
FRAME_HEIGHT = 900

_HEADINGS = ("us", "share", "bytes", "FLOPs", "GB/s", "GFLOP/s", "roof", "bound", "unfused us")


def profile_page(profile: Profile, title: str) -> str:
    """The whole page, headed by `title`.

    Without mini-racer, which lays graphs out, it says so where the graph would stand.
    """
    return Template(_asset("page.html")).substitute(
        title=html.escape(title),
        style=_asset("page.css") + panel_style(),
        script=_asset("page.js"),
        graph=_graph(profile),
        graph_script=panel_script(),
        subtitle=html.escape(_subtitle(profile)),
        tiles=_tiles(profile),
        roofline_wide=roofline_chart(profile, *WIDE_CHART),
        roofline_narrow=roofline_chart(profile, *NARROW_CHART),
        bars="".join(_bars(profile.fused)),
        table=_table(profile.fused),
        unfused_head=_head(_HEADINGS[:-1]),
        unfused_count=len(profile.unfused.kernels),
        threads_fused=_threads(profile.fused, "fused"),
        threads_unfused=_threads(profile.unfused, "unfused"),
        arena_fused=_arena(profile.fused, "fused"),
        arena_unfused=_arena(profile.unfused, "unfused"),
        rough=f"{SHORTEST_EXACT_NANOSECONDS:.0f} ns",
        clock_error=f"{CLOCK_ERROR_NANOSECONDS:.0f} ns",
        data=script_json(_data(profile)),
    )


def framed(page: str) -> str:
    """The page in a frame, where neither its styles nor its script touch what is around it."""
    return (
        f'<iframe srcdoc="{html.escape(page)}" '
        f'style="width:100%;height:{FRAME_HEIGHT}px;border:0"></iframe>'
    )


def _graph(profile: Profile) -> str:
    fused, unfused = profile.fused.loaded.compilation, profile.unfused.loaded.compilation
    try:
        return graph_panel(fusion_diagrams(fused, unfused), GRAPH_PANEL)
    except MissingExtraError as error:
        return f'<p class="missing">{html.escape(str(error))}</p>'


def _asset(name: str) -> str:
    return files("graphc.profiling").joinpath("assets", name).read_text(encoding="utf-8")


def _subtitle(profile: Profile) -> str:
    sizes = [f"{name} {extent}" for name, extent in profile.dimensions.items()]
    parts = [
        f"{profile.program} step",
        *sizes,
        f"{profile.fused.ops} ops",
        profile.threads_text,
        f"{profile.vector_bits}-bit vectors",
        f"median of {profile.rounds} rounds of {profile.repeats} steps",
    ]
    if profile.busy_text is not None:
        parts.append(profile.busy_text)
    return " · ".join(parts)


def _tiles(profile: Profile) -> str:
    fused, unfused = profile.fused, profile.unfused
    pairs = [
        ("fused over unfused", f"{profile.ratio:.2f}x", f"median of {profile.rounds} rounds"),
        (
            "a step",
            f"{microseconds(fused.step_nanoseconds)} us",
            _instead(unfused.step_nanoseconds),
        ),
        ("kernels", str(len(fused.kernels)), f"instead of {len(unfused.kernels)}"),
        ("bytes moved", scaled(_moved(fused), "B"), f"instead of {scaled(_moved(unfused), 'B')}"),
        ("arena", scaled(fused.arena_bytes, "B"), f"instead of {scaled(unfused.arena_bytes, 'B')}"),
        (
            "kernels add up to",
            f"{fused.kernels_nanoseconds / fused.step_nanoseconds:.1%}",
            f"of the step; clocks add {max(fused.clock_share, 0):.1%}",
        ),
    ]
    return "".join(
        f'<div class="tile"><span>{name}</span><b>{value}</b><small>{note}</small></div>'
        for name, value, note in pairs
    )


def _instead(nanoseconds: float) -> str:
    return f"instead of {microseconds(nanoseconds)} us"


def _moved(step: StepProfile) -> int:
    return sum(kernel.bytes for kernel in step.kernels)


def _bars(step: StepProfile) -> Iterator[str]:
    """A row a fused kernel: its time, and that of the same ops unfused."""
    unfused = [k.saving.unfused_nanoseconds if k.saving else 0.0 for k in step.kernels]
    most = max([*unfused, *(kernel.nanoseconds for kernel in step.kernels)], default=0.0) or 1.0
    for row, kernel in enumerate(step.kernels):
        bars = [_bar("fused", kernel.nanoseconds, most)]
        if kernel.saving is not None:
            bars.append(_bar("unfused", kernel.saving.unfused_nanoseconds, most))
        yield (
            f'<button type="button" class="bar-row" data-kernel="fused-{row}">'
            f'<span class="bar-name">{html.escape(kernel.name)}</span>'
            f'<span class="bar-pair">{"".join(bars)}</span></button>'
        )


def _bar(step: str, nanoseconds: float, most: float) -> str:
    # The longest bar leaves room for its figure.
    length = f"calc((100% - 4.6rem) * {nanoseconds / most:.4f})"
    return (
        f'<span class="bar {step}"><i style="width:{length}"></i>'
        f"<em>{microseconds(nanoseconds)}</em></span>"
    )


def _table(step: StepProfile) -> str:
    """The fused kernels. Those of the unfused step, of which there may be thousands, are written by
    the page's script when somebody wants to see them."""
    rows = "".join(
        f'<tr data-kernel="fused-{row}"><td>{html.escape(kernel.name)}</td>'
        + "".join(f"<td>{cell}</td>" for cell in _cells(kernel))
        + "</tr>"
        for row, kernel in enumerate(step.kernels)
    )
    return f'<table class="fused">{_head(_HEADINGS)}<tbody>{rows}</tbody></table>'


def _head(headings: Sequence[str]) -> str:
    cells = "".join(f"<th>{name}</th>" for name in ("kernel", *headings))
    return f"<thead><tr>{cells}</tr></thead>"


def _cells(kernel: KernelProfile) -> tuple[str, ...]:
    saving = kernel.saving
    return (
        microseconds(kernel.nanoseconds),
        percent(kernel.share),
        scaled(kernel.bytes, "B"),
        scaled(kernel.flops),
        significant(kernel.gigabytes_per_second),
        significant(kernel.gigaflops_per_second),
        roof(kernel.roofline_share, kernel.is_rough),
        kernel.bound,
        "" if saving is None else microseconds(saving.unfused_nanoseconds),
    )


def _threads(step: StepProfile, which: str) -> str:
    """What each thread did in one step; its rows have their numbers beside them."""
    end = max((each.end for each in step.timeline), default=0.0)
    numbers = "".join(f"<span>{n}</span>" for n in sorted({each.thread for each in step.timeline}))
    return (
        f'<figure class="thread-map {which}"><figcaption>{which}: {microseconds(end)} us'
        f'</figcaption><div class="thread-frame"><div class="numbers">{numbers}</div>'
        f"{thread_map(step, which)}</div></figure>"
    )


def _arena(step: StepProfile, which: str) -> str:
    plan = step.loaded.plan
    return (
        f'<figure class="arena-map {which}"><figcaption>{which}: {scaled(step.arena_bytes, "B")}, '
        f"{len(plan.arena.ranges)} values</figcaption>"
        f'<div class="arena-frame"><span class="y-top">{scaled(step.arena_bytes, "B")}</span>'
        f'<span class="y-zero">0</span>{arena_map(plan, which)}</div>'
        f'<div class="x-axis"><span>instruction 0</span>'
        f"<span>{len(plan.instructions) - 1}</span></div></figure>"
    )


def _data(profile: Profile) -> dict[str, Any]:
    """What the page's script shows of a kernel: figures, lines and source. Equal sources of several
    kernels stand here once."""
    sources: dict[str, int] = {}

    def kernels(step: StepProfile) -> list[dict[str, Any]]:
        return [
            {**_figures(kernel), "source": sources.setdefault(row.source.text, len(sources))}
            for kernel, row in zip(step.kernels, step.loaded.plan.instructions, strict=True)
        ]

    return {
        "fused": kernels(profile.fused),
        "unfused": kernels(profile.unfused),
        "unfusedCells": [_cells(kernel)[:-1] for kernel in profile.unfused.kernels],
        "sources": list(sources),
        "first": _longest(profile.fused),
    }


def _longest(step: StepProfile) -> str | None:
    """The key of the kernel that takes most time."""
    if not step.kernels:
        return None
    return f"fused-{max(range(len(step.kernels)), key=lambda row: step.kernels[row].nanoseconds)}"


def _figures(kernel: KernelProfile) -> dict[str, Any]:
    saving, share = kernel.saving, roof(kernel.roofline_share, kernel.is_rough)
    figures = [
        ("time", f"{microseconds(kernel.nanoseconds)} us, {percent(kernel.share)} of the step"),
        *_waiting(kernel),
        ("bytes", f"{kernel.bytes:,} at {significant(kernel.gigabytes_per_second)} GB/s"),
        ("FLOPs", f"{kernel.flops:,} at {significant(kernel.gigaflops_per_second)} GFLOP/s"),
        ("roofline", f"{share}, bound by {kernel.bound}"),
        ("ops", " ".join(kernel.ops)),
    ]
    if saving is not None and saving.unfused_kernels > 1:
        values = ", ".join(f"{value.name}: {value.type}" for value in saving.intermediates)
        figures += [
            ("unfused", f"{saving.unfused_kernels} kernels, "
             f"{microseconds(saving.unfused_nanoseconds)} us, {saving.unfused_bytes:,} bytes"),
            ("saved", f"{microseconds(saving.nanoseconds)} us, {saving.bytes:,} bytes"),
            ("never in memory", values),
        ]  # fmt: skip
    return {
        "name": kernel.name,
        "kind": kernel.kind,
        "brief": f"{microseconds(kernel.nanoseconds)} us, {percent(kernel.share)}, "
        f"{significant(kernel.gigaflops_per_second)} GFLOP/s, "
        f"{share} of the roofline ({kernel.bound})",
        "figures": figures,
        "lines": [asdict(line) | {"file": line.name} for line in kernel.lines],
    }


def _waiting(kernel: KernelProfile) -> Sequence[tuple[str, str]]:
    if len(kernel.thread_nanoseconds) == 1 and not kernel.wait_nanoseconds:
        return ()
    each = ", ".join(microseconds(nanoseconds) for nanoseconds in kernel.thread_nanoseconds)
    wait = microseconds(kernel.wait_nanoseconds)
    return (("by thread", f"{each} us; {wait} us of waiting behind it on average"),)
