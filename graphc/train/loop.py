"""The training loop: epochs of steps, averages, callbacks, interrupts.

Epochs run in native code (`graphc.train.epochs`). Where a callback wants to hear of every batch,
and in reference mode, a step is called for each from here: the results have the same bits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.errors import NotFiniteError
from graphc.functions.function import Function
from graphc.nan_report import NanReport
from graphc.train.averages import Averages
from graphc.train.callback import Callback, TrainedModel, overrides
from graphc.train.data import Batches, shuffled_rows
from graphc.train.epochs import CompiledEpochs, Steps
from graphc.train.history import History
from graphc.train.interrupts import Interrupts, deferred_interrupts
from graphc.train.logged import IS_FINITE, LOSS, VALIDATION
from graphc.train.progress import Reporter
from graphc.train.recording import RecordedEpochs, Recorder

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Training:
    """One run of training.

    Epochs go from `first_epoch` to before `epochs`. Rows are shuffled by `order_seed` and epoch
    alone, so that a run continued at a later epoch goes on as the whole would have; None leaves
    them in order. A `watched` step makes no update that is not finite, and says so.
    native: the same steps in native code, unless each shall be called from here.
    recorder: what some of the steps record of the layers besides.
    find_nan: says of a batch where a step on it is not finite first; asked when one is not.
    """

    model: TrainedModel
    step: Function
    batches: Batches
    native: CompiledEpochs | RecordedEpochs | None
    first_epoch: int
    epochs: int
    order_seed: int | None
    watched: bool
    validate: Callable[[], Mapping[str, float]] | None
    callbacks: Sequence[Callback]
    reporter: Reporter
    history: History
    recorder: Recorder | None = None
    find_nan: Callable[[Sequence[Array]], NanReport | None] | None = None

    def run(self) -> None:
        """Trains; `history` grows by every epoch that is completed.

        An interrupt from the keyboard takes effect between two steps: every variable then has the
        value that a whole number of steps gave it, and KeyboardInterrupt is raised. Raises
        NotFiniteError when watched and a step is not finite; variables are those before the step.
        """
        begun: list[Callback] = []
        with deferred_interrupts() as interrupts:
            try:
                with interrupts.second_at_once():
                    for callback in self.callbacks:
                        callback.on_train_begin()
                        begun.append(callback)
                    interrupts.check()
                for epoch in range(self.first_epoch, self.epochs):
                    self._run_epoch(epoch, interrupts)
                    if self.model.stop_training:
                        break
            finally:
                self.reporter.close()
                with interrupts.second_at_once():
                    end_all(begun)

    def _run_epoch(self, epoch: int, interrupts: Interrupts) -> None:
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
        self.history.append(epoch, logs)
        with interrupts.second_at_once():
            for callback in self.callbacks:
                callback.on_epoch_end(epoch, logs)

    def _run_steps(self, epoch: int, check_interrupt: Callable[[], None]) -> dict[str, float]:
        order = self._order(epoch)
        if self.native is not None:
            return self._run_natively(self.native, epoch, order, check_interrupt)
        return self._run_one_by_one(epoch, order, check_interrupt)

    def _order(self, epoch: int) -> Array | None:
        if self.order_seed is None:
            return None
        return shuffled_rows(self.batches.rows, self.order_seed, epoch)

    def _run_natively(
        self,
        native: CompiledEpochs | RecordedEpochs,
        epoch: int,
        order: Array | None,
        check_interrupt: Callable[[], None],
    ) -> dict[str, float]:
        averages = Averages()
        ends_anyway = self.model.stop_training
        for steps in native(order):
            if self.watched:
                steps = self._all_checked(steps, epoch)
            averages.add_steps(steps)
            self.reporter.advance(len(steps) * steps.rows)
            check_interrupt()
            # Set by another thread: a callback's word counts at the end of the epoch.
            if self.model.stop_training and not ends_anyway:
                break
        return averages.result()

    def _run_one_by_one(
        self, epoch: int, order: Array | None, check_interrupt: Callable[[], None]
    ) -> dict[str, float]:
        before = [c.on_batch_begin for c in self.callbacks if overrides(c, "on_batch_begin")]
        after = [c.on_batch_end for c in self.callbacks if overrides(c, "on_batch_end")]
        step = self.step if self.recorder is None else self.recorder.wrapped()
        averages = Averages()
        for number, batch in enumerate(self.batches(order)):
            for begin in before:
                begin(epoch, number)
            values = step(*batch)
            if self.watched:
                values = self._checked(dict(values), epoch, number)
            rows = len(batch[0])
            averages.add(values, rows)
            self.reporter.advance(rows)
            check_interrupt()
            if after:
                logs = {name: float(value) for name, value in values.items()}
                for end in after:
                    end(epoch, number, logs)
                if self.model.stop_training:
                    break
        return averages.result()

    def _all_checked(self, steps: Steps, epoch: int) -> Steps:
        """`steps` without the flag. Raises NotFiniteError when it is false in the last of them,
        where a watched loop ends."""
        last = {name: values[-1] for name, values in steps.values.items()}
        self._checked(last, epoch, steps.first + len(steps) - 1)
        return replace(steps, values={name: steps.values[name] for name in last})

    def _checked(self, values: dict[str, Array], epoch: int, number: int) -> dict[str, Array]:
        """`values` without the flag. Raises NotFiniteError when it is false."""
        if values.pop(IS_FINITE):
            return values
        loss = float(values[LOSS])
        problem = (
            f"the loss is {loss:g}, but an update is not finite"
            if math.isfinite(loss)
            else f"the loss is {loss}"
        )
        raise NotFiniteError(
            f"epoch {epoch + 1}, step {number + 1} of {len(self.batches)}: {problem}; "
            "the variables are those before this step",
            None if self.find_nan is None else self.find_nan(self._batch(epoch, number)),
        )

    def _batch(self, epoch: int, number: int) -> Sequence[Array]:
        """The arrays of a step."""
        order = self._order(epoch)
        return next(itertools.islice(self.batches(order), number, None))


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
