"""What all losses ask of their operands, and how the losses of many positions become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from graphc.declare.hyperparameters import check_number, integer_of
from graphc.errors import DTypeError, ShapeError
from graphc.ir.arguments.given import check_tensors, is_one_of, is_tensor, shown
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.types import each_of

Reduction = Literal["mean", "sum", "none"]
# The weight of each class: numbers in their order, by class with 1 for the others, or a tensor.
ClassWeight = Sequence[float] | Mapping[int, float] | Node


def reduce_losses(losses: Node, reduction: Reduction) -> Node:
    """The mean or the sum over all axes, or `losses` themselves. Raises ValueError otherwise."""
    if not is_one_of(reduction, ("mean", "sum", "none")):
        given = shown(reduction)
        raise ValueError(f"a reduction of 'mean', 'sum' or 'none' expected, not {given}")
    if reduction == "none":
        return losses
    return build.mean(losses) if reduction == "mean" else build.sum(losses)


def check_like(loss: str, predictions: Node, targets: Node) -> None:
    """Nothing is broadcast in a loss: a column against a row is nearly always a mistake."""
    check_tensors(loss, predictions, targets)
    check_floats(loss, predictions, targets)
    if targets.dtype != predictions.dtype:
        problem = f"targets of {predictions.dtype} expected"
        raise DTypeError(message_of(loss, predictions, targets, problem))
    if targets.shape != predictions.shape:
        raise ShapeError(message_of(loss, predictions, targets, "equal shapes expected"))


def check_floats(loss: str, predictions: Node, targets: Node) -> None:
    """Raises DTypeError unless predictions are floats."""
    if not predictions.dtype.is_float:
        problem = "f32 or f64 expected first; what the network says comes before the targets"
        raise DTypeError(message_of(loss, predictions, targets, problem))


def check_several_classes(name: str, scores: Node, labels: Node, binary: str) -> None:
    """Refuses scores [..., 1]: a single class is always the right one, whatever its score.

    An open dimension is taken to be several classes: when it is bound, to 1 say, the program no
    longer tells a loss from what a user may mean by the same ops.
    """
    check_tensors(name, scores, labels)
    check_floats(name, scores, labels)
    if scores.rank and scores.shape[-1] == 1:
        problem = f"a single class is always right; {binary} judges one logit of yes or no"
        raise ShapeError(message_of(name, scores, labels, problem))


def check_vectors(name: str, first: Node, second: Node) -> None:
    """Raises as `check_like`, and ShapeError for vectors [..., 1], which have no direction but a
    sign."""
    check_like(name, first, second)
    if not first.rank or first.shape[-1] == 1:
        problem = "vectors of several elements expected along the last axis"
        raise ShapeError(message_of(name, first, second, problem))


def check_share(name: str, value: object) -> None:
    """Raises TypeError for no number, ValueError for one that is not in [0, 1]."""
    check_number(name, value, least=0)
    if value > 1:  # type: ignore[operator]
        raise ValueError(f"{name}: at most 1 expected, not {value}")


def message_of(loss: str, predictions: Node, targets: Node, problem: str) -> str:
    return located(f"{loss}({predictions.type}, {targets.type}): {problem}", callers_location())


def weights_of_classes(name: str, given: Any, scores: Node) -> Node:
    """Class weights as a tensor [classes] of the scores' dtype, for scores [..., classes].

    Raises ShapeError for another number of them and for an open number of classes, DTypeError for
    a tensor of another dtype, ValueError for a weight that is negative, NaN or infinite and for a
    class that there is not, TypeError for what is no weight.
    """
    classes = scores.shape[-1] if scores.rank else None
    if is_tensor(given):
        weights: Node = given
        if weights.dtype != scores.dtype or weights.shape != (classes,):
            problem = f"{name}: class_weight: {scores.dtype}[{classes}] expected, not {given.type}"
            kind = DTypeError if weights.shape == (classes,) else ShapeError
            raise kind(located(problem, callers_location()))
        return weights
    if not isinstance(classes, int):
        problem = f"{name}: class_weight: fixed classes expected, not {classes}"
        raise ShapeError(located(problem, callers_location()))
    if isinstance(given, Mapping):
        by_class = {
            integer_of(f"{name}: class_weight", label): weight for label, weight in given.items()
        }
        unknown = [label for label in by_class if not 0 <= label < classes]
        if unknown:
            raise ValueError(f"{name}: class_weight: there is no class {unknown[0]} of {classes}")
        numbers = [by_class.get(label, 1.0) for label in range(classes)]
    else:
        numbers = list(each_of(given))
    if len(numbers) != classes:
        problem = f"{name}: class_weight: a weight for each of {classes} classes expected, "
        raise ShapeError(located(problem + f"not {len(numbers)}", callers_location()))
    for number in numbers:
        check_number(f"{name}: class_weight", number, least=0, dtype=scores.dtype)
    return scores.graph.constant(np.array([float(each) for each in numbers]), scores.dtype)
