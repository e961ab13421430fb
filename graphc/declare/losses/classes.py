"""Losses of scores [..., classes] against one class, or a distribution over them."""

from __future__ import annotations

from graphc.declare.hyperparameters import check_number, integer_of
from graphc.declare.losses.checks import (
    ClassWeight,
    Reduction,
    check_like,
    check_several_classes,
    check_share,
    message_of,
    reduce_losses,
    weights_of_classes,
)
from graphc.declare.losses.focus import modulation
from graphc.errors import DTypeError, ShapeError
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import check_tensors
from graphc.ir.dims import Dim
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops

# What judges one logit of yes or no, for the message about a single class.
BINARY = "sigmoid_cross_entropy"


def softmax_cross_entropy(
    logits: Node,
    labels: Node,
    reduction: Reduction = "mean",
    *,
    class_weight: ClassWeight | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
) -> Node:
    """-sum_j t_j log softmax(z)_j for logits z [..., classes]; a label of 0 has no term.

    `labels` are class indices, integers [...], or probabilities t of the logits' type (one-hot or
    soft).

    class_weight: factors of the terms by class: numbers in the order of the classes, or {class:
    number} with 1 for the others, or a tensor [classes]. The mean is over positions, as in Keras;
    torch divides by the sum of the weights.
    label_smoothing: the share of t that is spread over all classes.
    ignore_index: the label of positions that have no loss. The mean is over the others, and 0
    where there are none; such a mean is no sum of rows, which could be weighted.

    Raises ShapeError or DTypeError for any other, and ShapeError for a single class; ValueError for
    a share outside of 0 to 1 and for weights that are negative or not finite.

        loss = gc.losses.softmax_cross_entropy(scores, labels, label_smoothing=0.1)
    """
    name = "softmax_cross_entropy"
    check_several_classes(name, logits, labels, BINARY)
    check_share("label_smoothing", label_smoothing)
    weights = _weights(name, class_weight, logits)
    if not labels.dtype.is_integer:
        check_like(name, logits, labels)
        _refuse_ignored(name, logits, labels, ignore_index)
        log_probabilities = build.log_softmax(logits, -1)
        if label_smoothing:
            share = label_smoothing / _number_of_classes(logits)
            labels = (1 - label_smoothing) * labels + share
        shares = labels if weights is None else labels * weights
        losses = -build.sum(ops.weigh(shares, log_probabilities), -1)
        return reduce_losses(losses, reduction)
    known, is_counted = _counted(labels, ignore_index)
    terms = build.log_softmax(_counted_scores(logits, is_counted), -1)
    if weights is not None:
        terms = ops.weigh(weights, terms)
    losses = -build.pick(terms, known)
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * build.mean(terms, -1)
    return _reduce_counted(losses, is_counted, reduction)


def softmax_focal_cross_entropy(
    logits: Node,
    labels: Node,
    gamma: float = 2.0,
    reduction: Reduction = "mean",
    *,
    class_weight: ClassWeight | None = None,
    ignore_index: int | None = None,
) -> Node:
    """-sum_j t_j (1 - p_j)^gamma log p_j for p = softmax(z): what is easy counts little.

    Labels, weights and reduction are as in `softmax_cross_entropy`, which `gamma=0` is. Source: Lin
    and others, Focal loss for dense object detection, 2017. Raises as `softmax_cross_entropy`, and
    ValueError for a negative gamma.

        loss = gc.losses.softmax_focal_cross_entropy(scores, labels)
    """
    name = "softmax_focal_cross_entropy"
    check_several_classes(name, logits, labels, "sigmoid_focal_cross_entropy")
    check_number("gamma", gamma, least=0, dtype=logits.dtype)
    weights = _weights(name, class_weight, logits)
    if not labels.dtype.is_integer:
        check_like(name, logits, labels)
        _refuse_ignored(name, logits, labels, ignore_index)
        shares = labels if weights is None else labels * weights
        terms = _focused(build.log_softmax(logits, -1), gamma)
        return reduce_losses(build.sum(ops.weigh(shares, terms), -1), reduction)
    known, is_counted = _counted(labels, ignore_index)
    log_probabilities = build.log_softmax(_counted_scores(logits, is_counted), -1)
    losses = _focused(build.pick(log_probabilities, known), gamma)
    if weights is not None:
        losses = ops.weigh(build.take(weights, known), losses)
    return _reduce_counted(losses, is_counted, reduction)


def _focused(log_probability: Node, gamma: float) -> Node:
    """-(1 - p)^gamma log p of log p. At p = 0 the factor is 1 with a derivative of 0, which is
    that of p log p."""
    is_lost = ops.equal(ops.stop_gradient(log_probability), float("-inf"))
    miss = -ops.expm1(ops.where(is_lost, 0.0, log_probability))
    return modulation(ops.where(is_lost, 1.0, miss), gamma) * -log_probability


def negative_log_likelihood(
    log_probabilities: Node,
    labels: Node,
    reduction: Reduction = "mean",
    *,
    class_weight: ClassWeight | None = None,
    ignore_index: int | None = None,
) -> Node:
    """-log p_t for log probabilities [..., classes] and class indices t, integers [...].

    Weights, ignored labels and reduction are as in `softmax_cross_entropy`, which is this loss of
    `gc.log_softmax(scores)`. Raises as that does, and DTypeError for labels that are no integers.

        loss = gc.losses.negative_log_likelihood(gc.log_softmax(scores), labels)
    """
    name = "negative_log_likelihood"
    check_several_classes(name, log_probabilities, labels, BINARY)
    if not labels.dtype.is_integer:
        raise DTypeError(message_of(name, log_probabilities, labels, "integer labels expected"))
    weights = _weights(name, class_weight, log_probabilities)
    known, is_counted = _counted(labels, ignore_index)
    terms = log_probabilities if weights is None else ops.weigh(weights, log_probabilities)
    losses = -build.pick(terms, known)
    return _reduce_counted(losses, is_counted, reduction)


@checks_flags
def kl_divergence(
    log_probabilities: Node,
    targets: Node,
    log_target: bool = False,
    reduction: Reduction = "mean",
) -> Node:
    """sum_j t_j (log t_j - log p_j) for log probabilities [..., classes]; a t of 0 has no term.

    `targets` are probabilities t of the same type, or their logarithms where `log_target` is true.
    The mean is over distributions, which torch calls "batchmean". Raises ShapeError or DTypeError
    when the types differ, and ShapeError for a single class.

        loss = gc.losses.kl_divergence(gc.log_softmax(scores), probabilities)
    """
    name = "kl_divergence"
    check_several_classes(name, log_probabilities, targets, BINARY)
    check_like(name, log_probabilities, targets)
    if log_target:
        # Of a target of -inf, whose share is 0, the derivative would multiply 0 by the difference.
        is_zero = ops.equal(ops.stop_gradient(targets), float("-inf"))
        difference = ops.where(is_zero, 0.0, targets - log_probabilities)
        terms = ops.weigh(ops.exp(targets), difference)
    else:
        is_zero = ops.equal(ops.stop_gradient(targets), 0)
        logarithms = ops.log(ops.where(is_zero, 1.0, targets))
        terms = ops.weigh(targets, logarithms - log_probabilities)
    return reduce_losses(build.sum(terms, -1), reduction)


def multiclass_hinge(
    scores: Node, labels: Node, margin: float = 1.0, reduction: Reduction = "mean"
) -> Node:
    """sum_{j != t} max(0, margin + z_j - z_t) for scores z [..., classes], integer labels t [...];
    torch's multi_margin_loss divides it by the number of classes.

    Source: Weston and Watkins, Support vector machines for multi-class pattern recognition, 1999.
    Raises ShapeError or DTypeError for labels of another type, and ShapeError for an open number of
    classes or a single one, ValueError unless the margin is finite.

        loss = gc.losses.multiclass_hinge(scores, labels)
    """
    check_tensors("multiclass_hinge", scores, labels)
    check_several_classes("multiclass_hinge", scores, labels, BINARY)
    classes = scores.shape[-1] if scores.rank else None
    if classes is None or isinstance(classes, Dim):
        raise ShapeError(message_of("multiclass_hinge", scores, labels, "fixed classes expected"))
    check_number("margin", margin, dtype=scores.dtype)
    correct = build.expand_dims(build.pick(scores, labels), -1)
    excess = ops.relu(scores - correct + margin)
    is_correct = build.one_hot(labels, classes, "bool")
    return reduce_losses(build.sum(ops.where(is_correct, 0.0, excess), -1), reduction)


def _weights(name: str, given: ClassWeight | None, scores: Node) -> Node | None:
    return None if given is None else weights_of_classes(name, given, scores)


def _number_of_classes(scores: Node) -> Node:
    return scores.graph.extent(scores.shape[-1:], scores.dtype)


def _refuse_ignored(name: str, scores: Node, labels: Node, ignore_index: int | None) -> None:
    if ignore_index is not None:
        problem = "ignore_index is a class index, of which integer labels are"
        raise DTypeError(message_of(name, scores, labels, problem))


def _counted(labels: Node, ignore_index: int | None) -> tuple[Node, Node | None]:
    """The labels with 0 in the place of ignored ones, and which are counted; None for all."""
    if ignore_index is None:
        return labels, None
    is_counted = ops.not_equal(labels, integer_of("ignore_index", ignore_index))
    return ops.where(is_counted, labels, 0), is_counted


def _counted_scores(scores: Node, is_counted: Node | None) -> Node:
    """The scores, but 0 in the place of ignored ones, which may be all infinite."""
    return (
        scores if is_counted is None else ops.where(build.expand_dims(is_counted, -1), scores, 0.0)
    )


def _reduce_counted(losses: Node, is_counted: Node | None, reduction: Reduction) -> Node:
    """As `reduce_losses`, of the positions that are counted."""
    if is_counted is None:
        return reduce_losses(losses, reduction)
    losses = ops.where(is_counted, losses, 0.0)
    if reduction != "mean":
        return reduce_losses(losses, reduction)
    number = build.sum(build.cast(is_counted, losses.dtype))
    return build.sum(losses) / ops.maximum(number, 1.0)
