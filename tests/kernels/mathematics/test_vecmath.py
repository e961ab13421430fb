"""Vector math: accuracy, special values, and compiled code with the bits of the numpy form."""

import ctypes
import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from graphc.kernels.host.vector_width import VECTOR_BITS
from graphc.kernels.mathematics import vecmath
from graphc.kernels.mathematics.math_ir import record_function, recordable
from graphc.kernels.mathematics.vecmath import VECTOR_MATH
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.llvm import host_vector_bits
from tests.kernels.mathematics.vecmath_values import REFERENCES, SPECIAL_VALUES

DTYPES = {"f32": np.float32, "f64": np.float64}
INTEGERS = {"f32": np.int32, "f64": np.int64}
ARITY = {name: by_dtype["f32"].__code__.co_argcount for name, by_dtype in VECTOR_MATH.items()}
UNARY = [name for name, arity in ARITY.items() if arity == 1]
QUOTIENTS = ("mod", "floor_divide")
# They branch where an argument or a quotient is far out.
BRANCHING = ("sin", "cos", "tan", *QUOTIENTS)
PLANE = ("hypot", "atan2")
GAMMA = ("lgamma", "digamma", "trigamma")
# Their references take one number at a time.
BY_SCALAR = ("erf", "erfc", "gelu", "gelu_slope", *GAMMA)
ENTRY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
LARGEST_ERROR_ULP = 2.0
POINTS = 200_000

INFINITY, NAN = math.inf, math.nan
# Derivatives, which are within 4 ULP, and where they cross 0 within that of so much: there their
# terms nearly cancel.
SLOPES = {"silu_slope": 0.1, "mish_slope": 0.1, "gelu_slope": 0.25}
LARGEST_SLOPE_ERROR_ULP = 4.0


@pytest.fixture(scope="module")
def compiler() -> KernelCompiler:
    return KernelCompiler()


def compile_function(compiler: KernelCompiler, name: str, dtype: str) -> Callable[..., np.ndarray]:
    """The compiled function of arrays of any length."""
    operands = "xy"[: ARITY[name]]
    count = len(operands) + 2
    buffers = "".join(
        f"    {operand} = buffer(args, {k + 1}, {count}, {dtype})\n"
        for k, operand in enumerate(operands)
    )
    call = ", ".join(f"{operand}[i]" for operand in operands)
    source = f"""def kernel(args, thread, threads):
    size = buffer(args, 0, {count}, i64)
{buffers}    result = buffer(args, {count - 1}, {count}, {dtype})
    for i in range(size[0]):
        result[i] = {name}({call})
    return 0
"""
    kernel = compiler.compile_kernel(source, "kernel", filename=f"<{name} {dtype}>")

    def run(*arrays: np.ndarray) -> np.ndarray:
        result = np.empty_like(arrays[0])
        size = np.array([result.size], np.int64)
        buffers = (size, *arrays, result)
        pointers = (ctypes.c_void_p * len(buffers))(*[array.ctypes.data for array in buffers])
        assert ENTRY(kernel.address)(ctypes.addressof(pointers), 0, 1) == 0
        return result

    return run


@pytest.fixture(scope="module")
def compiled(compiler: KernelCompiler) -> Callable[[str, str], Callable[..., np.ndarray]]:
    """(name, dtype) to the compiled function of arrays of any length."""
    functions: dict[tuple[str, str], Callable[..., np.ndarray]] = {}

    def get(name: str, dtype: str) -> Callable[..., np.ndarray]:
        if (name, dtype) not in functions:
            functions[name, dtype] = compile_function(compiler, name, dtype)
        return functions[name, dtype]

    return get


def sweep(dtype: str, seed: int) -> np.ndarray:
    """Random bit patterns, the range where functions bend, and both near zero."""
    generator = np.random.default_rng(seed)
    integer = np.iinfo(INTEGERS[dtype])
    patterns = generator.integers(integer.min, integer.max, POINTS, dtype=INTEGERS[dtype])
    parts = [
        patterns.view(DTYPES[dtype]),
        generator.uniform(-120, 120, POINTS),
        generator.uniform(-4, 4, POINTS),
        generator.choice([-1, 1], POINTS) * np.exp(generator.uniform(-40, 8, POINTS)),
    ]
    with np.errstate(over="ignore"):
        return np.concatenate([part.astype(DTYPES[dtype]) for part in parts])


def error_in_ulp(result: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """|result - exact| over the spacing of result's dtype at `exact`, which is in a wider dtype."""
    info = np.finfo(result.dtype)
    wide = exact.dtype.type
    magnitude = np.maximum(np.abs(exact), wide(info.tiny))
    exponent = np.frexp(magnitude)[1] - 1
    error = np.abs(result.astype(wide) - exact) * np.ldexp(wide(1), info.nmant - exponent)
    overflows = np.abs(exact) >= wide(info.max) * (1 + wide(2) ** -(info.nmant + 2))
    agree = np.where(
        overflows, np.isinf(result) & (np.sign(result) == np.sign(exact)), result == exact
    )
    agree |= np.isnan(result) & np.isnan(exact)
    return np.where(agree, 0, np.where(np.isfinite(error), error, np.inf)).astype(np.float64)


def assert_accurate(name: str, x: np.ndarray, result: np.ndarray, exact: np.ndarray) -> None:
    error = error_in_ulp(result, exact)
    if name in SLOPES:
        error *= np.where((x > -2) & (x < 0), np.minimum(np.abs(exact) / SLOPES[name], 1), 1)
    if name in FACTORS:
        error[(np.abs(exact) < np.finfo(result.dtype).tiny) & (result == 0)] = 0
    limits = dict.fromkeys(FACTORS, LARGEST_FACTOR_ERROR_ULP)
    limits |= dict.fromkeys(SLOPES, LARGEST_SLOPE_ERROR_ULP)
    assert error.max() <= limits.get(name, LARGEST_ERROR_ULP)


# A factor of tanh's slope, which is within 4 ULP, and may be 0 where it is subnormal.
FACTORS = ("tanh_tail",)
LARGEST_FACTOR_ERROR_ULP = 3.0

HAS_LONG_DOUBLE = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant


@pytest.mark.parametrize("name", UNARY)
def test_f32_is_within_2_ulp(compiled: Any, name: str) -> None:
    x = np.ascontiguousarray(sweep("f32", 1)[:: 50 if name in BY_SCALAR else 1])
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](x.astype(np.float64))
        assert_accurate(name, x, compiled(name, "f32")(x), exact)


@pytest.mark.skipif(not HAS_LONG_DOUBLE, reason="needs a reference wider than f64")
@pytest.mark.parametrize("name", [name for name in UNARY if name not in BY_SCALAR])
def test_f64_is_within_2_ulp(compiled: Any, name: str) -> None:
    x = sweep("f64", 2)
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](x.astype(np.longdouble))
        assert_accurate(name, x, compiled(name, "f64")(x), exact)


@pytest.mark.parametrize("name", ["erf", "sin", "cos", "softplus"])
def test_f64_against_multiple_precision(compiled: Any, name: str) -> None:
    generator = np.random.default_rng(3)
    magnitudes = [generator.uniform(0.8, 1.5, 400), np.exp(generator.uniform(-30, 3, 400))]
    if name in ("sin", "cos"):
        # The doubles next to multiples of pi/2, the nearest of all (Kahan) among them, and both
        # sides of where another reduction begins.
        magnitudes += [np.arange(1, 400) * (np.pi / 2), 2.0**30 * generator.uniform(0.9, 1.1, 100)]
        magnitudes += [np.exp2(generator.uniform(10, 1024, 800)), [6381956970095103 * 2.0**797]]
    magnitude = np.concatenate(magnitudes)
    x = magnitude * generator.choice([-1, 1], magnitude.size)
    functions = {
        "erf": mpmath.erf,
        "sin": mpmath.sin,
        "cos": mpmath.cos,
        "softplus": lambda v: mpmath.log1p(mpmath.exp(v)),
    }
    with mpmath.workdps(50 if magnitude.max() < 1e10 else 350):
        exact = [functions[name](mpmath.mpf(float(value))) for value in x]
        results = compiled(name, "f64")(x)
        errors = [
            float(abs(mpmath.mpf(float(result)) - value) / float(np.spacing(abs(float(value)))))
            for result, value in zip(results, exact, strict=True)
        ]
    assert max(errors) <= LARGEST_ERROR_ULP


NORMAL_SHARE: Callable[[Any], Any] = lambda v: mpmath.erfc(-v / mpmath.sqrt(2)) / 2  # noqa: E731
EXACT: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "erfc": (mpmath.erfc, -6, 27),
    "gelu": (lambda v: v * NORMAL_SHARE(v), -38, 9),
    "lgamma": (mpmath.loggamma, 0.01, 50),
    "digamma": (mpmath.digamma, 0.01, 50),
    "trigamma": (lambda v: mpmath.polygamma(1, v), 0.01, 50),
}


@pytest.mark.parametrize("name", EXACT)
def test_special_functions_against_multiple_precision(compiled: Any, name: str) -> None:
    """Around the positive roots of lgamma and digamma too."""
    function, low, high = EXACT[name]
    generator = np.random.default_rng(12)
    around = np.concatenate([root + generator.normal(0, 1e-3, 30) for root in (1, 1.46163214, 2)])
    x = np.concatenate([generator.uniform(low, high, 100), generator.uniform(0.1, 3, 60), around])
    with mpmath.workdps(40):
        exact = [function(mpmath.mpf(float(value))) for value in x]
        errors = [
            float(abs(mpmath.mpf(float(result)) - value) / float(np.spacing(abs(float(value)))))
            for result, value in zip(compiled(name, "f64")(x), exact, strict=True)
        ]
    assert max(errors) <= LARGEST_ERROR_ULP


@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_gamma_functions_below_zero(compiled: Any, name: str) -> None:
    """Within 4 units in the last place of the terms, which cancel near a root."""
    x = np.random.default_rng(13).uniform(-9, 0, 150)
    function = {"lgamma": lambda v: mpmath.re(mpmath.loggamma(v)), "digamma": mpmath.digamma}[name]
    with mpmath.workdps(40):
        exact = np.array([float(function(mpmath.mpf(float(value)))) for value in x])
    error = np.abs(compiled(name, "f64")(x) - exact)
    assert (error <= 4 * np.spacing(np.maximum(np.abs(exact), 4))).all()


@pytest.mark.parametrize("name", GAMMA)
def test_gamma_functions_of_numbers_whose_reciprocal_overflows(compiled: Any, name: str) -> None:
    """Beside those whose reciprocal is only just finite. Near 0 log gamma(x) is -log |x|."""
    least, most = 5e-324, 2.0**-1022
    x = np.array([least, 3 * least, 1e-310, 2.0**-1024, 5.6e-309, 5.7e-309, 1e-308, most])
    with np.errstate(over="ignore"):
        exact = {"lgamma": -np.log(x), "digamma": -1 / x, "trigamma": np.full_like(x, np.inf)}[name]
    np.testing.assert_allclose(compiled(name, "f64")(x), exact, rtol=1e-15)
    mirrored = -exact if name == "digamma" else exact
    np.testing.assert_allclose(compiled(name, "f64")(-x), mirrored, rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pow_is_within_2_ulp(compiled: Any, dtype: str) -> None:
    if dtype == "f64" and not HAS_LONG_DOUBLE:
        pytest.skip("needs a reference wider than f64")
    wide = np.float64 if dtype == "f32" else np.longdouble
    generator = np.random.default_rng(4)
    bases = np.exp(generator.uniform(-30, 30, POINTS)).astype(DTYPES[dtype])
    exponents = generator.uniform(-25, 25, POINTS).astype(DTYPES[dtype])
    x = np.concatenate([bases, -bases, bases, sweep(dtype, 5)])
    y = np.concatenate([exponents, np.rint(exponents), exponents / 25, sweep(dtype, 6)])
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(wide), y.astype(wide))
        assert error_in_ulp(compiled("pow", dtype)(x, y), exact).max() <= LARGEST_ERROR_ULP


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PLANE)
def test_functions_of_the_plane(compiled: Any, name: str, dtype: str) -> None:
    """Within 2 ULP, and special values as numpy has them."""
    if dtype == "f64" and not HAS_LONG_DOUBLE:
        pytest.skip("needs a reference wider than f64")
    wide = np.float64 if dtype == "f32" else np.longdouble
    x, y = sweep(dtype, 10), sweep(dtype, 11)
    x, y = np.concatenate([x, x, x]), np.concatenate([y, x[::-1], x * y[::-1].clip(-4, 4)])
    values = [0.0, 1.0, 5.5, np.finfo(DTYPES[dtype]).max, 1e-40, INFINITY]
    grid = np.meshgrid([*values, *[-value for value in values], NAN], [*values, NAN])
    x, y = (
        np.concatenate([special.ravel(), each]).astype(DTYPES[dtype])
        for special, each in zip(grid, (x, y), strict=True)
    )
    with np.errstate(all="ignore"):
        for second in (y, -y):
            exact = REFERENCES[name](x.astype(wide), second.astype(wide))
            result = compiled(name, dtype)(x, second)
            assert error_in_ulp(result, exact).max() <= LARGEST_ERROR_ULP
            assert ((np.signbit(result) == np.signbit(exact)) | np.isnan(exact)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", VECTOR_MATH)
def test_compiled_gives_the_bits_of_numpy(compiled: Any, name: str, dtype: str) -> None:
    x = sweep(dtype, 7)
    if dtype == "f64":
        # numpy's f64 fma is exact only where no part of the product is subnormal.
        x = x[~(np.abs(x) < 2.0**-900)]
    operands = (x,) if ARITY[name] == 1 else (x if name != "pow" else np.abs(x), np.roll(x, 11))
    if name in (*QUOTIENTS, *PLANE, *GAMMA):
        # numpy's fma splits its operands, which the largest do not allow.
        largest = np.max(np.abs([each.astype(np.float64) for each in operands]), axis=0)
        operands = tuple(each[largest < 1e290] for each in operands)
    with np.errstate(all="ignore"):
        expected = VECTOR_MATH[name][dtype](*operands)
    result = compiled(name, dtype)(*operands)
    assert expected.dtype == result.dtype
    same = result.view(INTEGERS[dtype]) == expected.view(INTEGERS[dtype])
    same |= np.isnan(result) & np.isnan(expected)
    assert same.all(), operands[0][~same][:5]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", VECTOR_MATH)
def test_every_place_in_an_array_gets_the_same_bits(compiled: Any, name: str, dtype: str) -> None:
    run = compiled(name, dtype)
    storage = np.linspace(0.1, 3, 40).astype(DTYPES[dtype])
    # Rare arguments of sin and cos.
    storage[[3, 11, 38]] *= 2.0**40
    operands = ARITY[name]
    whole = run(*[storage] * operands)
    for size in range(1, 34):
        for offset in (0, 1, 5):
            part = storage[offset : offset + size]
            expected = whole[offset : offset + size]
            np.testing.assert_array_equal(run(*[part] * operands), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_special_values(compiled: Any, name: str, dtype: str) -> None:
    cases = np.array([*SPECIAL_VALUES[name], (NAN, NAN)], DTYPES[dtype])
    x, expected = np.ascontiguousarray(cases[:, 0]), cases[:, 1]
    result = compiled(name, dtype)(x)
    np.testing.assert_array_equal(result, expected)
    assert ((np.signbit(result) == np.signbit(expected)) | np.isnan(expected)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name",
    ["expm1", "log1p", "tanh", "sin", "tan", "sinh", "asin", "atan", "asinh", "atanh"],
)
def test_tiny_arguments_come_back(compiled: Any, name: str, dtype: str) -> None:
    info = np.finfo(DTYPES[dtype])
    x = np.array(
        [info.smallest_subnormal, 3 * info.smallest_subnormal, info.tiny, 1e-20], info.dtype
    )
    x = np.concatenate([x, -x])
    np.testing.assert_array_equal(compiled(name, dtype)(x), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", QUOTIENTS)
def test_quotients_are_numpys_bits(compiled: Any, name: str, dtype: str) -> None:
    """Of quotients up to the greatest there are, and of every special value beside every other."""
    generator = np.random.default_rng(9)
    info = np.finfo(DTYPES[dtype])
    values = [0.0, 1.0, 3.0, 5.5, 0.1, info.max, info.tiny, info.smallest_subnormal, INFINITY, NAN]
    grid = np.meshgrid([*values, *[-value for value in values]], values)
    far = np.exp2(generator.uniform(info.minexp, info.maxexp, (2, 20_000)))
    near = generator.uniform(-1e3, 1e3, (2, 20_000))
    x, y = (
        np.concatenate([special.ravel(), each, other, np.rint(other)]).astype(DTYPES[dtype])
        for special, each, other in zip(grid, far, near, strict=True)
    )
    with np.errstate(all="ignore"):
        for divisor in (y, -y):
            expected = getattr(np, name)(x, divisor)
            result = compiled(name, dtype)(x, divisor)
            same = (result == expected) & (np.signbit(result) == np.signbit(expected))
            same |= np.isnan(result) & np.isnan(expected)
            assert same.all(), (x[~same][:5], divisor[~same][:5], result[~same][:5])


@pytest.mark.parametrize("dtype", DTYPES)
def test_pow_follows_c99(compiled: Any, dtype: str) -> None:
    values = [0.0, 0.3, 0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 2.0**23 + 1, 2.0**40, 1e30, INFINITY]
    values = [*values, *[-value for value in values], NAN]
    x, y = (grid.ravel().astype(DTYPES[dtype]) for grid in np.meshgrid(values, values))
    result = compiled("pow", dtype)(x, y)
    with np.errstate(all="ignore"):
        expected = np.power(x, y)
    finite = np.isfinite(expected) & (expected != 0)
    np.testing.assert_array_equal(result[~finite], expected[~finite])
    rounding = LARGEST_ERROR_ULP * np.finfo(DTYPES[dtype]).eps
    np.testing.assert_allclose(result[finite], expected[finite], rtol=rounding)
    assert ((np.signbit(result) == np.signbit(expected)) | np.isnan(expected)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_rare_lanes_get_the_same_bits_in_vectors_of_any_width(
    compiled: Any, name: str, dtype: str
) -> None:
    generator = np.random.default_rng(8)
    x = generator.uniform(-9, 9, 4096)
    far = generator.choice(x.size, 200, replace=False)
    x[far] *= np.exp2(generator.uniform(10, 120, far.size))
    x[far[:20]] = generator.choice([INFINITY, -INFINITY, NAN], 20)
    x = x.astype(DTYPES[dtype])
    with np.errstate(all="ignore"):
        expected = VECTOR_MATH[name][dtype](x)
    for bits in VECTOR_BITS:
        if bits <= host_vector_bits():
            run = compile_function(KernelCompiler(bits), name, dtype)
            np.testing.assert_array_equal(run(x), expected)


def test_sigmoid_and_softplus_keep_small_results(compiled: Any) -> None:
    x = np.array([-80.0, -100.0, -103.0], np.float32)
    exact = np.exp(x.astype(np.float64))
    for name in ("sigmoid", "softplus"):
        assert error_in_ulp(compiled(name, "f32")(x), exact).max() <= 1


@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", VECTOR_MATH)
def test_recorded_code_branches_for_rare_arguments_alone(name: str, dtype: str, lanes: int) -> None:
    function = recordable(vecmath)[f"{name}_{dtype}"]
    recorded = record_function(function, name, dtype, ARITY[name], lanes)
    assert recorded.has_branch == (" br " in recorded.llvm_ir) == (name in BRANCHING)
    common, *_ = recorded.llvm_ir.split("\nrare")
    assert " phi " not in common
    if dtype == "f32" and name not in ("pow", *QUOTIENTS, *GAMMA):
        assert "double" not in common


def test_recording_refuses_constants_without_dtype() -> None:
    with pytest.raises(TypeError, match="definite dtype"):
        record_function(lambda x: x + 1.0, "plus_one", "f32", 1)
    with pytest.raises(TypeError, match="f32 and f64"):
        record_function(lambda x: x + np.float64(1), "plus_one", "f32", 1)
