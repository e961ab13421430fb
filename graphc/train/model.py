"""Model: a declared network with its loss, to be compiled, trained, evaluated and saved."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphc.declare.derivatives import inference
from graphc.declare.forms import Nodes, listed
from graphc.declare.graph import graph_of, parameters_of, states_of
from graphc.declare.hyperparameters import as_count, check_number
from graphc.declare.optim import Optimizer, widest
from graphc.declare.variables import Variables
from graphc.errors import DataError, GraphError, NotCompiledError
from graphc.functions.arrays import batch_dimension, check_labels, matched, row_count
from graphc.functions.function import Function, check_options, function
from graphc.inspect.summary import print_memory, print_summary
from graphc.ir import build
from graphc.ir.given import is_one_of, shown
from graphc.ir.graph import Node
from graphc.ir.ops import elementwise as ops
from graphc.ir.types import Dim
from graphc.train.averages import averages_over
from graphc.train.callback import Callback, check_callbacks
from graphc.train.data import Batches, as_batch_size, as_pair, fresh_seed, split_rows
from graphc.train.epochs import CompiledEpochs
from graphc.train.history import History
from graphc.train.logged import IS_FINITE, LOSS, VALIDATION
from graphc.train.loop import Training
from graphc.train.model_parts import check_parts
from graphc.train.prediction import classes_of, predict_rows
from graphc.train.progress import Verbosity, make_reporter
from graphc.train.recording import RECORD_EVERY, RecordedEpochs, Recorder, recording_step

if TYPE_CHECKING:
    from rich.console import Console

    from graphc.nan_report import NanReport
    from graphc.profiling.display import DisplayedProfile

Array = np.ndarray[Any, np.dtype[Any]]
Mode = Literal["compiled", "reference"]

DEFAULT_BATCH_SIZE = 32


class Model:
    """A network between inputs and outputs, and how it is judged.

    inputs, targets: one input node or several; all have one named first dimension, the batch.
    outputs: a node, several, or a mapping by name; `predict` returns the same structure.
    loss: a float scalar, the mean over the batch. metrics: scalars by name, means over the batch.
    variables: the values of the graph's states, those of the graph unless given.

    Raises GraphError when a node is of the wrong kind, shape or graph, or reads an input that is
    not named here.
    """

    def __init__(
        self,
        inputs: Node | Sequence[Node],
        outputs: Nodes,
        targets: Node | Sequence[Node] | None = None,
        loss: Node | None = None,
        metrics: Mapping[str, Node] | None = None,
        variables: Variables | None = None,
    ) -> None:
        self.inputs = listed(inputs)
        self.outputs = outputs
        self.targets = listed(targets)
        self.loss = loss
        if metrics is not None and not isinstance(metrics, Mapping):
            raise TypeError(f"Model: metrics: scalars by name expected, not {shown(metrics)}")
        self.metrics = dict(metrics or {})
        check_parts(self.inputs, listed(outputs), self.targets, self.loss, self.metrics)
        self.graph = graph_of(self.inputs[0])
        self.batch_dimension = batch_dimension([*self.inputs, *self.targets])
        self.variables = variables if variables is not None else self.graph.variables
        self.optimizer: Optimizer | None = None
        self.updates: dict[Node, Node] = {}
        self.history = History()
        self.stop_training = False
        self.steps_per_epoch = 0
        self.logged_names: list[str] = []
        self.batch_size = DEFAULT_BATCH_SIZE
        self._rate: Node | None = None
        self._optimizer_names: frozenset[str] = frozenset()
        self._mode: Mode = "compiled"
        self._fuse = True
        self._threads: int | None = None
        self._functions: dict[str, Function] = {}

    # --- what it consists of -----------------------------------------------------------------

    @property
    def parameters(self) -> list[Node]:
        """The trainable states that outputs and loss read."""
        return parameters_of(*self._roots())

    @property
    def weights(self) -> list[Node]:
        """The states that outputs, loss and metrics read in inference, trainable or not."""
        return states_of(inference(self._roots()))

    @property
    def states(self) -> list[Node]:
        """The weights, then what training keeps besides: the optimizer's, random streams."""
        kept = states_of([*self.updates.keys(), *self.updates.values()])
        return list(dict.fromkeys([*self.weights, *kept]))

    @property
    def learning_rate(self) -> float:
        """The rate of the next step; setting it compiles nothing.

        Raises NotCompiledError before `compile`; setting it ValueError for what is negative, NaN
        or infinite, TypeError for what is no number.
        """
        return float(self.variables[self._rate_state()])

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        state = self._rate_state()
        check_number("learning_rate", rate, least=0, dtype=state.dtype)
        self.variables[state] = rate

    def values(self) -> dict[str, Array]:
        """Copies of the values of all states, by name; `variables.update` puts them back."""
        return self.variables.read([state.name for state in self.states])

    def summary(self, console: Console | None = None) -> None:
        """Prints layers, their parameters, shapes and counts; once compiled with an optimizer also
        what the training step takes of memory. Nothing is allocated for it."""
        print_summary(self.parameters, self.weights, console)
        if self.optimizer is not None and self._only_batch_is_open(self.train_function):
            memory = self.train_function.memory({self.batch_dimension: self.batch_size})
            print_memory(f"training step of {self.batch_size} rows", memory, console)

    # --- compiling ---------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Optimizer | None = None,
        batch_size: int | None = None,
        fuse: bool = True,
        mode: Mode = "compiled",
        threads: int | None = None,
    ) -> None:
        """Makes the training step; without an optimizer only how the model is run is set.

        `fuse`, `mode` and `threads` are those of `gc.function`. With a batch size the step is
        compiled at once, else by `fit`. Compiling again with the same optimizer keeps its slots;
        another one starts afresh, with states of the same names as in a new model. Raises
        GraphError for an optimizer without a loss or parameters, TypeError for what is none,
        ValueError for another mode or fewer than one thread, DataError for a batch size that is no
        positive integer, and what the optimizer's `updates` raise; the model then is as it was.
        """
        check_options(mode, threads)
        if batch_size is not None:
            batch_size = as_batch_size(batch_size)
        if optimizer is not self.optimizer:
            self._set_optimizer(optimizer)
        self._mode, self._fuse, self._threads = mode, fuse, threads
        self._functions = {}
        if batch_size is not None:
            self.batch_size = batch_size
            run = self.predict_function if optimizer is None else self.train_function
            self._prepare(run, {batch_size})

    @property
    def train_function(self) -> Function:
        """(inputs, targets) -> loss and metrics by name, with the optimizer's updates."""
        if self.optimizer is None:
            raise NotCompiledError("compile the model with an optimizer first")
        return self._function("train", self._judged, self.updates)

    @property
    def watched_train_function(self) -> Function:
        """`train_function` that makes no update unless loss and all updates are finite.

        One more output, `is_finite`, tells.
        """
        if self.optimizer is None or self.loss is None:
            raise NotCompiledError("compile the model with an optimizer first")
        if "watched_train" in self._functions:
            return self._functions["watched_train"]
        is_finite = all_finite([self.loss, *self.updates.values()])
        updates = {s: ops.where(is_finite, value, s) for s, value in self.updates.items()}
        outputs = {**self._judged(), IS_FINITE: is_finite}
        return self._function("watched_train", lambda: outputs, updates)

    @property
    def declared_function(self) -> Function:
        """(inputs, targets) -> loss and metrics by name as training has them, without updates."""
        return self._function("declared", self._judged, None)

    @property
    def test_function(self) -> Function:
        """(inputs, targets) -> loss and metrics by name, as in inference."""
        return self._function("test", lambda: inference(self._judged()), None)

    @property
    def predict_function(self) -> Function:
        """inputs -> outputs as in inference, in the structure of the outputs."""
        return self._function("predict", lambda: inference(self.outputs), None)

    @property
    def classify_function(self) -> Function:
        """inputs -> class (i64) of each row, which needs neither softmax nor loss."""
        if not isinstance(self.outputs, Node):
            raise GraphError("classes of a model with a single output alone")
        output = self.outputs
        return self._function("classify", lambda: classes_of(output, self.loss), None)

    # --- running -----------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        epochs: int = 1,
        batch_size: int | None = None,
        validation_data: tuple[Any, Any] | None = None,
        validation_split: float = 0.0,
        callbacks: Sequence[Callback] = (),
        shuffle: bool = True,
        seed: int | None = 0,
        verbose: Verbosity = "auto",
        initial_epoch: int = 0,
        nan_watch: bool = False,
        debug: Literal["nan"] | None = None,
        record: bool | int = False,
    ) -> History:
        """Trains from `initial_epoch` to `epochs` and returns what was logged.

        x, y: an array for one input or target, else a sequence in order or a mapping by name, all
        with equally many rows. Everything is checked, and converted once to the inputs' dtypes,
        before the first step. The last batch may be smaller, and counts by its rows.
        validation_data: a pair of x and y, whose loss and metrics are logged as `val_...`.
        validation_split: the share of the rows, from the end, that is kept for validation instead.
        seed: with the epoch's number it fixes the order of the rows; None is another in every run.
        nan_watch: checks loss and updates of every step and raises NotFiniteError, with all
        variables as they were before the step.
        debug: "nan" watches too, and runs a step that is not finite again, a kernel an op, so that
        the error names the op that was not finite first (`NotFiniteError.report`).
        record: True or a number logs of each layer the norms of activations, gradients and updates
        and the share of dead units, as `dense/gradient`: means over every twentieth or so many-th
        step.

        Raises DataError for arrays and numbers that do not fit, IndexError for labels out of range,
        NotCompiledError before `compile`, KeyboardInterrupt on Ctrl-C: then, and after any other
        error, the variables are those after a whole number of steps.
        """
        if not (debug is None or is_one_of(debug, ("nan",))):
            raise ValueError(f"debug {shown(debug)}: None or 'nan' expected")
        check_callbacks(callbacks)
        epochs = as_count("epochs", epochs, 0)
        initial_epoch = as_count("initial_epoch", initial_epoch, 0)
        seed = fresh_seed() if seed is None else as_count("seed", seed, 0)
        size = self._rows_of_batch(batch_size)
        nan_watch = nan_watch or debug is not None
        step = self.watched_train_function if nan_watch else self.train_function
        recorder = None
        if record is not False:
            every = RECORD_EVERY if record is True else as_count("record", record, 0)
            recorder = self._recorder(step, every) if every else None
        arrays, validation = self._divided(x, y, validation_data, validation_split)
        order_seed = seed if shuffle else None
        batches = Batches(arrays, size)
        held_out = Batches(validation, size) if validation is not None else None
        self._prepare(step, batches.sizes)
        names = list(self._judged())
        names += [VALIDATION + name for name in names if held_out]
        names += recorder.names if recorder is not None else []
        self._begin_training(callbacks, len(batches), names)
        native = None
        if not any(callback.wants_batches() for callback in callbacks):
            native = self._native_epochs(recorder or step, batches, shuffle, nan_watch)
        Training(
            model=self,
            step=step,
            batches=batches,
            native=native,
            first_epoch=initial_epoch,
            epochs=epochs,
            order_seed=order_seed,
            watched=nan_watch,
            validate=(lambda: averages_over(self.test_function, held_out)) if held_out else None,
            callbacks=callbacks,
            reporter=make_reporter(verbose, initial_epoch, epochs, batches.rows),
            history=self.history,
            recorder=recorder,
            find_nan=self._find_nan if debug is not None else None,
        ).run()
        return self.history

    def evaluate(self, x: Any, y: Any = None, batch_size: int | None = None) -> dict[str, float]:
        """Means over all rows of loss and metrics, by name. Raises as `fit` does."""
        arrays = self._checked_arrays(x, y)
        return averages_over(self.test_function, Batches(arrays, self._rows_of_batch(batch_size)))

    def predict(self, x: Any, batch_size: int | None = None) -> Any:
        """The outputs for all rows, in the structure of the outputs. Raises as `fit` does.

        Every output must have the batch as its first dimension (GraphError).
        """
        rows = self._rows_of_batch(batch_size)
        return predict_rows(self.predict_function, self.inputs, self.outputs, x, rows)

    def predict_classes(self, x: Any, batch_size: int | None = None) -> Array:
        """The class (i64) of every row: of several scores the greatest as `argmax` finds it, of one
        logit under a binary loss 1 where it is positive and else 0.

        Raises GraphError for one number a row under another loss, and as `predict` does.
        """
        classify = self.classify_function
        ((_, classes),) = classify.program.outputs
        rows = self._rows_of_batch(batch_size)
        result: Array = predict_rows(classify, self.inputs, classes, x, rows)
        return result

    def profile(
        self,
        batch_size: int | None = None,
        *,
        dimensions: Mapping[str, int] | None = None,
        threads: int | None = None,
        rounds: int | None = None,
        repeats: int | None = None,
    ) -> DisplayedProfile:
        """Where the time of a training step goes: every kernel timed, fused beside unfused.

        Shown as a page in a notebook, and as tables by `rich.print`. dimensions: extents of open
        dimensions but the batch. threads: how many run the step, at most. rounds: how often fused
        and unfused steps are measured in turns; repeats: steps in one measurement. Variables are as
        before afterwards. Raises NotCompiledError before `compile`, DataError for an open dimension
        without an extent, ValueError for fewer than one thread.
        """
        # Imported where it is asked for, which may be never.
        from graphc.profiling.profile import ROUNDS, profile

        size = self.batch_size if batch_size is None else batch_size
        return profile(
            self.train_function,
            {self.batch_dimension: size, **(dimensions or {})},
            threads=threads,
            rounds=ROUNDS if rounds is None else rounds,
            repeats=repeats,
        )

    # --- saving ------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], weights_only: bool = False) -> None:
        """Writes the weights, and unless `weights_only` also the optimizer's states and the random
        streams, as safetensors: `model.save("digits.safetensors")`.

        As `Variables.save` does: whole or not at all. Raises OSError.
        """
        states = self.weights if weights_only else self.states
        self.variables.save(path, [state.name for state in states])

    def load(
        self, path: str | os.PathLike[str], weights_only: bool = False, allow_nan: bool = False
    ) -> None:
        """Reads what `save` wrote, or of it the weights alone.

        A file with the optimizer's states is for a model compiled with the same optimizer. Raises
        VariableError, with nothing changed, when names, shapes or dtypes differ, and for NaN unless
        `allow_nan`; OSError when the file cannot be read.
        """
        states = self.weights if weights_only else self.states
        names = [state.name for state in states]
        self.variables.load(path, names, allow_others=weights_only, allow_nan=allow_nan)

    # --- helpers -----------------------------------------------------------------------------

    def _roots(self) -> list[Node]:
        loss = [self.loss] if self.loss is not None else []
        return [*listed(self.outputs), *loss, *self.metrics.values()]

    def _judged(self) -> dict[str, Node]:
        if self.loss is None:
            raise GraphError("the model has no loss")
        return {LOSS: self.loss, **self.metrics}

    def _function(
        self, name: str, outputs: Callable[[], Nodes], updates: Mapping[Node, Node] | None
    ) -> Function:
        """The function of that name, made when it is first asked for."""
        with self.graph.declaring.lock:
            if name in self._functions:
                return self._functions[name]
            targets = [] if name in ("predict", "classify") else self.targets
            self._functions[name] = function(
                [*self.inputs, *targets],
                outputs(),
                updates,
                variables=self.variables,
                mode=self._mode,
                fuse=self._fuse,
                threads=self._threads,
                name=name,
            )
        return self._functions[name]

    def _checked_arrays(self, x: Any, y: Any) -> list[Array]:
        nodes = [*self.inputs, *self.targets]
        arrays = [*matched(self.inputs, x, "x"), *matched(self.targets, y, "y")]
        row_count(nodes, arrays)
        check_labels(self._roots(), nodes, arrays)
        return arrays

    def _divided(
        self, x: Any, y: Any, validation_data: tuple[Any, Any] | None, validation_split: float
    ) -> tuple[list[Array], list[Array] | None]:
        """What is trained on, and what is kept for validation."""
        arrays = self._checked_arrays(x, y)
        is_split = not (isinstance(validation_split, numbers.Real) and validation_split == 0)
        if validation_data is None:
            return split_rows(arrays, validation_split) if is_split else (arrays, None)
        if is_split:
            raise DataError("validation_data and validation_split exclude each other")
        try:
            return arrays, self._checked_arrays(*as_pair(validation_data))
        except (DataError, IndexError) as error:
            raise type(error)(f"validation_data: {error}") from None

    def _rows_of_batch(self, batch_size: int | None) -> int:
        return self.batch_size if batch_size is None else as_batch_size(batch_size)

    def _begin_training(
        self, callbacks: Sequence[Callback], steps_per_epoch: int, logged_names: list[str]
    ) -> None:
        """Sets what callbacks look at."""
        self.steps_per_epoch = steps_per_epoch
        self.logged_names = logged_names
        self.stop_training = False
        self.history = History()
        for callback in callbacks:
            callback.model = self

    def _native_epochs(
        self, step: Function | Recorder, batches: Batches, shuffled: bool, watched: bool
    ) -> CompiledEpochs | RecordedEpochs | None:
        """The steps in native code; None in reference mode."""
        if self._mode == "reference":
            return None
        stop_unless = IS_FINITE if watched else None
        if isinstance(step, Recorder):
            return RecordedEpochs(step, batches, shuffled=shuffled, stop_unless=stop_unless)
        return CompiledEpochs(step, batches, shuffled=shuffled, stop_unless=stop_unless)

    def _recorder(self, step: Function, every: int) -> Recorder:
        assert self.loss is not None
        name = f"recorded_{step.program.name}"
        if name not in self._functions:
            outputs = listed(self.outputs)
            self._functions[name] = recording_step(step, outputs, self.parameters, self.loss)
        return Recorder(step, self._functions[name], every)

    def _find_nan(self, batch: Sequence[Array]) -> NanReport | None:
        from graphc.inspect.nan_search import find_nan

        program = self.train_function.program
        values = self.variables.copy()
        states = {state.name: values.storage(state) for state in program.states}
        return find_nan(program, states, batch)

    def _rate_state(self) -> Node:
        if self._rate is None:
            raise NotCompiledError("compile the model with an optimizer first")
        return self._rate

    def _set_optimizer(self, optimizer: Optimizer | None) -> None:
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise TypeError(f"an optimizer such as gc.optim.Adam() expected, not {optimizer!r}")
        if optimizer is not None and self.loss is None:
            raise GraphError("a model without a loss cannot be trained")
        before = self._optimizer_names
        with self.graph.as_before_on_error():
            self.graph.forget(before)
            taken = self.graph.names
            rate, updates = (None, {}) if optimizer is None else self._declared(optimizer)
        for variables in (self.graph.variables, self.variables):
            variables.forget(before)
        self.optimizer, self._rate, self.updates = optimizer, rate, updates
        self._optimizer_names = self.graph.names - taken

    def _declared(self, optimizer: Optimizer) -> tuple[Node, dict[Node, Node]]:
        """The learning rate and the updates of a step."""
        assert self.loss is not None
        rate = self.graph.variable(
            self.graph.unique_name("learning_rate"),
            optimizer.learning_rate,
            dtype=widest(self.parameters),
        )
        return rate, optimizer.updates(self.loss, self.parameters, rate)

    def _prepare(self, run: Function, batch_sizes: set[int]) -> None:
        """Compiles ahead for these batch sizes, where no other dimension is open."""
        if self._mode == "reference":
            return
        if self._only_batch_is_open(run):
            for size in sorted(batch_sizes):
                run.prepare({self.batch_dimension: size})

    def _only_batch_is_open(self, run: Function) -> bool:
        """Whether the inputs of `run` have no other named dimension."""
        extents = [extent for node in run.program.inputs for extent in node.shape]
        named = {extent for extent in extents if isinstance(extent, Dim)}
        return named == {Dim(self.batch_dimension)}


def all_finite(values: Sequence[Node]) -> Node:
    """A bool scalar: whether every element of every float among `values` is finite.

    The sum of x * 0 is 0 then, and NaN where an x is infinite or NaN.
    """
    zeros = [build.sum(value * 0) for value in values if value.dtype.is_float]
    total = zeros[0]
    for zero in zeros[1:]:
        total = total + build.cast(zero, total.dtype)
    return ops.equal(total, 0)
