"""LLVM IR of the executor's threads: how they meet, wait, sleep and wake.

Parts of the module that executor_ir.py puts together.
"""

POOL_TYPE = """\
; What threads write often has 128 bytes of its own: some processors fetch lines in pairs.
; 0 job: number of the run, -1: workers leave   1 its table   2 halted: no further walk
; 3 held: nanoseconds in which thread 0 waited for a thread without a processor, and padding
; 4 arrived: arrivals at barriers in this run   5 failed: (row << 32 | status), -1: none
; 6 parting: arrivals at the barrier where workers leave this run, 0: at none, and padding
; 7 finished: workers that are done with this run   8 padding
; 9 sleepers: workers that sleep or are about to   10 padding
; 11 threads   12 rounds of waiting before a thread looks at the clock
; 13 nanoseconds of waiting between runs before sleep
; 14 sched_yield   15 pthread_mutex_lock   16 pthread_mutex_unlock
; 17 pthread_cond_wait   18 pthread_cond_broadcast   19 mutex   20 condition
; 21 sched_getcpu or null   22 sched_getaffinity   23 sched_setaffinity
; 24 the processor of each thread, -1: unknown, and what it needs to leave; 48 words a thread
; 25 clock_gettime   26 which clock   27 nanoseconds that a thread bears another at the most
; 28 nanoseconds that a thread without company keeps its processor at a barrier
; 29 nanoseconds after which thread 0 looks whether those that it waits for have processors
%Pool = type {
  i64, ptr, i64, [13 x i64],
  i64, i64, [14 x i64],
  i64, [15 x i64],
  i64, [15 x i64],
  i64, i64, i64, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, i64, i64, i64, i64
}
"""

WAITING = """
; What a thread does that found nothing new %round times. At first it pauses. Later it sees to it
; that no other thread of the pool is on its processor, and gives that away if one is or after %hold
; nanoseconds: who is waited for may have none. Before that it keeps it. A thread that gives its
; processor away to other processes gets it back only after milliseconds, and so may the one that it
; waits for, which has found it away meanwhile: they would never run at the same time.
; %since: when the pauses were over, 0 at first; returns that.
define internal i64 @rest(ptr %pool, i64 %round, i64 %thread, i64 %since, i64 %hold) alwaysinline {
  %spins.field = getelementptr %Pool, ptr %pool, i64 0, i32 12
  %spins = load i64, ptr %spins.field
  %early = icmp slt i64 %round, %spins
  br i1 %early, label %short, label %long
short:
  call void @pause()
  ret i64 %since
long:
  call void @graphc_keep_apart(ptr %pool, i64 %thread)
  %now = call i64 @nanoseconds(ptr %pool, i64 %thread)
  %first = icmp eq i64 %since, 0
  %begun = select i1 %first, i64 %now, i64 %since
  %waited = sub i64 %now, %begun
  %tired = icmp sge i64 %waited, %hold
  %is.first.thread = icmp eq i64 %thread, 0
  %look.field = getelementptr %Pool, ptr %pool, i64 0, i32 29
  %look = load i64, ptr %look.field
  %doubts = icmp sge i64 %waited, %look
  %looks = and i1 %doubts, %is.first.thread
  br i1 %looks, label %look_at_workers, label %choose
look_at_workers:
  call void @look_at_workers(ptr %pool, i64 %now)
  br label %choose
choose:
  %company = call i1 @has_company(ptr %pool, i64 %thread)
  %gives = or i1 %tired, %company
  br i1 %gives, label %give, label %keep
keep:
  call void @pause()
  ret i64 %begun
give:
  %yield.field = getelementptr %Pool, ptr %pool, i64 0, i32 14
  %yield = load ptr, ptr %yield.field
  call i32 %yield()
  ret i64 %begun
}

; Thread 0 has waited long for others: count what it has seen in that time.
define internal void @count_held(ptr %pool) {
  %lost = call i64 @lost_since_look(ptr %pool)
  %held.field = getelementptr %Pool, ptr %pool, i64 0, i32 3, i64 0
  %before = load i64, ptr %held.field
  %after = add i64 %before, %lost
  store i64 %after, ptr %held.field
  ret void
}

; Thread 0 is behind the barrier of %target arrivals. If it has been held up for too long workers
; leave at the next one: nobody is behind that before thread 0 has come, so all see the word. It is
; written once: behind that barrier workers may still have to read it.
define internal void @part_when_held_up(ptr %pool, i64 %target) {
entry:
  %table.field = getelementptr %Pool, ptr %pool, i64 0, i32 1
  %table = load ptr, ptr %table.field
  %is.held.up = call i1 @is_held_up(ptr %table, ptr %pool)
  %parting.field = getelementptr %Pool, ptr %pool, i64 0, i32 6, i64 0
  %parting = load atomic i64, ptr %parting.field monotonic, align 8
  %none = icmp eq i64 %parting, 0
  %shall.part = and i1 %is.held.up, %none
  br i1 %shall.part, label %part, label %done
part:
  %threads.field = getelementptr %Pool, ptr %pool, i64 0, i32 11
  %threads = load i64, ptr %threads.field
  %next = add i64 %target, %threads
  store atomic i64 %next, ptr %parting.field monotonic, align 8
  br label %done
done:
  ret void
}

; Whether others have held thread 0 up for longer than the run's caller bears. 0: it bears it all.
define internal i1 @is_held_up(ptr %table, ptr %pool) alwaysinline {
  %bearable.field = getelementptr %Table, ptr %table, i64 0, i32 12
  %bearable = load i64, ptr %bearable.field
  %held.field = getelementptr %Pool, ptr %pool, i64 0, i32 3, i64 0
  %held = load i64, ptr %held.field
  %is.too.long = icmp sgt i64 %held, %bearable
  %minds = icmp ne i64 %bearable, 0
  %is.held.up = and i1 %is.too.long, %minds
  ret i1 %is.held.up
}

; Wait until `arrived` is at least %target: true. False when that will not happen, because a thread
; left the run for a kernel that failed.
define internal i1 @wait_for_arrivals(ptr %pool, i64 %target, i64 %thread) {
entry:
  %arrived.field = getelementptr %Pool, ptr %pool, i64 0, i32 4
  %failed.field = getelementptr %Pool, ptr %pool, i64 0, i32 5
  %hold.field = getelementptr %Pool, ptr %pool, i64 0, i32 28
  %hold = load i64, ptr %hold.field
  br label %look
look:
  %round = phi i64 [ 0, %entry ], [ %round.next, %again ]
  %since = phi i64 [ 0, %entry ], [ %since.next, %again ]
  %arrived = load atomic i64, ptr %arrived.field acquire, align 8
  %complete = icmp sge i64 %arrived, %target
  br i1 %complete, label %met, label %incomplete
incomplete:
  %failed = load atomic i64, ptr %failed.field acquire, align 8
  %hopeful = icmp eq i64 %failed, -1
  br i1 %hopeful, label %again, label %failure
again:
  %since.next = call i64 @rest(ptr %pool, i64 %round, i64 %thread, i64 %since, i64 %hold)
  %round.next = add i64 %round, 1
  br label %look
met:
  %is.first.thread = icmp eq i64 %thread, 0
  br i1 %is.first.thread, label %count, label %go_on
count:
  %waited.long = icmp ne i64 %since, 0
  br i1 %waited.long, label %count_long, label %go_on
count_long:
  call void @count_held(ptr %pool)
  call void @part_when_held_up(ptr %pool, i64 %target)
  br label %go_on
go_on:
  ret i1 true
failure:
  ; The thread that failed may have met the others here since, and have failed in a row behind:
  ; all threads agree on the rows that run.
  %arrived.last = load atomic i64, ptr %arrived.field acquire, align 8
  %complete.after.all = icmp sge i64 %arrived.last, %target
  ret i1 %complete.after.all
}

; A barrier: %target is the number of arrivals in this run when all threads are here.
define internal i1 @meet(ptr %pool, i64 %target, i64 %thread) {
  %arrived.field = getelementptr %Pool, ptr %pool, i64 0, i32 4
  %others = atomicrmw add ptr %arrived.field, i64 1 acq_rel, align 8
  %met = call i1 @wait_for_arrivals(ptr %pool, i64 %target, i64 %thread)
  ret i1 %met
}

; Keep the lowest failing row, whichever thread comes first.
define internal void @record(ptr %pool, i64 %where) {
entry:
  %failed = icmp ne i64 %where, 0
  br i1 %failed, label %keep, label %done
keep:
  %failed.field = getelementptr %Pool, ptr %pool, i64 0, i32 5
  %before = atomicrmw umin ptr %failed.field, i64 %where acq_rel, align 8
  br label %done
done:
  ret void
}

; Look at %word %rounds times with a pause each: how long a pause takes is measured with this.
define void @graphc_pause(ptr %word, i64 %rounds) {
entry:
  br label %look
look:
  %round = phi i64 [ 0, %entry ], [ %round.next, %look ]
  %value = load atomic i64, ptr %word acquire, align 8
  call void @pause()
  %round.next = add i64 %round, 1
  %more = icmp slt i64 %round.next, %rounds
  br i1 %more, label %look, label %done
done:
  ret void
}
"""

RUN_TOGETHER = """
; Walk with the others, timed or not: two copies, so that reading clocks costs nothing where none
; are read.
define internal { i64, i64 } @walk_together(
    ptr %table, ptr %pool, i64 %thread, i64 %threads) alwaysinline {
entry:
  %records = call ptr @records_of(ptr %table, i64 %thread)
  %untimed = icmp eq ptr %records, null
  br i1 %untimed, label %without_clock, label %with_clock
without_clock:
  %result = call { i64, i64 } @walk(
    ptr %table, ptr null, ptr %pool, i64 %thread, i64 %threads)
  ret { i64, i64 } %result
with_clock:
  %result.timed = call { i64, i64 } @walk(
    ptr %table, ptr %records, ptr %pool, i64 %thread, i64 %threads)
  ret { i64, i64 } %result.timed
}

; Wake the workers that sleep. Whoever is about to sleep looks at `job` after it has counted itself,
; and here `sleepers` is read after `job` was written, both in the one order of seq_cst: one of the
; two sees the other.
define internal void @wake_sleepers(ptr %pool) {
entry:
  %sleepers.field = getelementptr %Pool, ptr %pool, i64 0, i32 9
  %sleepers = load atomic i64, ptr %sleepers.field seq_cst, align 8
  %nobody = icmp eq i64 %sleepers, 0
  br i1 %nobody, label %done, label %wake
wake:
  %lock.field = getelementptr %Pool, ptr %pool, i64 0, i32 15
  %lock = load ptr, ptr %lock.field
  %unlock.field = getelementptr %Pool, ptr %pool, i64 0, i32 16
  %unlock = load ptr, ptr %unlock.field
  %broadcast.field = getelementptr %Pool, ptr %pool, i64 0, i32 18
  %broadcast = load ptr, ptr %broadcast.field
  %mutex.field = getelementptr %Pool, ptr %pool, i64 0, i32 19
  %mutex = load ptr, ptr %mutex.field
  %condition.field = getelementptr %Pool, ptr %pool, i64 0, i32 20
  %condition = load ptr, ptr %condition.field
  ; With the lock held no worker is between its look at `job` and its sleep.
  %locked = call i32 %lock(ptr %mutex)
  %unlocked = call i32 %unlock(ptr %mutex)
  %woken = call i32 %broadcast(ptr %condition)
  br label %done
done:
  ret void
}

; Run with all threads of the pool; the caller is thread 0. -1: all is well, but others have held it
; up for longer than it bears.
define i64 @graphc_run_together(ptr %table, ptr %pool) {
entry:
  %completed.field = getelementptr %Table, ptr %table, i64 0, i32 9
  store i64 0, ptr %completed.field
  %stopped = call i1 @stop_is_set(ptr %table)
  br i1 %stopped, label %refuse, label %publish
refuse:
  ret i64 0
publish:
  call void @write_externals(ptr %table)
  call void @graphc_keep_apart(ptr %pool, i64 0)
  ; No worker is in a run: these words are the caller's until `job` is written.
  %job.table.field = getelementptr %Pool, ptr %pool, i64 0, i32 1
  store ptr %table, ptr %job.table.field
  %halted.field = getelementptr %Pool, ptr %pool, i64 0, i32 2
  store i64 0, ptr %halted.field
  %parting.field = getelementptr %Pool, ptr %pool, i64 0, i32 6, i64 0
  store atomic i64 0, ptr %parting.field monotonic, align 8
  %held.field = getelementptr %Pool, ptr %pool, i64 0, i32 3, i64 0
  %table.held.field = getelementptr %Table, ptr %table, i64 0, i32 13
  %held.before = load i64, ptr %table.held.field
  store i64 %held.before, ptr %held.field
  ; A run that a kernel stopped may have ended while thread 0 waited.
  %lost.before = call i64 @lost_since_look(ptr %pool)
  %hold.field = getelementptr %Pool, ptr %pool, i64 0, i32 28
  %hold = load i64, ptr %hold.field
  %arrived.field = getelementptr %Pool, ptr %pool, i64 0, i32 4
  store atomic i64 0, ptr %arrived.field monotonic, align 8
  %failed.field = getelementptr %Pool, ptr %pool, i64 0, i32 5
  store atomic i64 -1, ptr %failed.field monotonic, align 8
  %finished.field = getelementptr %Pool, ptr %pool, i64 0, i32 7
  store atomic i64 0, ptr %finished.field monotonic, align 8
  %job.field = getelementptr %Pool, ptr %pool, i64 0, i32 0
  %job.before = atomicrmw add ptr %job.field, i64 1 seq_cst, align 8
  call void @wake_sleepers(ptr %pool)
  %threads.field = getelementptr %Pool, ptr %pool, i64 0, i32 11
  %threads = load i64, ptr %threads.field
  %result = call { i64, i64 } @walk_together(ptr %table, ptr %pool, i64 0, i64 %threads)
  %where = extractvalue { i64, i64 } %result, 0
  call void @record(ptr %pool, i64 %where)
  %workers = sub i64 %threads, 1
  br label %look
look:
  %round = phi i64 [ 0, %publish ], [ %round.next, %again ]
  %since = phi i64 [ 0, %publish ], [ %since.next, %again ]
  %finished = load atomic i64, ptr %finished.field acquire, align 8
  %all.finished = icmp eq i64 %finished, %workers
  br i1 %all.finished, label %done, label %again
again:
  %since.next = call i64 @rest(ptr %pool, i64 %round, i64 0, i64 %since, i64 %hold)
  %round.next = add i64 %round, 1
  br label %look
done:
  call void @count_held(ptr %pool)
  %walks = extractvalue { i64, i64 } %result, 1
  store i64 %walks, ptr %completed.field
  %failed = load atomic i64, ptr %failed.field monotonic, align 8
  %success = icmp eq i64 %failed, -1
  %held = load i64, ptr %held.field
  store i64 %held, ptr %table.held.field
  %is.held.up = call i1 @is_held_up(ptr %table, ptr %pool)
  %well = select i1 %is.held.up, i64 -1, i64 0
  %returned = select i1 %success, i64 %well, i64 %failed
  ret i64 %returned
}
"""

WORK = """
; Sleep until `job` is no longer %seen; returns it.
define internal i64 @sleep_until_job(ptr %pool, i64 %seen) {
entry:
  %job.field = getelementptr %Pool, ptr %pool, i64 0, i32 0
  %sleepers.field = getelementptr %Pool, ptr %pool, i64 0, i32 9
  %lock.field = getelementptr %Pool, ptr %pool, i64 0, i32 15
  %lock = load ptr, ptr %lock.field
  %unlock.field = getelementptr %Pool, ptr %pool, i64 0, i32 16
  %unlock = load ptr, ptr %unlock.field
  %wait.field = getelementptr %Pool, ptr %pool, i64 0, i32 17
  %wait = load ptr, ptr %wait.field
  %mutex.field = getelementptr %Pool, ptr %pool, i64 0, i32 19
  %mutex = load ptr, ptr %mutex.field
  %condition.field = getelementptr %Pool, ptr %pool, i64 0, i32 20
  %condition = load ptr, ptr %condition.field
  %locked = call i32 %lock(ptr %mutex)
  %sleepers.before = atomicrmw add ptr %sleepers.field, i64 1 seq_cst, align 8
  br label %look
look:
  %job = load atomic i64, ptr %job.field seq_cst, align 8
  %same = icmp eq i64 %job, %seen
  br i1 %same, label %sleep, label %awake
sleep:
  %woken = call i32 %wait(ptr %condition, ptr %mutex)
  br label %look
awake:
  %sleepers.after = atomicrmw sub ptr %sleepers.field, i64 1 seq_cst, align 8
  %unlocked = call i32 %unlock(ptr %mutex)
  ret i64 %job
}

; The life of a worker: wait for a job, take part in the run, again. Returns when the pool closes.
define void @graphc_work(ptr %pool, i64 %thread) {
entry:
  %job.field = getelementptr %Pool, ptr %pool, i64 0, i32 0
  %table.field = getelementptr %Pool, ptr %pool, i64 0, i32 1
  %finished.field = getelementptr %Pool, ptr %pool, i64 0, i32 7
  %threads.field = getelementptr %Pool, ptr %pool, i64 0, i32 11
  %threads = load i64, ptr %threads.field
  %awake.field = getelementptr %Pool, ptr %pool, i64 0, i32 13
  %awake = load i64, ptr %awake.field
  br label %await
await:
  %seen = phi i64 [ 0, %entry ], [ %job, %take_part ]
  br label %look
look:
  %round = phi i64 [ 0, %await ], [ %round.next, %again ]
  %since = phi i64 [ 0, %await ], [ %since.next, %again ]
  %job.seen = load atomic i64, ptr %job.field acquire, align 8
  %none = icmp eq i64 %job.seen, %seen
  br i1 %none, label %not_yet, label %new_job
not_yet:
  %is.new = icmp eq i64 %since, 0
  br i1 %is.new, label %again, label %look_at_clock
look_at_clock:
  %now = call i64 @nanoseconds(ptr %pool, i64 %thread)
  %waited = sub i64 %now, %since
  %patient = icmp slt i64 %waited, %awake
  br i1 %patient, label %again, label %sleep
again:
  %since.next = call i64 @rest(ptr %pool, i64 %round, i64 %thread, i64 %since, i64 0)
  %round.next = add i64 %round, 1
  br label %look
sleep:
  %job.woken = call i64 @sleep_until_job(ptr %pool, i64 %seen)
  br label %new_job
new_job:
  %job = phi i64 [ %job.seen, %look ], [ %job.woken, %sleep ]
  %closing = icmp eq i64 %job, -1
  br i1 %closing, label %close, label %take_part
take_part:
  call void @forget_company(ptr %pool, i64 %thread)
  %table = load ptr, ptr %table.field
  %result = call { i64, i64 } @walk_together(
    ptr %table, ptr %pool, i64 %thread, i64 %threads)
  %where = extractvalue { i64, i64 } %result, 0
  call void @record(ptr %pool, i64 %where)
  %others = atomicrmw add ptr %finished.field, i64 1 acq_rel, align 8
  br label %await
close:
  ret void
}

; Send all workers home; no run may be under way.
define void @graphc_close(ptr %pool) {
  %job.field = getelementptr %Pool, ptr %pool, i64 0, i32 0
  %job.before = atomicrmw xchg ptr %job.field, i64 -1 seq_cst, align 8
  call void @wake_sleepers(ptr %pool)
  ret void
}
"""
