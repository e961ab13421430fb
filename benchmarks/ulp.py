"""The largest error of each unary f32 function, in ULP, over every one of the 2**32 inputs.

    python -m benchmarks.ulp --function exp
    python -m benchmarks.ulp --all --stride 97 --json ulp.json
    python -m benchmarks.ulp --derivatives --stride 97

Derivatives are those that `grad` takes, rewritten and compiled as in a training step, wherever
they are normal numbers.

The compiled functions are compared with numpy's f64 functions, those of the gamma function with
scipy's, and those that neither has with the compiled f64 vector math; their own error is about
2**-29 of an f32 unit. Errors of derivatives that cross 0, such as silu_slope, are in units of 0.25
near there.
"""

import argparse
import ctypes
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

import graphc as gc
from benchmarks.measure import print_table, write_json
from graphc.ir.ops.elementwise import elementwise
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.llvm import CompiledKernel

INPUTS = 2**32
CHUNK = 2**20
MANTISSA_BITS = 23
SMALLEST_EXPONENT = -126
LARGEST_F32 = float(np.finfo(np.float32).max)
# Where rounding to f32 starts to give infinity.
OVERFLOW = LARGEST_F32 + 2.0 ** (127 - MANTISSA_BITS - 1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _sigmoid_tail(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return e / (1.0 + e)


def _sigmoid_slope(x: np.ndarray) -> np.ndarray:
    tail = _sigmoid_tail(x)
    return tail * (1.0 - tail)


REFERENCES: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "tanh_tail": lambda x: 2.0 * _sigmoid_tail(2.0 * x),
    "sigmoid": _sigmoid,
    "sigmoid_tail": _sigmoid_tail,
    "softplus": _softplus,
    "sin": np.sin,
    "cos": np.cos,
    **{name: getattr(np, name) for name in ("exp2", "log2", "log10", "tan", "sinh", "cosh")},
    **{name: getattr(np, f"arc{name[1:]}") for name in ("asin", "acos", "atan")},
    **{name: getattr(np, f"arc{name[1:]}") for name in ("asinh", "acosh", "atanh")},
    # That of -inf is inf in C99 alone.
    "lgamma": lambda x: np.where(x == -np.inf, np.inf, special.gammaln(x)),
    "digamma": special.psi,
}
OF_WIDE_KERNELS = (
    "erf", "erfc", "exp_minus_square", "gelu", "gelu_slope", "silu", "silu_slope", "mish",
    "mish_slope",
)  # fmt: skip
FUNCTIONS = (*REFERENCES, *OF_WIDE_KERNELS)
# Of each where it crosses 0; errors beside that are in units of a quarter.
CROSSINGS = {"gelu_slope": -0.7518, "silu_slope": -1.2785, "mish_slope": -1.1924}
CROSSING_WIDTH = 0.5
CROSSING_SIZE = 0.25
# These may give 0 in the place of a subnormal number.
FLUSHED = ("tanh_tail",)

# Of each function what is written, and its exact derivative.
DERIVATIVES: dict[str, tuple[Callable[[Any], Any], Callable[..., Any]]] = {
    "tanh": (gc.tanh, lambda x: 4.0 * _sigmoid_slope(2.0 * x)),
    "sigmoid": (gc.sigmoid, _sigmoid_slope),
    "softplus": (gc.softplus, _sigmoid),
    "elu": (gc.elu, lambda x: np.where(x > 0, 1.0, np.exp(x))),
    "expm1": (gc.expm1, np.exp),
    "log1p": (gc.log1p, lambda x: 1.0 / (1.0 + x)),
    "erf": (gc.erf, lambda x: 2.0 / np.sqrt(np.pi) * np.exp(-(x * x))),
    "tan": (gc.tan, lambda x: 1.0 / np.cos(x) ** 2),
    "asin": (gc.asin, lambda x: 1.0 / np.sqrt((1.0 - x) * (1.0 + x))),
    "atan": (gc.atan, lambda x: 1.0 / (1.0 + x * x)),
    "asinh": (gc.asinh, lambda x: 1.0 / np.hypot(1.0, x)),
    "acosh": (gc.acosh, lambda x: 1.0 / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0))),
    "atanh": (gc.atanh, lambda x: 1.0 / ((1.0 - x) * (1.0 + x))),
    "log2": (gc.log2, lambda x: 1.0 / (np.log(2.0) * (x + 0.0))),
    "softsign": (gc.softsign, lambda x: 1.0 / (1.0 + np.abs(x)) ** 2),
    "lgamma": (gc.lgamma, special.psi),
    "cross-entropy, 0": (lambda x: elementwise.sigmoid_cross_entropy(x, 0.0), _sigmoid),
    "cross-entropy, 1": (
        lambda x: elementwise.sigmoid_cross_entropy(x, 1.0),
        lambda x: -_sigmoid(-x),
    ),
    "1 / (1 + exp(-x))": (lambda x: 1 / (1 + gc.exp(-x)), _sigmoid_slope),
    "exp(x) - 1": (lambda x: gc.exp(x) - 1, np.exp),
    "log(1 + exp(x))": (lambda x: gc.log(1 + gc.exp(x)), _sigmoid),
}


@dataclass(frozen=True)
class LargestError:
    """`ulp` is infinite where one of result and reference is NaN or wrongly infinite."""

    function: str
    ulp: float
    input: float
    result: float
    reference: float
    inputs: int
    seconds: float


def derivative(function: Callable[[Any], Any]) -> Callable[[np.ndarray], np.ndarray]:
    """The compiled derivative of an elementwise function, of arrays of CHUNK values."""
    graph = gc.Graph()
    x = graph.input("x", (CHUNK,))
    return gc.function([x], gc.grad(gc.sum(function(x)), x))


def errors_in_ulp(result: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """|f32 result - f64 reference| over the spacing of f32 at the reference."""
    exponent = np.maximum(np.frexp(reference)[1] - 1, SMALLEST_EXPONENT)
    error = np.abs(result - reference) * np.ldexp(1.0, MANTISSA_BITS - exponent)
    overflows = np.abs(reference) >= OVERFLOW
    agree = np.where(overflows, np.isinf(result) & (result * reference > 0), result == reference)
    agree |= np.isnan(result) & np.isnan(reference)
    return np.where(agree, 0.0, np.where(np.isfinite(error), error, np.inf))


def compile_unary(compiler: KernelCompiler, function: str, dtype: str) -> CompiledKernel:
    """A kernel that maps an array of CHUNK values."""
    source = f"""def kernel(args, thread, threads):
    x = buffer(args, 0, 2, {dtype})
    y = buffer(args, 1, 2, {dtype})
    for i in range({CHUNK}):
        y[i] = {function}(x[i])
    return 0
"""
    return compiler.compile_kernel(source, "kernel", filename=f"<ulp of {function} {dtype}>")


def array_function(kernel: CompiledKernel) -> Callable[[np.ndarray], np.ndarray]:
    """The kernel as a function of an array of CHUNK values."""
    call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    run = call(kernel.address)

    def apply(x: np.ndarray) -> np.ndarray:
        y = np.empty_like(x)
        pointers = (ctypes.c_void_p * 2)(x.ctypes.data, y.ctypes.data)
        run(ctypes.addressof(pointers), 0, 1)
        return y

    return apply


def largest_error(compiler: KernelCompiler, function: str, stride: int) -> LargestError:
    """The largest error of a function of the vector math."""
    kernel = compile_unary(compiler, function, "f32")
    if function in OF_WIDE_KERNELS:
        exact_kernel = compile_unary(compiler, function, "f64")
        exact = array_function(exact_kernel)
    else:
        exact = REFERENCES[function]
    return walk(function, array_function(kernel), exact, stride, function in FLUSHED)


def walk(
    name: str,
    measured: Callable[..., Any],
    exact: Callable[..., Any],
    stride: int,
    normal_only: bool,
) -> LargestError:
    """Walks all bit patterns, or every `stride`-th, in chunks.

    normal_only: whether results that are no normal numbers are passed by.
    """
    worst = (-1.0, 0.0, 0.0, 0.0)
    start = time.perf_counter()
    with np.errstate(all="ignore"):
        for first in range(0, INPUTS, CHUNK * stride):
            patterns = (first + stride * np.arange(CHUNK, dtype=np.uint64)) % np.uint64(INPUTS)
            x = patterns.astype(np.uint32).view(np.float32)
            y = measured(x)
            reference = exact(x.astype(np.float64))
            error = errors_in_ulp(y.astype(np.float64), reference)
            if normal_only:
                error[np.abs(reference) < 2.0**SMALLEST_EXPONENT] = 0.0
            if name in CROSSINGS:
                is_near = np.abs(x - CROSSINGS[name]) < CROSSING_WIDTH
                error *= np.where(is_near, np.minimum(np.abs(reference) / CROSSING_SIZE, 1.0), 1.0)
            at = int(np.argmax(error))
            if error[at] > worst[0]:
                worst = (float(error[at]), float(x[at]), float(y[at]), float(reference[at]))
    inputs = min(-(-INPUTS // (CHUNK * stride)) * CHUNK, INPUTS)
    return LargestError(name, *worst, inputs, time.perf_counter() - start)


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--function", choices=FUNCTIONS, action="append")
    chosen.add_argument("--all", action="store_true")
    chosen.add_argument("--derivatives", action="store_true")
    parser.add_argument("--stride", type=int, default=1, help="look at every N-th input only")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.derivatives:
        rows = [
            walk(name, derivative(function), exact, arguments.stride, normal_only=True)
            for name, (function, exact) in DERIVATIVES.items()
        ]
    else:
        compiler = KernelCompiler()
        functions = FUNCTIONS if arguments.all else arguments.function
        rows = [largest_error(compiler, function, arguments.stride) for function in functions]
    print_table(
        f"Largest errors over inputs whose bit patterns are {arguments.stride} apart",
        ("function", "largest error (ULP)", "at", "result", "reference", "seconds"),
        [
            (
                row.function,
                f"{row.ulp:.3f}",
                f"{row.input:.9g}",
                f"{row.result:.9g}",
                f"{row.reference:.12g}",
                f"{row.seconds:.1f}",
            )
            for row in rows
        ],
    )
    write_json(arguments.json, {"rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
