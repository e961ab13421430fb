"""An explanation for people: sections with headings, in colours where the terminal has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape

from graphc.explain import (
    Buffer,
    Explanation,
    FusionDecision,
    RecomputedValue,
    Rewrite,
    TileChoice,
)
from graphc.explain_value import Neighbour, ValueExplanation
from graphc.stages import columns

T = TypeVar("T")

INDENT = "  "
# So many decisions of a section are shown; --json FILE has them all.
MOST_SHOWN = 40


def print_explanation(explained: Explanation, console: Console) -> None:
    """Prints all sections; of a long one the first entries, and how many more there are."""
    out = _Writer(console)
    sizes = ", ".join(f"{name} {extent}" for name, extent in explained.dimensions.items())
    ratio = explained.bytes_unfused / max(explained.bytes_fused, 1)
    out.line(
        f"{explained.program}{f', {sizes}' if sizes else ''}: {explained.ops} ops in "
        f"{len(explained.kernels)} kernels, {explained.vector_bits}-bit vectors"
    )
    out.line(
        f"kernels move {explained.bytes_fused:,} bytes; with a kernel an op they would move "
        f"{explained.bytes_unfused:,}, {ratio:.1f} times as many"
    )
    fusions, refusals = explained.fusions, explained.refusals
    saved = sum(decision.bytes_saved for decision in fusions)
    out.heading(f"fused: {len(fusions)} decisions save {saved:,} bytes")
    out.entries(fusions, _fusion_lines)
    recomputed = explained.recomputed
    saved = sum(each.bytes_saved for each in recomputed)
    if recomputed:
        out.heading(f"computed by each reader, not stored: {len(recomputed)} save {saved:,} bytes")
        out.entries(recomputed, _recomputed_lines)
    out.heading(f"not fused: {len(refusals)} pairs of kernels that share a value")
    out.entries(refusals, _fusion_lines)
    out.heading(f"rewrites: {sum(rewrite.times for rewrite in explained.rewrites)}")
    out.entries(explained.rewrites, _rewrite_lines)
    out.heading(
        f"buffers: an arena of {explained.arena_bytes:,} bytes for "
        f"{explained.values_bytes:,} bytes of temporaries"
    )
    out.entries(explained.buffers, lambda each: _buffer_lines(each, explained.kernels))
    if explained.tiles:
        out.heading("tiles of matrix products")
        out.entries(explained.tiles, _tile_lines)
    missing = [each for each in explained.cache if not each.on_disk]
    found = len(explained.cache) - len(missing)
    out.heading(f"cache: {found} of {len(explained.cache)} kernels are on disk")
    out.entries(missing, lambda each: (f"{each.kernel}: {each.reason}",))


def print_values(values: Sequence[ValueExplanation], console: Console) -> None:
    """Prints what became of each value."""
    out = _Writer(console)
    for value in values:
        out.heading(f"{value.value}: {value.op} of {value.type}")
        if value.text:
            out.line(f"{value.line}: {value.text}")
        rows = [("names", ", ".join(value.names)), ("computed", value.computed)]
        rows += [("memory", value.memory), ("live", value.live)]
        if value.tile is not None:
            first, *more = _tile_lines(value.tile)
            rows += [("tile", first), *(("", line.strip()) for line in more)]
        for line in columns([row for row in rows if row[1]]):
            out.line(line)
        for title, neighbours in (("reads", value.reads), ("read by", value.read_by)):
            if neighbours:
                out.line(title)
                for neighbour in neighbours:
                    out.line(f"{INDENT}{_neighbour_text(neighbour)}")
        if value.rewrites:
            out.line("rewritten")
            for rewrite in value.rewrites:
                out.line(f"{INDENT}{rewrite}")


class _Writer:
    """Lines of a console; none is wrapped, so that a pipe gets what a terminal shows."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def line(self, text: str) -> None:
        self.console.print(escape(text), soft_wrap=True)

    def heading(self, text: str) -> None:
        self.console.print(f"\n[bold cyan]{escape(text)}[/]", soft_wrap=True)

    def entries(self, found: Sequence[T], lines: Callable[[T], Sequence[str]]) -> None:
        for each in found[:MOST_SHOWN]:
            for line in lines(each):
                self.line(INDENT + line)
        if len(found) > MOST_SHOWN:
            self.line(f"{INDENT}... and {len(found) - MOST_SHOWN} more, all of them with --json")


def _fusion_lines(decision: FusionDecision) -> Sequence[str]:
    verb = "saves" if decision.fused else "would save"
    ends = f"{decision.producer} + {decision.consumer}"
    return (
        f"{ends}: {verb} {decision.bytes_saved:,} bytes  [{' | '.join(decision.kernels)}]",
        f"{INDENT}{decision.reason}",
    )


def _recomputed_lines(each: RecomputedValue) -> Sequence[str]:
    kernels = ", ".join(each.kernels)
    return (f"{each.value}: saves {each.bytes_saved:,} bytes; computed in {kernels}",)


def _rewrite_lines(rewrite: Rewrite) -> Sequence[str]:
    times = f" ({rewrite.times} times)" if rewrite.times > 1 else ""
    where = f"  {rewrite.line}: {rewrite.text}" if rewrite.line else ""
    return (
        f"{rewrite.rule}{times}: {rewrite.equation}{where}",
        f"{INDENT}{rewrite.before}  ->  {rewrite.after}",
    )


def _tile_lines(tile: TileChoice) -> Sequence[str]:
    lines = [f"{tile.kernel}: {tile.product}  {tile.line}", f"{INDENT}{tile.reason}"]
    others = [f"{each.tile} ({each.slower:+.0%})" for each in tile.alternatives]
    if others:
        lines.append(f"{INDENT}not taken, by estimated cycles: {'; '.join(others)}")
    return lines


def _buffer_lines(buffer: Buffer, kernels: Sequence[str]) -> Sequence[str]:
    place = "" if buffer.offset is None else f" at {buffer.offset:,}"
    return (
        f"{buffer.name}: {buffer.role}, {buffer.bytes:,} bytes of {buffer.dtype}{place}, "
        f"{_life(buffer, kernels)}",
        f"{INDENT}{buffer.reason}",
    )


def _life(buffer: Buffer, kernels: Sequence[str]) -> str:
    if buffer.first is None or buffer.last is None:
        return "used by no kernel"
    verb = "live" if buffer.offset is not None else "used"
    start = f"{buffer.first} {kernels[buffer.first]}"
    if buffer.last >= len(kernels):
        return f"{verb} from {start} until after the step"
    if buffer.first == buffer.last:
        return f"{verb} in {start} alone"
    return f"{verb} from {start} to {buffer.last} {kernels[buffer.last]}"


def _neighbour_text(neighbour: Neighbour) -> str:
    kernels = f" [{', '.join(neighbour.kernels)}]" if neighbour.kernels else ""
    if neighbour.reason.startswith("given"):
        return f"{neighbour.value}: {neighbour.reason}"
    state = "one kernel" if neighbour.fused else "kernels apart"
    gain = ""
    if neighbour.bytes_saved is not None:
        verb = "saves" if neighbour.fused else "would save"
        gain = f"; {verb} {neighbour.bytes_saved:,} bytes"
    return f"{neighbour.value}{kernels}: {state}: {neighbour.reason}{gain}"
