"""Register-tiled matrix-product microkernels, written as textual LLVM IR.

A microkernel keeps a small block of the result in vector registers while it walks the whole
depth (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008). Three
forms share one C signature,

    void NAME(i64 depth, ptr a, i64 a_row_stride, i64 a_depth_stride,
              ptr b, i64 b_stride, ptr c, i64 c_row_stride)

with strides in elements of any sign, so that a caller treats them alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LLVM_TYPES = {"f32": "float", "f64": "double"}
ITEM_BYTES = {"f32": 4, "f64": 8}
# The narrowest vector register that is worth a name: SSE and NEON.
SMALLEST_VECTOR_BYTES = 16
# An in-register transpose of 8 x 8 f32 (256-bit shuffles) is the cheapest on x86 of any width.
TRANSPOSE_VECTOR_BYTES = 32
# Two steps an iteration hide the loop's own instructions; four gained nothing measurable.
DEPTH_UNROLL = 2


@dataclass(frozen=True)
class Microkernel:
    """One generated function: its name in LLVM IR, what it covers and its text.

    `rows` x `columns` is the block of the result; `lanes` counts the elements of a full vector.
    """

    name: str
    dtype: str
    rows: int
    columns: int
    lanes: int
    llvm_ir: str


@dataclass(frozen=True)
class VectorSegment:
    """Columns `start` to `start + valid` of a tile, held in one vector of `lanes` elements."""

    start: int
    lanes: int
    valid: int


def smallest_lanes(dtype: str, lanes: int) -> int:
    """Elements of the narrowest vector that a tile's last columns may use."""
    return min(lanes, SMALLEST_VECTOR_BYTES // ITEM_BYTES[dtype])


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


def _check(dtype: str, rows: int, columns: int, lanes: int) -> None:
    if dtype not in LLVM_TYPES:
        raise ValueError(f"microkernel of dtype {dtype!r}: expected one of {sorted(LLVM_TYPES)}")
    if rows < 1 or columns < 1:
        raise ValueError(f"microkernel of {rows}x{columns}: expected at least one row and column")
    if lanes < 1 or lanes & (lanes - 1):
        raise ValueError(f"microkernel of {lanes} lanes: expected a power of two")


class _Text:
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
        vector, name = self.vector(lanes), f"@llvm.fma.{self.suffix(lanes)}"
        self.declarations[f"declare {vector} {name}({vector}, {vector}, {vector})"] = None
        self.add(f"{result} = call {vector} {name}({vector} {x}, {vector} {y}, {vector} {total})")

    def element(self, result: str, base: str, index: str | int) -> None:
        self.add(f"{result} = getelementptr {self.scalar}, ptr {base}, i64 {index}")

    def function(self, name: str, b_stride: str) -> str:
        header = (
            f"define void @{name}(i64 %depth, ptr readonly %a, i64 %a_row_stride, "
            f"i64 %a_depth_stride,\n    ptr readonly %b, i64 %{b_stride}, ptr %c, "
            "i64 %c_row_stride) noinline nounwind {"
        )
        return "\n".join([*self.declarations, "", header, *self.lines, "}", ""])


def microkernel(dtype: str, rows: int, columns: int, lanes: int) -> Microkernel:
    """c[r, q] = sum over k < depth of a[r, k] * b[k, q], for r < rows and q < columns.

    a[r, k] stands at `a[r * a_row_stride + k * a_depth_stride]`, b[k, q] at
    `b[k * b_depth_stride + q]`; neither is read outside of that. A row of `c` needs room for
    `padded_columns`, for the last vector is stored whole. Depth 0 stores zeros. Raises
    ValueError for an unknown dtype or an impossible shape.
    """
    _check(dtype, rows, columns, lanes)
    text = _Text(dtype)
    segments = vector_segments(dtype, columns, lanes)
    accumulators = [(r, q) for r in range(rows) for q in range(len(segments))]
    kinds = {(r, q): text.vector(segments[q].lanes) for r, q in accumulators}

    def step(source: str, target: str) -> None:
        """One step of depth: accumulators named `source` become those named `target`."""
        for q, segment in enumerate(segments):
            text.element(f"%{target}_b{q}_at", f"%{source}_b", segment.start)
            text.load(f"%{target}_b{q}", f"%{target}_b{q}_at", segment)
        for r in range(rows):
            text.element(f"%{target}_a{r}_at", f"%{source}_a", f"%a_row{r}")
            text.add(f"%{target}_a{r} = load {text.scalar}, ptr %{target}_a{r}_at")
            for width in sorted({segment.lanes for segment in segments}):
                text.splat(f"%{target}_a{r}x{width}", f"%{target}_a{r}", width)
            for q, segment in enumerate(segments):
                text.fma(
                    f"%{target}_c{r}_{q}",
                    f"%{target}_a{r}x{segment.lanes}",
                    f"%{target}_b{q}",
                    f"%{source}_c{r}_{q}",
                    segment.lanes,
                )
        text.element(f"%{target}_a", f"%{source}_a", "%a_depth_stride")
        text.element(f"%{target}_b", f"%{source}_b", "%b_depth_stride")

    def merge(name: str, arms: tuple[tuple[str, str], ...]) -> None:
        """Phi nodes: values called `name` come from the arms (prefix of the value, its block)."""
        for pointer in ("a", "b"):
            incoming = ", ".join(f"[ {_start(v, pointer)}, %{block} ]" for v, block in arms)
            text.add(f"%{name}_{pointer} = phi ptr {incoming}")
        for r, q in accumulators:
            incoming = ", ".join(f"[ {_start(v, f'c{r}_{q}')}, %{block} ]" for v, block in arms)
            text.add(f"%{name}_c{r}_{q} = phi {kinds[r, q]} {incoming}")

    _depth_loops(text, rows, step, merge)
    for r in range(rows):
        text.add(f"%c_row{r} = mul i64 %c_row_stride, {r}")
        for q, segment in enumerate(segments):
            text.add(f"%c{r}_{q}_index = add i64 %c_row{r}, {segment.start}")
            text.element(f"%c{r}_{q}_at", "%c", f"%c{r}_{q}_index")
            value = f"{kinds[r, q]} %sum_c{r}_{q}"
            text.add(f"store {value}, ptr %c{r}_{q}_at, align {text.align}")
    text.add("ret void")
    name = f"microkernel_{dtype}_{rows}x{columns}"
    return Microkernel(name, dtype, rows, columns, lanes, text.function(name, "b_depth_stride"))


def _start(prefix: str, value: str) -> str:
    """The name of a value, or what it is at the start of the walk over the depth."""
    if prefix:
        return f"%{prefix}_{value}"
    return f"%{value}" if value in ("a", "b") else "zeroinitializer"


def _depth_loops(
    text: _Text,
    rows: int,
    step: Callable[[str, str], None],
    merge: Callable[[str, tuple[tuple[str, str], ...]], None],
) -> None:
    """An unrolled loop over the depth, then single steps for what remains of it."""
    last = f"step{DEPTH_UNROLL}"
    text.label("entry")
    for r in range(rows):
        text.add(f"%a_row{r} = mul i64 %a_row_stride, {r}")
    text.add(f"%unrolled = udiv i64 %depth, {DEPTH_UNROLL}")
    text.add(f"%remaining = urem i64 %depth, {DEPTH_UNROLL}")
    text.add("%any_unrolled = icmp ne i64 %unrolled, 0")
    text.add("br i1 %any_unrolled, label %steps, label %between")
    text.label("steps")
    text.add("%count = phi i64 [ 0, %entry ], [ %next_count, %steps ]")
    merge("step0", (("", "entry"), (last, "steps")))
    for unrolled in range(DEPTH_UNROLL):
        step(f"step{unrolled}", f"step{unrolled + 1}")
    text.add("%next_count = add i64 %count, 1")
    text.add("%more = icmp ne i64 %next_count, %unrolled")
    text.add("br i1 %more, label %steps, label %between")
    text.label("between")
    merge("partial", (("", "entry"), (last, "steps")))
    text.add("%any_remaining = icmp ne i64 %remaining, 0")
    text.add("br i1 %any_remaining, label %single, label %done")
    text.label("single")
    text.add("%left = phi i64 [ %remaining, %between ], [ %next_left, %single ]")
    merge("rest", (("partial", "between"), ("single", "single")))
    step("rest", "single")
    text.add("%next_left = sub i64 %left, 1")
    text.add("%again = icmp ne i64 %next_left, 0")
    text.add("br i1 %again, label %single, label %done")
    text.label("done")
    merge("sum", (("partial", "between"), ("single", "single")))
