"""What the scores of a network mean: the targets that they are held against, loss, prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from graphc.declare import losses
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import DType


@dataclass(frozen=True)
class Head:
    """One meaning of scores [batch, outputs].

    name: the activation behind the scores, as `out_activation_` has it.
    targets: declares the input that holds the targets.
    losses: the loss of each row [batch], of scores and targets.
    predicted: what is predicted, of the scores.
    """

    name: str
    targets: Callable[[Graph, int, DType], Node]
    losses: Callable[[Node, Node], Node]
    predicted: Callable[[Node], Node]

    def __reduce__(self) -> tuple[Callable[[str], Head], tuple[str]]:
        """By its name: ops are records of functions, which are not pickled."""
        return head_named, (self.name,)


def _class_numbers(graph: Graph, outputs: int, dtype: DType) -> Node:
    return graph.input("targets", ("batch",), "i32")


def _numbers(graph: Graph, outputs: int, dtype: DType) -> Node:
    return graph.input("targets", ("batch", outputs), dtype)


def _cross_entropy(scores: Node, targets: Node) -> Node:
    return losses.softmax_cross_entropy(scores, targets, "none")


def _binary_cross_entropy(scores: Node, targets: Node) -> Node:
    return build.sum(losses.sigmoid_cross_entropy(scores, targets, "none"), -1)


def _half_squares(scores: Node, targets: Node) -> Node:
    return 0.5 * build.sum(losses.mean_squared_error(scores, targets, "none"), -1)


def _half_poisson_deviance(scores: Node, targets: Node) -> Node:
    """t log t - t + exp(z) - t z, summed over the outputs; t log t of 0 is 0."""
    is_positive = targets > 0
    logarithms = ops.log(build.where(is_positive, targets, 1.0))
    return build.sum(targets * (logarithms - 1) + ops.exp(scores) - targets * scores, -1)


def _itself(scores: Node) -> Node:
    return scores


SOFTMAX = Head("softmax", _class_numbers, _cross_entropy, build.softmax)
LOGISTIC = Head("logistic", _numbers, _binary_cross_entropy, ops.sigmoid)
IDENTITY = Head("identity", _numbers, _half_squares, _itself)
EXPONENTIAL = Head("exp", _numbers, _half_poisson_deviance, ops.exp)
HEADS = {head.name: head for head in (SOFTMAX, LOGISTIC, IDENTITY, EXPONENTIAL)}


def head_named(name: str) -> Head:
    """The head whose activation has that name. Raises KeyError without one."""
    return HEADS[name]
