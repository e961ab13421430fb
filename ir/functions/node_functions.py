"""What Python's operators and the methods of nodes call.

These functions are made of nodes, so the class of nodes knows none of them: a node finds them by
its graph.
"""

from graphc.ir.functions.bits import bitwise_and, bitwise_or, bitwise_xor, invert
from graphc.ir.functions.build import (
    all,
    any,
    argmax,
    argmin,
    cast,
    lift,
    matmul,
    max,
    mean,
    min,
    power,
    prod,
    reshape,
    squeeze,
    std,
    sum,
    take,
    transpose,
    var,
)
from graphc.ir.functions.elements import clip, round
from graphc.ir.functions.filling import diagonal
from graphc.ir.functions.indexing import index
from graphc.ir.functions.joining import repeat
from graphc.ir.functions.numpy_functions import NAMES_OF_UFUNCS, apply_function, apply_ufunc
from graphc.ir.functions.ordering import argsort, cumprod, cumsum
from graphc.ir.functions.shaping import swapaxes
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

__all__ = [
    "NAMES_OF_UFUNCS", "absolute", "add", "all", "any", "apply_function", "apply_ufunc",
    "argmax", "argmin", "argsort", "bitwise_and", "bitwise_or", "bitwise_xor", "cast", "ceil",
    "clip", "cumprod", "cumsum", "diagonal", "divide", "equal", "floor", "floor_divide",
    "greater", "greater_equal", "index", "invert", "left_shift", "less", "less_equal", "lift",
    "matmul", "max", "mean", "min", "mod", "multiply", "negate", "not_equal", "power", "prod",
    "repeat", "reshape", "right_shift", "round", "squeeze", "std", "subtract", "sum", "swapaxes",
    "take", "transpose", "trunc", "var",
]  # fmt: skip
