"""What a network predicts in ONNX Runtime: a graph that has the problem's parameters in it.

ONNX has images with their channels first, so that they are flattened in another order than the
first dense kernel's rows are in; these are put into that order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from benchmarks.peers.fastest import fastest
from benchmarks.peers.problem import Array, Prediction, Problem

# The first versions of the format that have all operators below as they are used here.
OPERATORS, FORMAT = 13, 8
IMAGES, SCORES = "images", "scores"


def onnx_prediction(problem: Problem, threads: int) -> Prediction:
    """Arrays given to each call, or bound once: whichever is faster."""
    session = session_of(NETWORKS[problem.loss](problem), threads)
    images = channels_first(problem.arrays[0])
    return fastest([Called(session, images), Bound(session, images)])


def session_of(model: ModelProto, threads: int) -> onnxruntime.InferenceSession:
    """The model with all of the runtime's optimizations."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


class Called:
    """Calls with an array, each of which returns a new one."""

    def __init__(self, session: onnxruntime.InferenceSession, images: Array) -> None:
        self.session, self.given = session, {IMAGES: images}

    def outputs(self) -> Array:
        (found,) = self.session.run(None, self.given)
        return np.asarray(found)

    def run(self, count: int) -> None:
        for _ in range(count):
            self.session.run(None, self.given)


class Bound:
    """Calls that read and write memory which was given once."""

    def __init__(self, session: onnxruntime.InferenceSession, images: Array) -> None:
        self.session, self.binding = session, session.io_binding()
        self.binding.bind_cpu_input(IMAGES, images)
        self.binding.bind_output(SCORES)

    def outputs(self) -> Array:
        self.run(1)
        (found,) = self.binding.copy_outputs_to_cpu()
        return np.asarray(found)

    def run(self, count: int) -> None:
        for _ in range(count):
            self.session.run_with_iobinding(self.binding)


def lenet(problem: Problem) -> ModelProto:
    """Two convolutions, each with its relu and pooling, and dense layers with relu between them."""
    images = channels_first(problem.arrays[0])
    first, first_bias, second, second_bias, *dense = problem.parameters
    made = GraphBuilder()
    x, channels = IMAGES, second.shape[-1]
    for kernel, bias in ((first, first_bias), (second, second_bias)):
        by_filter = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        x = made.add("Relu", made.add("Conv", x, made.constant(by_filter), made.constant(bias)))
        x = made.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = made.add("Flatten", x)
    rows = np.arange(len(dense[0])).reshape(-1, channels).T.ravel()
    kernels = [dense[0][rows], *dense[2::2]]
    for kernel, bias in zip(kernels, dense[1::2], strict=True):
        if kernel is not kernels[0]:
            x = made.add("Relu", x)
        x = made.add("Gemm", x, made.constant(kernel), made.constant(bias))
    return made.model(images.shape, x, (len(images), dense[-1].size))


NETWORKS: dict[str, Callable[[Problem], ModelProto]] = {"lenet": lenet}


class GraphBuilder:
    """Nodes and constants of a graph, whose values are numbered."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, *read: str, **attributes: object) -> str:
        """The name of an operator's result."""
        name = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(read), [name], **attributes))
        return name

    def constant(self, array: Array) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def model(self, given: tuple[int, ...], result: str, made: tuple[int, ...]) -> ModelProto:
        """A model of f32 images of one shape and the scores `result` of another."""
        nodes = [*self.nodes, helper.make_node("Identity", [result], [SCORES])]
        graph = helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT, list(given))],
            [helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, list(made))],
            self.constants,
        )
        opsets = [helper.make_opsetid("", OPERATORS)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=FORMAT)


def channels_first(images: Array) -> Array:
    """[batch, height, width, channels] as ONNX has it."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
