"""Losses of one logit or score of yes or no."""

from __future__ import annotations

import numpy as np

from graphc.declare.hyperparameters import check_number
from graphc.declare.losses.checks import Reduction, check_like, check_share, reduce_losses
from graphc.declare.losses.focus import modulation
from graphc.ir.arguments.given import is_tensor
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops


def sigmoid_cross_entropy(
    logits: Node,
    targets: Node,
    reduction: Reduction = "mean",
    *,
    pos_weight: float | Node | None = None,
    label_smoothing: float = 0.0,
) -> Node:
    """-t log sigmoid(z) - (1 - t) log(1 - sigmoid(z)), elementwise and without overflow.

    `targets` are probabilities of the logits' type.

    pos_weight: a factor of the first term: a number, or a tensor that broadcasts to the logits.
    label_smoothing: the share of t that is spread over yes and no.

    Raises ShapeError or DTypeError for any other targets, ValueError for a share outside of 0 to 1
    and for a weight that is negative or not finite.

        loss = gc.losses.sigmoid_cross_entropy(logits, targets, pos_weight=3.0)
    """
    check_like("sigmoid_cross_entropy", logits, targets)
    targets = _smoothed(targets, label_smoothing)
    if pos_weight is None:
        return reduce_losses(ops.sigmoid_cross_entropy(logits, targets), reduction)
    if not is_tensor(pos_weight):
        check_number("pos_weight", pos_weight, least=0, dtype=logits.dtype)
    # The loss of another target with another weight: both terms stay exact where t is 0 or 1.
    positive = targets * pos_weight
    whole = positive + (1 - targets)
    share = positive / ops.where(ops.equal(whole, 0), 1.0, whole)
    losses = ops.weigh(whole, ops.sigmoid_cross_entropy(logits, share))
    return reduce_losses(losses, reduction)


def sigmoid_focal_cross_entropy(
    logits: Node,
    targets: Node,
    gamma: float = 2.0,
    alpha: float | None = None,
    reduction: Reduction = "mean",
    *,
    label_smoothing: float = 0.0,
) -> Node:
    """(1 - p_t)^gamma times the sigmoid cross-entropy, p_t = t p + (1 - t) (1 - p), p = sigmoid(z):
    what is easy counts little.

    `targets` are probabilities of the logits' type. alpha: the weight of yes, beside 1 - alpha of
    no; without it both count as much. Source: Lin and others, Focal loss for dense object
    detection, 2017. Raises as `sigmoid_cross_entropy`, and ValueError for a negative gamma and for
    an alpha outside of 0 to 1.

        loss = gc.losses.sigmoid_focal_cross_entropy(logits, targets, alpha=0.25)
    """
    check_like("sigmoid_focal_cross_entropy", logits, targets)
    check_number("gamma", gamma, least=0, dtype=logits.dtype)
    targets = _smoothed(targets, label_smoothing)
    # At an infinite logit the loss may be infinite, while the factor no longer changes.
    limit = float(np.finfo(logits.dtype.numpy).max)
    bounded = ops.minimum(ops.maximum(logits, -limit), limit)
    miss = targets * ops.sigmoid(-bounded) + (1 - targets) * ops.sigmoid(bounded)
    losses = modulation(miss, gamma) * ops.sigmoid_cross_entropy(logits, targets)
    if alpha is not None:
        check_share("alpha", alpha)
        losses = ops.weigh(alpha * targets + (1 - alpha) * (1 - targets), losses)
    return reduce_losses(losses, reduction)


def hinge(scores: Node, targets: Node, reduction: Reduction = "mean") -> Node:
    """max(0, 1 - t z), elementwise, for targets t of -1 or 1 of the scores' type.

    At 1 = t z the derivative is 0. Raises ShapeError or DTypeError for any other.

        loss = gc.losses.hinge(scores, signs)
    """
    check_like("hinge", scores, targets)
    return reduce_losses(ops.hinge(scores, targets), reduction)


def binary_hinge(scores: Node, targets: Node, reduction: Reduction = "mean") -> Node:
    """`hinge` for targets of 0 or 1, as `sigmoid_cross_entropy` has them: max(0, 1 - (2 t - 1) z).

    Raises as `hinge`.

        loss = gc.losses.binary_hinge(scores, targets)
    """
    check_like("binary_hinge", scores, targets)
    return reduce_losses(ops.hinge(scores, 2 * targets - 1), reduction)


def _smoothed(targets: Node, share: float) -> Node:
    """(1 - share) t + share / 2"""
    check_share("label_smoothing", share)
    return (1 - share) * targets + share / 2 if share else targets
