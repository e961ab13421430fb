"""Kernels of the tests of the executor, as LLVM IR."""

SPIN_CYCLES = 100_000
FLAG_NEVER_CAME = 7  # the status of `wait_for_flag` when nobody raised the flag

KERNELS_IR = f"""
; journal[0] counts the entries; tag[0] is written behind the last one
define i32 @write_journal(ptr %arguments, i64 %thread, i64 %threads) {{
  %journal = load ptr, ptr %arguments
  %tag.argument = getelementptr ptr, ptr %arguments, i64 1
  %tag = load ptr, ptr %tag.argument
  %value = load i64, ptr %tag
  %count = load i64, ptr %journal
  %count.next = add i64 %count, 1
  store i64 %count.next, ptr %journal
  %entry = getelementptr i64, ptr %journal, i64 %count.next
  store i64 %value, ptr %entry
  ret i32 0
}}

define i32 @add(ptr %arguments, i64 %thread, i64 %threads) {{
  %a.argument = getelementptr ptr, ptr %arguments, i64 1
  %b.argument = getelementptr ptr, ptr %arguments, i64 2
  %result = load ptr, ptr %arguments
  %a = load ptr, ptr %a.argument
  %b = load ptr, ptr %b.argument
  %x = load i64, ptr %a
  %y = load i64, ptr %b
  %sum = add i64 %x, %y
  store i64 %sum, ptr %result
  ret i32 0
}}

define i32 @write_thread(ptr %arguments, i64 %thread, i64 %threads) {{
  %result = load ptr, ptr %arguments
  store i64 %thread, ptr %result
  %second = getelementptr i64, ptr %result, i64 1
  store i64 %threads, ptr %second
  ret i32 0
}}

define i32 @return_status(ptr %arguments, i64 %thread, i64 %threads) {{
  %status.argument = load ptr, ptr %arguments
  %status = load i64, ptr %status.argument
  %narrow = trunc i64 %status to i32
  ret i32 %narrow
}}

declare i64 @llvm.readcyclecounter()

define i64 @read_counter() {{
  %now = call i64 @llvm.readcyclecounter()
  ret i64 %now
}}

define i32 @spin_cycles(ptr %arguments, i64 %thread, i64 %threads) {{
entry:
  %start = call i64 @llvm.readcyclecounter()
  br label %spin
spin:
  %now = call i64 @llvm.readcyclecounter()
  %elapsed = sub i64 %now, %start
  %enough = icmp sge i64 %elapsed, {SPIN_CYCLES}
  br i1 %enough, label %done, label %spin
done:
  ret i32 0
}}

; stamps[0] is the counter at the first call, stamps[1] at the last
define i32 @stamp(ptr %arguments, i64 %thread, i64 %threads) {{
  %stamps = load ptr, ptr %arguments
  %now = call i64 @llvm.readcyclecounter()
  %first = load i64, ptr %stamps
  %unset = icmp eq i64 %first, 0
  %first.new = select i1 %unset, i64 %now, i64 %first
  store i64 %first.new, ptr %stamps
  %last = getelementptr i64, ptr %stamps, i64 1
  store i64 %now, ptr %last
  ret i32 0
}}

; spins until flag[0] is set, or stops after so many rounds that the flag will not come
define i32 @wait_for_flag(ptr %arguments, i64 %thread, i64 %threads) {{
entry:
  %flag = load ptr, ptr %arguments
  %started = getelementptr i64, ptr %flag, i64 1
  store atomic i64 1, ptr %started release, align 8
  br label %spin
spin:
  %round = phi i64 [ 0, %entry ], [ %round.next, %again ]
  %value = load atomic i64, ptr %flag acquire, align 8
  %raised = icmp ne i64 %value, 0
  br i1 %raised, label %done, label %again
again:
  %round.next = add i64 %round, 1
  %lost = icmp eq i64 %round.next, 20000000000
  br i1 %lost, label %gave_up, label %spin
done:
  ret i32 0
gave_up:
  ret i32 {FLAG_NEVER_CAME}
}}
"""
