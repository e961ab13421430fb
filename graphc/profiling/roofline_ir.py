"""LLVM IR of the small kernels that find out what a processor can do at the most.

They have the signature of all kernels, so that the executor runs them on any number of threads.
"""

from __future__ import annotations

from graphc.ir.types import DType, f32, f64

# Multiply-adds that do not wait for one another: enough to hide their latency (4 cycles, two a
# cycle), few enough for the 16 registers of older processors.
ACCUMULATORS = 12

# Vectors that are moved between two looks at the loop's counter.
UNROLLED = 8

# Bytes that a kernel moves for each byte of its buffer: `read` reads all, `copy` reads one half and
# writes the other, `update` reads both and writes one.
MOVING = {"read": 1.0, "copy": 1.0, "update": 1.5}

_LLVM_TYPES = {f32: ("float", "f32"), f64: ("double", "f64")}


def roofline_ir(vector_bits: int) -> str:
    """The kernels `multiply_add_f32`, `multiply_add_f64`, and those of `MOVING`.

    multiply_add_*  arguments: int64 rounds; one vector; room for a vector a thread
    others          arguments: int64 passes and bytes a thread; bytes
    """
    computing = [_multiply_add(dtype, vector_bits) for dtype in _LLVM_TYPES]
    return "\n".join([*computing, *(_moving(name, vector_bits) for name in MOVING)])


def flops_a_round(dtype: DType, vector_bits: int) -> int:
    """Multiplications and additions in one round of `multiply_add_*`."""
    return 2 * ACCUMULATORS * vector_bits // (8 * dtype.itemsize)


def bytes_a_turn(vector_bits: int) -> int:
    """What a thread's part is a multiple of, of either half."""
    return UNROLLED * vector_bits // 8


def _multiply_add(dtype: DType, vector_bits: int) -> str:
    """x = a x + a from 0 on, which tends to 1 for a = 1/2."""
    scalar, name = _LLVM_TYPES[dtype]
    lanes = vector_bits // (8 * dtype.itemsize)
    vector, suffix = f"<{lanes} x {scalar}>", f"v{lanes}{name}"
    numbers = range(ACCUMULATORS)
    phis = [
        f"  %x{k} = phi {vector} [ zeroinitializer, %entry ], [ %y{k}, %loop ]" for k in numbers
    ]
    steps = [
        f"  %y{k} = call {vector} @llvm.fma.{suffix}({vector} %x{k}, {vector} %a, {vector} %a)"
        for k in numbers
    ]
    sums = [
        f"  %s{k} = fadd {vector} {'%y0' if k == 1 else f'%s{k - 1}'}, %y{k}" for k in numbers[1:]
    ]
    return "\n".join(
        [
            f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})",
            f"define i32 @multiply_add_{name}(ptr %arguments, i64 %thread, i64 %threads) {{",
            "entry:",
            *_arguments("rounds.place", "a.place", "result"),
            "  %rounds = load i64, ptr %rounds.place",
            f"  %a = load {vector}, ptr %a.place",
            "  br label %loop",
            "loop:",
            "  %round = phi i64 [ 0, %entry ], [ %round.next, %loop ]",
            *phis,
            *steps,
            "  %round.next = add i64 %round, 1",
            "  %more = icmp slt i64 %round.next, %rounds",
            "  br i1 %more, label %loop, label %done",
            "done:",
            *sums,
            # Without a use nothing would be computed.
            f"  %mine = getelementptr {vector}, ptr %result, i64 %thread",
            f"  store {vector} %s{ACCUMULATORS - 1}, ptr %mine",
            "  ret i32 0",
            "}",
        ]
    )


def _moving(name: str, vector_bits: int) -> str:
    """Volatile: LLVM drops no load whose value is not used, and no store that is overwritten."""
    vector, size = f"<{vector_bits // 32} x i32>", vector_bits // 8
    body = []
    for k in range(UNROLLED):
        offset = k * size
        body += _load(f"x{k}", "here", offset, vector, size)
        if name == "update":
            body += _load(f"y{k}", "there", offset, vector, size)
            body.append(f"  %z{k} = xor {vector} %x{k}, %y{k}")
        if name != "read":
            stored = f"%z{k}" if name == "update" else f"%x{k}"
            body.append(f"  %to{k} = getelementptr i8, ptr %there, i64 {offset}")
            body.append(f"  store volatile {vector} {stored}, ptr %to{k}, align {size}")
    halves = 1 if name == "read" else 2
    return "\n".join(
        [
            f"define i32 @{name}(ptr %arguments, i64 %thread, i64 %threads) {{",
            "entry:",
            *_arguments("passes.place", "bytes"),
            "  %passes = load i64, ptr %passes.place",
            "  %part.place = getelementptr i64, ptr %passes.place, i64 1",
            "  %part = load i64, ptr %part.place",
            "  %offset = mul i64 %part, %thread",
            "  %mine = getelementptr i8, ptr %bytes, i64 %offset",
            f"  %length = udiv i64 %part, {halves}",
            "  %second = getelementptr i8, ptr %mine, i64 %length",
            "  br label %pass",
            "pass:",
            "  %number = phi i64 [ 0, %entry ], [ %number.next, %passed ]",
            "  br label %loop",
            "loop:",
            "  %place = phi i64 [ 0, %pass ], [ %place.next, %loop ]",
            "  %here = getelementptr i8, ptr %mine, i64 %place",
            "  %there = getelementptr i8, ptr %second, i64 %place",
            *body,
            f"  %place.next = add i64 %place, {bytes_a_turn(vector_bits)}",
            "  %more = icmp slt i64 %place.next, %length",
            "  br i1 %more, label %loop, label %passed",
            "passed:",
            "  %number.next = add i64 %number, 1",
            "  %again = icmp slt i64 %number.next, %passes",
            "  br i1 %again, label %pass, label %done",
            "done:",
            "  ret i32 0",
            "}",
        ]
    )


def _load(name: str, base: str, offset: int, vector: str, size: int) -> list[str]:
    return [
        f"  %{name}.place = getelementptr i8, ptr %{base}, i64 {offset}",
        f"  %{name} = load volatile {vector}, ptr %{name}.place, align {size}",
    ]


def _arguments(*names: str) -> list[str]:
    lines = []
    for number, name in enumerate(names):
        lines.append(f"  %{name}.slot = getelementptr ptr, ptr %arguments, i64 {number}")
        lines.append(f"  %{name} = load ptr, ptr %{name}.slot")
    return lines
