"""Training steps with attention: a small GPT, and attention alone over long sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

import graphc as gc
from benchmarks.peers.problem import GPT_HEADS, GPT_LAYERS
from benchmarks.workloads.workload import DATA_SEED, Workload

GPT_WIDTH, GPT_TOKENS, GPT_BATCH, GPT_VOCABULARY = 128, 64, 16, 96
# What a feed-forward network has more units than features.
WIDENING = 4
GPT_RATE = 0.1

# Heads, features of each, and tokens of attention alone.
HEADS, FEATURES = 4, 64
TOKENS = (512, 2048, 4096)
# A step along the gradient of a mean over so many elements: 1 would change nothing.
ATTENTION_RATE = 1000.0


def gpt() -> Workload:
    """Blocks of causal attention and GELU, norms first: tokens [batch, n] predict those behind."""
    graph = gc.Graph(seed=1)
    shape = (GPT_BATCH, GPT_TOKENS)
    tokens, targets = (graph.input(name, shape, "i32") for name in ("tokens", "targets"))
    x = gc.nn.embedding(tokens, GPT_VOCABULARY, GPT_WIDTH)
    x = x + gc.nn.PositionEmbedding(GPT_TOKENS)(x)
    for _ in range(GPT_LAYERS):
        x = gc.nn.TransformerDecoderBlock(
            WIDENING * GPT_WIDTH, GPT_HEADS, activation="gelu", normalize_first=True
        )(x)
    scores = gc.nn.dense(gc.nn.layer_norm(x, epsilon=1e-5), GPT_VOCABULARY)
    loss = gc.losses.softmax_cross_entropy(
        gc.reshape(scores, (-1, GPT_VOCABULARY)), gc.reshape(targets, -1)
    )
    random = np.random.default_rng(DATA_SEED)
    arrays = tuple(random.integers(0, GPT_VOCABULARY, shape).astype(np.int32) for _ in range(2))
    # Of a token in a block: four projections, both products of attention over half of all tokens,
    # and the feed-forward network.
    block = 4 * GPT_WIDTH**2 + GPT_TOKENS * GPT_WIDTH + 2 * WIDENING * GPT_WIDTH**2
    forward = 2 * GPT_BATCH * GPT_TOKENS * (GPT_LAYERS * block + GPT_WIDTH * GPT_VOCABULARY)
    return Workload(
        "gpt", (tokens, targets), loss, gc.optim.SGD(GPT_RATE), arrays, "gpt", 3 * forward
    )


def attention(tokens: int) -> Workload:
    """Causal attention and its derivatives: queries, keys and values are what is trained."""
    graph = gc.Graph(seed=1)
    shape = (HEADS, tokens, FEATURES)
    t = graph.input("t", shape)
    random = np.random.default_rng(DATA_SEED)
    q, k, v = (graph.parameter(name, shape, random.standard_normal(shape)) for name in "qkv")
    mixed = gc.nn.attention(q, k, v, causal=True)
    loss = gc.losses.mean_squared_error(mixed, t)
    arrays = (random.standard_normal(shape).astype(np.float32),)
    # Two products forward and four backward, of half of all scores.
    flops = 6 * HEADS * tokens**2 * FEATURES
    name = f"attention-{tokens}"
    return Workload(
        name, (t,), loss, gc.optim.SGD(ATTENTION_RATE), arrays, "attention", flops
    )  # fmt: skip


ATTENTION_WORKLOADS: Mapping[str, Callable[[], Workload]] = {
    "gpt": gpt,
    **{f"attention-{tokens}": partial(attention, tokens) for tokens in TOKENS},
}
