"""The microkernel of windows: rows at any places, and a depth of several axes.

The address of an element is f(row) + g(depth), where the rows of a tile are positions of a window,
which stand in lines of an image, and the depth goes through the lines of a window. So a convolution
reads its windows where they are. Where all tiles have their rows at the same distances from their
first one, these distances are part of the code: there are more rows than registers for addresses,
so a distance that is not known costs a load beside that of the element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.nodes.lowering import Digit
from graphc.kernels.loops.language.source import Microkernel
from graphc.kernels.products.microkernels.microkernel import (
    STEP_POINTERS,
    MicrokernelText,
    check_tile,
    multiply_step,
    store_rows,
    vector_segments,
)

# Entries of `places` that an outer axis of the depth takes: how many steps, and how far each leads.
ENTRIES_AN_AXIS = 2


@dataclass(frozen=True)
class _Turn:
    """What a loop around the steps of the depth carries: its counter, and where left begins."""

    number: int

    @property
    def counter(self) -> str:
        return f"%taken{self.number}"

    @property
    def base(self) -> str:
        return f"%base{self.number}"


def window_microkernel(
    dtype: str,
    rows: int,
    columns: int,
    lanes: int,
    outer_axes: int,
    row_digits: tuple[Digit, ...] = (),
) -> Microkernel:
    """c[r, q] = sum over the steps k of the depth of a[r, k] * b[k, q], for r < rows and
    q < columns.

    The depth is `outer_axes` axes around one of `depth` steps, whose stride is a_depth_stride. What
    `places` holds, as i64: for each outer axis, the innermost first, how many steps it has and how
    far each leads, in elements of a; then where each row begins, unless `row_digits` say that. b's
    rows stand b_depth_stride apart, in the order of the steps. `a_row_stride` and `ahead` are not
    read. The rest, and Raises, is as `microkernel` has it.

    row_digits: how rows are counted from the first one on, which is at `a`, the slowest digit
    first.
    """
    check_tile(dtype, rows, columns, lanes)
    text = MicrokernelText(dtype)
    segments = vector_segments(dtype, columns, lanes)
    accumulators = [(r, q) for r in range(rows) for q in range(len(segments))]
    kinds = {(r, q): text.vector(segments[q].lanes) for r, q in accumulators}
    turns = [_Turn(number) for number in range(outer_axes)]

    starts = row_starts(row_digits)[:rows] if row_digits else []
    _enter(text, turns, 0 if row_digits else rows)

    text.label("step")
    # Where a step comes from: the entry, the step before, or a turn of an outer axis.
    again = [f"again{turn.number}" for turn in turns]
    _merge(text, "i64 %k", "0", "%next_k", ["0"] * len(turns), again)
    bases = [f"{turn.base}_next" for turn in turns]
    _merge(text, "ptr %a_k", "%a", "%next_a_k", bases, again)
    _merge(text, "ptr %b_k", "%b", "%next_b_k", ["%next_b_k"] * len(turns), again)
    _merge_turns(text, turns, again)
    for r, q in accumulators:
        following = f"%next_c{r}_{q}"
        zero, name = "zeroinitializer", f"{kinds[r, q]} %c{r}_{q}"
        _merge(text, name, zero, following, [following] * len(turns), again)
    multiply_step(text, rows, segments, starts)
    for operand in "ab":
        text.element(f"%next_{operand}_k", STEP_POINTERS[operand], f"%{operand}_depth_stride")
    text.add("%next_k = add i64 %k, 1")
    text.add("%more = icmp ne i64 %next_k, %depth")
    ends = [*(f"turn{turn.number}" for turn in turns), "done"]
    text.add(f"br i1 %more, label %step, label %{ends[0]}, !llvm.loop !0")
    for turn, beyond in zip(turns, ends[1:], strict=True):
        _take_turn(text, turn, beyond)

    text.label("done")
    last = ends[-2] if turns else "step"
    for r, q in accumulators:
        incoming = f"[ zeroinitializer, %entry ], [ %next_c{r}_{q}, %{last} ]"
        text.add(f"%sum{r}_{q} = phi {kinds[r, q]} {incoming}")
    store_rows(text, rows, segments)
    text.add("ret void")
    name = f"window_microkernel_{dtype}_{rows}x{columns}_in_{outer_axes + 1}"
    name += _suffix(row_digits)
    made = text.function(name, "b_depth_stride", "places")
    return Microkernel(name, dtype, rows, columns, lanes, made, is_indexed=True)


def _enter(text: MicrokernelText, turns: Sequence[_Turn], rows: int) -> None:
    """Reads what `places` holds of the outer axes, and where so many rows begin."""
    text.label("entry")
    for turn in turns:
        _entry(text, f"{turn.counter}_count", ENTRIES_AN_AXIS * turn.number)
        _entry(text, f"{turn.base}_step", ENTRIES_AN_AXIS * turn.number + 1)
    for r in range(rows):
        _entry(text, f"%a_row{r}", ENTRIES_AN_AXIS * len(turns) + r)
    text.add("%any = icmp ne i64 %depth, 0")
    text.add("br i1 %any, label %step, label %done")


def _merge_turns(text: MicrokernelText, turns: Sequence[_Turn], again: Sequence[str]) -> None:
    """The counters of the outer axes and where their steps begin, by where a step comes from."""
    for turn in turns:
        # An axis begins anew where one further out takes a step, and stays inside of it.
        counters = [_after(turn, other, turn.counter, "0") for other in turns]
        _merge(text, f"i64 {turn.counter}", "0", turn.counter, counters, again)
        lines = [_after(turn, other, turn.base, f"{other.base}_next") for other in turns]
        _merge(text, f"ptr {turn.base}", "%a", turn.base, lines, again)


def row_starts(digits: tuple[Digit, ...]) -> list[int]:
    """Where each of the rows that the digits count begins, in elements from the first one."""
    places = [0]
    for digit in digits:
        places = [place + n * digit.stride for place in places for n in range(digit.extent)]
    return places


def _suffix(row_digits: tuple[Digit, ...]) -> str:
    """The distances of rows in a name."""
    counted = [f"{digit.extent}x{digit.stride}" for digit in row_digits]
    return f"_of_{'_'.join(counted)}".replace("-", "m") if counted else ""


def _entry(text: MicrokernelText, result: str, number: int) -> None:
    text.add(f"{result}_at = getelementptr i64, ptr %places, i64 {number}")
    text.add(f"{result} = load i64, ptr {result}_at")


def _merge(
    text: MicrokernelText,
    name: str,
    first: str,
    next_step: str,
    next_turns: Sequence[str],
    again: Sequence[str],
) -> None:
    """What a step begins with, by where it comes from."""
    kind, result = name.rsplit(" ", 1)
    arms = [(first, "entry"), (next_step, "step"), *zip(next_turns, again, strict=True)]
    incoming = ", ".join(f"[ {value}, %{block} ]" for value, block in arms)
    text.add(f"{result} = phi {kind} {incoming}")


def _after(turn: _Turn, taken: _Turn, same: str, anew: str) -> str:
    """A value of an axis after one took a step: its next, the same if that is further in."""
    if taken.number == turn.number:
        return f"{same}_next"
    return same if taken.number < turn.number else anew


def _take_turn(text: MicrokernelText, turn: _Turn, beyond: str) -> None:
    """Behind the last step of what is inside: one of this axis, or on to the next one."""
    number = turn.number
    text.label(f"turn{number}")
    text.add(f"{turn.counter}_next = add i64 {turn.counter}, 1")
    text.add(f"%more{number} = icmp ne i64 {turn.counter}_next, {turn.counter}_count")
    text.add(f"br i1 %more{number}, label %again{number}, label %{beyond}")
    text.label(f"again{number}")
    text.element(f"{turn.base}_next", turn.base, f"{turn.base}_step")
    text.add("br label %step")
