"""Register-tiled matrix-product microkernels, written as textual LLVM IR.

A microkernel keeps a small block of the result in vector registers while it walks the whole
depth (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008). Three
forms, one of them in `inner_microkernel.py`, share one C signature,

    void NAME(i64 depth, ptr a, i64 a_row_stride, i64 a_depth_stride,
              ptr b, i64 b_stride, ptr c, i64 c_row_stride)

with strides in elements of any sign, so that a caller treats them alike. Where the rows of an
operand are chosen by indices, `ptr indices, i64 ahead` follow: which they are, and how many indices
on those of the rows of `a` stand that the next call reads, 0 for none. Cache lines of these rows
are fetched meanwhile, since no processor foresees where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from graphc.kernels.loops.language.source import Microkernel
from graphc.kernels.machine import MACHINE

LLVM_TYPES = {"f32": "float", "f64": "double"}
ITEM_BYTES = {"f32": 4, "f64": 8}
STEPS_AHEAD = 4  # along the depth, whose rows are fetched into the first cache
INDEX_TYPES = {"u8": "i8", "i32": "i32", "i64": "i64"}
# Where a step of the depth reads the operands.
STEP_POINTERS = {"a": "%a_step", "b": "%b_k"}
# The narrowest vector register that is worth a name: SSE and NEON.
SMALLEST_VECTOR_BYTES = 16


@dataclass(frozen=True)
class Indices:
    """Which rows of memory an operand reads: `indices[r]` in the place of r along `along`.

    dtype: of the indices, none of which is negative.
    """

    along: Literal["a_rows", "a_depth", "b_depth"]
    dtype: str


@dataclass(frozen=True)
class VectorSegment:
    """Columns `start` to `start + valid` of a tile, held in one vector of `lanes` elements."""

    start: int
    lanes: int
    valid: int


def smallest_lanes(dtype: str, lanes: int) -> int:
    """Elements of the narrowest vector that a tile's last columns may use."""
    return min(lanes, SMALLEST_VECTOR_BYTES // ITEM_BYTES[dtype])


@cache
def vector_segments(dtype: str, columns: int, lanes: int) -> tuple[VectorSegment, ...]:
    """Cut `columns` into full vectors and at most one last, narrower and masked vector."""
    full, rest = divmod(columns, lanes)
    segments = [VectorSegment(q * lanes, lanes, lanes) for q in range(full)]
    if rest:
        width = smallest_lanes(dtype, lanes)
        while width < rest:
            width *= 2
        segments.append(VectorSegment(full * lanes, width, rest))
    return tuple(segments)


def padded_columns(dtype: str, columns: int, lanes: int) -> int:
    """Elements that a stored row of a tile occupies: `columns` and the last vector's padding."""
    last = vector_segments(dtype, columns, lanes)[-1]
    return last.start + last.lanes


def check_tile(dtype: str, rows: int, columns: int, lanes: int) -> None:
    """Raises ValueError for an unknown dtype or an impossible shape."""
    if dtype not in LLVM_TYPES:
        raise ValueError(f"microkernel of dtype {dtype!r}: expected one of {sorted(LLVM_TYPES)}")
    if rows < 1 or columns < 1:
        raise ValueError(f"microkernel of {rows}x{columns}: expected at least one row and column")
    if lanes < 1 or lanes & (lanes - 1):
        raise ValueError(f"microkernel of {lanes} lanes: expected a power of two")


class MicrokernelText:
    """The lines of one LLVM function, and the intrinsics that it has to declare."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.scalar = LLVM_TYPES[dtype]
        self.align = ITEM_BYTES[dtype]
        self.lines: list[str] = []
        self.declarations: dict[str, None] = {}

    def add(self, line: str) -> None:
        self.lines.append(f"  {line}")

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def vector(self, lanes: int) -> str:
        return f"<{lanes} x {self.scalar}>"

    def suffix(self, lanes: int) -> str:
        return f"v{lanes}{self.dtype}"

    def load(self, result: str, pointer: str, segment: VectorSegment) -> None:
        """Load the valid elements of a segment; the rest of the vector is zero."""
        vector = self.vector(segment.lanes)
        if segment.valid == segment.lanes:
            self.add(f"{result} = load {vector}, ptr {pointer}, align {self.align}")
            return
        mask = ", ".join(f"i1 {int(q < segment.valid)}" for q in range(segment.lanes))
        self.masked_load(result, pointer, segment.lanes, f"<{mask}>")

    def masked_load(self, result: str, pointer: str, lanes: int, mask: str) -> None:
        vector, masks = self.vector(lanes), f"<{lanes} x i1>"
        name = f"@llvm.masked.load.{self.suffix(lanes)}.p0"
        self.declarations[f"declare {vector} {name}(ptr, i32, {masks}, {vector})"] = None
        self.add(
            f"{result} = call {vector} {name}(ptr {pointer}, i32 {self.align}, "
            f"{masks} {mask}, {vector} zeroinitializer)"
        )

    def splat(self, result: str, scalar: str, lanes: int) -> None:
        vector = self.vector(lanes)
        self.add(f"{result}_low = insertelement {vector} poison, {self.scalar} {scalar}, i64 0")
        self.add(
            f"{result} = shufflevector {vector} {result}_low, {vector} poison, "
            f"<{lanes} x i32> zeroinitializer"
        )

    def fma(self, result: str, x: str, y: str, total: str, lanes: int) -> None:
        # fmuladd, not fma: where the hardware has no FMA, fma would be a library call a lane.
        vector, name = self.vector(lanes), f"@llvm.fmuladd.{self.suffix(lanes)}"
        self.declarations[f"declare {vector} {name}({vector}, {vector}, {vector})"] = None
        self.add(f"{result} = call {vector} {name}({vector} {x}, {vector} {y}, {vector} {total})")

    def element(self, result: str, base: str, index: str | int) -> None:
        self.add(f"{result} = getelementptr {self.scalar}, ptr {base}, i64 {index}")

    def pointer_of_its_own(self, result: str, pointer: str) -> None:
        """`pointer` in a register from which constant offsets count.

        LLVM would count from the loop's beginning and add its counter in every address. Processors
        of Intel split an FMA that loads from the sum of two registers into two operations, so the
        window in which they look for loads ahead holds half as many.
        """
        self.add(f'{result} = call ptr asm "", "=r,0"(ptr {pointer})')

    def index(self, result: str, at: str | int, indices: Indices) -> None:
        """Load index number `at`, as i64."""
        integer = INDEX_TYPES[indices.dtype]
        self.add(f"{result}_at = getelementptr {integer}, ptr %indices, i64 {at}")
        if integer == "i64":
            self.add(f"{result} = load i64, ptr {result}_at")
            return
        self.add(f"{result}_loaded = load {integer}, ptr {result}_at")
        self.add(f"{result} = zext {integer} {result}_loaded to i64")

    def offset(
        self, result: str, stride: str, place: str | int, along: str, indices: Indices | None
    ) -> None:
        """`stride` times `place`, or times the index at `place` where they run along `along`."""
        if indices is not None and indices.along == along:
            self.index(f"{result}_index", place, indices)
            place = f"{result}_index"
        self.add(f"{result} = mul i64 {stride}, {place}")

    def function(self, name: str, b_stride: str, table: str = "") -> str:
        """table: the name of the pointer to indices or places, where there is one."""
        more = f", ptr readonly %{table}, i64 %ahead" if table else ""
        header = (
            f"define void @{name}(i64 %depth, ptr readonly %a, i64 %a_row_stride, "
            f"i64 %a_depth_stride,\n    ptr readonly %b, i64 %{b_stride}, ptr %c, "
            f"i64 %c_row_stride{more}) noinline nounwind {{"
        )
        never_unroll = ["!0 = distinct !{!0, !1}", '!1 = !{!"llvm.loop.unroll.disable"}']
        return "\n".join([*self.declarations, "", header, *self.lines, "}", "", *never_unroll, ""])


def microkernel(
    dtype: str, rows: int, columns: int, lanes: int, indices: Indices | None = None
) -> Microkernel:
    """c[r, q] = sum over k < depth of a[r, k] * b[k, q], for r < rows and q < columns.

    a[r, k] stands at `a[r * a_row_stride + k * a_depth_stride]`, b[k, q] at
    `b[k * b_depth_stride + q]`; neither is read outside of that. A row of `c` needs room for
    `padded_columns`, for the last vector is stored whole. Depth 0 stores zeros. Raises
    ValueError for an unknown dtype or an impossible shape.

    indices: along which dimension of which operand its index is taken in the place of r or k.
    """
    check_tile(dtype, rows, columns, lanes)
    text = MicrokernelText(dtype)
    segments = vector_segments(dtype, columns, lanes)
    accumulators = [(r, q) for r in range(rows) for q in range(len(segments))]
    kinds = {(r, q): text.vector(segments[q].lanes) for r, q in accumulators}

    text.label("entry")
    for r in range(rows):
        text.offset(f"%a_row{r}", "%a_row_stride", r, "a_rows", indices)
    text.add("%any = icmp ne i64 %depth, 0")
    text.add("br i1 %any, label %step, label %done")

    # Unrolled loops were measured to gain nothing: FMAs hide the loop's own instructions.
    text.label("step")
    text.add("%k = phi i64 [ 0, %entry ], [ %next_k, %step ]")
    walked = [x for x in "ab" if indices is None or indices.along != f"{x}_depth"]
    for operand in walked:
        text.add(f"%{operand}_k = phi ptr [ %{operand}, %entry ], [ %next_{operand}_k, %step ]")
    for r, q in accumulators:
        incoming = f"[ zeroinitializer, %entry ], [ %next_c{r}_{q}, %step ]"
        text.add(f"%c{r}_{q} = phi {kinds[r, q]} {incoming}")
    for operand in "ab":
        if operand not in walked:
            stride = f"%{operand}_depth_stride"
            text.offset(f"%{operand}_offset", stride, "%k", f"{operand}_depth", indices)
            text.element(f"%{operand}_k", f"%{operand}", f"%{operand}_offset")
    if indices is not None:
        _fetch_ahead(text, rows, columns, indices)
    multiply_step(text, rows, segments)
    for operand in walked:
        text.element(f"%next_{operand}_k", STEP_POINTERS[operand], f"%{operand}_depth_stride")
    text.add("%next_k = add i64 %k, 1")
    text.add("%more = icmp ne i64 %next_k, %depth")
    text.add("br i1 %more, label %step, label %done, !llvm.loop !0")

    text.label("done")
    for r, q in accumulators:
        incoming = f"[ zeroinitializer, %entry ], [ %next_c{r}_{q}, %step ]"
        text.add(f"%sum{r}_{q} = phi {kinds[r, q]} {incoming}")
    store_rows(text, rows, segments)
    text.add("ret void")
    name = f"microkernel_{dtype}_{rows}x{columns}{indices_suffix(indices)}"
    made = text.function(name, "b_depth_stride", "" if indices is None else "indices")
    return Microkernel(name, dtype, rows, columns, lanes, made, indices is not None)


def multiply_step(
    text: MicrokernelText,
    rows: int,
    segments: Sequence[VectorSegment],
    row_starts: Sequence[int] = (),
) -> None:
    """In a step of the depth: every accumulator and the product that is added to it.

    row_starts: where the rows of a begin, in elements; none where that is known in `%a_row0`, ...
    """
    for q, segment in enumerate(segments):
        text.element(f"%b{q}_at", "%b_k", segment.start)
        text.load(f"%b{q}", f"%b{q}_at", segment)
    text.pointer_of_its_own(STEP_POINTERS["a"], "%a_k")
    for r in range(rows):
        text.element(f"%a{r}_at", STEP_POINTERS["a"], row_starts[r] if row_starts else f"%a_row{r}")
        text.add(f"%a{r} = load {text.scalar}, ptr %a{r}_at, align {text.align}")
        for width in sorted({segment.lanes for segment in segments}):
            text.splat(f"%a{r}x{width}", f"%a{r}", width)
        for q, segment in enumerate(segments):
            width = segment.lanes
            text.fma(f"%next_c{r}_{q}", f"%a{r}x{width}", f"%b{q}", f"%c{r}_{q}", width)


def store_rows(text: MicrokernelText, rows: int, segments: Sequence[VectorSegment]) -> None:
    """Stores the sums, each row's last vector whole."""
    for r in range(rows):
        text.add(f"%c_row{r} = mul i64 %c_row_stride, {r}")
        for q, segment in enumerate(segments):
            text.add(f"%c{r}_{q}_index = add i64 %c_row{r}, {segment.start}")
            text.element(f"%c{r}_{q}_at", "%c", f"%c{r}_{q}_index")
            value = f"{text.vector(segment.lanes)} %sum{r}_{q}"
            text.add(f"store {value}, ptr %c{r}_{q}_at, align {text.align}")


def _fetch_ahead(text: MicrokernelText, rows: int, columns: int, indices: Indices) -> None:
    """In a step of the depth: cache lines of what the indices choose and no processor foresees."""
    if indices.along == "a_rows":
        _fetch_rows_ahead(text, rows, indices)
    elif indices.along == "a_depth":
        _fetch_steps_ahead(text, "a", rows, indices)
    else:
        _fetch_steps_ahead(text, "b", columns, indices)


def _fetch_rows_ahead(text: MicrokernelText, rows: int, indices: Indices) -> None:
    """In a step of the depth: cache lines of some of the rows that the next call reads.

    In the steps that go through one line of each row, each row has its turn.
    """
    steps = MACHINE.line_bytes // ITEM_BYTES[text.dtype]
    text.declarations["declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"] = None
    text.add(f"%turn = and i64 %k, {steps - 1}")
    for first in range(0, rows, steps):
        name = f"%ahead{first}"
        text.add(f"{name}_turn = add i64 %turn, {first}")
        text.add(f"{name}_following = add i64 {name}_turn, %ahead")
        text.add(f"{name}_is_row = icmp ult i64 {name}_turn, {rows}")
        text.add(f"{name}_place = select i1 {name}_is_row, i64 {name}_following, i64 0")
        text.offset(f"{name}_offset", "%a_row_stride", f"{name}_place", "a_rows", indices)
        text.element(f"{name}_line", "%a_k", f"{name}_offset")
        text.add(f"call void @llvm.prefetch.p0(ptr {name}_line, i32 0, i32 2, i32 1)")


def _fetch_steps_ahead(text: MicrokernelText, operand: str, extent: int, indices: Indices) -> None:
    """In a step of the depth: the cache lines that a later step reads of an operand."""
    text.declarations["declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"] = None
    text.declarations["declare i64 @llvm.umin.i64(i64, i64)"] = None
    text.add("%last_k = sub i64 %depth, 1")
    text.add(f"%later_k = add i64 %k, {STEPS_AHEAD}")
    text.add("%ahead_k = call i64 @llvm.umin.i64(i64 %later_k, i64 %last_k)")
    stride = f"%{operand}_depth_stride"
    text.offset("%ahead_offset", stride, "%ahead_k", f"{operand}_depth", indices)
    text.element("%ahead_row", f"%{operand}", "%ahead_offset")
    line = MACHINE.line_bytes // ITEM_BYTES[text.dtype]
    for place in dict.fromkeys([*range(0, extent, line), extent - 1]):
        text.element(f"%ahead_at{place}", "%ahead_row", place)
        text.add(f"call void @llvm.prefetch.p0(ptr %ahead_at{place}, i32 0, i32 3, i32 1)")


def indices_suffix(indices: Indices | None) -> str:
    """What a microkernel's name ends with."""
    return "" if indices is None else f"_{indices.along}_by_{indices.dtype}"


def transpose_microkernel(dtype: str, columns: int, lanes: int) -> Microkernel:
    """c[k, q] = a[q, k] for k < depth and q < columns, transposed in registers.

    a[q, k] stands at `a[q * a_row_stride + k]` (`a_depth_stride` is taken to be 1, `b` is not
    read). `depth` must be at least `lanes`: the last block of `lanes` steps overlaps the one
    before. A row of `c` needs room for `columns` rounded up to `lanes`; what stands there behind
    `columns` is unspecified. Raises ValueError for an unknown dtype or an impossible shape.
    """
    check_tile(dtype, 1, columns, lanes)
    text = MicrokernelText(dtype)
    vector = text.vector(lanes)
    text.label("entry")
    text.add(f"%last_k = sub i64 %depth, {lanes}")
    full, rest = divmod(columns, lanes)
    blocks = [("full", lanes)] * bool(full) + [("rest", rest)] * bool(rest)
    labels = [name for name, _ in blocks]
    text.add(f"br label %{labels[0]}_group")
    for position, (block, valid) in enumerate(blocks):
        before = labels[position - 1] + "_next" if position else "entry"
        after = f"{labels[position + 1]}_group" if position + 1 < len(labels) else "done"
        groups = (0, full * lanes) if block == "full" else (full * lanes, columns)
        _transpose_group_loop(text, vector, lanes, valid, block, before, after, groups)
    text.label("done")
    text.add("ret void")
    name = f"transpose_microkernel_{dtype}_{columns}x{lanes}"
    return Microkernel(name, dtype, 1, columns, lanes, text.function(name, "b_stride"))


def _transpose_group_loop(
    text: MicrokernelText,
    vector: str,
    lanes: int,
    valid: int,
    block: str,
    before: str,
    after: str,
    columns: tuple[int, int],
) -> None:
    """For every group of `lanes` columns (`valid` of them real): transpose along the depth."""
    q, k = f"%{block}_q", f"%{block}_k"
    text.label(f"{block}_group")
    text.add(f"{q} = phi i64 [ {columns[0]}, %{before} ], [ {q}_next, %{block}_next ]")
    for r in range(valid):
        text.add(f"{q}{r} = add i64 {q}, {r}")
        text.add(f"{q}{r}_offset = mul i64 {q}{r}, %a_row_stride")
        text.element(f"{q}{r}_start", "%a", f"{q}{r}_offset")
    text.add(f"br label %{block}_depth")
    text.label(f"{block}_depth")
    text.add(f"{k} = phi i64 [ 0, %{block}_group ], [ {k}_next, %{block}_depth ]")
    values = []
    for r in range(lanes):
        if r < valid:
            text.element(f"{q}{r}_at", f"{q}{r}_start", k)
            text.load(f"{q}{r}_source", f"{q}{r}_at", VectorSegment(0, lanes, lanes))
        values.append(f"{q}{r}_source" if r < valid else "zeroinitializer")
    for r, value in enumerate(_transpose_registers(text, vector, lanes, values, block)):
        text.add(f"{k}{r} = add i64 {k}, {r}")
        text.add(f"{k}{r}_row = mul i64 {k}{r}, %c_row_stride")
        text.add(f"{k}{r}_index = add i64 {k}{r}_row, {q}")
        text.element(f"{k}{r}_at", "%c", f"{k}{r}_index")
        text.add(f"store {vector} {value}, ptr {k}{r}_at, align {text.align}")
    text.add(f"{k}_whole = add i64 {k}, {lanes}")
    text.add(f"{k}_before_last = icmp slt i64 {k}_whole, %last_k")
    text.add(f"{k}_next = select i1 {k}_before_last, i64 {k}_whole, i64 %last_k")
    text.add(f"{k}_more = icmp slt i64 {k}, %last_k")
    text.add(f"br i1 {k}_more, label %{block}_depth, label %{block}_next, !llvm.loop !0")
    text.label(f"{block}_next")
    text.add(f"{q}_next = add i64 {q}, {lanes}")
    text.add(f"{q}_more = icmp slt i64 {q}_next, {columns[1]}")
    text.add(f"br i1 {q}_more, label %{block}_group, label %{after}")


def _transpose_registers(
    text: MicrokernelText, vector: str, lanes: int, values: list[str], block: str
) -> list[str]:
    """Transpose `lanes` vectors by exchanging blocks of 1, 2, 4, ... elements between pairs."""
    size = 1
    while size < lanes:
        exchanged = list(values)
        for r in range(lanes):
            if r & size:
                continue
            low = [p if not p & size else lanes + p - size for p in range(lanes)]
            high = [p + size if not p & size else lanes + p for p in range(lanes)]
            for target, order in ((r, low), (r + size, high)):
                mask = ", ".join(f"i32 {p}" for p in order)
                result = f"%{block}_exchange{size}_{target}"
                text.add(
                    f"{result} = shufflevector {vector} {values[r]}, "
                    f"{vector} {values[r + size]}, <{lanes} x i32> <{mask}>"
                )
                exchanged[target] = result
        values = exchanged
        size *= 2
    return values
