"""The worked figures that textbooks give for backpropagation, exactly."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from graphc.ir.derive.autodiff import gradients
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.reference import run_program
from graphc.ir.types import DType, f32, f64
from graphc.testing.tolerance import assert_close
from tests.compiler.execution import Machine

Evaluator = Callable[[Program, Mapping[str, Any]], dict[str, Any]]


def in_numpy(program: Program, inputs: Mapping[str, Any]) -> dict[str, Any]:
    outputs, _ = run_program(program, inputs, {})
    return outputs


def fused(program: Program, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return Machine().run(program, inputs, {})[0]


def unfused(program: Program, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return Machine().run(program, inputs, {}, fuse=False)[0]


# One entry for each way to run a program: (program, values of its inputs) -> outputs by name.
EVALUATORS: Mapping[str, Evaluator] = {"reference": in_numpy, "fused": fused, "unfused": unfused}


@pytest.fixture(params=EVALUATORS)
def evaluator(request: pytest.FixtureRequest) -> Evaluator:
    return EVALUATORS[request.param]


@pytest.fixture(params=[f32, f64], ids=str)
def dtype(request: pytest.FixtureRequest) -> DType:
    chosen: DType = request.param
    return chosen


class Worked:
    """A formula on named inputs; `check` compares its value and all gradients."""

    def __init__(self, evaluator: Evaluator, dtype: DType, **values: Any) -> None:
        self.evaluator, self.dtype, self.graph = evaluator, dtype, Graph()
        self.values = {name: np.asarray(value, dtype.numpy) for name, value in values.items()}
        self.inputs = [self.graph.input(name, v.shape, dtype) for name, v in self.values.items()]

    def check(self, value: Node, expected: float, **slopes: Any) -> dict[str, Any]:
        names = list(slopes)
        derived = gradients(value, [self.graph.inputs[name] for name in names])
        outputs = (("value", value), *zip(names, derived, strict=True))
        program = Program("worked", tuple(self.inputs), outputs)
        results = self.evaluator(program, self.values)
        assert_close(results["value"], expected, self.dtype, reduction_length=4)
        for name in names:
            assert results[name].dtype == self.dtype.numpy
            wanted = np.broadcast_to(np.asarray(slopes[name], float), self.values[name].shape)
            assert_close(results[name], wanted, self.dtype, reduction_length=4)
        return results


def test_apples(evaluator: Evaluator, dtype: DType) -> None:
    worked = Worked(evaluator, dtype, price=100, count=2, tax=1.1)
    price, count, tax = worked.inputs
    worked.check(price * count * tax, 220, price=2.2, count=110, tax=200)


def test_apples_and_oranges(evaluator: Evaluator, dtype: DType) -> None:
    worked = Worked(evaluator, dtype, apple=100, apples=2, orange=150, oranges=3, tax=1.1)
    apple, apples, orange, oranges, tax = worked.inputs
    worked.check(
        (apple * apples + orange * oranges) * tax,
        715, apple=2.2, apples=110, orange=3.3, oranges=165, tax=650,
    )  # fmt: skip


def test_sum_times_z(evaluator: Evaluator, dtype: DType) -> None:
    worked = Worked(evaluator, dtype, x=-2, y=5, z=-4)
    x, y, z = worked.inputs
    worked.check((x + y) * z, -12, x=-4, y=-4, z=3)


@pytest.mark.parametrize("written_out", [True, False], ids=["primitives", "sigmoid"])
def test_sigmoid_neuron(evaluator: Evaluator, dtype: DType, written_out: bool) -> None:
    worked = Worked(evaluator, dtype, w0=2, w1=-3, w2=-3, x0=-1, x1=-2)
    w0, w1, w2, x0, x1 = worked.inputs
    weighted = w0 * x0 + w1 * x1 + w2
    value = 1 / (1 + ops.exp(-weighted)) if written_out else ops.sigmoid(weighted)
    y = 1 / (1 + np.exp(-1.0))
    slope = y * (1 - y)
    exact = {"w0": -slope, "w1": -2 * slope, "w2": slope, "x0": 2 * slope, "x1": -3 * slope}
    results = worked.check(value, y, **exact)
    rounded = {name: round(float(result), 2) for name, result in results.items()}
    printed = {"w0": -0.20, "w1": -0.39, "w2": 0.20, "x0": 0.39, "x1": -0.59}
    assert rounded == {"value": 0.73, **printed}


def test_squared_norm_of_product(evaluator: Evaluator, dtype: DType) -> None:
    worked = Worked(evaluator, dtype, w=[[0.1, 0.5], [-0.3, 0.8]], x=[0.2, 0.4])
    w, x = worked.inputs
    worked.check(
        build.sum(ops.square(w @ x)),
        0.116, w=[[0.088, 0.176], [0.104, 0.208]], x=[-0.112, 0.636],
    )  # fmt: skip


def test_add_distributes(evaluator: Evaluator, dtype: DType) -> None:
    worked = Worked(evaluator, dtype, x=3, y=-4, z=0.5)
    x, y, z = worked.inputs
    worked.check(2 * (x + y + z), -1, x=2, y=2, z=2)


def test_maximum_routes(evaluator: Evaluator, dtype: DType) -> None:
    worked = Worked(evaluator, dtype, z=2, w=-1)
    z, w = worked.inputs
    worked.check(2 * ops.maximum(z, w), 4, z=2, w=0)


def test_max_routes(evaluator: Evaluator, dtype: DType) -> None:
    worked = Worked(evaluator, dtype, x=[1, 5, 3])
    (x,) = worked.inputs
    worked.check(2 * build.max(x), 10, x=[0, 2, 0])


def test_multiply_switches(evaluator: Evaluator, dtype: DType) -> None:
    worked = Worked(evaluator, dtype, x=3, y=-4)
    x, y = worked.inputs
    worked.check(2 * (x * y), -24, x=-8, y=6)


def test_all_three_gates(evaluator: Evaluator, dtype: DType) -> None:
    worked = Worked(evaluator, dtype, x=3, y=-4, z=2, w=-1)
    x, y, z, w = worked.inputs
    worked.check(2 * (x * y + ops.maximum(z, w)), -20, x=-8, y=6, z=2, w=0)


@pytest.mark.parametrize("x0", [-1.5, -0.5, 0.0, 0.25, 1.0])
def test_chain_rule(evaluator: Evaluator, dtype: DType, x0: float) -> None:
    """d sin((2x+1)^2) = 4 (2x+1) cos((2x+1)^2)."""
    worked = Worked(evaluator, dtype, x=x0)
    (x,) = worked.inputs
    inner = 2 * x0 + 1
    worked.check(ops.sin((2 * x + 1) ** 2), np.sin(inner**2), x=4 * inner * np.cos(inner**2))


ACTIVATIONS = [[0.3, 2.9, 4.0], [1.0, -2.0, 0.5]]
TARGETS = [[0.0, 0.0, 1.0], [0.2, 0.5, 0.3]]


def _softmax(a: np.ndarray) -> np.ndarray:
    e = np.exp(a)
    return np.asarray(e / e.sum(-1, keepdims=True))


@pytest.mark.parametrize("written_out", [True, False], ids=["primitives", "log_softmax"])
def test_softmax_with_loss(evaluator: Evaluator, dtype: DType, written_out: bool) -> None:
    """The gradient of -sum(t log softmax(a)) is y - t where t sums to 1."""
    worked = Worked(evaluator, dtype, a=ACTIVATIONS)
    (a,) = worked.inputs
    t = worked.graph.constant(TARGETS, dtype)
    log_y = ops.log(build.softmax(a)) if written_out else build.log_softmax(a)
    y = _softmax(np.array(ACTIVATIONS, dtype.numpy).astype(float))
    expected = -float(np.sum(TARGETS * np.log(y)))
    worked.check(-build.sum(t * log_y), expected, a=y - TARGETS)


def test_softmax_with_loss_of_classes(evaluator: Evaluator, dtype: DType) -> None:
    """With a class index and a mean over the batch: (y - t) / n."""
    worked = Worked(evaluator, dtype, a=ACTIVATIONS)
    (a,) = worked.inputs
    loss = -build.mean(build.pick(build.log_softmax(a), [2, 0]))
    y = _softmax(np.array(ACTIVATIONS, dtype.numpy).astype(float))
    expected = -float(np.mean(np.log(y[[0, 1], [2, 0]])))
    worked.check(loss, expected, a=(y - np.eye(3)[[2, 0]]) / 2)


def test_affine(evaluator: Evaluator, dtype: DType) -> None:
    """Y = XW + b: dX = dY W^T, dW = X^T dY, db is the column sum of dY."""
    x0 = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
    w0 = np.array([[0.5, -1.0], [2.0, 0.25], [-0.75, 1.5]])
    b0, dy = np.array([1.0, -0.5]), np.array([[1.0, 2.0], [-3.0, 0.5]])
    worked = Worked(evaluator, dtype, x=x0, w=w0, b=b0)
    x, w, b = worked.inputs
    loss = build.sum((x @ w + b) * worked.graph.constant(dy, dtype))
    expected = float(np.sum((x0 @ w0 + b0) * dy))
    worked.check(loss, expected, x=dy @ w0.T, w=x0.T @ dy, b=dy.sum(0))
