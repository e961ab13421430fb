"""What Python's operators and the methods of nodes call.

These functions are made of nodes, so the class of nodes knows none of them: a node finds them by
its graph.
"""

from graphc.ir.bits import bits_and, bits_not, bits_or, bits_xor
from graphc.ir.build import (
    argmax,
    cast,
    lift,
    matmul,
    max,
    mean,
    min,
    power,
    reshape,
    squeeze,
    sum,
    take,
    transpose,
)
from graphc.ir.elements import clip, round
from graphc.ir.indexing import index
from graphc.ir.numpy_functions import NAMES_OF_UFUNCS, apply_function, apply_ufunc
from graphc.ir.ops.bitwise import left_shift, right_shift
from graphc.ir.ops.elementwise import (
    absolute,
    add,
    divide,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    multiply,
    negate,
    not_equal,
    subtract,
)
from graphc.ir.ops.rounding import ceil, floor, floor_divide, mod, trunc
from graphc.ir.ordering import argsort, cumprod, cumsum

__all__ = [
    "NAMES_OF_UFUNCS", "absolute", "add", "apply_function", "apply_ufunc", "argmax", "argsort",
    "bits_and", "bits_not", "bits_or", "bits_xor", "cast", "ceil", "clip", "cumprod", "cumsum",
    "divide", "equal", "floor", "floor_divide", "greater", "greater_equal", "index",
    "left_shift", "less", "less_equal", "lift", "matmul", "max", "mean", "min", "mod",
    "multiply", "negate", "not_equal", "power", "reshape", "right_shift", "round", "squeeze",
    "subtract", "sum", "take", "transpose", "trunc",
]  # fmt: skip
