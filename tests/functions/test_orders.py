"""Arguments in another order than they have: the message says the order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import graphc as gc


class Net:
    """x -> y, judged against classes t by loss."""

    def __init__(self) -> None:
        graph = gc.Graph(seed=0)
        self.x = graph.input("x", ("batch", 3))
        self.t = graph.input("t", ("batch",), "i32")
        self.w = graph.parameter("w", (3, 4))
        self.y = self.x @ self.w
        self.loss = gc.losses.softmax_cross_entropy(self.y, self.t)


ORDERS: dict[str, tuple[Callable[[Net], Any], type[Exception], str]] = {
    "function": (lambda n: gc.function(n.y, n.x), gc.GraphError, r"gc\.function\(inputs, outputs"),
    "function of several": (
        lambda n: gc.function([n.loss], [n.x, n.t]), gc.GraphError, r"inputs come first",
    ),
    "function of a state": (
        lambda n: gc.function(n.loss, n.w), gc.GraphError, r"inputs come first",
    ),
    "input": (
        lambda n: n.x.graph.input(("batch", 3), "q"), gc.GraphError, r"name: a text expected",
    ),
    "grad": (lambda n: gc.grad(n.w, n.loss), gc.GraphError, r"gc\.grad\(loss, parameters\)"),
    "grad by several": (lambda n: gc.grad(n.x, [n.t, n.y]), gc.GraphError, r"the order is"),
    "grad of a vector": (
        lambda n: gc.grad(n.y, n.w), gc.GraphError, r"gc\.sum\(y\) or gc\.mean\(y\)"
    ),
    "model": (lambda n: gc.Model(n.y, n.x, n.t, n.loss), gc.GraphError, r"gc\.Model\(inputs, out"),
    "targets and outputs": (
        lambda n: gc.Model(n.x, n.t, n.y, n.loss), gc.GraphError, r"not <matmul .*the order is",
    ),
    "loss and targets": (
        lambda n: gc.Model(n.x, n.y, n.loss, n.t), gc.GraphError, r"the order is gc\.Model",
    ),
    "cross-entropy": (
        lambda n: gc.losses.softmax_cross_entropy(n.t, n.y), gc.DTypeError, "before the targets",
    ),
    "hinge": (
        lambda n: gc.losses.multiclass_hinge(n.t, n.y), gc.DTypeError, "before the targets",
    ),
    "squares": (
        lambda n: gc.losses.mean_squared_error(n.t, n.y), gc.DTypeError, "before the targets",
    ),
    "accuracy": (lambda n: gc.metrics.accuracy(n.t, n.y), gc.DTypeError, "expected first|before"),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDERS)
def test_the_order_is_said(name: str) -> None:
    call, error, problem = ORDERS[name]
    with pytest.raises(error, match=problem):
        call(Net())


def test_a_function_may_return_what_its_inputs_are_made_of() -> None:
    """Where something else depends on them."""
    n = Net()
    assert gc.function([n.x, n.y], [n.w, gc.sum(n.y)]).program.inputs
