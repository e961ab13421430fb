"""Which loops get the hint to work on two vectors at a time, and what comes of it."""

import re

import pytest

from graphc.kernels.native import finishing
from graphc.kernels.native.interleave import interleave_long_loops
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler

PREFIX = "graphc."

NESTED = """\
define i32 @kernel() {
outer:
  call void @graphc.exp.f32()
  call void @graphc.exp.f32()
  br label %long
long:
  call float @graphc.exp.f32()
  call float @graphc.log.f32()
  br label %long
lines:
  call float @graphc.exp.f32()
  call float @graphc.log.f32()
  br label %lines, !dbg !5
short:
  call float @graphc.exp.f32()
  call float @other.f32()
  br label %short
last:
  br label %outer
}
!7 = !{}
"""


def test_innermost_loops_with_much_vector_math_get_the_hint() -> None:
    lines = interleave_long_loops(NESTED, PREFIX, long_rows=False).splitlines()
    assert [line for line in lines if "!llvm.loop" in line] == [
        "  br label %long, !llvm.loop !8",
        "  br label %lines, !dbg !5, !llvm.loop !10",
    ]
    assert "!8 = distinct !{!8, !9}" in lines
    assert '!9 = !{!"llvm.loop.interleave.count", i32 2}' in lines


def test_one_call_is_enough_where_rows_are_long() -> None:
    lines = interleave_long_loops(NESTED, PREFIX, long_rows=True).splitlines()
    assert [line.split(",")[0] for line in lines if "!llvm.loop" in line] == [
        "  br label %long", "  br label %lines", "  br label %short",
    ]  # fmt: skip


def test_a_module_without_such_loops_stays_as_it_is() -> None:
    text = NESTED.replace("@graphc.log.f32", "@other.f32")
    assert text != NESTED
    assert interleave_long_loops(text, PREFIX, long_rows=False) is text


def _divisions(compiler: KernelCompiler) -> int:
    """How many vectors the optimised loop y = tanh(x) * sigmoid(x) divides, two for each x."""
    source = """def kernel(args, thread, threads):
    x = buffer(args, 0, 2, f32)
    y = buffer(args, 1, 2, f32)
    for i in range(1024):
        element = x[i]
        y[i] = tanh(element) * sigmoid(element)
    return 0
"""
    kernel = compiler.compile_kernel(source, "kernel", filename="<kernel>")
    lanes = compiler.target.vector_bits // 32
    return len(re.findall(rf"fdiv.* <{lanes} x float>", kernel.llvm))


def test_a_long_loop_works_on_two_vectors_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = KernelCompiler()
    assert _divisions(compiler) == 4
    monkeypatch.setattr(finishing, "interleave_long_loops", lambda llvm_ir, *_: llvm_ir)
    assert _divisions(compiler) == 2
