"""Training steps that the benchmarks measure: networks, data and initial weights.

Float32 throughout. S, A, B, C and L are sigmoid layers with softmax cross-entropy and SGD; E is
elementwise work alone, mean((tanh(a x + b) sigmoid(c x + d) - t)^2) with its four vectors trained.
ppo and sac are steps of reinforcement learning, trained by Adam, as are the networks of many kinds
in `adam_workloads.py`. Convolutional ones are in `image_workloads.py`, recurrent ones in
`recurrent_workloads.py`, those with attention in `attention_workloads.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

import graphc as gc
from benchmarks.peers.problem import CLIP, ENTROPY_WEIGHT
from benchmarks.workloads.adam_workloads import ADAM_WORKLOADS
from benchmarks.workloads.attention_workloads import ATTENTION_WORKLOADS
from benchmarks.workloads.image_workloads import IMAGE_WORKLOADS
from benchmarks.workloads.recurrent_workloads import RECURRENT_WORKLOADS
from benchmarks.workloads.workload import ADAM_RATE, DATA_SEED, Workload, layers, product_flops

LEARNING_RATE = 0.1

# Units of each layer, first those of the input, and the batch size.
LAYERED = {
    "S": ((8, 64, 64, 4), 32),
    "A": ((784, 50, 10), 100),
    "B": ((784, 512, 512, 10), 128),
    "C": ((1024, 1024, 1024, 1024, 10), 512),
    "L": ((32, 64, 64, 4), 4096),
}
PPO_UNITS, PPO_BATCH = (4, 64, 64, 2), 64
SAC_UNITS, SAC_BATCH = (23, 256, 256, 1), 256
NAMES = (
    *LAYERED, "E", "ppo", "sac", *ADAM_WORKLOADS, *IMAGE_WORKLOADS, *RECURRENT_WORKLOADS,
    *ATTENTION_WORKLOADS,
)  # fmt: skip

ELEMENTWISE_ROWS = 4096
ELEMENTWISE_COLUMNS = 1024


def workload(name: str) -> Workload:
    """The workload of that name. Raises KeyError for a name that is none of `NAMES`."""
    others: Mapping[str, Callable[[], Workload]] = {
        "E": elementwise, "ppo": ppo, "sac": sac, **ADAM_WORKLOADS, **IMAGE_WORKLOADS,
        **RECURRENT_WORKLOADS, **ATTENTION_WORKLOADS,
    }  # fmt: skip
    if name in others:
        return others[name]()
    units, batch = LAYERED[name]
    return layered(name, units, batch)


def layered(name: str, units: Sequence[int], batch: int) -> Workload:
    """Sigmoid layers of `units`, the last without activation, and softmax cross-entropy."""
    graph = gc.Graph(seed=1)
    x = graph.input("x", (batch, units[0]))
    t = graph.input("t", (batch,), "i32")
    loss = gc.losses.softmax_cross_entropy(layers(x, units[1:], gc.sigmoid), t)
    random = np.random.default_rng(DATA_SEED)
    arrays = (
        random.standard_normal((batch, units[0])).astype(np.float32),
        random.integers(0, units[-1], batch).astype(np.int32),
    )
    optimizer = gc.optim.SGD(LEARNING_RATE)
    flops = product_flops(units, batch)
    return Workload(name, (x, t), loss, optimizer, arrays, "classifier", flops)


def ppo() -> Workload:
    """A step of PPO for a policy of two actions, tanh layers, Adam.

    The old probabilities are another policy's, so some of the ratios are beyond the clipping.
    """
    graph = gc.Graph(seed=1)
    x = graph.input("x", (PPO_BATCH, PPO_UNITS[0]))
    actions = graph.input("actions", (PPO_BATCH,), "i32")
    old, advantages = (graph.input(name, (PPO_BATCH,)) for name in ("old", "advantages"))
    logs = gc.log_softmax(layers(x, PPO_UNITS[1:], gc.tanh))
    ratio = gc.exp(gc.pick(logs, actions) - old)
    clipped = gc.minimum(gc.maximum(ratio, 1 - CLIP), 1 + CLIP)
    gain = gc.mean(gc.minimum(ratio * advantages, clipped * advantages))
    entropy = -gc.mean(gc.sum(gc.exp(logs) * logs, axis=1))
    loss = -gain - ENTROPY_WEIGHT * entropy
    random = np.random.default_rng(DATA_SEED)
    arrays = (
        random.standard_normal((PPO_BATCH, PPO_UNITS[0])).astype(np.float32),
        random.integers(0, PPO_UNITS[-1], PPO_BATCH).astype(np.int32),
        np.log(random.uniform(0.2, 0.8, PPO_BATCH)).astype(np.float32),
        random.standard_normal(PPO_BATCH).astype(np.float32),
    )
    inputs = (x, actions, old, advantages)
    flops = product_flops(PPO_UNITS, PPO_BATCH)
    return Workload("ppo", inputs, loss, gc.optim.Adam(ADAM_RATE), arrays, "policy", flops)


def sac() -> Workload:
    """A step of a critic of SAC: relu layers, mean squared error, Adam."""
    graph = gc.Graph(seed=1)
    x = graph.input("x", (SAC_BATCH, SAC_UNITS[0]))
    t = graph.input("t", (SAC_BATCH,))
    values = gc.reshape(layers(x, SAC_UNITS[1:], gc.relu), (SAC_BATCH,))
    loss = gc.losses.mean_squared_error(values, t)
    random = np.random.default_rng(DATA_SEED)
    arrays = (
        random.standard_normal((SAC_BATCH, SAC_UNITS[0])).astype(np.float32),
        random.standard_normal(SAC_BATCH).astype(np.float32),
    )
    flops = product_flops(SAC_UNITS, SAC_BATCH)
    return Workload("sac", (x, t), loss, gc.optim.Adam(ADAM_RATE), arrays, "critic", flops)


def elementwise() -> Workload:
    """Workload E: x and t [rows, columns], a, b, c and d [columns]."""
    graph = gc.Graph()
    shape = (ELEMENTWISE_ROWS, ELEMENTWISE_COLUMNS)
    random = np.random.default_rng(DATA_SEED)
    x, t = graph.input("x", shape), graph.input("t", shape)
    a, b, c, d = (
        graph.parameter(name, (ELEMENTWISE_COLUMNS,), random.standard_normal(ELEMENTWISE_COLUMNS))
        for name in "abcd"
    )
    loss = gc.losses.mean_squared_error(gc.tanh(a * x + b) * gc.sigmoid(c * x + d), t)
    arrays = tuple(random.standard_normal(shape).astype(np.float32) for _ in range(2))
    return Workload("E", (x, t), loss, gc.optim.SGD(LEARNING_RATE), arrays, "elementwise")
