"""Losses of every kind with their definitions in numpy."""

import math

import numpy as np

import graphc as gc

ROWS, CLASSES = 6, 4
RNG = np.random.default_rng(8)
Z = RNG.normal(size=(ROWS, CLASSES)) * 2
Y = RNG.normal(size=(ROWS, CLASSES))
W = RNG.normal(size=(ROWS, CLASSES))
LABELS = RNG.integers(0, CLASSES, ROWS)
IGNORED = np.where(np.arange(ROWS) % 3 == 1, -1, LABELS)
SHARES = RNG.dirichlet(np.ones(CLASSES), ROWS)
BITS = (RNG.uniform(size=(ROWS, CLASSES)) < 0.5) * 1.0
COUNTS = RNG.poisson(1.5, (ROWS, CLASSES)) * 1.0
WEIGHTS = [0.5, 2.0, 0.0, 1.5]
PLACES = np.arange(ROWS)


def log_softmax(z):
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def focal(z, t, gamma):
    logs = log_softmax(z)
    return -(t * (1 - np.exp(logs)) ** gamma * logs).sum(-1)


def binary(z, t, yes=1.0):
    return -yes * t * np.log(sigmoid(z)) - (1 - t) * np.log(sigmoid(-z))


def binary_focal(z, t, gamma, alpha):
    p = sigmoid(z)
    factor = (1 - (t * p + (1 - t) * (1 - p))) ** gamma
    return (alpha * t + (1 - alpha) * (1 - t)) * factor * binary(z, t)


def one_hot(labels):
    return np.eye(CLASSES)[labels]


def smoothed(z, t, share, weights):
    t = (1 - share) * t + share / t.shape[-1]
    return -(t * weights * log_softmax(z)).sum(-1)


def cosine(x, y):
    return (x * y).sum(-1) / np.sqrt((x**2).sum(-1) * (y**2).sum(-1))


def norm(x, p):
    return (np.abs(x) ** p).sum(-1) ** (1 / p)


def triplet(a, b, c, margin=1.0, p=2.0, swap=False):
    near, far = norm(a - b + 1e-6, p), norm(a - c + 1e-6, p)
    if swap:
        far = np.minimum(far, norm(b - c + 1e-6, p))
    return np.maximum(near - far + margin, 0)


def info_nce(x, y, temperature, normalize=True):
    if normalize:
        x, y = (v / np.sqrt((v**2).sum(-1, keepdims=True)) for v in (x, y))
    return -np.diagonal(log_softmax(x @ y.T / temperature))


def stirling(t):
    safe = np.where(t > 1, t, 1.0)
    return np.where(t > 1, safe * np.log(safe) - safe + 0.5 * np.log(2 * np.pi * safe), 0)


losses = gc.losses
# name: the loss, its arrays, and what it is of each position; the gradient is that by the first.
CASES = {
    "absolute": (losses.mean_absolute_error, (Z, Y), lambda z, t: np.abs(z - t)),
    "huber": (
        lambda z, t, **o: losses.huber(z, t, 0.7, **o), (Z, Y),
        lambda z, t: np.where(abs(z - t) <= 0.7, (z - t) ** 2 / 2, 0.7 * (abs(z - t) - 0.35)),
    ),
    "log_cosh": (losses.log_cosh, (Z, Y), lambda z, t: np.log(np.cosh(z - t))),
    "gaussian": (
        losses.gaussian_nll, (Z, Y, np.exp(W)),
        lambda z, t, v: (np.log(v) + (z - t) ** 2 / v) / 2,
    ),
    "gaussian by the variance": (
        lambda v, z, t, **o: losses.gaussian_nll(z, t, v, full=True, **o), (np.exp(W), Z, Y),
        lambda v, z, t: (np.log(2 * math.pi * v) + (z - t) ** 2 / v) / 2,
    ),
    "poisson": (losses.poisson_nll, (Z, COUNTS), lambda z, t: np.exp(z) - t * z),
    "poisson of rates": (
        lambda y, t, **o: losses.poisson_nll(y, t, False, True, 1e-3, **o), (np.exp(Y), COUNTS),
        lambda y, t: y - t * np.log(y + 1e-3) + stirling(t),
    ),
    "hinge": (losses.hinge, (Z, 2 * BITS - 1), lambda z, t: np.maximum(0, 1 - t * z)),
    "binary hinge": (
        losses.binary_hinge, (Z, BITS), lambda z, t: np.maximum(0, 1 - (2 * t - 1) * z),
    ),
    "pos_weight": (
        lambda z, t, **o: losses.sigmoid_cross_entropy(z, t, pos_weight=3.0, **o), (Z, BITS),
        lambda z, t: binary(z, t, 3.0),
    ),
    "pos_weight of soft targets": (
        lambda z, t, w, **o: losses.sigmoid_cross_entropy(z, t, pos_weight=w, **o),
        (Z, SHARES, np.exp(W[0])), lambda z, t, w: binary(z, t, w),
    ),
    "smoothed bits": (
        lambda z, t, **o: losses.sigmoid_cross_entropy(z, t, label_smoothing=0.2, **o), (Z, BITS),
        lambda z, t: binary(z, 0.8 * t + 0.1),
    ),
    "focal bits": (
        lambda z, t, **o: losses.sigmoid_focal_cross_entropy(z, t, 1.5, 0.25, **o), (Z, BITS),
        lambda z, t: binary_focal(z, t, 1.5, 0.25),
    ),
    "focal shares": (
        lambda z, t, **o: losses.sigmoid_focal_cross_entropy(z, t, alpha=0.5, **o), (Z, SHARES),
        lambda z, t: binary_focal(z, t, 2.0, 0.5),
    ),
    "focal labels": (
        losses.softmax_focal_cross_entropy, (Z, LABELS), lambda z, t: focal(z, one_hot(t), 2.0),
    ),
    "focal distributions": (
        lambda z, t, **o: losses.softmax_focal_cross_entropy(
            z, t, 0.5, class_weight={2: 0.0, 3: 2.0}, **o),
        (Z, SHARES), lambda z, t: focal(z, t * [1, 1, 0, 2], 0.5),
    ),
    "smoothed labels": (
        lambda z, t, **o: losses.softmax_cross_entropy(z, t, label_smoothing=0.2, **o), (Z, LABELS),
        lambda z, t: smoothed(z, one_hot(t), 0.2, 1.0),
    ),
    "smoothed and weighted labels": (
        lambda z, t, **o: losses.softmax_cross_entropy(
            z, t, label_smoothing=0.2, class_weight=WEIGHTS, **o),
        (Z, LABELS), lambda z, t: smoothed(z, one_hot(t), 0.2, WEIGHTS),
    ),
    "smoothed and weighted distributions": (
        lambda z, t, w, **o: losses.softmax_cross_entropy(
            z, t, label_smoothing=0.2, class_weight=w, **o),
        (Z, SHARES, np.array(WEIGHTS)), lambda z, t, w: smoothed(z, t, 0.2, w),
    ),
    "likelihood": (
        lambda z, t, **o: losses.negative_log_likelihood(z, t, class_weight=WEIGHTS, **o),
        (log_softmax(Z), LABELS), lambda z, t: -z[np.arange(len(t)), t] * np.array(WEIGHTS)[t],
    ),
    "divergence": (
        losses.kl_divergence, (log_softmax(Z), SHARES),
        lambda z, t: (t * (np.log(t) - z)).sum(-1),
    ),
    "divergence of logarithms": (
        lambda z, t, **o: losses.kl_divergence(z, t, log_target=True, **o),
        (log_softmax(Z), np.log(SHARES)), lambda z, t: (np.exp(t) * (t - z)).sum(-1),
    ),
    "divergence by the targets": (
        lambda t, z, **o: losses.kl_divergence(z, t, **o), (SHARES, log_softmax(Z)),
        lambda t, z: (t * (np.log(t) - z)).sum(-1),
    ),
    "cosine": (losses.cosine_similarity, (Z, Y), lambda x, y: -cosine(x, y)),
    "cosine embedding": (
        lambda x, y, t, **o: losses.cosine_embedding(x, y, t, 0.1, **o),
        (Z, Y, 2 * BITS[:, 0] - 1),
        lambda x, y, t: np.where(t > 0, 1 - cosine(x, y), np.maximum(0, cosine(x, y) - 0.1)),
    ),
    "triplet": (losses.triplet_margin, (Z, Y, W), triplet),
    "triplet, swapped": (
        lambda a, b, c, **o: losses.triplet_margin(a, b, c, 2.0, 1, swap=True, **o), (Z, Y, W),
        lambda a, b, c: triplet(a, b, c, 2.0, 1, True),
    ),
    "triplet of cubes": (
        lambda a, b, c, **o: losses.triplet_margin(a, b, c, 2.0, 3, **o), (Z, Y, W),
        lambda a, b, c: triplet(a, b, c, 2.0, 3),
    ),
    "info_nce": (
        lambda x, y, **o: losses.info_nce(x, y, 0.2, **o), (Z, Y),
        lambda x, y: info_nce(x, y, 0.2),
    ),
    "info_nce of lengths": (
        lambda x, y, **o: losses.info_nce(x, y, 2.0, normalize=False, **o), (Z, Y),
        lambda x, y: info_nce(x, y, 2.0, normalize=False),
    ),
}  # fmt: skip
# Arrays that are no rows of the batch.
WHOLE = {"pos_weight of soft targets": 2, "smoothed and weighted distributions": 2}
# A mean over what is counted is no sum over rows.
COUNTED = {
    "ignored labels": (losses.softmax_cross_entropy, (Z, IGNORED)),
    "ignored and smoothed labels": (
        lambda z, t, **o: losses.softmax_cross_entropy(z, t, label_smoothing=0.2, **o),
        (Z, IGNORED),
    ),
    "ignored and focal labels": (losses.softmax_focal_cross_entropy, (Z, IGNORED)),
    "ignored and weighted likelihood": (
        lambda z, t, **o: losses.negative_log_likelihood(z, t, class_weight=WEIGHTS, **o),
        (log_softmax(Z), IGNORED),
    ),
}


def inputs_of(graph, case, arrays):
    """An input for each array, of any number of rows but for those in `WHOLE`."""
    return [
        graph.input(
            f"{case} {number}",
            array.shape if WHOLE.get(case) == number else ("batch", *array.shape[1:]),
            array.dtype,
        )
        for number, array in enumerate(arrays)
    ]
