"""Training steps on sequences, written from primitives: a transformer (G) and an LSTM (R)."""

from __future__ import annotations

import numpy as np

import graphc as gc
from benchmarks.workloads.workloads import DATA_SEED, LEARNING_RATE, Workload

BATCH = 8
VOCABULARY = 64

# Of G.
TOKENS, WIDTH, HEADS, LAYERS = 32, 64, 4, 2
MASKED = -1e9

# Of R.
STEPS, FEATURES, UNITS, CLASSES = 16, 32, 64, 10
SEQUENCES = 32


def transformer() -> Workload:
    """G: blocks of causal attention and a layer of relu, each behind a normalization.

    Tokens [BATCH, TOKENS] predict the token behind each of them.
    """
    graph = gc.Graph(seed=1)
    tokens = graph.input("tokens", (BATCH, TOKENS), "i32")
    targets = graph.input("targets", (BATCH * TOKENS,), "i32")
    x = gc.take(graph.parameter("embedding", (VOCABULARY, WIDTH)), tokens)
    x = x + graph.parameter("places", (TOKENS, WIDTH))
    for layer in range(LAYERS):
        x = x + _attention(graph, _normalized(graph, x, f"n{layer}"), f"a{layer}")
        hidden = gc.nn.dense(_normalized(graph, x, f"m{layer}"), 4 * WIDTH, gc.relu)
        x = x + gc.nn.dense(hidden, WIDTH)
    logits = gc.nn.dense(_normalized(graph, x, "last"), VOCABULARY)
    logits = gc.reshape(logits, (BATCH * TOKENS, VOCABULARY))
    loss = gc.losses.softmax_cross_entropy(logits, targets)
    random = np.random.default_rng(DATA_SEED)
    arrays = tuple(
        random.integers(0, VOCABULARY, shape).astype(np.int32)
        for shape in ((BATCH, TOKENS), (BATCH * TOKENS,))
    )
    optimizer = gc.optim.SGD(LEARNING_RATE)
    return Workload("G", (tokens, targets), loss, optimizer, arrays)


def _normalized(graph: gc.Graph, x: gc.Node, name: str) -> gc.Node:
    """Rows of mean 0 and variance 1, scaled and shifted (Ba et al., 2016)."""
    centered = x - gc.mean(x, -1, keepdims=True)
    variance = gc.mean(gc.square(centered), -1, keepdims=True)
    scale = graph.parameter(f"{name}_scale", (WIDTH,), 1.0)
    shift = graph.parameter(f"{name}_shift", (WIDTH,), 0.0)
    return centered / gc.sqrt(variance + 1e-5) * scale + shift


def _attention(graph: gc.Graph, x: gc.Node, name: str) -> gc.Node:
    """softmax(q k^T / sqrt(d) + mask) v in each head (Vaswani et al., 2017)."""
    size = WIDTH // HEADS

    def heads(which: str) -> gc.Node:
        projected = x @ graph.parameter(f"{name}_{which}", (WIDTH, WIDTH))
        split = gc.reshape(projected, (BATCH, TOKENS, HEADS, size))
        return gc.transpose(split, (0, 2, 1, 3))

    query, key, value = (heads(which) for which in "qkv")
    mask = np.triu(np.full((TOKENS, TOKENS), MASKED, np.float32), 1)
    scores = gc.matmul(query, gc.transpose(key, (0, 1, 3, 2))) * size**-0.5 + mask
    mixed = gc.transpose(gc.matmul(gc.softmax(scores), value), (0, 2, 1, 3))
    return gc.reshape(mixed, (BATCH, TOKENS, WIDTH)) @ graph.parameter(name, (WIDTH, WIDTH))


def lstm(steps: int = STEPS) -> Workload:
    """R: an LSTM (Hochreiter and Schmidhuber, 1997), unrolled, that classifies by its last state.

    x [steps, SEQUENCES, FEATURES], t [SEQUENCES].
    """
    graph = gc.Graph(seed=1)
    x = graph.input("x", (steps, SEQUENCES, FEATURES))
    t = graph.input("t", (SEQUENCES,), "i32")
    from_input = graph.parameter("from_input", (FEATURES, 4 * UNITS))
    from_state = graph.parameter("from_state", (UNITS, 4 * UNITS))
    bias = graph.parameter("bias", (4 * UNITS,), 0.0)
    state = cell = gc.broadcast_to(gc.expand_dims(bias[:UNITS] * 0.0, 0), (SEQUENCES, UNITS))
    for step in range(steps):
        gates = x[step] @ from_input + state @ from_state + bias
        kept, new, shown, value = (
            gates[:, number * UNITS : (number + 1) * UNITS] for number in range(4)
        )
        cell = gc.sigmoid(kept) * cell + gc.sigmoid(new) * gc.tanh(value)
        state = gc.sigmoid(shown) * gc.tanh(cell)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(state, CLASSES), t)
    random = np.random.default_rng(DATA_SEED)
    arrays = (
        random.standard_normal((steps, SEQUENCES, FEATURES)).astype(np.float32),
        random.integers(0, CLASSES, SEQUENCES).astype(np.int32),
    )
    return Workload("R", (x, t), loss, gc.optim.SGD(LEARNING_RATE), arrays)
