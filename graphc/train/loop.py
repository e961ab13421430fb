"""The training loop: epochs of steps, averages, callbacks, interrupts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graphc.train.averages import Averages
from graphc.train.callback import Callback, TrainedModel
from graphc.train.data import Batches
from graphc.train.history import History
from graphc.train.interrupts import Interrupts, deferred_interrupts
from graphc.train.logged import VALIDATION
from graphc.train.progress import Reporter
from graphc.train.recording import Recorder
from graphc.train.span import EpochSpan
from graphc.train.steps import StepSource
from graphc.train.watch import Watch

Validate = Callable[[], Mapping[str, float]]


@dataclass(frozen=True)
class Training:
    """One run of training.

    steps: makes those of an epoch of `batches`, in the order that `span` says.
    watch: looks at every step whether it was finite, where that was asked.
    recorder: what some of the steps record of the layers besides.
    validate: loss and metrics of what is held out, at the end of each epoch.
    """

    model: TrainedModel
    batches: Batches
    span: EpochSpan
    steps: StepSource
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
            if self.validate is not None:
                logs |= {VALIDATION + name: value for name, value in self.validate().items()}
        self.reporter.end_epoch(epoch, logs)
        if self.recorder is not None:
            logs |= self.recorder.take_means()
        history.append(epoch, logs)
        with interrupts.second_at_once():
            for callback in self.callbacks:
                callback.on_epoch_end(epoch, logs)

    def _run_steps(self, epoch: int, check_interrupt: Callable[[], None]) -> dict[str, float]:
        """The means of loss and metrics over the rows of the epoch."""
        averages = Averages()
        for steps in self.steps(epoch, self.span.order(epoch, self.batches.rows)):
            finite = steps if self.watch is None else self.watch.checked(steps, epoch)
            self.reporter.advance(averages.add_steps(finite))
            check_interrupt()
        return averages.result()


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
