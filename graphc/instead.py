"""Names of other libraries, and what stands for them here."""

from __future__ import annotations

from typing import NoReturn

_GRAPH = "a graph has it: graph = gc.Graph(), then graph."
# By the name that somebody looks for in graphc.
INSTEAD = {
    "input": f"{_GRAPH}input(name, shape)", "Input": f"{_GRAPH}input(name, shape)",
    "placeholder": f"{_GRAPH}input(name, shape)",
    "parameter": f"{_GRAPH}parameter(name, shape)", "Parameter": f"{_GRAPH}parameter(name, shape)",
    "Variable": f"{_GRAPH}variable(name, value)", "variable": f"{_GRAPH}variable(name, value)",
    "constant": f"{_GRAPH}constant(value)", "tensor": f"{_GRAPH}constant(value)",
    "array": f"{_GRAPH}constant(value)", "Tensor": "gc.Node is the class of tensors",
    "float32": "gc.f32", "float64": "gc.f64", "int32": "gc.i32", "int64": "gc.i64",
    "uint8": "gc.u8", "float": "gc.f32, or gc.f64", "int": "gc.i64", "bool": "gc.bool_",
    "layers": "gc.nn", "keras": "gc.Model, gc.nn", "optimizers": "gc.optim",
    "initializers": "gc.init", "activations": "functions such as gc.relu",
    "Sequential": "gc.nn.Sequential", "Dense": "gc.nn.Dense", "compile": "gc.function",
    "jit": "gc.function", "value_and_grad": "gc.function(inputs, [loss, gc.grad(loss, x)])",
    "gradients": "gc.grad", "gradient": "gc.grad",
    "cat": "gc.concatenate", "concat": "gc.concatenate", "permute": "gc.transpose",
    "dot": "gc.matmul", "clamp": "gc.clip", "remainder": "gc.mod",
    "index_add": "gc.scatter_add", "neg": "gc.negate", "pow": "gc.power", "mul": "gc.multiply",
    "sub": "gc.subtract", "div": "gc.divide", "stop_grad": "gc.stop_gradient",
    "detach": "gc.stop_gradient", "no_grad": "gc.stop_gradient",
    "topk": "gc.top_k", "partition": "gc.top_k", "argpartition": "gc.top_k",
    "cumulative_sum": "gc.cumsum", "cumulative_prod": "gc.cumprod",
    "norm": "gc.sqrt(gc.sum(gc.square(x), axis))",
    "conv1d": "gc.nn.conv1d, or gc.conv with a kernel",
    "conv2d": "gc.nn.conv2d, or gc.conv with a kernel", "Conv2D": "gc.nn.Conv2D",
    "conv3d": "gc.nn.conv3d, or gc.conv with a kernel", "MaxPool2D": "gc.nn.MaxPool2D",
    "MaxPooling2D": "gc.nn.MaxPool2D", "max_pool2d": "gc.max_pool, gc.nn.max_pool2d",
    "avg_pool": "gc.average_pool", "avg_pool2d": "gc.average_pool, gc.nn.average_pooling2d",
    "unfold": "gc.sliding_window_view(x, size, axis)",
    "interpolate": "gc.resize", "PixelShuffle": "gc.pixel_shuffle",
    "PixelUnshuffle": "gc.pixel_unshuffle", "depth_to_space": "gc.pixel_shuffle",
    "space_to_depth": "gc.pixel_unshuffle",
    "load": "model.load(path)", "save": "model.save(path)",
    "arcsin": "gc.asin", "arccos": "gc.acos", "arctan": "gc.atan", "arctan2": "gc.atan2",
    "arcsinh": "gc.asinh", "arccosh": "gc.acosh", "arctanh": "gc.atanh",
    "negative": "gc.negate", "absolute": "gc.abs",
    "bitwise_not": "gc.invert", "amax": "gc.max", "amin": "gc.min", "rsqrt": "1 / gc.sqrt(x)",
    "fmod": "x - y * gc.trunc(x / y)", "swish": "gc.silu", "logsigmoid": "gc.log_sigmoid",
    "hardtanh": "gc.hard_tanh", "hardsigmoid": "gc.hard_sigmoid", "relu6": "gc.clip(x, 0, 6)",
    "hardswish": "x * gc.hard_sigmoid(x)", "hard_swish": "x * gc.hard_sigmoid(x)",
    "softmin": "gc.softmax(-x)", "celu": "alpha * gc.elu(x / alpha)",
    "tanhshrink": "x - gc.tanh(x)", "ravel": "x.ravel()", "flatten": "x.flatten()",
    "vstack": "gc.concatenate", "hstack": "gc.concatenate", "unsqueeze": "gc.expand_dims",
    "tensordot": "gc.einsum", "trace": "gc.sum(gc.diagonal(x))", "diag": "gc.diagonal",
    "diff": "x[1:] - x[:-1]", "linspace": f"{_GRAPH}constant(np.linspace(start, stop, count))",
    "cross_entropy": "gc.losses.softmax_cross_entropy", "mse_loss": "gc.losses.mean_squared_error",
    "nll_loss": "gc.losses.negative_log_likelihood", "l1_loss": "gc.losses.mean_absolute_error",
    "binary_cross_entropy_with_logits": "gc.losses.sigmoid_cross_entropy",
}  # fmt: skip
# The same of modules of graphc, by their names.
INSTEAD_IN = {
    "losses": {
        "mse": "gc.losses.mean_squared_error", "mae": "gc.losses.mean_absolute_error",
        "MSE": "gc.losses.mean_squared_error", "MAE": "gc.losses.mean_absolute_error",
        "cross_entropy": "gc.losses.softmax_cross_entropy",
        "categorical_cross_entropy": "gc.losses.softmax_cross_entropy",
        "sparse_categorical_crossentropy": "gc.losses.softmax_cross_entropy",
        "categorical_crossentropy": "gc.losses.softmax_cross_entropy",
        "binary_crossentropy": "gc.losses.sigmoid_cross_entropy",
        "binary_cross_entropy": "gc.losses.sigmoid_cross_entropy",
        "bce_with_logits": "gc.losses.sigmoid_cross_entropy",
        "nll": "gc.losses.negative_log_likelihood", "kl_div": "gc.losses.kl_divergence",
        "smooth_l1": "gc.losses.huber", "logcosh": "gc.losses.log_cosh",
        "focal": "gc.losses.sigmoid_focal_cross_entropy, gc.losses.softmax_focal_cross_entropy",
        "triplet": "gc.losses.triplet_margin",
    },
    "nn": {
        "Linear": "gc.nn.Dense", "Input": f"{_GRAPH}input(name, shape)",
        "BatchNormalization": "gc.nn.BatchNorm", "BatchNorm1d": "gc.nn.BatchNorm",
        "BatchNorm2d": "gc.nn.BatchNorm", "LayerNormalization": "gc.nn.LayerNorm",
        "GroupNormalization": "gc.nn.GroupNorm", "RMSNormalization": "gc.nn.RMSNorm",
        "MaxPooling1D": "gc.nn.MaxPool1D", "MaxPooling2D": "gc.nn.MaxPool2D",
        "MaxPooling3D": "gc.nn.MaxPool3D", "AvgPool1D": "gc.nn.AveragePooling1D",
        "AvgPool2D": "gc.nn.AveragePooling2D", "AvgPool3D": "gc.nn.AveragePooling3D",
        "GlobalMaxPooling1D": "gc.nn.GlobalMaxPool1D",
        "GlobalMaxPooling2D": "gc.nn.GlobalMaxPool2D",
        "GlobalMaxPooling3D": "gc.nn.GlobalMaxPool3D", "Conv2d": "gc.nn.Conv2D",
        "MaxPool2d": "gc.nn.MaxPool2D", "ReLU": "gc.nn.Activation(gc.relu)",
        "Softmax": "gc.nn.Activation(gc.softmax)", "LeakyReLU": "gc.nn.Activation(gc.leaky_relu)",
        "PReLU": "gc.prelu of a parameter", "Concatenate": "gc.concatenate", "Add": "x + y",
        "Multiply": "x * y", "Lambda": "a function of tensors", "Identity": "x itself",
    },
    "optim": {
        "SparseAdam": "gc.optim.Adam",
        "lr_scheduler": "gc.schedules", "schedules": "gc.schedules",
    },
    "schedules": {
        "cosine_annealing": "gc.schedules.cosine", "one_cycle_lr": "gc.schedules.one_cycle",
        "cosine_warm_restarts": "gc.schedules.cosine_restarts", "warmup": "gc.schedules.warm_up",
        "reduce_on_plateau": "gc.callbacks.ReduceLROnPlateau", "sequential": "gc.schedules.chain",
    },
    "random": {
        "randn": "gc.random.normal", "rand": "gc.random.uniform", "integers": "gc.random.randint",
        "multinomial": "gc.random.categorical", "choice": "gc.random.categorical",
        "shuffle": "gc.take(x, gc.random.permutation(graph, count))",
        "randperm": "gc.random.permutation",
    },
}  # fmt: skip


def missing_name(name: str, module: str | None = None) -> str:
    """What is said of a name that graphc, or one of its modules, has not."""
    where = "graphc" if module is None else f"graphc.{module}"
    found = INSTEAD if module is None else INSTEAD_IN.get(module, {})
    problem = f"module {where!r} has no attribute {name!r}"
    return f"{problem}; instead: {found[name]}" if name in found else problem


def refuse_name(module: str, name: str) -> NoReturn:
    """Raises AttributeError for a name that a module has not; its `__getattr__`."""
    raise AttributeError(missing_name(name, module))
