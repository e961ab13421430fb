"""What Python's operators and the methods of nodes call.

These functions are made of nodes, so the class of nodes knows none of them: a node finds them by
its graph.
"""

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
from graphc.ir.indexing import index
from graphc.ir.numpy_functions import NAMES_OF_UFUNCS, apply_function, apply_ufunc
from graphc.ir.ops.elementwise import (
    absolute,
    add,
    divide,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    multiply,
    negate,
    not_equal,
    subtract,
)

__all__ = [
    "NAMES_OF_UFUNCS", "absolute", "add", "apply_function", "apply_ufunc", "argmax", "cast",
    "divide", "equal", "greater", "greater_equal", "index", "less", "less_equal", "lift",
    "logical_and", "logical_not", "logical_or", "matmul", "max", "mean", "min", "multiply",
    "negate", "not_equal", "power", "reshape", "squeeze", "subtract", "sum", "take", "transpose",
]  # fmt: skip
