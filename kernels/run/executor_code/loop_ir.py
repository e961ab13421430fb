"""LLVM IR of loops in a table: the kernels of the rows that begin and end one.

Parts of the module that executor_ir.py puts together.
"""

# Words of %Loop before its slots, of a slot, and of the arguments of a loop's rows before its
# buffers: the address of the loop, and the number of the step.
LOOP_WORDS = 5
SLOT_WORDS = 4
LEADING_ARGUMENTS = 2

LOOPS = """
; A loop of a table: 0 its steps   1 the row that a step begins with   2 how many slots follow
; 3 which of its arguments is the condition, a byte that is 0 where no other step is made; 0 where
; the steps are counted   4 the row behind the loop.
; Its two rows have the same arguments: the loop, the number of the step, and the buffers of which
; steps read and write slices.
%Loop = type { i64, i64, i64, i64, i64 }
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

; Is the step made that comes next? Which one that is counts where there is no condition.
define internal i1 @has_step(ptr %arguments, ptr %loop, i64 %step) {
entry:
  %condition.field = getelementptr %Loop, ptr %loop, i64 0, i32 3
  %condition = load i64, ptr %condition.field
  %counted = icmp eq i64 %condition, 0
  br i1 %counted, label %count, label %ask
count:
  %length = load i64, ptr %loop
  %more = icmp slt i64 %step, %length
  ret i1 %more
ask:
  %byte.slot = getelementptr ptr, ptr %arguments, i64 %condition
  %byte = load ptr, ptr %byte.slot
  %holds = load i8, ptr %byte
  %again = icmp ne i8 %holds, 0
  ret i1 %again
}

; 1 where no step is made.
define i32 @graphc_begin_loop(ptr %arguments, i64 %thread, i64 %sharing) {
  %loop = load ptr, ptr %arguments
  %step.slot = getelementptr i64, ptr %arguments, i64 1
  %some = call i1 @has_step(ptr %arguments, ptr %loop, i64 0)
  br i1 %some, label %first, label %none
first:
  store i64 0, ptr %step.slot
  call void @write_slices(ptr %arguments, ptr %loop, i64 0)
  ret i32 0
none:
  ret i32 1
}

; 1 where another step follows.
define i32 @graphc_end_loop(ptr %arguments, i64 %thread, i64 %sharing) {
  %loop = load ptr, ptr %arguments
  %step.slot = getelementptr i64, ptr %arguments, i64 1
  %step = load i64, ptr %step.slot
  %step.next = add i64 %step, 1
  %more = call i1 @has_step(ptr %arguments, ptr %loop, i64 %step.next)
  br i1 %more, label %again, label %done
again:
  store i64 %step.next, ptr %step.slot
  call void @write_slices(ptr %arguments, ptr %loop, i64 %step.next)
  ret i32 1
done:
  ret i32 0
}

; The row that a jump leads to: from the end of a loop to its first one, from its begin behind it.
define internal i64 @jump_target(ptr %arguments, i64 %from) alwaysinline {
  %loop = load ptr, ptr %arguments
  %row.field = getelementptr %Loop, ptr %loop, i64 0, i32 1
  %row = load i64, ptr %row.field
  %behind.field = getelementptr %Loop, ptr %loop, i64 0, i32 4
  %behind = load i64, ptr %behind.field
  %begins = icmp slt i64 %from, %row
  %target = select i1 %begins, i64 %behind, i64 %row
  ret i64 %target
}
"""
