"""An explanation for people: sections with headings, in colours where the terminal has them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from graphc.display.table import counted
from graphc.inspect.explain_value import Neighbour, ValueExplanation
from graphc.inspect.explanation import (
    ExplainedBuffer,
    ExplainedLoop,
    Explanation,
    FusionDecision,
    RecomputedValue,
    Rewrite,
    TileChoice,
)

T = TypeVar("T")

INDENT = "  "


def print_explanation(explained: Explanation, console: Console, whole: bool = False) -> None:
    """Prints how much of each kind was decided, on a screen, with the first decision of each, which
    saves most where they save bytes; with `whole` every decision under its heading."""
    out = _Writer(console, is_summary=not whole)
    sizes = ", ".join(f"{name} {extent}" for name, extent in explained.dimensions.items())
    ratio = explained.bytes_unfused / max(explained.bytes_fused, 1)
    out.line(
        f"{explained.program}{f', {sizes}' if sizes else ''}: {explained.ops} ops in "
        f"{len(explained.kernels)} kernels, {explained.vector_bits}-bit vectors"
    )
    which = "kernels outside of loops" if explained.loops else "kernels"
    out.line(
        f"{which} move {explained.bytes_fused:,} bytes; with a kernel an op they would move "
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
    for loop in explained.loops:
        _print_loop(loop, out)
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
    out.heading(f"cache: of plan and kernels {found} of {len(explained.cache)} are on disk")
    out.entries(missing, lambda each: (f"{each.kind} {each.name}: {each.reason}",))
    if not whole:
        out.line("--all shows every decision with its reason, --why NAME those about one value")


def _print_loop(loop: ExplainedLoop, out: _Writer) -> None:
    ratio = loop.bytes_unfused / max(loop.bytes_fused, 1)
    in_all = "" if loop.steps is None else f", {loop.steps * loop.bytes_fused:,} in all"
    count = "as many steps as its condition holds" if loop.steps is None else f"{loop.steps} steps"
    of_one = f"{counted(loop.ops, 'op')} in {counted(loop.kernels, 'kernel')}"
    out.heading(f"{loop.loop}: {count}, each of {of_one}")
    out.line(
        f"a step moves {loop.bytes_fused:,} bytes{in_all}; with a kernel an op it would move "
        f"{loop.bytes_unfused:,}, {ratio:.1f} times as many"
    )
    out.line(f"fused in a step: {len(loop.fusions)}; not fused: {len(loop.refusals)}")
    out.entries(loop.fusions, _fusion_lines)
    out.entries(loop.recomputed, _recomputed_lines)
    out.entries(loop.refusals, _fusion_lines)


def print_values(values: Sequence[ValueExplanation], console: Console) -> None:
    """Prints what became of each value."""
    out = _Writer(console)
    for value in values:
        out.heading(f"{value.value}: {value.op} of {value.type}")
        if value.text:
            out.line(f"{value.line}: {value.text}")
        rows = [("names", ", ".join(value.names)), ("computed", value.computed)]
        rows += [("memory", value.memory), ("live", value.live), ("scratch", value.scratch)]
        if value.tile is not None:
            first, *more = _tile_lines(value.tile)
            rows += [("tile", first), *(("", line.strip()) for line in more)]
        out.columns([row for row in rows if row[1]])
        for title, neighbours in (("reads", value.reads), ("read by", value.read_by)):
            if neighbours:
                out.line(title)
                out.entries(neighbours, lambda each: (_neighbour_text(each),))
        if value.rewrites:
            out.line("rewritten")
            out.entries(value.rewrites, lambda each: (each,))


class _Writer:
    """Lines of a console, wrapped at its width; where it is no terminal, that is 80 columns.

    A summary has the first line of the first entry below a heading, and no empty lines.
    """

    def __init__(self, console: Console, is_summary: bool = False) -> None:
        self.console = console
        self.is_summary = is_summary
        self.is_empty = True

    def line(self, text: str) -> None:
        """Prints a line; where it is too long, the rest is indented more than the line below."""
        depth = len(text) - len(text.lstrip(" "))
        self._wrapped(text, " " * depth + 2 * INDENT)

    def heading(self, text: str) -> None:
        """A line in colour, with an empty one above unless it is the first."""
        above = "" if self.is_empty or self.is_summary else "\n"
        self._wrapped(text, 2 * INDENT, "bold cyan", above=above)

    def columns(self, rows: Sequence[tuple[str, str]]) -> None:
        """Labels, and beside them texts that are wrapped in a column of their own."""
        width = max(len(label) for label, _ in rows) + len(INDENT)
        for label, text in rows:
            self._wrapped(label.ljust(width) + text, " " * width)

    def _wrapped(self, text: str, hanging: str, style: str = "", above: str = "") -> None:
        lines = textwrap.wrap(
            text,
            self.console.width,
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        self.is_empty = False
        self.console.print(Text(above + "\n".join(lines), style), soft_wrap=True)

    def entries(self, found: Sequence[T], lines: Callable[[T], Sequence[str]]) -> None:
        for each in found[:1] if self.is_summary else found:
            for line in lines(each)[:1] if self.is_summary else lines(each):
                self.line(INDENT + line)


def _fusion_lines(decision: FusionDecision) -> Sequence[str]:
    verb = "saves" if decision.fused else "would save"
    ends = f"{decision.producer} + {decision.consumer}"
    return (
        f"{ends}: {verb} {decision.bytes_saved:,} bytes",
        f"{INDENT}{' | '.join(decision.kernels)}: {decision.reason}",
    )


def _recomputed_lines(each: RecomputedValue) -> Sequence[str]:
    kernels = ", ".join(each.kernels)
    return (f"{each.value}: saves {each.bytes_saved:,} bytes; computed in {kernels}",)


def _rewrite_lines(rewrite: Rewrite) -> Sequence[str]:
    times = f" ({rewrite.times} times)" if rewrite.times > 1 else ""
    lines = [f"{rewrite.rule}{times}: {rewrite.equation}"]
    if rewrite.line:
        lines.append(f"{INDENT}{rewrite.line}: {rewrite.text}")
    return (*lines, f"{INDENT}{rewrite.before}  ->  {rewrite.after}")


def _tile_lines(tile: TileChoice) -> Sequence[str]:
    lines = [f"{tile.kernel}: {tile.product}  {tile.line}", f"{INDENT}{tile.reason}"]
    if tile.windows is not None:
        lines.append(f"{INDENT}{tile.windows.reason}")
    others = [f"{each.tile} ({each.slower:+.0%})" for each in tile.alternatives]
    if others:
        lines.append(f"{INDENT}not taken, by estimated cycles: {'; '.join(others)}")
    return lines


def _buffer_lines(buffer: ExplainedBuffer, kernels: Sequence[str]) -> Sequence[str]:
    place = "" if buffer.offset is None else f" at {buffer.offset:,}"
    return (
        f"{buffer.name}: {buffer.role}, {buffer.bytes:,} bytes of {buffer.dtype}{place}, "
        f"{_life(buffer, kernels)}",
        f"{INDENT}{buffer.reason}",
    )


def _life(buffer: ExplainedBuffer, kernels: Sequence[str]) -> str:
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
    if neighbour.given:
        return f"{neighbour.value}: {neighbour.reason}"
    state = "one kernel" if neighbour.fused else "kernels apart"
    gain = ""
    if neighbour.bytes_saved is not None:
        verb = "saves" if neighbour.fused else "would save"
        gain = f"; {verb} {neighbour.bytes_saved:,} bytes"
    return f"{neighbour.value}{kernels}: {state}: {neighbour.reason}{gain}"
