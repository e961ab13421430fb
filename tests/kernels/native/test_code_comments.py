"""Lines of source as comments in LLVM IR and assembly."""

import llvmlite.binding as llvm
import pytest

from graphc.kernels.native.code_comments import (
    commented_assembly,
    commented_lines,
    commented_llvm,
    user_lines,
)
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler

SOURCE = """\
def halve(arguments, thread, threads):
    x = buffer(arguments, 0, 2, f32)
    y = buffer(arguments, 1, 2, f32)
    for i in range(64):
        x_value = x[i]  # net.py:3: y = x / 2
        divide = x_value * f32(0.5)
        y[i] = divide
    return 0
"""


@pytest.fixture(scope="module")
def compiled():
    compiler = KernelCompiler()
    return [
        compiler.compile_kernel(SOURCE, "halve", filename="<graphc halve>", lines=lines)
        for lines in (True, False)
    ]


def test_lines_from_one_line_of_the_user_all_name_it():
    assert commented_lines(SOURCE)[4:7] == [
        "x_value = x[i]  # net.py:3: y = x / 2",
        "divide = x_value * f32(0.5)  # net.py:3",
        "y[i] = divide  # net.py:3",
    ]
    assert commented_lines(SOURCE)[1] == "x = buffer(arguments, 0, 2, f32)"
    assert user_lines(SOURCE) == ["net.py:3: y = x / 2"]


def test_line_directives_change_no_code(compiled):
    def code(kernel):
        sections = llvm.ObjectFileRef.from_data(kernel.object_code).sections()
        return [section.data() for section in sections if section.is_text() and section.size()]

    with_lines, without = map(code, compiled)
    assert with_lines == without and with_lines


def test_code_stands_below_its_line(compiled):
    with_lines, _ = compiled
    for text, sign, multiplies in (
        (commented_llvm(with_lines.llvm, SOURCE), ";", "fmul"),
        (commented_assembly(with_lines.assembly, SOURCE), "#", "mul"),
    ):
        lines = text.splitlines()
        at = next(n for n, line in enumerate(lines) if f"{sign} 6: divide = " in line)
        end = next(n for n in range(at + 1, len(lines)) if f"{sign} 7: " in lines[n])
        assert any(multiplies in line for line in lines[at:end])
        assert "!dbg" not in text and ".loc" not in text
