"""What metrics ask of scores and labels: that they fit, and which of them are numbers."""

from __future__ import annotations

from graphc.declare.losses.checks import check_several_classes, message_of
from graphc.errors import DTypeError, ShapeError
from graphc.ir.arguments.given import check_tensors
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import Shape, shape_text

# Where a probability counts as "yes".
HALF = 0.5


def check_scores(metric: str, scores: Node, labels: Node) -> None:
    """Raises DTypeError unless scores are floats, ShapeError for a single class."""
    check_floats(metric, scores, labels)
    check_several_classes(metric, scores, labels, "binary_accuracy")


def check_floats(metric: str, scores: Node, labels: Node) -> None:
    """Raises DTypeError unless scores are floats."""
    check_tensors(metric, scores, labels)
    if not scores.dtype.is_float:
        raise DTypeError(message_of(metric, scores, labels, "scores of f32 or f64 expected first"))


def check_shape(metric: str, scores: Node, labels: Node, shape: Shape) -> None:
    """Raises ShapeError unless labels are of `shape`."""
    if labels.shape != shape:
        problem = f"labels of shape {shape_text(shape)} expected"
        if shape == (*labels.shape, 2):
            problem += "; of two classes, scores[:, 1] - scores[:, 0] is one score a row"
        raise ShapeError(message_of(metric, scores, labels, problem))


def is_number(x: Node) -> Node:
    """Whether each element is not NaN."""
    return ops.equal(x, x)


def has_numbers(x: Node) -> Node:
    """Whether no element along the last axis is NaN: their maximum would be NaN too."""
    return is_number(build.max(x, -1))
