"""What LLVM is told of loops that are unrolled whole."""

import pytest

from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.loop_hints import unroll_marked

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
    lines = unroll_marked(NESTED).splitlines()
    assert [line for line in lines if "!llvm.loop" in line] == ['  br label %"B2", !llvm.loop !8']
    assert "!8 = distinct !{!8, !9}" in lines
    assert '!9 = !{!"llvm.loop.unroll.full"}' in lines
    assert not any("call" in line for line in lines)


def test_a_module_without_such_calls_stays_as_it_is() -> None:
    text = NESTED.replace("unrolled_loop", "other")
    assert unroll_marked(text) is text


@pytest.mark.parametrize("is_marked", [True, False])
def test_the_loop_around_an_unrolled_one_is_vectorised(is_marked: bool) -> None:
    source = SOURCE.format(marker="unrolled()" if is_marked else "pass")
    kernel = KernelCompiler(128).compile_kernel(source, "kernel", filename="<kernel>")
    vectors = [line for line in kernel.llvm.splitlines() if "fadd <4 x float>" in line]
    assert (len(vectors) >= 60) == is_marked
