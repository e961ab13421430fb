"""Losses and regularisers as scalar nodes.

Each loss has `reduction`: "mean" over all that it is computed for, "sum", or "none".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from graphc.declare.forms import listed
from graphc.declare.hyperparameters import check_number
from graphc.errors import DTypeError, ShapeError
from graphc.ir import build
from graphc.ir.dims import Dim
from graphc.ir.given import check_tensors, is_one_of, shown
from graphc.ir.graph import Node
from graphc.ir.location import callers_location, located
from graphc.ir.op import Op
from graphc.ir.ops import elementwise as ops
from graphc.ir.types import is_several

__all__ = [
    "l1",
    "l2",
    "mean_squared_error",
    "multiclass_hinge",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
]

Reduction = Literal["mean", "sum", "none"]


def softmax_cross_entropy(logits: Node, labels: Node, reduction: Reduction = "mean") -> Node:
    """-sum_j t_j log softmax(z)_j for logits z [..., classes]; a label of 0 has no term.

    `labels` are class indices, integers [...], or probabilities t of the logits' type (one-hot or
    soft). Raises ShapeError or DTypeError for any other, and ShapeError for a single class.

        loss = gc.losses.softmax_cross_entropy(scores, labels)
    """
    check_several_classes("softmax_cross_entropy", logits, labels, "sigmoid_cross_entropy")
    log_probabilities = build.log_softmax(logits, -1)
    if labels.dtype.is_integer:
        losses = -build.pick(log_probabilities, labels)
    else:
        check_like("softmax_cross_entropy", logits, labels)
        losses = -build.sum(ops.weigh(labels, log_probabilities), -1)
    return reduce_losses(losses, reduction)


def sigmoid_cross_entropy(logits: Node, targets: Node, reduction: Reduction = "mean") -> Node:
    """-t log sigmoid(z) - (1 - t) log(1 - sigmoid(z)), elementwise and without overflow.

    `targets` are probabilities of the logits' type. Raises ShapeError or DTypeError for any other.

        loss = gc.losses.sigmoid_cross_entropy(logits, targets)
    """
    check_like("sigmoid_cross_entropy", logits, targets)
    return reduce_losses(ops.sigmoid_cross_entropy(logits, targets), reduction)


def mean_squared_error(predictions: Node, targets: Node, reduction: Reduction = "mean") -> Node:
    """(y - t)^2 elementwise, the mean taken over every element.

    Raises ShapeError or DTypeError when the types differ.

        loss = gc.losses.mean_squared_error(predictions, targets)
    """
    check_like("mean_squared_error", predictions, targets)
    return reduce_losses(ops.square(predictions - targets), reduction)


def multiclass_hinge(
    scores: Node, labels: Node, margin: float = 1.0, reduction: Reduction = "mean"
) -> Node:
    """sum_{j != t} max(0, margin + z_j - z_t) for scores z [..., classes], integer labels t [...].

    Source: Weston and Watkins, Support vector machines for multi-class pattern recognition, 1999.
    Raises ShapeError or DTypeError for labels of another type, and ShapeError for an open number of
    classes or a single one,
    ValueError unless the margin is finite.

        loss = gc.losses.multiclass_hinge(scores, labels)
    """
    check_tensors("multiclass_hinge", scores, labels)
    check_several_classes("multiclass_hinge", scores, labels, "sigmoid_cross_entropy")
    classes = scores.shape[-1] if scores.rank else None
    if classes is None or isinstance(classes, Dim):
        raise ShapeError(message_of("multiclass_hinge", scores, labels, "fixed classes expected"))
    check_number("margin", margin, dtype=scores.dtype)
    correct = build.expand_dims(build.pick(scores, labels), -1)
    excess = ops.relu(scores - correct + margin)
    is_correct = build.one_hot(labels, classes, "bool")
    return reduce_losses(build.sum(ops.where(is_correct, 0.0, excess), -1), reduction)


def l1(parameters: Node | Sequence[Node], strength: float) -> Node:
    """strength * sum |w| over all parameters. Raises ValueError when there are none, and unless the
    strength is finite.

        loss = loss + gc.losses.l1(kernel, 1e-4)
    """
    return _penalty("l1", ops.absolute, parameters, strength)


def l2(parameters: Node | Sequence[Node], strength: float) -> Node:
    """strength * sum w^2 over all parameters. Raises as `l1` does.

    loss = loss + gc.losses.l2(model.parameters, 1e-4)
    """
    return _penalty("l2", ops.square, parameters, strength)


def reduce_losses(losses: Node, reduction: Reduction) -> Node:
    """The mean or the sum over all axes, or `losses` themselves. Raises ValueError otherwise."""
    if not is_one_of(reduction, ("mean", "sum", "none")):
        given = shown(reduction)
        raise ValueError(f"a reduction of 'mean', 'sum' or 'none' expected, not {given}")
    if reduction == "none":
        return losses
    return build.mean(losses) if reduction == "mean" else build.sum(losses)


def _penalty(name: str, measure: Op, parameters: Node | Sequence[Node], strength: float) -> Node:
    weights = [parameters] if not is_several(parameters) else listed(parameters)
    check_tensors(name, *weights)
    terms = [build.sum(measure(w)) for w in weights]
    if not terms:
        raise ValueError("a penalty of no parameters was asked for")
    check_number("strength", strength, dtype=terms[0].dtype)
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return strength * total


def check_like(loss: str, predictions: Node, targets: Node) -> None:
    """Nothing is broadcast in a loss: a column against a row is nearly always a mistake."""
    check_tensors(loss, predictions, targets)
    _check_floats(loss, predictions, targets)
    if targets.dtype != predictions.dtype:
        problem = f"targets of {predictions.dtype} expected"
        raise DTypeError(message_of(loss, predictions, targets, problem))
    if targets.shape != predictions.shape:
        raise ShapeError(message_of(loss, predictions, targets, "equal shapes expected"))


def _check_floats(loss: str, predictions: Node, targets: Node) -> None:
    if not predictions.dtype.is_float:
        problem = "f32 or f64 expected first; what the network says comes before the targets"
        raise DTypeError(message_of(loss, predictions, targets, problem))


def check_several_classes(name: str, scores: Node, labels: Node, binary: str) -> None:
    """Refuses scores [..., 1]: a single class is always the right one, whatever its score.

    An open dimension is taken to be several classes: when it is bound, to 1 say, the program no
    longer tells a loss from what a user may mean by the same ops.
    """
    check_tensors(name, scores, labels)
    _check_floats(name, scores, labels)
    if scores.rank and scores.shape[-1] == 1:
        problem = f"a single class is always right; {binary} judges one logit of yes or no"
        raise ShapeError(message_of(name, scores, labels, problem))


def message_of(loss: str, predictions: Node, targets: Node, problem: str) -> str:
    return located(f"{loss}({predictions.type}, {targets.type}): {problem}", callers_location())
