"""Training steps of recurrent networks that classify sequences by their last state."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

import graphc as gc
from benchmarks.workloads.workload import DATA_SEED, Workload

BATCH, CLASSES, RATE = 32, 10, 0.1
# Features, units and steps.
LARGE, SMALL = (64, 128, 32), (16, 32, 50)


def _workload(
    name: str, kind: str, make: Callable[[int], gc.nn.Layer], gates: int, sizes: tuple[int, ...]
) -> Workload:
    """x [batch, steps, features], the layer's last output and a dense layer to the classes."""
    features, units, steps = sizes
    graph = gc.Graph(seed=1)
    x = graph.input("x", (BATCH, steps, features))
    t = graph.input("t", (BATCH,), "i32")
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(make(units)(x), CLASSES), t)
    random = np.random.default_rng(DATA_SEED)
    arrays = (
        random.standard_normal((BATCH, steps, features)).astype(np.float32),
        random.integers(0, CLASSES, BATCH).astype(np.int32),
    )
    # Forward, and backward for weights and states; nothing is derived by x.
    products = steps * gates * units * (2 * features + 3 * units) + 3 * units * CLASSES
    flops = 2 * BATCH * products
    return Workload(name, (x, t), loss, gc.optim.SGD(RATE), arrays, kind, flops)


def lstm() -> Workload:
    """64 features, 128 units, 32 steps."""
    return _workload("lstm", "lstm", gc.nn.LSTM, 4, LARGE)


def lstm_small() -> Workload:
    """16 features, 32 units, 50 steps."""
    return _workload("lstm-small", "lstm", gc.nn.LSTM, 4, SMALL)


def gru_small() -> Workload:
    """16 features, 32 units, 50 steps."""
    return _workload("gru-small", "gru", gc.nn.GRU, 3, SMALL)


RECURRENT_WORKLOADS: Mapping[str, Callable[[], Workload]] = {
    "lstm": lstm,
    "lstm-small": lstm_small,
    "gru-small": gru_small,
}
