"""What a peer is given, and what it has to offer for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

Optimizer = Literal["sgd", "adam"]

# Of Adam, as torch and graphc have them unless others are given.
BETAS = (0.9, 0.999)
EPSILON = 1e-8

# Of the loss "policy": how far the ratio of probabilities counts, and the weight of the entropy.
CLIP = 0.2
ENTROPY_WEIGHT = 0.01
# Of "dqn" what a later reward counts, of "pinn" the viscosity, of "bn" what joins a variance.
DISCOUNT = 0.99
BURGERS_VISCOSITY = 0.01 / np.pi
VARIANCE_EPSILON = 1e-3
# Of "gpt": its blocks, the heads of each, and what joins a variance there.
GPT_LAYERS, GPT_HEADS = 2, 4
LAYER_NORM_EPSILON = 1e-5
# Of `benchmarks.generation`: a GPT of that size, and how it draws the next token.
GENERATED_LAYERS, GENERATED_HEADS, GENERATED_WIDTH, GENERATED_VOCABULARY = 2, 4, 128, 96
TEMPERATURE, GENERATED_TOP_K = 0.8, 20


@dataclass(frozen=True)
class Problem:
    """A loss, the arrays that it reads, initial weights and the optimizer of a training step.

    loss: its name. Every peer has a table `LOSSES` from these names to functions of the parameters
    and the arrays; in all but the first the parameters are a kernel [fan_in, fan_out] and a bias
    [fan_out] for each layer in turn, and the last layer has no activation:

        elementwise  mean((tanh(a x + b) sigmoid(c x + d) - t)^2) of x and t [rows, columns]; the
                     parameters are a, b, c and d [columns]
        classifier   softmax cross-entropy of sigmoid layers; x [batch, features], t [batch] classes
        policy       the clipped objective of PPO (Schulman et al., 2017) less a bonus of entropy,
                     tanh layers; x [batch, features], actions [batch], and of each action the
                     logarithm of its old probability and its advantage [batch]
        critic       the mean squared error of relu layers of one unit at the end;
                     x [batch, features], t [batch]
        mexp         the mean squared error of tanh layers; x and t [batch, units]
        vae          a variational autoencoder (Kingma and Welling, 2014): a relu layer, then two
                     beside each other, the code's mean and the logarithm of its variance; a relu
                     layer and the logits; x [batch, pixels], noise [batch, code]
        bn           classifier of relu layers that are normalised over the batch: after a hidden
                     layer's bias stand its scale and shift [fan_out]
        dqn          Huber's loss of deep Q learning; x and the states that follow
                     [batch, features], actions, rewards and 1 where the episode goes on [batch],
                     and the parameters of the target network
        embed        a table [words, units], then relu layers: softmax cross-entropy of the mean of
                     the vectors of words; words [batch, length], t [batch]
        pinn         the squared residual of Burgers' equation at points (x, t) [points, 2], and
                     the squared error at starts [starts, 2], whose values are [starts]
        lenet        softmax cross-entropy of convolutions with relu and max pooling, then relu
                     layers; x [batch, height, width, channels], t [batch], kernels of
                     convolutions [height, width, channels, filters]
        lenet5       the same with 2 zeros around the image
        resnet8      residual blocks: convolutions without bias, each behind it normalised over the
                     batch, whose parameters are scale and shift; one with bias past a block
        dscnn        such convolutions, of each channel by itself and of all in turn
        lstm         softmax cross-entropy of a layer behind the last output of an LSTM;
                     x [batch, steps, features], t [batch], kernels [features, 4 units] and
                     [units, 4 units] and a bias, whose gates are i, f, g and o
        gru          the same with a GRU that resets the product: gates z, r and n, and a bias of
                     x and one of the state
        attention    the mean squared error of causal attention; its parameters are queries, keys
                     and values [heads, tokens, features], as t is
        gpt          a decoder of blocks with norms first and GELU: softmax cross-entropy of the
                     targets of tokens [batch, n]. Tables of symbols and places; of a block scale
                     and shift of a norm, query, key, value and output, scale and shift, and two
                     layers; at the end scale, shift and a layer

    momentum: of "sgd", whose velocity is momentum * velocity + gradient.
    """

    loss: str
    arrays: tuple[Array, ...]
    parameters: tuple[Array, ...]
    optimizer: Optimizer
    learning_rate: float
    momentum: float = 0.0

    def save(self, path: Path) -> None:
        """Writes everything to an .npz file."""
        arrays: dict[str, Any] = {f"array{n}": array for n, array in enumerate(self.arrays)}
        arrays |= {f"parameter{n}": array for n, array in enumerate(self.parameters)}
        names = {"loss": self.loss, "optimizer": self.optimizer}
        numbers = {"learning_rate": self.learning_rate, "momentum": self.momentum}
        np.savez(path, **numbers, **names, **arrays)

    @classmethod
    def load(cls, path: Path) -> Problem:
        """Reads what `save` wrote."""
        with np.load(path) as stored:

            def numbered(kind: str) -> tuple[Array, ...]:
                count = sum(name.startswith(kind) for name in stored)
                return tuple(stored[f"{kind}{number}"] for number in range(count))

            optimizer = str(stored["optimizer"])
            assert optimizer in ("sgd", "adam")
            return cls(
                str(stored["loss"]),
                numbered("array"),
                numbered("parameter"),
                optimizer,  # type: ignore[arg-type]
                float(stored["learning_rate"]),
                float(stored["momentum"]),
            )


@runtime_checkable
class Step(Protocol):
    """A training step of one system on one problem."""

    def reset(self) -> None:
        """Back to the initial weights."""
        ...

    def run(self, count: int) -> float:
        """Does `count` steps, waits for the last and returns its loss, taken before its update."""
        ...


@runtime_checkable
class Prediction(Protocol):
    """What one system predicts of a problem's first array by its parameters; of the loss the
    network counts alone, and there are no other arrays."""

    def outputs(self) -> Array:
        """The scores [rows, classes], channels last or first alike."""
        ...

    def run(self, count: int) -> object:
        """Predicts `count` times, and waits for each result before the next begins."""
        ...


Prepare = Callable[[Problem], Step | Prediction]
