"""LLVM IR that keeps the threads of a pool on processors of their own.

A worker that is woken may find itself on the processor of the thread that waits for it, and
schedulers have been seen to leave two such threads together for some hundred milliseconds while
another processor is idle: a step then takes as long as on one thread. So a thread that waits tells
where it is, and one that has waited beside another for some milliseconds leaves. It does by asking
for all processors but those of the threads before it, and then for all that it had: the scheduler
stays free to move it. It may know better, where the other processor is busy: so each time the
patience doubles.

Parts of the module that executor_ir.py puts together. Where the C library has no such functions
their pointers are null, and nothing is done.
"""

KEEP_APART = """
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)

; A set of processors, the C library's cpu_set_t, has a bit for each of 1024.

; The words of thread %thread: where it says that it is; since when it is there with another, 0: it
; is not; for how long it bears that; seconds and nanoseconds of a clock; which clock tells the time
; that it has had a processor, 0: none; and what that showed when thread 0 looked. Of thread 0 the
; last is when it looked, 0: it has not. Behind the line two sets.
define internal ptr @place_of(ptr %pool, i64 %thread) alwaysinline {
  %places.field = getelementptr %Pool, ptr %pool, i64 0, i32 24
  %places = load ptr, ptr %places.field
  %word = mul i64 %thread, 48
  %place = getelementptr i64, ptr %places, i64 %word
  ret ptr %place
}

; Nanoseconds of a clock that never goes back.
define internal i64 @nanoseconds(ptr %pool, i64 %thread) {
  %kind.field = getelementptr %Pool, ptr %pool, i64 0, i32 26
  %kind = load i64, ptr %kind.field
  %now = call i64 @read_clock(ptr %pool, i64 %thread, i64 %kind)
  ret i64 %now
}

; Nanoseconds of a clock, read by thread %thread.
define internal i64 @read_clock(ptr %pool, i64 %thread, i64 %kind) {
  %place = call ptr @place_of(ptr %pool, i64 %thread)
  %clock.field = getelementptr %Pool, ptr %pool, i64 0, i32 25
  %clock = load ptr, ptr %clock.field
  %kind.number = trunc i64 %kind to i32
  %time = getelementptr i64, ptr %place, i64 3
  %error = call i32 %clock(i32 %kind.number, ptr %time)
  %rest.field = getelementptr i64, ptr %place, i64 4
  %seconds = load i64, ptr %time
  %rest = load i64, ptr %rest.field
  %whole = mul i64 %seconds, 1000000000
  %now = add i64 %whole, %rest
  ret i64 %now
}

; Thread 0, which waits, notes how long each worker has had a processor, if it has not yet.
define internal void @look_at_workers(ptr %pool, i64 %now) noinline {
entry:
  %threads.field = getelementptr %Pool, ptr %pool, i64 0, i32 11
  %threads = load i64, ptr %threads.field
  %own = call ptr @place_of(ptr %pool, i64 0)
  %looked.field = getelementptr i64, ptr %own, i64 6
  %looked = load i64, ptr %looked.field
  %first = icmp eq i64 %looked, 0
  br i1 %first, label %look, label %done
look:
  store i64 %now, ptr %looked.field
  br label %next
next:
  %worker = phi i64 [ 1, %look ], [ %worker.next, %note ]
  %more = icmp slt i64 %worker, %threads
  br i1 %more, label %note, label %done
note:
  %ran = call i64 @time_on_processor(ptr %pool, i64 %worker)
  %place = call ptr @place_of(ptr %pool, i64 %worker)
  %ran.field = getelementptr i64, ptr %place, i64 6
  store i64 %ran, ptr %ran.field
  %worker.next = add i64 %worker, 1
  br label %next
done:
  ret void
}

; Since thread 0 looked: the nanoseconds in which a worker had no processor, of the worker for which
; that is the longest. 0 where it has not looked.
define internal i64 @lost_since_look(ptr %pool) noinline {
entry:
  %threads.field = getelementptr %Pool, ptr %pool, i64 0, i32 11
  %threads = load i64, ptr %threads.field
  %own = call ptr @place_of(ptr %pool, i64 0)
  %looked.field = getelementptr i64, ptr %own, i64 6
  %looked = load i64, ptr %looked.field
  %never = icmp eq i64 %looked, 0
  br i1 %never, label %nothing, label %look
nothing:
  ret i64 0
look:
  store i64 0, ptr %looked.field
  %now = call i64 @nanoseconds(ptr %pool, i64 0)
  %elapsed = sub i64 %now, %looked
  br label %next
next:
  %worker = phi i64 [ 1, %look ], [ %worker.next, %compare ]
  %most = phi i64 [ 0, %look ], [ %most.next, %compare ]
  %more = icmp slt i64 %worker, %threads
  br i1 %more, label %compare, label %done
compare:
  %place = call ptr @place_of(ptr %pool, i64 %worker)
  %before.field = getelementptr i64, ptr %place, i64 6
  %before = load i64, ptr %before.field
  %ran.total = call i64 @time_on_processor(ptr %pool, i64 %worker)
  %ran = sub i64 %ran.total, %before
  %without = sub i64 %elapsed, %ran
  %most.next = call i64 @llvm.smax.i64(i64 %most, i64 %without)
  %worker.next = add i64 %worker, 1
  br label %next
done:
  ret i64 %most
}

; Nanoseconds for which a worker has had a processor, as thread 0 reads it. 0 where nobody knows.
define internal i64 @time_on_processor(ptr %pool, i64 %worker) {
entry:
  %place = call ptr @place_of(ptr %pool, i64 %worker)
  %kind.field = getelementptr i64, ptr %place, i64 5
  %kind = load i64, ptr %kind.field
  %unknown = icmp eq i64 %kind, 0
  br i1 %unknown, label %nothing, label %read
nothing:
  ret i64 0
read:
  %ran = call i64 @read_clock(ptr %pool, i64 0, i64 %kind)
  ret i64 %ran
}

; Begin to bear with another thread anew.
define internal void @forget_company(ptr %pool, i64 %thread) {
  %own = call ptr @place_of(ptr %pool, i64 %thread)
  %since.field = getelementptr i64, ptr %own, i64 1
  store i64 0, ptr %since.field
  ret void
}

; Tell where this thread is, and leave if a thread before it has been there, too, for too long.
define void @graphc_keep_apart(ptr %pool, i64 %thread) noinline {
entry:
  %getcpu.field = getelementptr %Pool, ptr %pool, i64 0, i32 21
  %getcpu = load ptr, ptr %getcpu.field
  %unknown = icmp eq ptr %getcpu, null
  br i1 %unknown, label %done, label %tell
tell:
  %number = call i32 %getcpu()
  %cpu = sext i32 %number to i64
  %own = call ptr @place_of(ptr %pool, i64 %thread)
  store atomic i64 %cpu, ptr %own monotonic, align 8
  %since.field = getelementptr i64, ptr %own, i64 1
  %patience.field = getelementptr i64, ptr %own, i64 2
  br label %next
next:
  %other = phi i64 [ 0, %tell ], [ %other.next, %compare ]
  %more = icmp slt i64 %other, %thread
  br i1 %more, label %compare, label %apart
apart:
  store i64 0, ptr %since.field
  ret void
compare:
  %place = call ptr @place_of(ptr %pool, i64 %other)
  %taken = load atomic i64, ptr %place monotonic, align 8
  %together = icmp eq i64 %taken, %cpu
  %other.next = add i64 %other, 1
  br i1 %together, label %bear, label %next
bear:
  %now = call i64 @nanoseconds(ptr %pool, i64 %thread)
  %since = load i64, ptr %since.field
  %new = icmp eq i64 %since, 0
  br i1 %new, label %begin, label %judge
begin:
  store i64 %now, ptr %since.field
  ret void
judge:
  %patience = load i64, ptr %patience.field
  %borne = sub i64 %now, %since
  %enough = icmp sgt i64 %borne, %patience
  br i1 %enough, label %leave, label %done
leave:
  store i64 0, ptr %since.field
  %longer = mul i64 %patience, 2
  %most.field = getelementptr %Pool, ptr %pool, i64 0, i32 27
  %most = load i64, ptr %most.field
  %next.patience = call i64 @llvm.smin.i64(i64 %longer, i64 %most)
  store i64 %next.patience, ptr %patience.field
  call void @leave_processor(ptr %pool, i64 %thread)
  %number.after = call i32 %getcpu()
  %cpu.after = sext i32 %number.after to i64
  store atomic i64 %cpu.after, ptr %own monotonic, align 8
  br label %done
done:
  ret void
}

; Whether another thread was last on this thread's processor. Where nobody knows: yes.
define internal i1 @has_company(ptr %pool, i64 %thread) noinline {
entry:
  %threads.field = getelementptr %Pool, ptr %pool, i64 0, i32 11
  %threads = load i64, ptr %threads.field
  %own = call ptr @place_of(ptr %pool, i64 %thread)
  %cpu = load atomic i64, ptr %own monotonic, align 8
  br label %next
next:
  %other = phi i64 [ 0, %entry ], [ %other.next, %skip ]
  %more = icmp slt i64 %other, %threads
  br i1 %more, label %compare, label %apart
apart:
  ret i1 false
compare:
  %place = call ptr @place_of(ptr %pool, i64 %other)
  %taken = load atomic i64, ptr %place monotonic, align 8
  %same = icmp eq i64 %taken, %cpu
  %is.other = icmp ne i64 %other, %thread
  %together = and i1 %same, %is.other
  br i1 %together, label %beside, label %skip
skip:
  %other.next = add i64 %other, 1
  br label %next
beside:
  ret i1 true
}

; Go to a processor where no thread before this one is; stay where there is none.
define internal void @leave_processor(ptr %pool, i64 %thread) noinline {
entry:
  %own = call ptr @place_of(ptr %pool, i64 %thread)
  %allowed = getelementptr i64, ptr %own, i64 16
  %others = getelementptr i64, ptr %own, i64 32
  store [16 x i64] zeroinitializer, ptr %allowed
  %get.field = getelementptr %Pool, ptr %pool, i64 0, i32 22
  %get = load ptr, ptr %get.field
  %set.field = getelementptr %Pool, ptr %pool, i64 0, i32 23
  %set = load ptr, ptr %set.field
  %error = call i32 %get(i32 0, i64 128, ptr %allowed)
  %failed = icmp ne i32 %error, 0
  br i1 %failed, label %done, label %copy
copy:
  %whole = load [16 x i64], ptr %allowed
  store [16 x i64] %whole, ptr %others
  br label %next
next:
  %other = phi i64 [ 0, %copy ], [ %other.next, %skip ]
  %more = icmp slt i64 %other, %thread
  br i1 %more, label %look, label %move
look:
  %place = call ptr @place_of(ptr %pool, i64 %other)
  %cpu = load atomic i64, ptr %place monotonic, align 8
  %known = icmp ult i64 %cpu, 1024
  br i1 %known, label %remove, label %skip
remove:
  %index = lshr i64 %cpu, 6
  %shift = and i64 %cpu, 63
  %bit = shl i64 1, %shift
  %kept = xor i64 %bit, -1
  %word = getelementptr [16 x i64], ptr %others, i64 0, i64 %index
  %before = load i64, ptr %word
  %after = and i64 %before, %kept
  store i64 %after, ptr %word
  br label %skip
skip:
  %other.next = add i64 %other, 1
  br label %next
move:
  ; An empty set is refused.
  %moved = call i32 %set(i32 0, i64 128, ptr %others)
  %restored = call i32 %set(i32 0, i64 128, ptr %allowed)
  br label %done
done:
  ret void
}
"""
