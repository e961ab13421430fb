"""Losses and regularisers as scalar nodes.

Each loss has `reduction`: "mean" over all that it is computed for, "sum", or "none".
"""

from graphc.declare.losses.binary import (
    binary_hinge,
    hinge,
    sigmoid_cross_entropy,
    sigmoid_focal_cross_entropy,
)
from graphc.declare.losses.classes import (
    kl_divergence,
    multiclass_hinge,
    negative_log_likelihood,
    softmax_cross_entropy,
    softmax_focal_cross_entropy,
)
from graphc.declare.losses.penalties import l1, l2
from graphc.declare.losses.regression import (
    gaussian_nll,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_squared_error,
    poisson_nll,
)
from graphc.declare.losses.vectors import (
    cosine_embedding,
    cosine_similarity,
    info_nce,
    triplet_margin,
)

__all__ = [
    "binary_hinge",
    "cosine_embedding",
    "cosine_similarity",
    "gaussian_nll",
    "hinge",
    "huber",
    "info_nce",
    "kl_divergence",
    "l1",
    "l2",
    "log_cosh",
    "mean_absolute_error",
    "mean_squared_error",
    "multiclass_hinge",
    "negative_log_likelihood",
    "poisson_nll",
    "sigmoid_cross_entropy",
    "sigmoid_focal_cross_entropy",
    "softmax_cross_entropy",
    "softmax_focal_cross_entropy",
    "triplet_margin",
]
