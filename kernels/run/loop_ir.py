"""LLVM IR of loops in a table: the kernels of the rows that begin and end one.

Parts of the module that executor_ir.py puts together.
"""

# Words of %Loop before its slots, of a slot, and of the arguments of a loop's rows before its
# buffers: the address of the loop, and the number of the step.
LOOP_WORDS = 3
SLOT_WORDS = 4
LEADING_ARGUMENTS = 2

LOOPS = """
; A loop of a table: 0 its steps   1 the row that a step begins with   2 how many slots follow.
; Its two rows have the same arguments: the loop, the number of the step, and the buffers of which
; steps read and write slices.
%Loop = type { i64, i64, i64 }
; An argument slot of a body's row that holds the address of a slice: 0 where it is, in bytes from
; the loop's own arguments   1 which of these has the buffer   2 bytes from there to the slice of
; step 0   3 bytes from step to step.
%Slot = type { i64, i64, i64, i64 }

; Write the addresses of the slices of a step. All arguments are the calling thread's own.
define internal void @write_slices(ptr %arguments, ptr %loop, i64 %step) {
entry:
  %count.field = getelementptr %Loop, ptr %loop, i64 0, i32 2
  %count = load i64, ptr %count.field
  %slots = getelementptr %Loop, ptr %loop, i64 1
  br label %next_slot
next_slot:
  %index = phi i64 [ 0, %entry ], [ %index.next, %write ]
  %more = icmp slt i64 %index, %count
  br i1 %more, label %write, label %done
write:
  %where.field = getelementptr %Slot, ptr %slots, i64 %index, i32 0
  %where = load i64, ptr %where.field
  %buffer.field = getelementptr %Slot, ptr %slots, i64 %index, i32 1
  %buffer = load i64, ptr %buffer.field
  %first.field = getelementptr %Slot, ptr %slots, i64 %index, i32 2
  %first = load i64, ptr %first.field
  %stride.field = getelementptr %Slot, ptr %slots, i64 %index, i32 3
  %stride = load i64, ptr %stride.field
  %base.slot = getelementptr i64, ptr %arguments, i64 %buffer
  %base = load i64, ptr %base.slot
  %moved = mul i64 %stride, %step
  %begin = add i64 %base, %first
  %address = add i64 %begin, %moved
  %slot = getelementptr i8, ptr %arguments, i64 %where
  store i64 %address, ptr %slot
  %index.next = add i64 %index, 1
  br label %next_slot
done:
  ret void
}

define i32 @graphc_begin_loop(ptr %arguments, i64 %thread, i64 %sharing) {
  %loop = load ptr, ptr %arguments
  %step.slot = getelementptr i64, ptr %arguments, i64 1
  store i64 0, ptr %step.slot
  call void @write_slices(ptr %arguments, ptr %loop, i64 0)
  ret i32 0
}

; 1 where another step follows.
define i32 @graphc_end_loop(ptr %arguments, i64 %thread, i64 %sharing) {
  %loop = load ptr, ptr %arguments
  %length = load i64, ptr %loop
  %step.slot = getelementptr i64, ptr %arguments, i64 1
  %step = load i64, ptr %step.slot
  %step.next = add i64 %step, 1
  %more = icmp slt i64 %step.next, %length
  br i1 %more, label %again, label %done
again:
  store i64 %step.next, ptr %step.slot
  call void @write_slices(ptr %arguments, ptr %loop, i64 %step.next)
  ret i32 1
done:
  ret i32 0
}

; The row that a jump from the end of a loop leads to.
define internal i64 @jump_target(ptr %arguments) alwaysinline {
  %loop = load ptr, ptr %arguments
  %row.field = getelementptr %Loop, ptr %loop, i64 0, i32 1
  %row = load i64, ptr %row.field
  ret i64 %row
}
"""
