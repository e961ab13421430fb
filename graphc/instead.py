"""Names of other libraries, and what stands for them here."""

from __future__ import annotations

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
}  # fmt: skip


def missing_name(name: str) -> str:
    """What is said of a name that graphc has not."""
    problem = f"module 'graphc' has no attribute {name!r}"
    return f"{problem}; instead: {INSTEAD[name]}" if name in INSTEAD else problem
