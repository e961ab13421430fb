"""What LLVM is told of loops that are unrolled whole."""

import pytest

from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.loop_hints import hint_marked

NESTED = """\
define i32 @kernel() {
B0:
  br label %"B2"
B2:
  call void @"unrolled_loop"()
  br label %"B4"
B4:
  br label %"B4"
B6:
  br label %"B2"
B8:
  br label %"B8"
}
!7 = !{}
"""

BEHIND_A_DIVISION = """\
define i32 @kernel() {
B2:
  br i1 %"is_zero", label %"B2.if", label %"B2.endif"
B4:
  br i1 %"is_over", label %"B8", label %"B6"
B6:
  call void @"loop_in_vectors"()
  br label %"B4"
B8:
  ret i32 0
B2.if:
  br label %"B2.endif"
B2.endif:
  br label %"B4"
}
"""

# Far more code than LLVM would unroll by itself, inside of a loop over elements side by side.
SOURCE = """\
def kernel(arguments, thread, threads):
    x = buffer(arguments, 0, 2, f32)
    y = buffer(arguments, 1, 2, f32)
    for i in range(64):
        for j in range(60):
            {marker}
            y[i] = y[i] + x[i + j * 64] * x[i + j * 128]
    return 0
"""


def test_the_innermost_loop_around_the_call_gets_the_hint() -> None:
    lines = hint_marked(NESTED).splitlines()
    assert [line for line in lines if "!llvm.loop" in line] == ['  br label %"B2", !llvm.loop !8']
    assert "!8 = distinct !{!8, !9}" in lines
    assert '!9 = !{!"llvm.loop.unroll.full"}' in lines
    assert not any("call" in line for line in lines)


def test_a_jump_into_a_loop_from_a_block_that_stands_below_is_no_loop() -> None:
    lines = hint_marked(BEHIND_A_DIVISION).splitlines()
    assert lines.index('  br label %"B4", !llvm.loop !0') < lines.index("B2.endif:")
    assert sum("!llvm.loop " in line for line in lines) == 1


def test_a_module_without_such_calls_stays_as_it_is() -> None:
    text = NESTED.replace("unrolled_loop", "other")
    assert hint_marked(text) is text


@pytest.mark.parametrize("is_marked", [True, False])
def test_the_loop_around_an_unrolled_one_is_vectorised(is_marked: bool) -> None:
    source = SOURCE.format(marker="unrolled()" if is_marked else "pass")
    kernel = KernelCompiler(128).compile_kernel(source, "kernel", filename="<kernel>")
    vectors = [line for line in kernel.llvm.splitlines() if "fadd <4 x float>" in line]
    assert (len(vectors) >= 60) == is_marked


# The division has a branch, behind which the loop begins.
SUM_OF_ROW = """\
def kernel(arguments, thread, threads):
    x = buffer(arguments, 0, 2, f32)
    y = buffer(arguments, 1, 2, f32)
    for i in range(64):
        divided = x[i] / y[i]
        total = f32(0)
        for j in range(48):
            {marker}
            total = add_reassoc(total, x[i * 48 + j] - divided)
        y[i] = total
    return 0
"""


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_short_row_is_added_up_in_vectors_where_the_source_says_so(is_marked: bool) -> None:
    source = SUM_OF_ROW.format(marker="in_vectors()" if is_marked else "pass")
    kernel = KernelCompiler(128).compile_kernel(source, "kernel", filename="<kernel>")
    single = [line for line in kernel.llvm.splitlines() if "fadd reassoc float" in line]
    assert (len(single) < 48) == is_marked
