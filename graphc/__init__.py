"""graphc: declare a network as a static graph, compile it once, run it many times."""

import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from graphc.declare import init, losses, metrics, nn, optim, random, schedules
from graphc.declare.functional.custom_op import custom_op
from graphc.declare.functional.derivatives import (
    grad,
    hessian,
    hvp,
    inference,
    jacobian,
    jvp,
    per_sample_gradients,
    vjp,
)
from graphc.declare.functional.loops import fori_loop, scan, while_loop
from graphc.declare.graphs.graph import Graph
from graphc.declare.graphs.scopes import scope
from graphc.declare.graphs.training_forms import training_form, training_updates
from graphc.declare.graphs.variables import Variables
from graphc.declare.nn import dropout
from graphc.errors import (
    DataError,
    DTypeError,
    ForeignTensorError,
    GraphError,
    ManySizesWarning,
    ModelFileError,
    NotCompiledError,
    NotDifferentiableError,
    NotFiniteError,
    PlanTooLargeError,
    SettingError,
    ShapeError,
    VariableError,
)
from graphc.functions.function import Function, function
from graphc.functions.minimize import Minimum, minimize
from graphc.instead import missing_name, refuse_name
from graphc.ir.dims import Dim
from graphc.ir.functions.activations import (
    gelu,
    glu,
    hard_sigmoid,
    hard_tanh,
    log_sigmoid,
    prelu,
    selu,
)
from graphc.ir.functions.arrays.elements import clip, isfinite, isinf, isnan, nan_to_num, round
from graphc.ir.functions.arrays.filling import (
    arange,
    diagonal,
    eye,
    full,
    full_like,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from graphc.ir.functions.arrays.joining import array_split, flip, repeat, roll, split, stack, tile
from graphc.ir.functions.arrays.shaping import moveaxis, swapaxes
from graphc.ir.functions.bits import bitwise_and, bitwise_or, bitwise_xor, invert
from graphc.ir.functions.build import (
    all,
    any,
    argmax,
    argmin,
    broadcast_to,
    cast,
    concatenate,
    elu,
    expand,
    expand_dims,
    gather,
    leaky_relu,
    log_softmax,
    logsumexp,
    matmul,
    max,
    maxout,
    mean,
    min,
    one_hot,
    pick,
    power,
    prod,
    reshape,
    scatter_add,
    scatter_set,
    softmax,
    squeeze,
    std,
    stop_gradient,
    sum,
    take,
    transpose,
    var,
    where,
)
from graphc.ir.functions.einsum import einsum, outer
from graphc.ir.functions.ordering import argsort, cumprod, cumsum, sort, take_along_axis, top_k
from graphc.ir.functions.spatial.convolution import (
    conv,
    conv_transpose,
    depthwise_conv,
    separable_conv,
)
from graphc.ir.functions.spatial.padding import pad
from graphc.ir.functions.spatial.pooling import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    max_pool,
)
from graphc.ir.functions.spatial.resizing import pixel_shuffle, pixel_unshuffle, resize
from graphc.ir.functions.spatial.sliding_windows import sliding_window_view
from graphc.ir.functions.truth import logical_and, logical_not, logical_or, logical_xor
from graphc.ir.graph import Node
from graphc.ir.nodes.op import Op
from graphc.ir.ops.elementwise.activations import mish, silu, softsign
from graphc.ir.ops.elementwise.bitwise import left_shift, right_shift
from graphc.ir.ops.elementwise.elementwise import absolute as abs
from graphc.ir.ops.elementwise.elementwise import (
    add,
    cos,
    divide,
    equal,
    exp,
    expm1,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negate,
    not_equal,
    reciprocal,
    relu,
    sigmoid,
    sign,
    sin,
    softplus,
    sqrt,
    square,
    subtract,
    tanh,
)
from graphc.ir.ops.elementwise.log_sums import logaddexp, logaddexp2
from graphc.ir.ops.elementwise.mathematics import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cosh,
    exp2,
    hypot,
    log2,
    log10,
    sinh,
    tan,
)
from graphc.ir.ops.elementwise.rounding import ceil, floor, floor_divide, mod, trunc
from graphc.ir.ops.elementwise.special import digamma, erf, erfc, lgamma
from graphc.ir.programs.custom_vjp import CustomVjp, custom_vjp
from graphc.ir.types import DType, bool_, f32, f64, i32, i64, u8
from graphc.train.callbacks import callbacks, loggers
from graphc.train.callbacks.history import History
from graphc.train.data import data
from graphc.train.load_model import load_model
from graphc.train.model import Model

if TYPE_CHECKING:
    from graphc import testing

__all__ = [
    "CustomVjp",
    "DType",
    "DTypeError",
    "DataError",
    "Dim",
    "ForeignTensorError",
    "Function",
    "Graph",
    "GraphError",
    "History",
    "ManySizesWarning",
    "Minimum",
    "Model",
    "ModelFileError",
    "Node",
    "NotCompiledError",
    "NotDifferentiableError",
    "NotFiniteError",
    "Op",
    "PlanTooLargeError",
    "SettingError",
    "ShapeError",
    "VariableError",
    "Variables",
    "abs",
    "acos",
    "acosh",
    "adaptive_average_pool",
    "adaptive_max_pool",
    "add",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "array_split",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "average_pool",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "bool_",
    "broadcast_to",
    "callbacks",
    "cast",
    "ceil",
    "clip",
    "concatenate",
    "conv",
    "conv_transpose",
    "cos",
    "cosh",
    "cumprod",
    "cumsum",
    "custom_op",
    "custom_vjp",
    "data",
    "depthwise_conv",
    "diagonal",
    "digamma",
    "divide",
    "dropout",
    "einsum",
    "elu",
    "equal",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expand",
    "expand_dims",
    "expm1",
    "eye",
    "f32",
    "f64",
    "flip",
    "floor",
    "floor_divide",
    "fori_loop",
    "full",
    "full_like",
    "function",
    "gather",
    "gelu",
    "glu",
    "grad",
    "greater",
    "greater_equal",
    "hard_sigmoid",
    "hard_tanh",
    "hessian",
    "hvp",
    "hypot",
    "i32",
    "i64",
    "inference",
    "init",
    "invert",
    "isfinite",
    "isinf",
    "isnan",
    "jacobian",
    "jvp",
    "leaky_relu",
    "left_shift",
    "less",
    "less_equal",
    "lgamma",
    "load_model",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_sigmoid",
    "log_softmax",
    "logaddexp",
    "logaddexp2",
    "loggers",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "losses",
    "matmul",
    "max",
    "max_pool",
    "maximum",
    "maxout",
    "mean",
    "metrics",
    "min",
    "minimize",
    "minimum",
    "mish",
    "mod",
    "moveaxis",
    "multiply",
    "nan_to_num",
    "negate",
    "nn",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "optim",
    "outer",
    "pad",
    "per_sample_gradients",
    "pick",
    "pixel_shuffle",
    "pixel_unshuffle",
    "power",
    "prelu",
    "prod",
    "random",
    "reciprocal",
    "relu",
    "repeat",
    "reshape",
    "resize",
    "right_shift",
    "roll",
    "round",
    "scan",
    "scatter_add",
    "scatter_set",
    "schedules",
    "scope",
    "selu",
    "separable_conv",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "sliding_window_view",
    "softmax",
    "softplus",
    "softsign",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "testing",
    "tile",
    "top_k",
    "training_form",
    "training_updates",
    "transpose",
    "tril",
    "triu",
    "trunc",
    "u8",
    "var",
    "vjp",
    "where",
    "while_loop",
    "zeros",
    "zeros_like",
]

# `import graphc.nn` and `from graphc.nn import dense` find a module of users where it stands.
for _module in (
    callbacks, data, init, loggers, losses, metrics, nn, optim, random, schedules,
):  # fmt: skip
    _name = _module.__name__.rpartition(".")[2]
    sys.modules[f"{__name__}.{_name}"] = _module
    # Completion shows what users may use, and not what a module is made of.
    vars(_module)["__dir__"] = partial(sorted, _module.__all__)
    vars(_module)["__getattr__"] = partial(refuse_name, _name)
del _module, _name


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """`gc.testing`, imported where it is used: a process that checks no op starts without it."""
    if name == "testing":
        return import_module("graphc.testing")
    raise AttributeError(missing_name(name))
