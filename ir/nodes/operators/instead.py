"""What to write in the place of functions of numpy that graphc has not."""

NO_VALUE = (
    "a tensor has no value while the graph is declared; gc.function(inputs, x) makes a function, "
    "which computes it of arrays"
)

_JOINED = "gc.concatenate joins tensors along an axis, gc.stack along a new one"
_PRODUCT = "gc.matmul, or x @ y, is the product of matrices and vectors"
# By the name of a function or ufunc of numpy that graphc has not: what to write.
INSTEAD_OF_FUNCTIONS = {
    "vstack": _JOINED, "hstack": _JOINED,
    "hsplit": "gc.split(x, parts, axis=1)", "vsplit": "gc.split(x, parts)",
    "dot": _PRODUCT, "inner": _PRODUCT, "tensordot": _PRODUCT,
    "vecdot": _PRODUCT,
    "ravel": "gc.reshape(x, -1)", "size": "x.size",
    "partition": "gc.top_k(x, k)", "argpartition": "gc.top_k(x, k)",
    "cumulative_sum": "gc.cumsum(x, axis)", "cumulative_prod": "gc.cumprod(x, axis)",
    "norm": "gc.sqrt(gc.sum(gc.square(x), axis))",
    "count_nonzero": "gc.sum(x != 0)",
    "fmax": "gc.maximum(x, y)", "fmin": "gc.minimum(x, y)", "fabs": "gc.abs(x)",
    "float_power": "gc.power(x, y)",
    "allclose": NO_VALUE, "isclose": NO_VALUE, "array_equal": NO_VALUE, "array2string": NO_VALUE,
    "trace": "gc.sum(gc.diagonal(x))", "diag": "gc.diagonal(x)", "diff": "x[1:] - x[:-1]",
    "fmod": "x - y * gc.trunc(x / y)", "matrix_transpose": "gc.swapaxes(x, -1, -2)",
    "unstack": "[x[i] for i in range(len(x))]", "nansum": "gc.sum(gc.nan_to_num(x))",
    "heaviside": "gc.where(x == 0, value, gc.cast(x > 0, x.dtype))",
    "cbrt": "gc.sign(x) * gc.power(gc.abs(x), 1 / 3)", "deg2rad": "x * (np.pi / 180)",
    "rad2deg": "x * (180 / np.pi)",
    "save": NO_VALUE, "copy": "x itself, since a tensor never changes",
}  # fmt: skip
