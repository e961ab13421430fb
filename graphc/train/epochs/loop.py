"""The training loop: epochs of steps, averages, callbacks, interrupts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.declare.metrics.set_metrics import SetMetric
from graphc.ir.nodes.op import Array
from graphc.kernels.host.interrupts import Interrupts, deferred_interrupts
from graphc.train.callbacks.callback import Callback, TrainedModel
from graphc.train.callbacks.history import History
from graphc.train.callbacks.logged import VALIDATION
from graphc.train.callbacks.progress import Reporter
from graphc.train.epochs.averages import Averages
from graphc.train.epochs.recording import Recorder
from graphc.train.epochs.span import EpochSpan
from graphc.train.epochs.steps import StepSource
from graphc.train.epochs.tallies import Tallies, numbers_of
from graphc.train.epochs.watch import Watch

Validate = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Training:
    """One run of training.

    steps: makes those of an epoch. order: of the rows in an epoch, None as they are.
    metrics: those of the whole set.
    watch: looks at every step whether it was finite, where that was asked.
    recorder: what some of the steps record of the layers besides.
    validate: loss and metrics of what is held out, at the end of each epoch.
    """

    model: TrainedModel
    span: EpochSpan
    order: Callable[[int], Array | None]
    steps: StepSource
    metrics: Mapping[str, SetMetric]
    watch: Watch | None
    recorder: Recorder | None
    validate: Validate | None
    callbacks: Sequence[Callback]
    reporter: Reporter

    def run(self) -> History:
        """Trains; the history, which is the model's from now on, grows by every epoch that is
        completed.

        An interrupt from the keyboard takes effect between two steps: every variable then has the
        value that a whole number of steps gave it, and KeyboardInterrupt is raised. Raises
        NotFiniteError when watched and a step is not finite; variables are those before the step.
        """
        history = self.model.history = History()
        begun: list[Callback] = []
        with deferred_interrupts() as interrupts:
            try:
                with interrupts.second_at_once():
                    for callback in self.callbacks:
                        callback.on_train_begin()
                        begun.append(callback)
                    interrupts.check()
                for epoch in self.span:
                    self._run_epoch(epoch, history, interrupts)
                    if self.model.stop_training:
                        break
            finally:
                self.reporter.close()
                with interrupts.second_at_once():
                    end_all(begun)
        return history

    def _run_epoch(self, epoch: int, history: History, interrupts: Interrupts) -> None:
        """Nothing interrupts the reporter, which may have changed the terminal."""
        self.reporter.begin_epoch(epoch)
        with interrupts.second_at_once():
            for callback in self.callbacks:
                callback.on_epoch_begin(epoch)
            logs = self._run_steps(epoch, interrupts.check)
            if logs and self.validate is not None:
                logs |= {VALIDATION + name: value for name, value in self.validate().items()}
        if not logs:
            return  # an iterable had no batches left for another epoch
        self.reporter.end_epoch(epoch, numbers_of(logs))
        if self.recorder is not None:
            logs |= self.recorder.take_means()
        history.append(epoch, logs)
        numbers = numbers_of(logs)
        with interrupts.second_at_once():
            for callback in self.callbacks:
                callback.on_epoch_end(epoch, numbers)

    def _run_steps(self, epoch: int, check_interrupt: Callable[[], None]) -> dict[str, Any]:
        """Loss and metrics over the rows of the epoch."""
        averages, tallies = Averages(), Tallies(self.metrics)
        for steps in self.steps(epoch, self.order(epoch)):
            finite = steps if self.watch is None else self.watch.checked(steps, epoch)
            self.reporter.advance(averages.add_steps(tallies.taken(finite)))
            check_interrupt()
        return averages.result() | tallies.result()


def end_all(callbacks: Sequence[Callback]) -> None:
    """Calls every `on_train_end`, whatever others raise: a file may be closed by it. Then raises
    what the first raised; a note on it says what others did."""
    raised: list[BaseException] = []
    for callback in callbacks:
        try:
            callback.on_train_end()
        except BaseException as error:
            raised.append(error)
            if len(raised) > 1:
                raised[0].add_note(f"on_train_end of {type(callback).__name__} raised {error!r}")
    if raised:
        raise raised[0]
