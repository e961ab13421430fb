"""What to write in the place of functions of numpy that graphc has not."""

NO_VALUE = (
    "a tensor has no value while the graph is declared; gc.function(inputs, x) makes a function, "
    "which computes it of arrays"
)

_JOINED = "gc.concatenate joins tensors along an axis, which gc.expand_dims may add"
_PRODUCT = "gc.matmul, or x @ y, is the product of matrices and vectors"
_FILLED = "gc.broadcast_to repeats a tensor, and a number takes the shape of the tensor beside it"
# By the name of a function or ufunc of numpy that graphc has not: what to write.
INSTEAD_OF_FUNCTIONS = {
    "stack": _JOINED, "vstack": _JOINED, "hstack": _JOINED,
    "dot": _PRODUCT, "einsum": _PRODUCT, "inner": _PRODUCT, "tensordot": _PRODUCT,
    "vecdot": _PRODUCT, "outer": _PRODUCT,
    "zeros_like": _FILLED, "ones_like": _FILLED, "full_like": _FILLED, "tile": _FILLED,
    "repeat": _FILLED,
    "swapaxes": "gc.transpose(x, axes)", "moveaxis": "gc.transpose(x, axes)",
    "ravel": "gc.reshape(x, -1)", "size": "x.size",
    "var": "gc.mean(gc.square(x - gc.mean(x, axis, keepdims=True)), axis)",
    "std": "gc.sqrt of the variance, gc.mean(gc.square(x - gc.mean(x, axis, keepdims=True)), axis)",
    "partition": "gc.top_k(x, k)", "argpartition": "gc.top_k(x, k)",
    "cumulative_sum": "gc.cumsum(x, axis)", "cumulative_prod": "gc.cumprod(x, axis)",
    "norm": "gc.sqrt(gc.sum(gc.square(x), axis))",
    "any": "gc.max(gc.cast(x, 'i32'), axis) > 0", "all": "gc.min(gc.cast(x, 'i32'), axis) > 0",
    "count_nonzero": "gc.sum(x != 0)", "argmin": "gc.argmax(-x, axis)",
    "split": "slices, such as x[:, :2]", "array_split": "slices, such as x[:, :2]",
    "logaddexp": "gc.maximum(x, y) + gc.softplus(-gc.abs(x - y))",
    "fmax": "gc.maximum(x, y)", "fmin": "gc.minimum(x, y)", "fabs": "gc.abs(x)",
    "float_power": "gc.power(x, y)",
    "allclose": NO_VALUE, "isclose": NO_VALUE, "array_equal": NO_VALUE, "array2string": NO_VALUE,
    "save": NO_VALUE, "copy": "x itself, since a tensor never changes",
}  # fmt: skip
