"""Losses of vectors [..., dimensions], by how near they are to each other."""

from __future__ import annotations

from graphc.declare.hyperparameters import check_number
from graphc.declare.losses.checks import (
    Reduction,
    check_like,
    check_vectors,
    message_of,
    reduce_losses,
)
from graphc.errors import DTypeError, ShapeError
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import check_tensors
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import i32, shape_text

# The least length that a cosine divides by, as torch.nn.functional.cosine_similarity has it.
LEAST_LENGTH = 1e-8


def cosine_similarity(predictions: Node, targets: Node, reduction: Reduction = "mean") -> Node:
    """-x.y / (|x| |y|) of vectors along the last axis: -1 where they point the same way.

    Lengths are at least 1e-8. Raises ShapeError or DTypeError when the types differ, and ShapeError
    for vectors of one element.

        loss = gc.losses.cosine_similarity(predictions, targets)
    """
    check_vectors("cosine_similarity", predictions, targets)
    return reduce_losses(-_cosine(predictions, targets), reduction)


def cosine_embedding(
    first: Node,
    second: Node,
    targets: Node,
    margin: float = 0.0,
    reduction: Reduction = "mean",
) -> Node:
    """1 - cos of two vectors [..., dimensions] where the target is 1, max(0, cos - margin) where it
    is -1.

    targets: 1 or -1, [...], in the vectors' dtype. Raises as `cosine_similarity`, ShapeError or
    DTypeError for other targets, ValueError unless the margin is finite.

        loss = gc.losses.cosine_embedding(first, second, signs, margin=0.5)
    """
    name = "cosine_embedding"
    check_vectors(name, first, second)
    check_tensors(name, targets)
    if targets.dtype != first.dtype:
        problem = f"targets of {first.dtype} expected"
        raise DTypeError(message_of(name, first, targets, problem))
    if targets.shape != first.shape[:-1]:
        problem = f"targets of shape {shape_text(first.shape[:-1])} expected"
        raise ShapeError(message_of(name, first, targets, problem))
    check_number("margin", margin, dtype=first.dtype)
    cosine = _cosine(first, second)
    losses = ops.where(ops.greater(targets, 0), 1 - cosine, ops.relu(cosine - margin))
    return reduce_losses(losses, reduction)


@checks_flags
def triplet_margin(
    anchors: Node,
    positives: Node,
    negatives: Node,
    margin: float = 1.0,
    p: float = 2.0,
    epsilon: float = 1e-6,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Node:
    """max(0, |a - b| - |a - c| + margin) for anchors a, positives b and negatives c,
    [..., dimensions].

    The p-norms are of differences + epsilon. swap: |b - c| stands for |a - c| where it is smaller.
    At a distance of 0 the derivative is 0. Source: Balntas and others, Learning shallow
    convolutional feature descriptors with triplet losses, 2016. Raises ShapeError or DTypeError
    when the types differ, ValueError for a p below 1 and numbers that are not finite.

        loss = gc.losses.triplet_margin(anchors, positives, negatives)
    """
    name = "triplet_margin"
    check_like(name, anchors, positives)
    check_like(name, anchors, negatives)
    if not anchors.rank:
        problem = "vectors along the last axis expected"
        raise ShapeError(message_of(name, anchors, positives, problem))
    check_number("margin", margin, dtype=anchors.dtype)
    check_number("p", p, least=1)
    check_number("epsilon", epsilon, least=0, dtype=anchors.dtype)
    near = _norm(anchors - positives + epsilon, p)
    far = _norm(anchors - negatives + epsilon, p)
    if swap:
        far = ops.minimum(far, _norm(positives - negatives + epsilon, p))
    return reduce_losses(ops.relu(near - far + margin), reduction)


@checks_flags
def info_nce(
    queries: Node,
    keys: Node,
    temperature: float = 0.1,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Node:
    """-log softmax(x_i . y_j / temperature)_i for queries x and keys y, [batch, dimensions]: of all
    keys, query i is to find key i.

    normalize: vectors are divided by their lengths first. Weights of samples are those of queries.
    Source: van den Oord, Li and Vinyals, Representation learning with contrastive predictive
    coding, 2018. Raises ShapeError or DTypeError when the types differ, and ShapeError for what are
    no rows of vectors; ValueError unless the temperature is finite and above 0.

        loss = gc.losses.info_nce(queries, keys, temperature=0.1)
    """
    name = "info_nce"
    check_vectors(name, queries, keys)
    if queries.rank != 2:
        raise ShapeError(message_of(name, queries, keys, "[batch, dimensions] expected"))
    check_number("temperature", temperature, least=0, dtype=queries.dtype)
    if temperature == 0:
        raise ValueError("temperature: a number above 0 expected, not 0")
    if normalize:
        queries, keys = _unit(queries), _unit(keys)
    scores = build.matmul(queries, keys, transpose_y=True) * (1 / temperature)
    own = queries.graph.iota(queries.shape[:1], i32)
    return reduce_losses(-build.pick(build.log_softmax(scores, -1), own), reduction)


def _cosine(x: Node, y: Node) -> Node:
    lengths = [ops.maximum(_norm(each, 2.0), LEAST_LENGTH) for each in (x, y)]
    return build.sum(x * y, -1) / (lengths[0] * lengths[1])


def _unit(x: Node) -> Node:
    """The rows divided by their lengths."""
    return x / ops.maximum(build.expand_dims(_norm(x, 2.0), -1), LEAST_LENGTH)


def _norm(x: Node, p: float) -> Node:
    """The p-norm along the last axis; where it is 0 its derivative is 0."""
    if p == 1:
        return build.sum(ops.absolute(x), -1)
    powers = ops.square(x) if p == 2 else build.power(ops.absolute(x), float(p))
    total = build.sum(powers, -1)
    is_zero = ops.equal(ops.stop_gradient(total), 0)
    above = ops.where(is_zero, 1.0, total)
    root = ops.sqrt(above) if p == 2 else build.power(above, 1 / p)
    return ops.where(is_zero, 0.0, root)
