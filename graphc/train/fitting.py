"""What `Model.fit` is told, put together to a run of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from graphc.ir.arguments.given import is_one_of, shown
from graphc.ir.nodes.op import Array
from graphc.train.callbacks.callback import Callback, TrainedModel, check_callbacks
from graphc.train.callbacks.logged import VALIDATION
from graphc.train.callbacks.progress import Verbosity, make_reporter
from graphc.train.data.batches import Batches
from graphc.train.data.sources import GivenData, GivenValidation, Source, divided
from graphc.train.data.stream import BatchStream
from graphc.train.epochs.averages import judged_over
from graphc.train.epochs.loop import Training
from graphc.train.epochs.span import EpochSpan
from graphc.train.epochs.steps import step_source
from graphc.train.epochs.watch import Watch, batch_of, nan_search
from graphc.train.model_functions import ModelFunctions


@dataclass(frozen=True)
class HowToFit:
    """span: the epochs. The rest is as `Model.fit` has it."""

    span: EpochSpan
    callbacks: Sequence[Callback]
    verbose: Verbosity
    nan_watch: bool
    debug: Literal["nan"] | None
    record: bool | int

    def __post_init__(self) -> None:
        """Raises ValueError for another `debug`, TypeError for what are no callbacks."""
        if not (self.debug is None or is_one_of(self.debug, ("nan",))):
            raise ValueError(f"debug {shown(self.debug)}: None or 'nan' expected")
        check_callbacks(self.callbacks)

    @property
    def watched(self) -> bool:
        """Whether every step is looked at."""
        return self.nan_watch or self.debug is not None


def training_of(
    model: TrainedModel,
    functions: ModelFunctions,
    given: GivenData,
    validation: GivenValidation,
    how: HowToFit,
) -> Training:
    """The run, checked and compiled. Raises as `Model.fit` does."""
    _ = functions.optimization  # raises before the data is looked at
    network = functions.network
    trained, held_out = divided(network, given, validation, model.batch_size)
    chosen = functions.weighted if trained.is_weighted else functions
    step = chosen.watched_train if how.watched else chosen.train
    recorder = chosen.recorder(step, how.record)
    batches = trained.batches
    if isinstance(batches, Batches):
        chosen.prepare(step, batches.sizes)
    names = network.logged_names
    names += [VALIDATION + name for name in names if held_out is not None]
    _begin(model, how.callbacks, batches, names + (recorder.names if recorder else []))
    rows = batches.rows if isinstance(batches, Batches) else None
    return Training(
        model=model,
        span=how.span,
        order=_orders(how.span, batches),
        steps=step_source(
            model,
            recorder or step,
            batches,
            how.callbacks,
            metrics=network.set_metrics,
            shuffles=how.span.shuffles,
            watched=how.watched,
        ),
        metrics=network.set_metrics,
        watch=_watch(chosen, batches, how) if how.watched else None,
        recorder=recorder,
        validate=None if held_out is None else partial(judged, functions, held_out),
        callbacks=how.callbacks,
        reporter=make_reporter(how.verbose, how.span.first, how.span.end, rows),
    )


def judged(functions: ModelFunctions, source: Source) -> dict[str, object]:
    """Loss and metrics of all rows, as in inference."""
    chosen = functions.weighted if source.is_weighted else functions
    return judged_over(chosen.test, source.batches, functions.network.set_metrics)


def _begin(
    model: TrainedModel,
    callbacks: Sequence[Callback],
    batches: Batches | BatchStream,
    logged_names: list[str],
) -> None:
    """Sets what callbacks look at."""
    steps = len(batches) if isinstance(batches, Batches) else batches.length
    model.steps_per_epoch = steps or 0
    model.logged_names = logged_names
    model.stop_training = False
    for callback in callbacks:
        callback.model = model


def _orders(span: EpochSpan, batches: Batches | BatchStream) -> Callable[[int], Array | None]:
    """The order of the rows in an epoch; batches of an iterable come as they are."""
    if isinstance(batches, BatchStream):
        return lambda epoch: None
    rows = batches.rows
    return lambda epoch: span.order(epoch, rows)


def _watch(functions: ModelFunctions, batches: Batches | BatchStream, how: HowToFit) -> Watch:
    variables = functions.variables
    search = None if how.debug is None else nan_search(functions.train, variables)
    if isinstance(batches, BatchStream):
        return Watch(batches.length, lambda epoch, number: batches.last, search)
    return Watch(len(batches), partial(batch_of, batches, how.span), search)
