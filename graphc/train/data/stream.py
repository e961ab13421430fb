"""Batches that an iterable of the user hands out: a generator, a list, another library's loader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphc.declare.hyperparameters import as_count
from graphc.errors import DataError
from graphc.ir.arguments.given import shown
from graphc.ir.nodes.location import warn_at_callers_line
from graphc.ir.nodes.op import Array
from graphc.train.data.row_weights import ClassWeight
from graphc.train.data.training_data import batch_arrays
from graphc.train.network.network import Network


class Ended(UserWarning):
    """An iterable had fewer batches than training was to take."""


class BatchStream:
    """The batches of one epoch after the other, each (x, y) or (x, y, sample_weight).

    network: what the batches are for; it weighs rows where the first batch has weights or there are
        weights of classes.
    steps: how many batches an epoch has; None for all that the iterable has. A new epoch goes
        through it anew; with `steps` it goes on where the last one ended, and begins again at the
        end. One that gives its batches once, such as a generator, has none left then.
    """

    def __init__(
        self,
        network: Network,
        source: Iterable[Any],
        steps: int | None,
        class_weight: ClassWeight | None = None,
        role: str = "x",
    ) -> None:
        """Takes the first batch, to see whether there are weights. Raises DataError for no batch,
        and for a number of steps that is none."""
        self.steps = None if steps is None else as_count(f"{role}: steps", steps, 1)
        self.is_exhausted = False
        self.last: list[Array] = []
        self._network = network
        self._source = source
        self._class_weight = class_weight
        self._role = role
        self._running: Iterator[Any] | None = iter(source)
        self._is_once = self._running is source
        first = next(self._running, None)
        if first is None:
            raise DataError(f"{role}: no data: the iterable has no batches")
        self._waiting = [first]
        self.is_weighted = class_weight is not None or self._parts(first)[2] is not None
        if self.is_weighted:
            self._network = network.weighted

    @property
    def length(self) -> int | None:
        """The number of batches of an epoch, None where nobody knows."""
        if self.steps is not None:
            return self.steps
        try:
            return len(self._source)  # type: ignore[arg-type]
        except TypeError:
            return None

    def __call__(self, order: Array | None = None) -> Iterator[list[Array]]:
        """The batches of the next epoch, as arrays for the network's arguments.

        `is_exhausted` says afterwards whether there were fewer than there should be. Raises
        DataError for a batch that does not fit.
        """
        made = 0
        while self.steps is None or made < self.steps:
            batch = self._next(begins=made == 0)
            if batch is None:
                self.is_exhausted = self.steps is not None or not made
                return
            made += 1
            self.last = self._converted(batch)
            yield self.last

    def _next(self, begins: bool) -> Any:
        """The next batch, None where the epoch ends."""
        if self._waiting:
            return self._waiting.pop()
        if self._running is None and (begins or self.steps is not None) and not self._is_once:
            self._running = iter(self._source)
        found = None if self._running is None else next(self._running, None)
        if found is not None:
            return found
        was_running, self._running = self._running is not None, None
        if self.steps is None or self._is_once or not was_running:
            return None
        self._running = iter(self._source)
        return next(self._running, None)

    def _converted(self, batch: Any) -> list[Array]:
        x, y, weights = self._parts(batch)
        if weights is not None and not self.is_weighted:
            raise DataError(f"{self._role}: a batch has a sample_weight, but the first has none")
        return batch_arrays(self._network, x, y, weights, self._class_weight)

    def _parts(self, batch: Any) -> tuple[Any, Any, Any]:
        """x, y and sample_weight, None for what there is not."""
        if not isinstance(batch, tuple | list):
            if not self._network.targets:
                return batch, None, None
            raise DataError(f"{self._role}: batches (x, y) expected, not {shown(batch)}")
        if not 1 <= len(batch) <= 3:
            wanted = "batches (x, y) or (x, y, sample_weight) expected"
            raise DataError(f"{self._role}: {wanted}, not one of {len(batch)} parts")
        return tuple([*batch, None, None][:3])


def is_stream(network: Network, x: Any, y: Any) -> bool:
    """Whether x hands out batches and is not itself the arrays: an iterator, a loader, a list of
    tuples. What numpy makes an array of is one."""
    if y is not None or not isinstance(x, Iterable) or isinstance(x, Mapping | str):
        return False
    if hasattr(x, "__array__") or hasattr(x, "__dlpack__"):
        return False
    if not isinstance(x, tuple | list):
        return True
    return bool(network.targets and x) and all(_is_batch(each) for each in x)


def _is_batch(value: Any) -> bool:
    is_tuple = isinstance(value, tuple) and 1 < len(value) <= 3
    is_list = isinstance(value, list) and any(hasattr(part, "__array__") for part in value)
    return is_tuple or is_list


def warn_of_end(stream: BatchStream, epoch: int, made: int) -> None:
    """Says that there were fewer batches than the epoch should have."""
    wanted = "" if stream.steps is None else f" of {stream.steps}"
    warn_at_callers_line(
        f"epoch {epoch + 1}: the iterable ran out after {made}{wanted} batches, so training ends; "
        "it must have steps_per_epoch * epochs of them",
        Ended,
    )
