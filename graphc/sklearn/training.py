"""Stochastic training of a learner: epochs, when it stops, and what is kept of it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.kernels.host.interrupts import Interrupts, deferred_interrupts
from graphc.sklearn.learner import Learner
from graphc.sklearn.rows import Epochs
from graphc.sklearn.solvers import Rate

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class HowToTrain:
    """epochs: at most so many. patience, tolerance: it stops where the loss, or the score of what
    is held out, has not improved by `tolerance` for more than `patience` epochs.

    stops: whether it stops by the loss where nothing is held out.
    """

    epochs: int
    shuffle: bool
    tolerance: float
    patience: float
    stops: bool
    rate: Rate
    verbose: bool


@dataclass
class Progress:
    """What training has seen so far; `partial_fit` and a warm start go on with it.

    scores: of what is held out, after each epoch; None where nothing is.
    """

    losses: list[float] = field(default_factory=list)
    best_loss: float = math.inf
    scores: list[float] | None = None
    best_score: float = -math.inf
    best_values: dict[str, Array] = field(default_factory=dict)
    standing_still: int = 0
    rows: int = 0


def train(
    learner: Learner,
    epochs: Epochs,
    rows: int,
    how: HowToTrain,
    progress: Progress,
    random: np.random.RandomState,
    score: Callable[[], float] | None = None,
) -> int:
    """Trains and returns the number of epochs that were made.

    random: draws the order of the rows. score: of what is held out; the values that had the best
    one are put back at the end. An interrupt from the keyboard ends training with a warning.
    """
    made = 0
    # Known here: to read it from the variables takes as long as a step does.
    rate = learner.rate
    order = np.arange(rows) if how.shuffle and not epochs.is_one_batch else None
    with deferred_interrupts() as interrupts:
        try:
            for _ in range(how.epochs):
                if order is not None:
                    order = _shuffled(order, random)
                loss = _epoch_loss(epochs, order, rows, interrupts)
                made += 1
                progress.losses.append(loss)
                progress.rows += rows
                if how.verbose:
                    print(f"Iteration {made}, loss = {loss:.8f}")
                if score is None:
                    _look_at_loss(how, progress)
                else:
                    _look_at_score(score(), learner, how, progress)
                following = _following_rate(rate, how, progress, score is not None)
                if following is None:
                    break
                if following != rate:
                    learner.rate = rate = following
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=2)
    if score is not None:
        learner.restore(progress.best_values)
    return made


def _shuffled(order: Array, random: np.random.RandomState) -> Array:
    """The rows in another order, drawn as `sklearn.utils.shuffle` draws it."""
    numbers = np.arange(len(order))
    random.shuffle(numbers)
    return order[numbers]


def _epoch_loss(epochs: Epochs, order: Array | None, rows: int, interrupts: Interrupts) -> float:
    """The mean of the batches' losses by their rows."""
    total = 0.0
    with interrupts.second_at_once():
        for losses in epochs.losses(order):
            total += losses
            interrupts.check()
    return total / rows


def _following_rate(
    rate: float, how: HowToTrain, progress: Progress, has_score: bool
) -> float | None:
    """The rate of the next epoch, None where training is over."""
    following = how.rate.after_epoch(rate, progress.rows)
    stops = how.stops or has_score
    if not stops or progress.standing_still <= how.patience:
        return following
    progress.standing_still = 0
    changed = how.rate.at_standstill(following)
    if how.verbose:
        what = "Validation score" if has_score else "Training loss"
        then = "Stopping." if changed is None else f"Setting learning rate to {changed:f}"
        print(
            f"{what} did not improve more than tol={how.tolerance:f} for {how.patience} "
            f"consecutive epochs. {then}"
        )
    return changed


def _look_at_loss(how: HowToTrain, progress: Progress) -> None:
    loss = progress.losses[-1]
    stands = loss > progress.best_loss - how.tolerance
    progress.standing_still = progress.standing_still + 1 if stands else 0
    progress.best_loss = min(progress.best_loss, loss)


def _look_at_score(score: float, learner: Learner, how: HowToTrain, progress: Progress) -> None:
    assert progress.scores is not None
    progress.scores.append(score)
    if how.verbose:
        print(f"Validation score: {score:f}")
    stands = score < progress.best_score + how.tolerance
    progress.standing_still = progress.standing_still + 1 if stands else 0
    if score > progress.best_score:
        progress.best_score = score
        progress.best_values = learner.values()
