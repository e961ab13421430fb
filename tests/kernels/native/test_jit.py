"""Compiled kernels: buffers, primitives, microkernels, and the machine code that comes out."""

import ctypes
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, Registry

from graphc.kernels.mathematics.arithmetic import primitives
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.jit.target import kernel_target
from graphc.kernels.native.llvm import (
    CompiledKernel,
    compile_ir,
    default_target,
    host_target,
    host_vector_bits,
)
from graphc.kernels.native.machine_code import inner_loops

ENTRY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
DTYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "bool_": np.bool_}


@pytest.fixture(scope="module")
def compiler() -> KernelCompiler:
    return KernelCompiler()


def run(kernel: CompiledKernel, *arrays: np.ndarray, thread: int = 0, threads: int = 1) -> int:
    pointers = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    return ENTRY(kernel.address)(ctypes.addressof(pointers), thread, threads)


def compile_body(
    compiler: KernelCompiler, count: int, dtype: str, body: str, **more: Any
) -> CompiledKernel:
    """A kernel over buffers x0, x1, ... of one dtype."""
    buffers = "\n".join(f"    x{k} = buffer(args, {k}, {count}, {dtype})" for k in range(count))
    source = f"def kernel(args, thread, threads):\n{buffers}\n{body}    return 0\n"
    return compiler.compile_kernel(source, "kernel", filename="<test>", **more)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_copy_keeps_every_element(compiler: KernelCompiler, dtype: str) -> None:
    kernel = compile_body(compiler, 2, dtype, "    for i in range(37):\n        x1[i] = x0[i]\n")
    x = np.random.default_rng(0).integers(-9, 9, 37).astype(DTYPES[dtype])
    y = np.zeros(40, DTYPES[dtype])
    assert run(kernel, x, y) == 0
    np.testing.assert_array_equal(y[:37], x)
    assert not y[37:].any()


def test_a_bool_buffer_stores_comparisons_as_bytes(compiler: KernelCompiler) -> None:
    source = """def kernel(args, thread, threads):
    x = buffer(args, 0, 2, f32)
    mask = buffer(args, 1, 2, bool_)
    for i in range(20):
        mask[i] = (x[i] > f32(0)) & (mask[i] | (x[i] < f32(1)))
    return 0
"""
    kernel = compiler.compile_kernel(source, "kernel", filename="<test>")
    x = np.linspace(-2, 2, 20, dtype=np.float32)
    mask = np.arange(20) % 2 == 0
    expected = (x > 0) & (mask | (x < 1))
    run(kernel, x, mask)
    np.testing.assert_array_equal(mask, expected)
    assert set(mask.view(np.uint8)) == {0, 1}


SCALED = """def {name}(args, thread, threads):
    x = buffer(args, 0, 1, f32)
    for i in range(thread * 24 // threads, (thread + 1) * 24 // threads):
        {value} = x[i] * f32(2.0) + maximum(x[i], f32(1.0))
        x[i] = {value}
    return 0
"""


def test_numba_types_what_it_has_typed_no_second_time(
    compiler: KernelCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = SCALED.format(name="first", value="y")
    compiler.translate(first, "first", filename="<first>")

    def fail(*arguments: Any) -> None:
        raise AssertionError("typed again")

    for kind in (types.Function, types.NumberClass):
        monkeypatch.setattr(kind, "get_call_type", fail, raising=False)
    second = SCALED.format(name="second", value="z")
    kernel = compiler.compile_kernel(second, "second", filename="<second>")
    x = np.linspace(-2, 2, 24, dtype=np.float32)
    expected = x * 2 + np.maximum(x, 1)
    run(kernel, x)
    np.testing.assert_array_equal(x, expected)


INTEGERS = (0, 1, -1, 2, -3, 7, 64, -64, 2**62, -(2**63), 2**63 - 1)


def test_an_operator_that_takes_more_from_now_on_takes_what_it_did(
    compiler: KernelCompiler,
) -> None:
    """numba then gives it another type, which knows nothing of the calls that were typed."""

    class OfTexts(AbstractTemplate):
        key = operator.getitem

        def generic(self, args: Any, kws: Any) -> None:
            return None

    body = "    for i in range(5):\n        x1[i] = x0[i]\n"
    compile_body(compiler, 2, "f32", body)
    typing = kernel_target().typing_context
    before = typing.resolve_value_type(operator.getitem)
    registry = Registry()
    registry.register_global(operator.getitem, types.Function(OfTexts))
    typing.install_registry(registry)
    assert typing.resolve_value_type(operator.getitem) is not before
    kernel = compile_body(compiler, 2, "f32", body)
    x, y = np.arange(5, dtype=np.float32), np.zeros(5, np.float32)
    assert run(kernel, x, y) == 0
    np.testing.assert_array_equal(y, x)


def test_quotients_are_rounded_down(compiler: KernelCompiler) -> None:
    """As Python's; where there is none, it is 0, as it is to numba."""
    body = (
        "    for i in range(121):\n        x2[i] = x0[i] // x1[i]\n        x3[i] = x0[i] % x1[i]\n"
    )
    kernel = compile_body(compiler, 4, "i64", body)
    x = np.repeat(np.array(INTEGERS), len(INTEGERS))
    y = np.tile(np.array(INTEGERS), len(INTEGERS))
    quotients, rests = np.ones_like(x), np.ones_like(x)
    run(kernel, x, y, quotients, rests)
    for a, b, quotient, rest in zip(*map(np.ndarray.tolist, (x, y, quotients, rests)), strict=True):
        has_none = b == 0 or (a, b) == (-(2**63), -1)
        assert (quotient, rest) == ((0, 0) if has_none else (a // b, a % b)), (a, b)


LIMITS = [(5,), (0,), (2, 9), (9, 2), (-3, 3), (0, 10, 3), (1, 10, 3), (4, 4, 2)]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_loops_go_over_ranges(compiler: KernelCompiler, limits: tuple[int, ...]) -> None:
    """Also where the limits are known as late as the run, and where there is nothing in them."""
    late = ", ".join(f"x0[{k}]" for k in range(len(limits)))
    for text in (", ".join(map(str, limits)), late):
        body = f"""    count = 0
    for i in range({text}):
        x1[count] = i
        count = count + 1
    x2[0] = count
"""
        kernel = compile_body(compiler, 3, "i64", body)
        given = np.array(limits)
        values, count = np.zeros(16, np.int64), np.zeros(1, np.int64)
        run(kernel, given, values, count)
        assert values[: count[0]].tolist() == list(range(*limits))
    assert "picklebuf" not in compiler.translate(LOOP, "k", filename="<loop>").llvm_ir


LOOP = "def k(args, thread, threads):\n    for i in range(thread):\n        pass\n    return 0\n"


def test_an_operator_is_typed_by_its_operands(compiler: KernelCompiler) -> None:
    """What is known of one type is not taken for another."""
    body = "    for i in range(9):\n        x1[i] = x0[i] * x0[i] + x0[i]\n"
    for dtype in ("f32", "f64", "i64"):
        x = np.arange(9).astype(DTYPES[dtype]) + 2**26
        y = np.zeros_like(x)
        run(compile_body(compiler, 2, dtype, body), x, y)
        np.testing.assert_array_equal(y, x * x + x)


def test_status_and_thread_pass_through(compiler: KernelCompiler) -> None:
    source = "def kernel(args, thread, threads):\n    return 10 * thread + threads\n"
    kernel = compiler.compile_kernel(source, "kernel", filename="<test>")
    assert run(kernel, np.zeros(1), thread=3, threads=4) == 34


def test_stack_arrays_are_separate_and_aligned(compiler: KernelCompiler) -> None:
    body = """    first = stack(f32, 16)
    second = stack(f32, 16)
    for i in range(16):
        first[i] = x0[i]
        second[i] = f32(2) * x0[i]
    for i in range(16):
        x1[i] = first[i] + second[15 - i]
"""
    kernel = compile_body(compiler, 2, "f32", body)
    x, y = np.arange(16, dtype=np.float32), np.zeros(16, np.float32)
    run(kernel, x, y)
    np.testing.assert_array_equal(y, x + 2 * x[::-1])


def test_advance_moves_by_elements(compiler: KernelCompiler) -> None:
    body = """    tail = advance(x0, 5)
    for i in range(3):
        x1[i] = tail[i]
"""
    kernel = compile_body(compiler, 2, "i64", body)
    x, y = np.arange(10), np.zeros(3, np.int64)
    run(kernel, x, y)
    np.testing.assert_array_equal(y, [5, 6, 7])


@pytest.mark.parametrize("dtype", ["f32", "f64", "i64"])
@pytest.mark.parametrize(
    ("step", "initial", "reduce"),
    [
        ("add_reassoc", "0", np.sum),
        ("multiply_reassoc", "1", np.prod),
        ("maximum_reassoc", "-99", np.max),
        ("minimum_reassoc", "99", np.min),
    ],
)
def test_reductions(
    compiler: KernelCompiler, dtype: str, step: str, initial: str, reduce: Any
) -> None:
    body = f"""    total = {dtype}({initial})
    for i in range(45):
        total = {step}(total, x0[i])
    x1[0] = total
"""
    kernel = compile_body(compiler, 2, dtype, body)
    # Small integers and powers of two: every order of summation is exact.
    x = np.random.default_rng(0).choice([1, 2, -1], 45).astype(DTYPES[dtype])
    y = np.zeros(1, DTYPES[dtype])
    run(kernel, x, y)
    assert y[0] == reduce(x)


@pytest.mark.parametrize("step", ["maximum_reassoc", "minimum_reassoc"])
def test_extremes_keep_nan(compiler: KernelCompiler, step: str) -> None:
    body = f"""    extreme = x0[0]
    for i in range(1, 64):
        extreme = {step}(extreme, x0[i])
    x1[0] = extreme
"""
    kernel = compile_body(compiler, 2, "f32", body)
    x, y = np.arange(64, dtype=np.float32), np.zeros(1, np.float32)
    x[41] = np.nan
    run(kernel, x, y)
    assert np.isnan(y[0])


@pytest.mark.parametrize(("step", "wanted"), [("maximum_reassoc", 200), ("minimum_reassoc", 100)])
def test_extremes_of_bytes_have_no_sign(compiler: KernelCompiler, step: str, wanted: int) -> None:
    kernel = compile_body(compiler, 2, "u8", f"    x1[0] = {step}(x0[0], x0[1])\n")
    y = np.zeros(1, np.uint8)
    run(kernel, np.array([200, 100], np.uint8), y)
    assert y[0] == wanted


SPECIAL = [0.0, -0.0, 0.5, -1.5, 2.5, 3.7, -7.2, 1e30, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize(
    "expression",
    [
        "select(a > b, a, b)",
        "fma(a, b, c)",
        "round_even(a)",
        "floor(a)",
        "ceil(a)",
        "sqrt(a)",
        "absolute(a)",
        "minimum(a, b)",
        "maximum(a, b)",
        "copysign(a, b)",
        "float_from_bits(bits_from_float(a))",
    ],
)
def test_primitives_mean_what_numpy_says(
    compiler: KernelCompiler, dtype: str, expression: str
) -> None:
    body = f"""    for i in range({len(SPECIAL) ** 2}):
        a = x0[i]
        b = x1[i]
        c = x2[i]
        x3[i] = {expression}
"""
    kernel = compile_body(compiler, 4, dtype, body)
    a, b = (grid.ravel().astype(DTYPES[dtype]) for grid in np.meshgrid(SPECIAL, SPECIAL))
    c, y = np.roll(a, 3), np.empty_like(a)
    run(kernel, a, b, c, y)
    with np.errstate(all="ignore"):
        names = {"a": a, "b": b, "c": c}
        expected = eval(expression, vars(primitives).copy(), names)
    np.testing.assert_array_equal(y, expected)
    sign_is_open = np.isnan(y) | ((y == 0) & ("imum" in expression))
    assert ((np.signbit(y) == np.signbit(expected)) | sign_is_open).all()


def test_a_store_of_another_float_type_is_refused(compiler: KernelCompiler) -> None:
    with pytest.raises(Exception, match=r"[Ss]etitem") as caught:
        compile_body(compiler, 2, "f32", "    x1[0] = x0[0] * 2.5\n")
    assert any("compiling kernel kernel of <test>" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("expression", ["select(a > b, a, 1.0)", "fma(a, b, 2.0)", "exp(1)"])
def test_primitives_never_promote(compiler: KernelCompiler, expression: str) -> None:
    body = f"    a = x0[0]\n    b = x0[1]\n    x1[0] = f32({expression})\n"
    with pytest.raises(Exception, match=r"Invalid use|Unknown|No implementation"):
        compile_body(compiler, 2, "f32", body)


@dataclass(frozen=True)
class ScaleRow:
    """A stand-in microkernel: c[k] = a[0] * b[k] for k < depth."""

    name: str
    dtype: str
    llvm_ir: str
    is_indexed: bool = False


SCALE_ROW = ScaleRow(
    "scale_row",
    "f32",
    """define void @scale_row(i64 %depth, ptr %a, i64 %a_row, i64 %a_depth,
                       ptr %b, i64 %b_depth, ptr %c, i64 %c_row) {
entry:
  %factor = load float, ptr %a
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %next, %loop ]
  %from = getelementptr float, ptr %b, i64 %k
  %to = getelementptr float, ptr %c, i64 %k
  %value = load float, ptr %from
  %scaled = fmul float %value, %factor
  store float %scaled, ptr %to
  %next = add i64 %k, 1
  %more = icmp slt i64 %next, %depth
  br i1 %more, label %loop, label %done
done:
  ret void
}
""",
)


def test_a_microkernel_is_called_by_name(compiler: KernelCompiler) -> None:
    body = """    row = stack(f32, 24)
    scale_row(24, advance(x0, 1), 1, 1, x1, 1, row, 1)
    for i in range(24):
        x2[i] = row[i] + f32(1)
"""
    kernel = compile_body(compiler, 3, "f32", body, microkernels=(SCALE_ROW,))
    a, b = np.array([9, 3], np.float32), np.arange(24, dtype=np.float32)
    c = np.zeros(24, np.float32)
    run(kernel, a, b, c)
    np.testing.assert_array_equal(c, 3 * b + 1)


def test_textual_ir_compiles() -> None:
    native = compile_ir("define i64 @twice(i64 %x) {\n  %y = shl i64 %x, 1\n  ret i64 %y\n}\n")
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(native.address("twice"))(21) == 42
    with pytest.raises(KeyError):
        native.address("thrice")


def test_a_traceback_shows_the_source(compiler: KernelCompiler) -> None:
    import linecache

    compile_body(compiler, 1, "f32", "    x0[0] = f32(1)\n")
    assert linecache.getline("<test>", 3) == "    x0[0] = f32(1)\n"


def test_the_object_code_needs_nothing_of_python(compiler: KernelCompiler) -> None:
    body = "    for i in range(99):\n        x1[i] = tanh(x0[i])\n"
    kernel = compile_body(compiler, 2, "f32", body)
    for foreign in (b"numba", b"Numba", b"Py", b"graphc"):
        assert foreign not in kernel.object_code


X86_ONLY = pytest.mark.skipif(host_vector_bits() < 256, reason="reads x86 assembly with AVX")


@X86_ONLY
@pytest.mark.parametrize("function", ["exp", "tanh", "sigmoid", "log", "softplus", "erf", "sin"])
def test_vector_math_is_inlined_at_full_width(compiler: KernelCompiler, function: str) -> None:
    body = f"    for i in range(4096):\n        x1[i] = {function}(x0[i])\n"
    loops = inner_loops(compile_body(compiler, 2, "f32", body).assembly)
    assert len(loops) == 1, "4096 is a multiple of the vector width: no scalar tail"
    # More only where narrower vectors are asked for, and sin computes in f64.
    assert loops[0].vector_bits >= default_target().vector_bits
    assert loops[0].fused > 0
    assert loops[0].scalar == 0
    assert loops[0].calls == 0


@X86_ONLY
def test_many_buffers_stay_vectorised(compiler: KernelCompiler) -> None:
    total = " + ".join(f"x{k}[i]" for k in range(11))
    writes = "".join(f"        x{k}[i] = total * x{k}[i]\n" for k in range(12))
    body = f"    for i in range(1024):\n        total = {total}\n{writes}"
    loops = inner_loops(compile_body(compiler, 12, "f32", body).assembly)
    assert len(loops) == 1, (
        "LLVM checks overlap at run time, and keeps a scalar loop, if scopes are lost"
    )
    assert loops[0].vector_bits == default_target().vector_bits
    assert loops[0].scalar == 0


@X86_ONLY
def test_reductions_are_vectorised_and_other_sums_are_not(compiler: KernelCompiler) -> None:
    def loops_of(statement: str) -> list:
        body = f"""    total = f32(0)
    for i in range(65536):
        {statement}
    x1[0] = total
"""
        return inner_loops(compile_body(compiler, 2, "f32", body).assembly)

    (regrouped,) = loops_of("total = add_reassoc(total, x0[i])")
    assert regrouped.packed > 0
    assert regrouped.scalar == 0
    (ordered,) = loops_of("total = total + x0[i]")
    assert ordered.packed == 0


@X86_ONLY
@pytest.mark.parametrize("vector_bits", [128, 256])
def test_vectors_can_be_held_to_fewer_bits(vector_bits: int) -> None:
    narrow = KernelCompiler(vector_bits)
    body = "    for i in range(4096):\n        x1[i] = exp(x0[i])\n"
    kernel = compile_body(narrow, 2, "f32", body)
    (loop,) = inner_loops(kernel.assembly)
    assert loop.vector_bits == vector_bits
    assert loop.packed > 0 and loop.scalar == 0
    assert loop.fused > 0


def test_a_width_that_the_host_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="1024-bit"):
        host_target(1024)
