"""The steps of an epoch, one after the other: in native code, or called from here.

Epochs run in native code (`graphc.train.epochs.native_epochs`). Where a callback wants to hear of
every batch, and in reference mode, a step is called for each: the results have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from graphc.declare.metrics.set_metrics import SetMetric
from graphc.functions.function import Function
from graphc.ir.nodes.op import Array
from graphc.train.callbacks.callback import Callback, TrainedModel, overrides
from graphc.train.callbacks.logged import IS_FINITE
from graphc.train.data.batches import Batches
from graphc.train.data.stream import BatchStream, warn_of_end
from graphc.train.epochs.native_epochs import CompiledEpochs, Steps
from graphc.train.epochs.recording import RecordedEpochs, Recorder
from graphc.train.epochs.tallies import numbers_of, values_of_batch


class StepSource(Protocol):
    """Makes the steps of an epoch, some at a time, and ends where the model shall stop.

    order: the numbers (i64) of all rows, None to take them as they are.
    """

    def __call__(self, epoch: int, order: Array | None) -> Iterator[Steps]: ...


def step_source(
    model: TrainedModel,
    run: Function | Recorder,
    batches: Batches | BatchStream,
    callbacks: Sequence[Callback],
    *,
    metrics: Mapping[str, SetMetric],
    shuffles: bool,
    watched: bool,
) -> StepSource:
    """The steps of `run`, in native code where nothing is to be called between them.

    metrics: those of the whole set. watched: whether the flag `is_finite` among the outputs ends an
    epoch.
    """
    step = run.step if isinstance(run, Recorder) else run
    if isinstance(batches, BatchStream):
        return StreamedSteps(model, CalledSteps(model, run, batches, callbacks, metrics), batches)
    if step.mode == "reference" or any(callback.wants_batches() for callback in callbacks):
        return CalledSteps(model, run, batches, callbacks, metrics)
    stop_unless = IS_FINITE if watched else None
    epochs: CompiledEpochs | RecordedEpochs
    if isinstance(run, Recorder):
        epochs = RecordedEpochs(run, batches, shuffled=shuffles, stop_unless=stop_unless)
    else:
        epochs = CompiledEpochs(run, batches, shuffled=shuffles, stop_unless=stop_unless)
    return NativeSteps(model, epochs)


class NativeSteps:
    """Some hundred milliseconds of steps at a time."""

    def __init__(self, model: TrainedModel, epochs: CompiledEpochs | RecordedEpochs) -> None:
        self._model = model
        self._epochs = epochs

    def __call__(self, epoch: int, order: Array | None) -> Iterator[Steps]:
        is_stopped = _stop_within_epoch(self._model)
        for steps in self._epochs(order):
            yield steps
            if is_stopped():
                return


class CalledSteps:
    """One step at a time, with the callbacks' hooks of batches around it."""

    def __init__(
        self,
        model: TrainedModel,
        run: Function | Recorder,
        batches: Batches | BatchStream,
        callbacks: Sequence[Callback],
        metrics: Mapping[str, SetMetric],
    ) -> None:
        self._model = model
        self._metrics = metrics
        self._run = run
        self._batches = batches
        self._before = [c.on_batch_begin for c in callbacks if overrides(c, "on_batch_begin")]
        self._after = [c.on_batch_end for c in callbacks if overrides(c, "on_batch_end")]

    def __call__(self, epoch: int, order: Array | None) -> Iterator[Steps]:
        run = self._run.wrapped() if isinstance(self._run, Recorder) else self._run
        is_stopped = _stop_within_epoch(self._model)
        for number, batch in enumerate(self._batches(order)):
            for begin in self._before:
                begin(epoch, number)
            values = run(*batch)
            yield Steps(number, len(batch[0]), values)
            if self._after:
                self._tell_of_end(epoch, number, values, len(batch[0]))
            if is_stopped():
                return

    def _tell_of_end(self, epoch: int, number: int, values: Mapping[str, Array], rows: int) -> None:
        told = {name: each for name, each in values.items() if name != IS_FINITE}
        logs = numbers_of(values_of_batch(self._metrics, told, rows))
        for end in self._after:
            end(epoch, number, logs)


class StreamedSteps:
    """The steps on the batches of an iterable; training ends where it has none left."""

    def __init__(self, model: TrainedModel, steps: CalledSteps, stream: BatchStream) -> None:
        self._model = model
        self._steps = steps
        self._stream = stream

    def __call__(self, epoch: int, order: Array | None) -> Iterator[Steps]:
        made = 0
        for steps in self._steps(epoch, None):
            made += 1
            yield steps
        if self._stream.is_exhausted:
            warn_of_end(self._stream, epoch, made)
            self._model.stop_training = True
        elif not self._model.stop_training:
            self._model.steps_per_epoch = made


def _stop_within_epoch(model: TrainedModel) -> Callable[[], bool]:
    """Whether the running step is the last, asked for before the first step of an epoch: what was
    said before its first step, by `on_epoch_begin` for one, counts when the epoch is over."""
    ends_with_epoch = model.stop_training
    return lambda: model.stop_training and not ends_with_epoch
