"""What Python's operators and the methods of nodes call.

These functions are made of nodes, so the class of nodes knows none of them: a node finds them by
its graph.
"""

from graphc.ir.functions.arrays.elements import clip, round
from graphc.ir.functions.arrays.filling import diagonal
from graphc.ir.functions.arrays.indexing import index
from graphc.ir.functions.arrays.joining import repeat
from graphc.ir.functions.arrays.shaping import swapaxes
from graphc.ir.functions.as_numpy.numpy_functions import (
    NAMES_OF_UFUNCS,
    apply_function,
    apply_ufunc,
)
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
from graphc.ir.functions.ordering import argsort, cumprod, cumsum
from graphc.ir.ops.elementwise.bitwise import left_shift, right_shift
from graphc.ir.ops.elementwise.elementwise import (
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
from graphc.ir.ops.elementwise.rounding import ceil, floor, floor_divide, mod, trunc

__all__ = [
    "NAMES_OF_UFUNCS", "absolute", "add", "all", "any", "apply_function", "apply_ufunc",
    "argmax", "argmin", "argsort", "bitwise_and", "bitwise_or", "bitwise_xor", "cast", "ceil",
    "clip", "cumprod", "cumsum", "diagonal", "divide", "equal", "floor", "floor_divide",
    "greater", "greater_equal", "index", "invert", "left_shift", "less", "less_equal", "lift",
    "matmul", "max", "mean", "min", "mod", "multiply", "negate", "not_equal", "power", "prod",
    "repeat", "reshape", "right_shift", "round", "squeeze", "std", "subtract", "sum", "swapaxes",
    "take", "transpose", "trunc", "var",
]  # fmt: skip
