"""Kernels of the tests of threads, as LLVM IR."""

# Marks of different threads stand so many words apart, on lines of their own.
MARK_WORDS = 16

SLOW_ROUNDS = 20_000

KERNELS_IR = f"""
define internal ptr @mark(ptr %arguments, i64 %thread) {{
  %marks = load ptr, ptr %arguments
  %word = mul i64 %thread, {MARK_WORDS}
  %mark = getelementptr i64, ptr %marks, i64 %word
  ret ptr %mark
}}

; marks: each thread adds one to its own mark
define i32 @count(ptr %arguments, i64 %thread, i64 %threads) {{
  %mark = call ptr @mark(ptr %arguments, i64 %thread)
  %before = load i64, ptr %mark
  %after = add i64 %before, 1
  store i64 %after, ptr %mark
  ret i32 0
}}

; marks, differences: adds one to differences for each mark that differs from the thread's own
define i32 @compare(ptr %arguments, i64 %thread, i64 %threads) {{
entry:
  %mark = call ptr @mark(ptr %arguments, i64 %thread)
  %mine = load i64, ptr %mark
  %differences.argument = getelementptr ptr, ptr %arguments, i64 1
  %differences = load ptr, ptr %differences.argument
  br label %next
next:
  %other = phi i64 [ 0, %entry ], [ %other.next, %counted ]
  %other.mark = call ptr @mark(ptr %arguments, i64 %other)
  %theirs = load i64, ptr %other.mark
  %differ = icmp ne i64 %mine, %theirs
  %one = zext i1 %differ to i64
  br i1 %differ, label %report, label %counted
report:
  %before = atomicrmw add ptr %differences, i64 %one monotonic, align 8
  br label %counted
counted:
  %other.next = add i64 %other, 1
  %more = icmp slt i64 %other.next, %threads
  br i1 %more, label %next, label %done
done:
  ret i32 0
}}

; calls: adds one, whichever thread
define i32 @count_call(ptr %arguments, i64 %thread, i64 %threads) {{
  %calls = load ptr, ptr %arguments
  %before = atomicrmw add ptr %calls, i64 1 monotonic, align 8
  ret i32 0
}}

; seen: seen[thread] = threads
define i32 @write_threads(ptr %arguments, i64 %thread, i64 %threads) {{
  %seen = load ptr, ptr %arguments
  %mine = getelementptr i64, ptr %seen, i64 %thread
  store i64 %threads, ptr %mine
  ret i32 0
}}

; request (the thread that fails, its status, rounds that it waits before): the others succeed
define i32 @fail_in_thread(ptr %arguments, i64 %thread, i64 %threads) {{
entry:
  %request = load ptr, ptr %arguments
  %failing = load i64, ptr %request
  %status.word = getelementptr i64, ptr %request, i64 1
  %status = load i64, ptr %status.word
  %status.narrow = trunc i64 %status to i32
  %rounds.word = getelementptr i64, ptr %request, i64 2
  %rounds = load i64, ptr %rounds.word
  %mine = icmp eq i64 %thread, %failing
  br i1 %mine, label %wait, label %succeed
wait:
  %round = phi i64 [ 0, %entry ], [ %round.next, %wait ]
  %look = load atomic i64, ptr %request acquire, align 8
  %round.next = add i64 %round, 1
  %more = icmp slt i64 %round.next, %rounds
  br i1 %more, label %wait, label %fail
fail:
  ret i32 %status.narrow
succeed:
  ret i32 0
}}

; request (a thread, a function, its argument): that thread calls the function
define i32 @call_in_thread(ptr %arguments, i64 %thread, i64 %threads) {{
entry:
  %request = load ptr, ptr %arguments
  %calling = load i64, ptr %request
  %mine = icmp eq i64 %thread, %calling
  br i1 %mine, label %call, label %done
call:
  %function.word = getelementptr i64, ptr %request, i64 1
  %function = load ptr, ptr %function.word
  %argument.word = getelementptr i64, ptr %request, i64 2
  %argument = load i64, ptr %argument.word
  %argument.narrow = trunc i64 %argument to i32
  %result = call i32 %function(i32 %argument.narrow)
  br label %done
done:
  ret i32 0
}}

; marks, limit: thread 1 fails with status 5 once its mark has reached the limit
define i32 @fail_at_limit(ptr %arguments, i64 %thread, i64 %threads) {{
  %mark = call ptr @mark(ptr %arguments, i64 %thread)
  %mine = load i64, ptr %mark
  %limit.argument = getelementptr ptr, ptr %arguments, i64 1
  %limit.word = load ptr, ptr %limit.argument
  %limit = load i64, ptr %limit.word
  %reached = icmp sge i64 %mine, %limit
  %is.second = icmp eq i64 %thread, 1
  %fails = and i1 %reached, %is.second
  %status = select i1 %fails, i32 5, i32 0
  ret i32 %status
}}

; out, x: out[thread] = 10 x[0] + thread
define i32 @tag(ptr %arguments, i64 %thread, i64 %threads) {{
  %out = load ptr, ptr %arguments
  %x.argument = getelementptr ptr, ptr %arguments, i64 1
  %x = load ptr, ptr %x.argument
  %value = load i64, ptr %x
  %tens = mul i64 %value, 10
  %tagged = add i64 %tens, %thread
  %mine = getelementptr i64, ptr %out, i64 %thread
  store i64 %tagged, ptr %mine
  ret i32 0
}}
"""
