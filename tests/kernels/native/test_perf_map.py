"""What perf is told of kernels."""

import ctypes
import os
import sys

import pytest

from graphc.kernels.native import perf_map
from graphc.kernels.native.llvm import compile_ir

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="perf is Linux's")

LLVM_IR = """
define internal i32 @helper(i32 %x) noinline {
  %y = mul i32 %x, %x
  ret i32 %y
}
define i32 @kernel(i32 %x) {
  %y = call i32 @helper(i32 %x)
  %z = add i32 %y, 1
  ret i32 %z
}
"""


@pytest.fixture(scope="module")
def module():
    return compile_ir(LLVM_IR)


def test_lines_are_where_the_code_is(module):
    functions = {each.name: each for each in perf_map.functions_of(module.object_code)}
    assert set(functions) == {"helper", "kernel"}
    lines = perf_map.map_lines("matmul_tanh", "kernel", module)
    rows = {name: (int(start, 16), int(size, 16)) for start, size, name in map(str.split, lines)}
    assert set(rows) == {"matmul_tanh", "matmul_tanh:helper"}
    start, size = rows["matmul_tanh"]
    assert start == module.address("kernel") and size == functions["kernel"].size
    helper, length = rows["matmul_tanh:helper"]
    # The helper computes x * x where the map says that it is.
    assert ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)(helper)(7) == 49
    assert helper + length <= start or start + size <= helper


def test_modules_are_appended(module, tmp_path):
    for name in ("one", "two"):
        perf_map.append_to_map(name, "kernel", module, tmp_path)
    text = (tmp_path / f"perf-{os.getpid()}.map").read_text()
    names = [line.split()[2] for line in text.splitlines()]
    assert sorted(names) == ["one", "one:helper", "two", "two:helper"]


def test_a_link_is_not_followed(module, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / f"perf-{os.getpid()}.map").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic link"):
        perf_map.append_to_map("one", "kernel", module, tmp_path)
    assert not elsewhere.exists()


def test_switch():
    assert perf_map.is_wanted({perf_map.VARIABLE: "1"})
    assert not perf_map.is_wanted({})
    with pytest.raises(ValueError, match="GRAPHC_PERF='yes': expected '0' or '1'"):
        perf_map.is_wanted({perf_map.VARIABLE: "yes"})


def test_other_formats_are_refused():
    with pytest.raises(ValueError, match="ELF"):
        perf_map.functions_of(b"MZ")
