"""Kernels of a loop of steps over the rows of whole arrays, beside those of the program.

They are LLVM IR and find all sizes in memory, so one piece of machine code serves every shape. Like
the executor they call no symbol from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from graphc.kernels.run.executor import MachineCode

# Bytes that are copied at once, the widest first: a row that is no multiple ends with a copy that
# overlaps the one before.
_WIDTHS = (64, 16, 4, 1)

# Rows are fetched into the second cache, which can wait for more lines at once than the first:
# measured, 16 GB/s of random rows of 3 KB against 11 on one thread, 28 against 23 on two.
_SECOND_CACHE = 2
_ROWS_AHEAD = 2


@dataclass(frozen=True)
class RowKernels:
    """Addresses of the kernels; `module` keeps their code in memory.

    gather       (target, source, order, extent): row order[i] of source becomes row i of target,
                 rows as in `row_extent`, order i64; each thread copies its share of the rows
    stop_unless  (flag,): status 1 when the bool at flag is false
    """

    module: MachineCode
    gather: int
    stop_unless: int


def load_row_kernels(module: MachineCode) -> RowKernels:
    """The kernels of `module`, which holds the machine code of `ROW_KERNELS_IR`."""
    return RowKernels(module, module.address(GATHER_SYMBOL), module.address("graphc_stop_unless"))


def row_extent(rows: int, row_bytes: int) -> NDArray[np.int64]:
    """i64 (2,): how many rows the gather kernel copies, and the bytes of each."""
    return np.array([rows, row_bytes], np.int64)


GATHER_SYMBOL = "graphc_gather"


def _copy(width: int, narrower: str) -> str:
    """Blocks that copy the %bytes bytes of a row if they are `width` or more, else go on."""
    vector = f"<{width} x i8>"
    return f"""
try.{width}:
  %fits.{width} = icmp sge i64 %bytes, {width}
  br i1 %fits.{width}, label %start.{width}, label %{narrower}
start.{width}:
  %last.{width} = sub i64 %bytes, {width}
  br label %next.{width}
next.{width}:
  %at.{width} = phi i64 [ 0, %start.{width} ], [ %at.next.{width}, %next.{width} ]
  %source.{width} = getelementptr i8, ptr %source.row, i64 %at.{width}
  %target.{width} = getelementptr i8, ptr %target.row, i64 %at.{width}
  %ahead.{width} = getelementptr i8, ptr %ahead.row, i64 %at.{width}
  call void @llvm.prefetch.p0(ptr %ahead.{width}, i32 0, i32 {_SECOND_CACHE}, i32 1)
  %value.{width} = load {vector}, ptr %source.{width}, align 1
  store {vector} %value.{width}, ptr %target.{width}, align 1
  %after.{width} = add i64 %at.{width}, {width}
  %rest.{width} = icmp slt i64 %after.{width}, %last.{width}
  %at.next.{width} = select i1 %rest.{width}, i64 %after.{width}, i64 %last.{width}
  %more.{width} = icmp slt i64 %at.{width}, %last.{width}
  br i1 %more.{width}, label %next.{width}, label %row_done"""


_COPIES = "\n".join(
    _copy(width, f"try.{narrower}" if narrower else "row_done")
    for width, narrower in zip(_WIDTHS, (*_WIDTHS[1:], 0), strict=True)
)

ROW_KERNELS_IR = f"""
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)

define i32 @{GATHER_SYMBOL}(ptr %arguments, i64 %thread, i64 %threads) #0 {{
entry:
  %target = load ptr, ptr %arguments
  %source.argument = getelementptr ptr, ptr %arguments, i64 1
  %source = load ptr, ptr %source.argument
  %order.argument = getelementptr ptr, ptr %arguments, i64 2
  %order = load ptr, ptr %order.argument
  %extent.argument = getelementptr ptr, ptr %arguments, i64 3
  %extent = load ptr, ptr %extent.argument
  %rows = load i64, ptr %extent
  %bytes.field = getelementptr i64, ptr %extent, i64 1
  %bytes = load i64, ptr %bytes.field
  %share = mul i64 %rows, %thread
  %first = sdiv i64 %share, %threads
  %share.end = add i64 %share, %rows
  %end = sdiv i64 %share.end, %threads
  br label %next_row
next_row:
  %row = phi i64 [ %first, %entry ], [ %row.next, %row_done ]
  %more.rows = icmp slt i64 %row, %end
  br i1 %more.rows, label %copy_row, label %done
copy_row:
  %chosen.field = getelementptr i64, ptr %order, i64 %row
  %chosen = load i64, ptr %chosen.field
  %source.offset = mul i64 %chosen, %bytes
  %source.row = getelementptr i8, ptr %source, i64 %source.offset
  ; a later row is fetched while this one is copied: the processor cannot foresee where it is
  %row.ahead = add i64 %row, {_ROWS_AHEAD}
  %is.behind = icmp sge i64 %row.ahead, %end
  %row.fetched = select i1 %is.behind, i64 %row, i64 %row.ahead
  %ahead.field = getelementptr i64, ptr %order, i64 %row.fetched
  %ahead = load i64, ptr %ahead.field
  %ahead.offset = mul i64 %ahead, %bytes
  %ahead.row = getelementptr i8, ptr %source, i64 %ahead.offset
  %target.offset = mul i64 %row, %bytes
  %target.row = getelementptr i8, ptr %target, i64 %target.offset
  br label %try.{_WIDTHS[0]}
{_COPIES}
row_done:
  %row.next = add i64 %row, 1
  br label %next_row
done:
  ret i32 0
}}

define i32 @graphc_stop_unless(ptr %arguments, i64 %thread, i64 %threads) #0 {{
  %flag = load ptr, ptr %arguments
  %value = load i8, ptr %flag
  %is.false = icmp eq i8 %value, 0
  %status = zext i1 %is.false to i32
  ret i32 %status
}}

; Else LLVM would turn loops into calls of memcpy.
attributes #0 = {{ "no-builtins" nounwind }}
"""
