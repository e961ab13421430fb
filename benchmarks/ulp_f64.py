"""The largest error of each unary f64 function, in ULP, over random inputs of every magnitude.

    python -m benchmarks.ulp_f64 --count 10000000
    python -m benchmarks.ulp_f64 --function exp --json FILE

Half of the inputs have random bits, so that every exponent is as frequent; the other half are
even between -40 and 40. Functions that numpy has for long double, of 64 bits of mantissa, are
compared with those, 2**-11 of a unit exact, and mpmath then tells the error of the largest found.
The others are compared with mpmath alone, at every `MULTIPLE_PRECISION_STRIDE`-th input.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

from benchmarks.measure import print_table, write_json
from benchmarks.ulp import CHUNK, array_function, compile_unary
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler

# mpmath takes tens to hundreds of microseconds a value.
MULTIPLE_PRECISION_STRIDE = 128
DIGITS = 60
WIDEST = 40.0
TINY = float(np.finfo(np.float64).tiny)

Exact = Callable[[Any], Any]


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _share(x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


# By numpy's name where it has the function, and in multiple precision.
WIDE: dict[str, tuple[str, Exact]] = {
    "exp": ("exp", mpmath.exp),
    "exp2": ("exp2", lambda x: mpmath.power(2, x)),
    "expm1": ("expm1", mpmath.expm1),
    "log": ("log", mpmath.log),
    "log1p": ("log1p", mpmath.log1p),
    "log2": ("log2", lambda x: mpmath.log(x, 2)),
    "log10": ("log10", mpmath.log10),
    "tanh": ("tanh", mpmath.tanh),
    "sinh": ("sinh", mpmath.sinh),
    "cosh": ("cosh", mpmath.cosh),
    "sin": ("sin", mpmath.sin),
    "cos": ("cos", mpmath.cos),
    "tan": ("tan", mpmath.tan),
    "asin": ("arcsin", mpmath.asin),
    "acos": ("arccos", mpmath.acos),
    "atan": ("arctan", mpmath.atan),
    "asinh": ("arcsinh", mpmath.asinh),
    "acosh": ("arccosh", mpmath.acosh),
    "atanh": ("arctanh", mpmath.atanh),
}
MULTIPLE: dict[str, Exact] = {
    "sigmoid": _sigmoid,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "gelu": lambda x: x * _share(x),
    "silu": lambda x: x * _sigmoid(x),
    "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
    "lgamma": lambda x: mpmath.re(mpmath.loggamma(x)),
    "digamma": mpmath.digamma,
}
# Below 0 these have roots, where terms cancel; mpmath's exponential overflows for nobody's use.
LOWEST = {"lgamma": 0.0, "digamma": 0.0}
HIGHEST = dict.fromkeys(MULTIPLE, 700.0)


@dataclass(frozen=True)
class LargestError:
    """Over `inputs` finite inputs with normal results."""

    function: str
    ulp: float
    input: float
    result: float
    inputs: int
    seconds: float


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--function", choices=(*WIDE, *MULTIPLE), action="append")
    parser.add_argument("--count", type=int, default=10_000_000, help="how many inputs")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    compiler = KernelCompiler()
    names = arguments.function or (*WIDE, *MULTIPLE)
    rows = [largest_error(compiler, name, arguments.count) for name in names]
    print_table(
        "Largest errors of f64 functions",
        ("function", "largest error (ULP)", "at", "result", "inputs", "seconds"),
        [
            (
                row.function,
                f"{row.ulp:.3f}",
                f"{row.input:.17g}",
                f"{row.result:.17g}",
                f"{row.inputs:,}",
                f"{row.seconds:.1f}",
            )
            for row in rows
        ],
    )
    write_json(arguments.json, {"rows": [asdict(row) for row in rows]})


def largest_error(compiler: KernelCompiler, name: str, count: int) -> LargestError:
    start = time.perf_counter()
    kernel = compile_unary(compiler, name, "f64")  # whose machine code goes with it
    function = array_function(kernel)
    found = _by_long_double if name in WIDE else _by_multiple_precision
    worst, inputs = (0.0, 0.0, 0.0), 0
    for x in _inputs(name, count):
        error, place, compared = found(name, x, function(x))
        inputs += compared
        worst = max(worst, (error, float(x[place]), float(function(x)[place])))
    return LargestError(name, *worst, inputs, time.perf_counter() - start)


def _inputs(name: str, count: int) -> Iterator[np.ndarray]:
    """Chunks of CHUNK inputs, as many as `count` takes."""
    random = np.random.default_rng(12)
    low, high = LOWEST.get(name, -np.inf), HIGHEST.get(name, np.inf)
    for _ in range(-(-count // CHUNK)):
        bits = random.integers(0, 2**64, CHUNK // 2, dtype=np.uint64, endpoint=False)
        x = np.concatenate([bits.view(np.float64), random.uniform(-WIDEST, WIDEST, CHUNK // 2)])
        is_used = np.isfinite(x) & (x > low) & (np.abs(x) < high)
        yield np.where(is_used, x, random.uniform(0.5, 2.0, CHUNK))


def _by_long_double(name: str, x: np.ndarray, y: np.ndarray) -> tuple[float, int, int]:
    """The largest error, where it is, and how many results were compared."""
    numpys, exact = WIDE[name]
    with np.errstate(all="ignore"):
        wide = getattr(np, numpys)(x.astype(np.longdouble))
        rounded = wide.astype(np.float64)
        is_compared = np.isfinite(rounded) & (np.abs(rounded) >= TINY)
        unit = np.spacing(np.abs(np.where(is_compared, rounded, 1.0)))
        error = np.where(is_compared, np.abs(y - wide) / unit, 0.0)
    place = int(np.argmax(error))
    return _error(exact, float(x[place]), float(y[place])), place, int(is_compared.sum())


def _by_multiple_precision(name: str, x: np.ndarray, y: np.ndarray) -> tuple[float, int, int]:
    places = range(0, CHUNK, MULTIPLE_PRECISION_STRIDE)
    errors = [_error(MULTIPLE[name], float(x[place]), float(y[place])) for place in places]
    most = int(np.argmax(errors))
    return errors[most], places[most], len(errors)


def _error(exact: Exact, x: float, y: float) -> float:
    """Of one result, in ULP; 0 where the exact one is no normal number."""
    # Multiples of pi that are as large as the largest number need all of its digits.
    with mpmath.workdps(DIGITS if abs(x) < 1e15 else 400):
        wanted = exact(mpmath.mpf(x))
        nearest = float(wanted)
        if not TINY <= abs(nearest) < np.inf:
            return 0.0
        return float(abs(mpmath.mpf(y) - wanted) / float(np.spacing(abs(nearest))))


if __name__ == "__main__":
    main()
