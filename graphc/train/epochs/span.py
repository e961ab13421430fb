"""Which epochs are run, and in which order they take the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphc.declare.hyperparameters import as_count
from graphc.ir.nodes.op import Array
from graphc.train.data.batches import fresh_seed, shuffled_rows


@dataclass(frozen=True)
class EpochSpan:
    """Epochs from `first` to before `end`.

    Rows are shuffled by `seed` and epoch alone, so that a run continued at a later epoch goes on as
    the whole would have; None leaves them in order.
    """

    first: int
    end: int
    seed: int | None

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.end))

    @property
    def shuffles(self) -> bool:
        return self.seed is not None

    def order(self, epoch: int, rows: int) -> Array | None:
        """The numbers (i64) of the rows as the epoch takes them, None for theirs."""
        return None if self.seed is None else shuffled_rows(rows, self.seed, epoch)


def epoch_span(initial_epoch: Any, epochs: Any, shuffle: bool, seed: Any) -> EpochSpan:
    """The span that arguments of `fit` ask for. Raises DataError for what is no count."""
    end = as_count("epochs", epochs, 0)
    first = as_count("initial_epoch", initial_epoch, 0)
    number = fresh_seed() if seed is None else as_count("seed", seed, 0)
    return EpochSpan(first, end, number if shuffle else None)
