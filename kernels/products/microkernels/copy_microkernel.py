"""The microkernel that packs a tile's rows of the left operand, which stand side by side.

It has the signature of the others (`microkernel.py`), so that a caller treats them alike.
"""

from __future__ import annotations

from graphc.kernels.loops.language.source import Microkernel
from graphc.kernels.products.microkernels.microkernel import (
    MicrokernelText,
    check_tile,
    padded_columns,
    vector_segments,
)


def copy_microkernel(dtype: str, rows: int, lanes: int) -> Microkernel:
    """c[k, r] = a[r, k] for k < depth and r < rows, where the rows of a stand side by side.

    a[r, k] stands at `a[k * a_depth_stride + r]` (`a_row_stride` is taken to be 1, `b` is not
    read), and nothing is read outside of that. A row of `c` needs room for `padded_columns`, for
    its last vector is stored whole. `depth` must be at least 1. Raises ValueError for an unknown
    dtype or an impossible shape.
    """
    check_tile(dtype, rows, 1, lanes)
    text = MicrokernelText(dtype)
    segments = vector_segments(dtype, rows, lanes)
    text.label("entry")
    text.add("br label %step")
    text.label("step")
    text.add("%k = phi i64 [ 0, %entry ], [ %next_k, %step ]")
    text.add("%a_k = phi ptr [ %a, %entry ], [ %next_a_k, %step ]")
    text.add("%c_k = phi ptr [ %c, %entry ], [ %next_c_k, %step ]")
    for q, segment in enumerate(segments):
        text.element(f"%a{q}_at", "%a_k", segment.start)
        text.load(f"%a{q}", f"%a{q}_at", segment)
    for q, segment in enumerate(segments):
        text.element(f"%c{q}_at", "%c_k", segment.start)
        vector = text.vector(segment.lanes)
        text.add(f"store {vector} %a{q}, ptr %c{q}_at, align {text.align}")
    text.element("%next_a_k", "%a_k", "%a_depth_stride")
    text.element("%next_c_k", "%c_k", "%c_row_stride")
    text.add("%next_k = add i64 %k, 1")
    text.add("%more = icmp slt i64 %next_k, %depth")
    text.add("br i1 %more, label %step, label %done, !llvm.loop !0")
    text.label("done")
    text.add("ret void")
    name = f"copy_microkernel_{dtype}_{rows}x{padded_columns(dtype, rows, lanes)}"
    return Microkernel(name, dtype, rows, 1, lanes, text.function(name, "b_stride"))
