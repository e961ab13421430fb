"""The LLVM IR of the executor: the walk over the rows.

The code calls no symbol from outside: what it needs of the C library are addresses in %Pool. So
whoever can map its object code can load it.
"""

import platform

from graphc.kernels.run.executor_code.loop_ir import LOOPS
from graphc.kernels.run.executor_code.pool_ir import POOL_TYPE, RUN_TOGETHER, WAITING, WORK
from graphc.kernels.run.executor_code.processors_ir import KEEP_APART

# What a processor offers to make waiting in a loop cheap for its neighbours.
_PAUSE = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "AMD64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    # isb sy: what yield ought to do, but on most such processors does not.
    "aarch64": ("declare void @llvm.aarch64.isb(i32)", "call void @llvm.aarch64.isb(i32 15)"),
    "arm64": ("declare void @llvm.aarch64.isb(i32)", "call void @llvm.aarch64.isb(i32 15)"),
}


def executor_ir(machine: str) -> str:
    """The executor for a processor as `platform.machine()` names it; any other waits without
    a pause."""
    declaration, pause = _PAUSE.get(machine, ("", ""))
    return "\n".join(
        [
            _TYPES,
            POOL_TYPE,
            declaration,
            "define internal void @pause() alwaysinline {",
            f"  {pause}",
            "  ret void",
            "}",
            KEEP_APART,
            WAITING,
            _EXTERNALS,
            _CLOCK,
            LOOPS,
            _WALK,
            _RUN,
            RUN_TOGETHER,
            WORK,
        ]
    )


_TYPES = """\
; kernel, its table of argument pointers,
; flags (bit 0: all threads meet before this row; bit 1: thread 0 alone calls the kernel; bit 2: the
; row begins or ends a loop, and a status other than 0 is a jump: over its steps, or back to them)
%Row = type { ptr, ptr, i64 }
; an argument slot, the number of the external pointer that belongs there, and bytes to add to it
%Patch = type { ptr, i64, i64 }
; 0 rows, 1 row count, 2 patches, 3 patch count, 4 external pointers, 5 external count,
; 6 byte steps of the external pointers or null, 7 repeats, 8 stop word, 9 completed walks,
; 10 records of a timed run or null, 11 the bytes of those of one thread, 12 the nanoseconds for
; which thread 0 may wait for threads without processors before a run ends early, 0: for ever,
; 13 those for which it has, in all runs, 14 bytes from the arguments of one thread to those of the
; next, 0 where all have the same
%Table = type { ptr, i64, ptr, i64, ptr, i64, ptr, i64, ptr, i64, ptr, i64, i64, i64, i64 }
; What a thread's clock showed for a row: 0 cycles in its kernel and 1 cycles spent waiting for
; other threads before it, both summed over all walks; 2 when it started the kernel in the last
; walk, 3 when that was done, and 4 how often it called it, in all walks. One more record than rows:
; its waits are those at the end of a walk.
%Record = type { i64, i64, i64, i64, i64 }

declare i64 @llvm.readcyclecounter()
"""

_EXTERNALS = """
; Write each external pointer into all argument slots that use it.
define internal void @write_externals(ptr %table) {
entry:
  %patches.field = getelementptr %Table, ptr %table, i64 0, i32 2
  %patches = load ptr, ptr %patches.field
  %count.field = getelementptr %Table, ptr %table, i64 0, i32 3
  %count = load i64, ptr %count.field
  %externals.field = getelementptr %Table, ptr %table, i64 0, i32 4
  %externals = load ptr, ptr %externals.field
  br label %next_patch
next_patch:
  %index = phi i64 [ 0, %entry ], [ %index.next, %write ]
  %more = icmp slt i64 %index, %count
  br i1 %more, label %write, label %done
write:
  %slot.field = getelementptr %Patch, ptr %patches, i64 %index, i32 0
  %slot = load ptr, ptr %slot.field
  %number.field = getelementptr %Patch, ptr %patches, i64 %index, i32 1
  %number = load i64, ptr %number.field
  %external = getelementptr ptr, ptr %externals, i64 %number
  %pointer = load ptr, ptr %external
  %start.field = getelementptr %Patch, ptr %patches, i64 %index, i32 2
  %start = load i64, ptr %start.field
  %argument = getelementptr i8, ptr %pointer, i64 %start
  store ptr %argument, ptr %slot
  %index.next = add i64 %index, 1
  br label %next_patch
done:
  ret void
}

; Does the stop word ask for no further walk?
define internal i1 @stop_is_set(ptr %table) {
  %stop.field = getelementptr %Table, ptr %table, i64 0, i32 8
  %stop.word = load ptr, ptr %stop.field
  %stop = load atomic i64, ptr %stop.word monotonic, align 8
  %is.set = icmp ne i64 %stop, 0
  ret i1 %is.set
}

; Between two walks, by one thread: advance the external pointers by their steps, if there are any.
; True when there shall be no further walk.
define internal i1 @prepare_next_walk(ptr %table) {
entry:
  %stopped = call i1 @stop_is_set(ptr %table)
  %steps.field = getelementptr %Table, ptr %table, i64 0, i32 6
  %steps = load ptr, ptr %steps.field
  %fixed = icmp eq ptr %steps, null
  br i1 %fixed, label %done, label %start
start:
  %externals.field = getelementptr %Table, ptr %table, i64 0, i32 4
  %externals = load ptr, ptr %externals.field
  %count.field = getelementptr %Table, ptr %table, i64 0, i32 5
  %count = load i64, ptr %count.field
  br label %next_external
next_external:
  %index = phi i64 [ 0, %start ], [ %index.next, %advance ]
  %more = icmp slt i64 %index, %count
  br i1 %more, label %advance, label %advanced
advance:
  %external = getelementptr i64, ptr %externals, i64 %index
  %address = load i64, ptr %external
  %step.word = getelementptr i64, ptr %steps, i64 %index
  %step = load i64, ptr %step.word
  %address.next = add i64 %address, %step
  store i64 %address.next, ptr %external
  %index.next = add i64 %index, 1
  br label %next_external
advanced:
  call void @write_externals(ptr %table)
  br label %done
done:
  ret i1 %stopped
}
"""

_CLOCK = """
; This thread's records; null where the run is not timed.
define internal ptr @records_of(ptr %table, i64 %thread) alwaysinline {
  %all.field = getelementptr %Table, ptr %table, i64 0, i32 10
  %all = load ptr, ptr %all.field
  %stride.field = getelementptr %Table, ptr %table, i64 0, i32 11
  %stride = load i64, ptr %stride.field
  %offset = mul i64 %stride, %thread
  %none = icmp eq ptr %all, null
  %mine = getelementptr i8, ptr %all, i64 %offset
  %records = select i1 %none, ptr null, ptr %mine
  ret ptr %records
}

; Add the cycles since %clock to the row's waits. Returns the clock.
define internal i64 @record_wait(ptr %records, i64 %row, i64 %clock) alwaysinline {
  %now = call i64 @llvm.readcyclecounter()
  %waited = sub i64 %now, %clock
  %field = getelementptr %Record, ptr %records, i64 %row, i32 1
  %before = load i64, ptr %field
  %after = add i64 %before, %waited
  store i64 %after, ptr %field
  %end.field = getelementptr %Record, ptr %records, i64 %row, i32 3
  store i64 %now, ptr %end.field
  ret i64 %now
}

; Add the cycles since %clock to those of the row's kernel, which ran since. Returns the clock.
define internal i64 @record_kernel(ptr %records, i64 %row, i64 %clock) alwaysinline {
  %now = call i64 @llvm.readcyclecounter()
  %elapsed = sub i64 %now, %clock
  %field = getelementptr %Record, ptr %records, i64 %row, i32 0
  %before = load i64, ptr %field
  %after = add i64 %before, %elapsed
  store i64 %after, ptr %field
  %start.field = getelementptr %Record, ptr %records, i64 %row, i32 2
  store i64 %clock, ptr %start.field
  %end.field = getelementptr %Record, ptr %records, i64 %row, i32 3
  store i64 %now, ptr %end.field
  %calls.field = getelementptr %Record, ptr %records, i64 %row, i32 4
  %calls.before = load i64, ptr %calls.field
  %calls.after = add i64 %calls.before, 1
  store i64 %calls.after, ptr %calls.field
  ret i64 %now
}

; The counter that records hold; its frequency is found by comparing it with another clock.
define i64 @graphc_clock() {
  %now = call i64 @llvm.readcyclecounter()
  ret i64 %now
}
"""

_WALK = """
; What one thread does in a run: walk all rows, `repeats` times. Returns 0, or (row << 32 | status)
; of the kernel that stopped this thread, and the number of completed walks.
; With %pool null the thread is alone and flags mean nothing. Else all threads call this together;
; they meet where a row's flags say so and between two walks, where thread 0 moves the externals.
; With %records not null they are filled: the clock is read once between two rows and once after
; each meeting, so the sum of this thread's records is its whole time. Threads that are timed meet
; once more after the last walk, since that wait belongs to the step as well.
; Where the workers part thread 0 makes the rest of the walk by itself, and the run ends.
; A kernel that begins a loop may jump behind it, one that ends it back to its first row.
define internal { i64, i64 } @walk(
    ptr %table, ptr %records, ptr %pool, i64 %thread, i64 %threads) alwaysinline {
entry:
  %rows.field = getelementptr %Table, ptr %table, i64 0, i32 0
  %rows = load ptr, ptr %rows.field
  %count.field = getelementptr %Table, ptr %table, i64 0, i32 1
  %count = load i64, ptr %count.field
  %repeats.field = getelementptr %Table, ptr %table, i64 0, i32 7
  %repeats = load i64, ptr %repeats.field
  %stride.field = getelementptr %Table, ptr %table, i64 0, i32 14
  %stride = load i64, ptr %stride.field
  %own.arguments = mul i64 %stride, %thread
  %arrived.field = getelementptr %Pool, ptr %pool, i64 0, i32 4
  %halted.field = getelementptr %Pool, ptr %pool, i64 0, i32 2
  %parting.field = getelementptr %Pool, ptr %pool, i64 0, i32 6, i64 0
  %alone = icmp eq ptr %pool, null
  %is.first.thread = icmp eq i64 %thread, 0
  %timed = icmp ne ptr %records, null
  br i1 %timed, label %start_clock, label %next_walk
start_clock:
  %start = call i64 @llvm.readcyclecounter()
  br label %next_walk

next_walk:
  %repeat = phi i64 [ 0, %entry ], [ 0, %start_clock ], [ %repeat.next, %again ]
  %walk.clock = phi i64 [ 0, %entry ], [ %start, %start_clock ], [ %clock.again, %again ]
  %walk.target = phi i64 [ 0, %entry ], [ 0, %start_clock ], [ %target.next, %again ]
  br label %next_row

next_row:
  %index = phi i64 [ 0, %next_walk ], [ %index.next, %row_done ]
  %clock = phi i64 [ %walk.clock, %next_walk ], [ %clock.next, %row_done ]
  %target = phi i64 [ %walk.target, %next_walk ], [ %target.row, %row_done ]
  %by.itself = phi i1 [ %alone, %next_walk ], [ %by.itself.row, %row_done ]
  %more.rows = icmp slt i64 %index, %count
  br i1 %more.rows, label %enter_row, label %walk_done
enter_row:
  %index.following = add i64 %index, 1
  br i1 %by.itself, label %call_kernel, label %read_flags
read_flags:
  %flags.field = getelementptr %Row, ptr %rows, i64 %index, i32 2
  %flags = load i64, ptr %flags.field
  %barrier.bit = and i64 %flags, 1
  %barrier = icmp ne i64 %barrier.bit, 0
  br i1 %barrier, label %meet_before_row, label %check_solo
meet_before_row:
  %target.met = add i64 %target, %threads
  %met = call i1 @meet(ptr %pool, i64 %target.met, i64 %thread)
  br i1 %met, label %behind_barrier, label %left
behind_barrier:
  %parting = load atomic i64, ptr %parting.field monotonic, align 8
  %parts = icmp eq i64 %parting, %target.met
  br i1 %parts, label %part, label %stay
part:
  br i1 %is.first.thread, label %call_kernel, label %left
stay:
  br i1 %timed, label %time_barrier, label %check_solo
time_barrier:
  %clock.met = call i64 @record_wait(ptr %records, i64 %index, i64 %clock)
  br label %check_solo
check_solo:
  %clock.checked = phi i64 [ %clock, %read_flags ], [ %clock, %stay ],
    [ %clock.met, %time_barrier ]
  %target.checked = phi i64 [ %target, %read_flags ], [ %target.met, %stay ],
    [ %target.met, %time_barrier ]
  %solo.bit = and i64 %flags, 2
  %shared = icmp eq i64 %solo.bit, 0
  %mine = or i1 %shared, %is.first.thread
  %sharing.checked = select i1 %shared, i64 %threads, i64 1
  br i1 %mine, label %call_kernel, label %row_done
call_kernel:
  %clock.called = phi i64 [ %clock, %enter_row ], [ %clock, %part ],
    [ %clock.checked, %check_solo ]
  %target.called = phi i64 [ %target, %enter_row ], [ %target.met, %part ],
    [ %target.checked, %check_solo ]
  %sharing = phi i64 [ 1, %enter_row ], [ 1, %part ], [ %sharing.checked, %check_solo ]
  %by.itself.called = phi i1 [ true, %enter_row ], [ true, %part ], [ false, %check_solo ]
  %kernel.field = getelementptr %Row, ptr %rows, i64 %index, i32 0
  %kernel = load ptr, ptr %kernel.field
  %arguments.field = getelementptr %Row, ptr %rows, i64 %index, i32 1
  %first.arguments = load ptr, ptr %arguments.field
  %arguments = getelementptr i8, ptr %first.arguments, i64 %own.arguments
  %status = call i32 %kernel(ptr %arguments, i64 %thread, i64 %sharing)
  %succeeded = icmp eq i32 %status, 0
  br i1 %succeeded, label %kernel_done, label %not_zero
not_zero:
  %flags.after.field = getelementptr %Row, ptr %rows, i64 %index, i32 2
  %flags.after = load i64, ptr %flags.after.field
  %loop.bit = and i64 %flags.after, 4
  %jumps = icmp ne i64 %loop.bit, 0
  br i1 %jumps, label %jump, label %failed
jump:
  %index.jump = call i64 @jump_target(ptr %arguments, i64 %index)
  br label %kernel_done
kernel_done:
  %index.done = phi i64 [ %index.following, %call_kernel ], [ %index.jump, %jump ]
  br i1 %timed, label %time_kernel, label %row_done
time_kernel:
  %clock.done = call i64 @record_kernel(ptr %records, i64 %index, i64 %clock.called)
  br label %row_done
row_done:
  %clock.next = phi i64 [ %clock.called, %kernel_done ], [ %clock.checked, %check_solo ],
    [ %clock.done, %time_kernel ]
  %target.row = phi i64 [ %target.called, %kernel_done ], [ %target.checked, %check_solo ],
    [ %target.called, %time_kernel ]
  %by.itself.row = phi i1 [ %by.itself.called, %kernel_done ], [ false, %check_solo ],
    [ %by.itself.called, %time_kernel ]
  %index.next = phi i64 [ %index.done, %kernel_done ], [ %index.following, %check_solo ],
    [ %index.done, %time_kernel ]
  br label %next_row

walk_done:
  %repeat.next = add i64 %repeat, 1
  %target.next = add i64 %target, %threads
  %has.parted = xor i1 %by.itself, %alone
  br i1 %has.parted, label %completed, label %walk_done_as_begun
walk_done_as_begun:
  %more.walks = icmp slt i64 %repeat.next, %repeats
  br i1 %more.walks, label %between, label %last_walk_done
between:
  br i1 %alone, label %prepare_alone, label %meet_between
prepare_alone:
  %stop.alone = call i1 @prepare_next_walk(ptr %table)
  br i1 %stop.alone, label %completed, label %again
meet_between:
  br i1 %is.first.thread, label %await_others, label %await_first
await_others:
  %target.others = sub i64 %target.next, 1
  %all.here = call i1 @wait_for_arrivals(ptr %pool, i64 %target.others, i64 %thread)
  br i1 %all.here, label %prepare_for_all, label %left
prepare_for_all:
  %stop.prepared = call i1 @prepare_next_walk(ptr %table)
  %is.held.up = call i1 @is_held_up(ptr %table, ptr %pool)
  %stop.all = or i1 %stop.prepared, %is.held.up
  %halt = zext i1 %stop.all to i64
  store i64 %halt, ptr %halted.field
  %others = atomicrmw add ptr %arrived.field, i64 1 acq_rel, align 8
  br label %go_on
await_first:
  %prepared = call i1 @meet(ptr %pool, i64 %target.next, i64 %thread)
  br i1 %prepared, label %read_halted, label %left
read_halted:
  %halted = load i64, ptr %halted.field
  %stop.read = icmp ne i64 %halted, 0
  br label %go_on
go_on:
  %stop = phi i1 [ %stop.all, %prepare_for_all ], [ %stop.read, %read_halted ]
  br i1 %timed, label %time_between, label %go_on_untimed
time_between:
  %clock.between = call i64 @record_wait(ptr %records, i64 %count, i64 %clock)
  br i1 %stop, label %completed, label %again
go_on_untimed:
  br i1 %stop, label %completed, label %again
again:
  %clock.again = phi i64 [ %clock, %prepare_alone ], [ %clock.between, %time_between ],
    [ %clock, %go_on_untimed ]
  br label %next_walk

last_walk_done:
  br i1 %timed, label %timed_walks_done, label %completed
timed_walks_done:
  br i1 %alone, label %completed, label %meet_after_all
meet_after_all:
  %all.done = call i1 @meet(ptr %pool, i64 %target.next, i64 %thread)
  %clock.end = call i64 @record_wait(ptr %records, i64 %count, i64 %clock)
  br label %completed

completed:
  %all.walks = insertvalue { i64, i64 } { i64 0, i64 undef }, i64 %repeat.next, 1
  ret { i64, i64 } %all.walks
left:
  %walks.before = insertvalue { i64, i64 } { i64 0, i64 undef }, i64 %repeat, 1
  ret { i64, i64 } %walks.before
failed:
  %index.high = shl i64 %index, 32
  %status.low = zext i32 %status to i64
  %where = or i64 %index.high, %status.low
  %failed.where = insertvalue { i64, i64 } undef, i64 %where, 0
  %failed.result = insertvalue { i64, i64 } %failed.where, i64 %repeat, 1
  ret { i64, i64 } %failed.result
}
"""

_RUN = """
define internal i64 @run_alone(ptr %table, ptr %records) alwaysinline {
entry:
  %completed.field = getelementptr %Table, ptr %table, i64 0, i32 9
  store i64 0, ptr %completed.field
  %stopped = call i1 @stop_is_set(ptr %table)
  br i1 %stopped, label %refuse, label %run
refuse:
  ret i64 0
run:
  call void @write_externals(ptr %table)
  %result = call { i64, i64 } @walk(ptr %table, ptr %records, ptr null, i64 0, i64 1)
  %where = extractvalue { i64, i64 } %result, 0
  %walks = extractvalue { i64, i64 } %result, 1
  store i64 %walks, ptr %completed.field
  ret i64 %where
}

define i64 @graphc_run(ptr %table) {
  %where = call i64 @run_alone(ptr %table, ptr null)
  ret i64 %where
}

; The table has records.
define i64 @graphc_run_timed(ptr %table) {
  %records = call ptr @records_of(ptr %table, i64 0)
  %where = call i64 @run_alone(ptr %table, ptr %records)
  ret i64 %where
}
"""

EXECUTOR_IR = executor_ir(platform.machine())
