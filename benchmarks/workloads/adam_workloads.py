"""Training steps of small networks of many kinds, trained by Adam as their users train them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

import graphc as gc
from benchmarks.peers.problem import BURGERS_VISCOSITY, DISCOUNT
from benchmarks.workloads.workload import (
    ADAM_RATE,
    DATA_SEED,
    Array,
    Workload,
    layers,
    product_flops,
)

VAE_PIXELS, VAE_UNITS, VAE_CODE, VAE_BATCH = 784, 400, 20, 128
# By larger steps the loss falls so fast that rounding shows in what is left of it.
SMALL_RATE = 1e-4
NORMALISED_UNITS, NORMALISED_BATCH = (256, 256, 256, 256, 10), 256
EXPONENTIAL_UNITS, EXPONENTIAL_ROWS = (4, 32, 16, 4), 10_000
DQN_UNITS, DQN_BATCH = (4, 64, 64, 2), 64
WORDS, WORD_UNITS, TEXT_LENGTH, TEXT_BATCH, TEXT_CLASSES = 20_000, 64, 30, 64, 2
PINN_UNITS, PINN_POINTS, PINN_STARTS = (2, 50, 50, 50, 1), 1000, 100


def vae() -> Workload:
    """Variational autoencoder of one hidden layer on both sides; noise comes with the data."""
    graph = gc.Graph(seed=1)
    x = graph.input("x", (VAE_BATCH, VAE_PIXELS))
    noise = graph.input("noise", (VAE_BATCH, VAE_CODE))
    hidden = gc.nn.dense(x, VAE_UNITS, gc.relu)
    mean, log_variance = (gc.nn.dense(hidden, VAE_CODE) for _ in range(2))
    code = mean + gc.exp(0.5 * log_variance) * noise
    logits = layers(code, (VAE_UNITS, VAE_PIXELS), gc.relu)
    pixels = gc.sum(gc.softplus(logits) - x * logits, axis=1)
    divergence = -0.5 * gc.sum(1 + log_variance - gc.square(mean) - gc.exp(log_variance), axis=1)
    random = _random()
    arrays = (
        random.uniform(size=(VAE_BATCH, VAE_PIXELS)).astype(np.float32),
        _normal(random, (VAE_BATCH, VAE_CODE)),
    )
    encoder = product_flops((VAE_PIXELS, VAE_UNITS, 2 * VAE_CODE), VAE_BATCH)
    decoder = product_flops((VAE_CODE, VAE_UNITS, VAE_PIXELS), VAE_BATCH)
    flops = encoder + decoder + 2 * VAE_BATCH * VAE_CODE * VAE_UNITS
    return _workload("vae", (x, noise), gc.mean(pixels + divergence), arrays, flops)


def bn() -> Workload:
    """A classifier of relu layers, each normalised over its batch before the activation."""
    graph = gc.Graph(seed=1)
    x = graph.input("x", (NORMALISED_BATCH, NORMALISED_UNITS[0]))
    t = graph.input("t", (NORMALISED_BATCH,), "i32")
    hidden = x
    for width in NORMALISED_UNITS[1:-1]:
        hidden = gc.relu(gc.nn.batch_norm(gc.nn.dense(hidden, width)))
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(hidden, NORMALISED_UNITS[-1]), t)
    random = _random()
    arrays = (
        _normal(random, (NORMALISED_BATCH, NORMALISED_UNITS[0])),
        random.integers(0, NORMALISED_UNITS[-1], NORMALISED_BATCH).astype(np.int32),
    )
    flops = product_flops(NORMALISED_UNITS, NORMALISED_BATCH)
    return Workload("bn", (x, t), loss, gc.optim.Adam(SMALL_RATE), arrays, "bn", flops)


def mexp() -> Workload:
    """The exponential of 2 x 2 matrices by a small tanh network on many rows."""
    graph = gc.Graph(seed=1)
    x, t = (graph.input(name, (EXPONENTIAL_ROWS, 4)) for name in "xt")
    loss = gc.losses.mean_squared_error(layers(x, EXPONENTIAL_UNITS[1:], gc.tanh), t)
    matrices = _random().standard_normal((EXPONENTIAL_ROWS, 2, 2)).astype(np.float32)
    arrays = (matrices.reshape(-1, 4), _exponentials(matrices).reshape(-1, 4))
    flops = product_flops(EXPONENTIAL_UNITS, EXPONENTIAL_ROWS)
    return _workload("mexp", (x, t), loss, arrays, flops)


def dqn() -> Workload:
    """A step of deep Q learning: the target network's weights are arrays that do not train."""
    graph = gc.Graph(seed=1)
    x, following = (graph.input(name, (DQN_BATCH, DQN_UNITS[0])) for name in ("x", "following"))
    actions = graph.input("actions", (DQN_BATCH,), "i32")
    rewards, goes_on = (graph.input(name, (DQN_BATCH,)) for name in ("rewards", "goes_on"))
    shapes = [
        shape
        for fan_in, fan_out in pairwise(DQN_UNITS)
        for shape in ((fan_in, fan_out), (fan_out,))
    ]
    target = [graph.input(f"target{number}", shape) for number, shape in enumerate(shapes)]
    next_hidden = following
    for kernel, bias in zip(target[:-2:2], target[1:-2:2], strict=True):
        next_hidden = gc.relu(next_hidden @ kernel + bias)
    best = gc.max(next_hidden @ target[-2] + target[-1], axis=1)
    wanted = rewards + DISCOUNT * goes_on * best
    chosen = gc.pick(layers(x, DQN_UNITS[1:], gc.relu), actions)
    error = gc.abs(chosen - gc.stop_gradient(wanted))
    loss = gc.mean(gc.where(error < 1, 0.5 * gc.square(error), error - 0.5))
    random = _random()
    arrays = (
        _normal(random, (DQN_BATCH, DQN_UNITS[0])),
        _normal(random, (DQN_BATCH, DQN_UNITS[0])),
        random.integers(0, DQN_UNITS[-1], DQN_BATCH).astype(np.int32),
        _normal(random, (DQN_BATCH,)),
        (random.uniform(size=DQN_BATCH) < 0.9).astype(np.float32),
        *(0.3 * _normal(random, shape) for shape in shapes),
    )
    inputs = (x, following, actions, rewards, goes_on, *target)
    forward = product_flops(DQN_UNITS, DQN_BATCH)
    flops = forward + 2 * DQN_BATCH * sum(a * b for a, b in pairwise(DQN_UNITS))
    return _workload("dqn", inputs, loss, arrays, flops)


def embed() -> Workload:
    """A classifier of texts: the mean of their words' vectors, and one hidden layer."""
    graph = gc.Graph(seed=1)
    words = graph.input("words", (TEXT_BATCH, TEXT_LENGTH), "i32")
    t = graph.input("t", (TEXT_BATCH,), "i32")
    mean = gc.mean(gc.nn.embedding(words, WORDS, WORD_UNITS), axis=1)
    loss = gc.losses.softmax_cross_entropy(layers(mean, (WORD_UNITS, TEXT_CLASSES), gc.relu), t)
    random = _random()
    arrays = (
        random.integers(0, WORDS, (TEXT_BATCH, TEXT_LENGTH)).astype(np.int32),
        random.integers(0, TEXT_CLASSES, TEXT_BATCH).astype(np.int32),
    )
    units = (WORD_UNITS, WORD_UNITS, TEXT_CLASSES)
    return _workload("embed", (words, t), loss, arrays, product_flops(units, TEXT_BATCH))


def pinn() -> Workload:
    """Burgers' equation u_t + u u_x = v u_xx at points (x, t), and its start u(x, 0)."""
    graph = gc.Graph(seed=1)
    points = graph.input("points", (PINN_POINTS, 2))
    starts = graph.input("starts", (PINN_STARTS, 2))
    values = graph.input("values", (PINN_STARTS,))
    network = [gc.nn.Dense(width, "tanh") for width in PINN_UNITS[1:-1]]
    network.append(gc.nn.Dense(PINN_UNITS[-1]))

    def u(x: gc.Node) -> gc.Node:
        for layer in network:
            x = layer(x)
        return x[:, 0]

    inside = u(points)
    slopes = gc.grad(gc.sum(inside), points)
    second = gc.grad(gc.sum(slopes[:, 0]), points)[:, 0]
    residual = slopes[:, 1] + inside * slopes[:, 0] - BURGERS_VISCOSITY * second
    loss = gc.mean(gc.square(residual)) + gc.mean(gc.square(u(starts) - values))
    random = _random()
    x = random.uniform(-1, 1, PINN_STARTS)
    arrays = (
        random.uniform((-1, 0), (1, 1), (PINN_POINTS, 2)).astype(np.float32),
        np.stack([x, np.zeros_like(x)], axis=1).astype(np.float32),
        -np.sin(np.pi * x).astype(np.float32),
    )
    return _workload("pinn", (points, starts, values), loss, arrays, 0)


ADAM_WORKLOADS: Mapping[str, Callable[[], Workload]] = {
    make.__name__: make for make in (vae, bn, mexp, dqn, embed, pinn)
}


def _workload(
    name: str,
    inputs: tuple[gc.Node, ...],
    loss: gc.Node,
    arrays: tuple[Array, ...],
    flops: int,
) -> Workload:
    """Its loss has the name of the workload with the peers too."""
    return Workload(name, inputs, loss, gc.optim.Adam(ADAM_RATE), arrays, name, flops)


def _random() -> np.random.Generator:
    return np.random.default_rng(DATA_SEED)


def _normal(random: np.random.Generator, shape: Sequence[int]) -> Array:
    return random.standard_normal(shape).astype(np.float32)


def _exponentials(matrices: Array) -> Array:
    """Of 2 x 2 matrices [n, 2, 2], by the series of e^(x / 2^k), squared k times."""
    halvings, terms = 8, 8
    scaled = matrices.astype(np.float64) / 2**halvings
    power = result = np.broadcast_to(np.eye(2), scaled.shape)
    for number in range(1, terms):
        power = power @ scaled / number
        result = result + power
    for _ in range(halvings):
        result = result @ result
    return result.astype(np.float32)
