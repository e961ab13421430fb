"""The microkernel whose lanes run along the depth, for operands that are contiguous along it."""

from __future__ import annotations

from graphc.kernels.loops.language.source import Microkernel
from graphc.kernels.products.microkernels.microkernel import (
    Indices,
    MicrokernelText,
    VectorSegment,
    check_tile,
    indices_suffix,
)


def inner_microkernel(
    dtype: str, rows: int, columns: int, lanes: int, indices: Indices | None = None
) -> Microkernel:
    """c[r, q] = sum over k < depth of a[r, k] * b[k, q], vectorised over the depth.

    For operands that are both contiguous along the depth: a[r, k] stands at
    `a[r * a_row_stride + k]` (`a_depth_stride` is taken to be 1), b[k, q] at
    `b[k + q * b_column_stride]`. The last vector of the depth is masked. A row of `c` needs room
    for `columns`. Of indices only those of rows of `a`. Raises ValueError for an unknown dtype or
    an impossible shape.
    """
    check_tile(dtype, rows, columns, lanes)
    if indices is not None and indices.along != "a_rows":
        raise ValueError(f"lanes along the depth, and indices along {indices.along}")
    text = MicrokernelText(dtype)
    tile = _InnerTile(text, rows, columns, lanes)
    text.label("entry")
    for operand in tile.operands:
        base, stride = operand[0], {"a": "a_row", "b": "b_column"}[operand[0]]
        text.offset(f"%{operand}_offset", f"%{stride}_stride", operand[1:], f"{base}_rows", indices)
        text.element(f"%{operand}_start", f"%{base}", f"%{operand}_offset")
    text.add(f"%remaining = urem i64 %depth, {lanes}")
    text.add("%full = sub i64 %depth, %remaining")
    text.add("%any_full = icmp ne i64 %full, 0")
    text.add("br i1 %any_full, label %steps, label %between")
    text.label("steps")
    text.add("%k = phi i64 [ 0, %entry ], [ %next_k, %steps ]")
    tile.merge("before", ("", "entry"), ("after", "steps"))
    tile.step("before", "after", "%k", None)
    text.add(f"%next_k = add i64 %k, {lanes}")
    text.add("%more = icmp ne i64 %next_k, %full")
    text.add("br i1 %more, label %steps, label %between, !llvm.loop !0")
    text.label("between")
    tile.merge("partial", ("", "entry"), ("after", "steps"))
    text.add("%any_remaining = icmp ne i64 %remaining, 0")
    text.add("br i1 %any_remaining, label %masked, label %done")
    text.label("masked")
    _mask_of_remaining(text, lanes)
    tile.step("partial", "rest", "%full", "%mask")
    text.add("br label %done")
    text.label("done")
    tile.merge("sum", ("partial", "between"), ("rest", "masked"))
    tile.store("sum")
    text.add("ret void")
    name = f"inner_microkernel_{dtype}_{rows}x{columns}{indices_suffix(indices)}"
    made = text.function(name, "b_column_stride", "" if indices is None else "indices")
    return Microkernel(name, dtype, rows, columns, lanes, made, indices is not None)


class _InnerTile:
    """The accumulators of a tile whose lanes run along the depth, a vector for each element of the
    result, under a name that tells how far the sum has come."""

    def __init__(self, text: MicrokernelText, rows: int, columns: int, lanes: int) -> None:
        self.text = text
        self.lanes = lanes
        self.pairs = [(r, q) for r in range(rows) for q in range(columns)]
        self.operands = [f"a{r}" for r in range(rows)] + [f"b{q}" for q in range(columns)]

    def step(self, source: str, target: str, index: str, mask: str | None) -> None:
        """Adds to the sums `source` the products of `lanes` steps of the depth from `index` on."""
        text, lanes = self.text, self.lanes
        for operand in self.operands:
            text.element(f"%{target}_{operand}_at", f"%{operand}_start", index)
            result, pointer = f"%{target}_{operand}", f"%{target}_{operand}_at"
            if mask is None:
                text.load(result, pointer, VectorSegment(0, lanes, lanes))
            else:
                text.masked_load(result, pointer, lanes, mask)
        for r, q in self.pairs:
            factors = (f"%{target}_a{r}", f"%{target}_b{q}")
            text.fma(f"%{target}_c{r}_{q}", *factors, f"%{source}_c{r}_{q}", lanes)

    def merge(self, name: str, *arms: tuple[str, str]) -> None:
        """The sums as they come from one of several blocks: (name there or "" for 0, block)."""
        vector = self.text.vector(self.lanes)
        for r, q in self.pairs:
            incoming = ", ".join(
                f"[ {f'%{v}_c{r}_{q}' if v else 'zeroinitializer'}, %{block} ]" for v, block in arms
            )
            self.text.add(f"%{name}_c{r}_{q} = phi {vector} {incoming}")

    def store(self, name: str) -> None:
        """Stores the sum of each vector's lanes."""
        text, vector = self.text, self.text.vector(self.lanes)
        reduce = f"@llvm.vector.reduce.fadd.{text.suffix(self.lanes)}"
        text.declarations[f"declare {text.scalar} {reduce}({text.scalar}, {vector})"] = None
        for r, q in self.pairs:
            # Only this sum of lanes may be reassociated, into a tree of fixed shape.
            arguments = f"{text.scalar} -0.0, {vector} %{name}_c{r}_{q}"
            text.add(f"%c{r}_{q} = call reassoc {text.scalar} {reduce}({arguments})")
            text.add(f"%c{r}_{q}_row = mul i64 %c_row_stride, {r}")
            text.add(f"%c{r}_{q}_index = add i64 %c{r}_{q}_row, {q}")
            text.element(f"%c{r}_{q}_at", "%c", f"%c{r}_{q}_index")
            text.add(f"store {text.scalar} %c{r}_{q}, ptr %c{r}_{q}_at, align {text.align}")


def _mask_of_remaining(text: MicrokernelText, lanes: int) -> None:
    """%mask: the first %remaining of the lanes."""
    numbers = ", ".join(f"i64 {q}" for q in range(lanes))
    many = f"<{lanes} x i64>"
    text.add(f"%remaining_low = insertelement {many} poison, i64 %remaining, i64 0")
    text.add(
        f"%remaining_all = shufflevector {many} %remaining_low, {many} poison, "
        f"<{lanes} x i32> zeroinitializer"
    )
    text.add(f"%mask = icmp ult {many} <{numbers}>, %remaining_all")
