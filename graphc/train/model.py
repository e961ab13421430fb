"""Model: a declared network with its loss, to be compiled, trained, evaluated and saved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphc.declare.graphs.forms import Nodes
from graphc.declare.graphs.variables import Variables
from graphc.declare.optim import Optimizer
from graphc.errors import VariableError
from graphc.functions.arrays import matched
from graphc.functions.function import Function
from graphc.functions.mode import Mode, check_options
from graphc.functions.program import Updates
from graphc.inspect.summary import print_memory, print_summary
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.graph import Node
from graphc.train.callbacks.callback import Callback
from graphc.train.callbacks.history import History
from graphc.train.callbacks.progress import Verbosity
from graphc.train.data.batches import as_batch_size
from graphc.train.data.row_weights import ClassWeight
from graphc.train.data.sources import GivenData, GivenValidation, source_of
from graphc.train.epochs.prediction import predict_rows
from graphc.train.epochs.span import epoch_span
from graphc.train.files.model_file import Content, stored_model
from graphc.train.fitting import HowToFit, judged, training_of
from graphc.train.model_functions import HowToRun, ModelFunctions
from graphc.train.model_parts import ModelParts
from graphc.train.network.network import Metric, network_of
from graphc.train.network.optimization import optimization_of, revised
from graphc.train.network.weight_averages import check_decay
from graphc.train.on_batch import functions_for, run_on_batch

if TYPE_CHECKING:
    from rich.console import Console

    from graphc.profiling.shown.display import DisplayedProfile

Array = np.ndarray[Any, np.dtype[Any]]

DEFAULT_BATCH_SIZE = 32


class Model(ModelParts):
    """A network between inputs and outputs, and how it is judged.

    inputs, targets: one input node or several; all have one named first dimension, the batch.
    outputs: a node, several, or a mapping by name; `predict` returns the same structure.
    loss: a float scalar, the mean over the batch.
    metrics: by name, scalars that are means over the batch, or metrics of the whole set such as
        `gc.metrics.AUC(scores, targets)`.
    variables: the values of the graph's states, those of the graph unless given.
    parameters: those that train, nodes or patterns of names; all that the loss reads unless given.
    updates: further states with the next values that a training step gives them, at once with
    parameters: a next value reads what the parameters were before the step.

    Raises GraphError when a node is of the wrong kind, shape or graph, or reads an input that is
    not named here, for a pattern that matches nothing, and for an update of what trains.
    """

    def __init__(
        self,
        inputs: Node | Sequence[Node],
        outputs: Nodes,
        targets: Node | Sequence[Node] | None = None,
        loss: Node | None = None,
        metrics: Mapping[str, Metric] | None = None,
        variables: Variables | None = None,
        *,
        parameters: Node | str | Sequence[Node | str] | None = None,
        updates: Updates | None = None,
    ) -> None:
        network = network_of(inputs, outputs, targets, loss, metrics, parameters, updates)
        super().__init__(network, variables)
        self.batch_size = DEFAULT_BATCH_SIZE
        # What callbacks look at.
        self.history = History()
        self.stop_training = False
        self.steps_per_epoch = 0
        self.logged_names: list[str] = []

    def summary(self, console: Console | None = None) -> None:
        """Prints layers, their parameters, shapes and counts; once compiled with an optimizer also
        what the training step takes of memory. Nothing is allocated for it."""
        trained = self.trained_parameters
        print_summary(trained, self.weights, console)
        if self.optimizer is None or not trained:
            return
        if self._network.opens_only_batch(self.train_function):
            memory = self.train_function.memory({self.batch_dimension: self.batch_size})
            print_memory(f"training step of {self.batch_size} rows", memory, console)

    # --- compiling ---------------------------------------------------------------------------

    @checks_flags
    def compile(
        self,
        optimizer: Optimizer | None = None,
        batch_size: int | None = None,
        fuse: bool = True,
        mode: Mode = "compiled",
        threads: int | None = None,
        ema: float | None = None,
    ) -> None:
        """Makes the training step; without an optimizer only how the model is run is set.

        `fuse`, `mode` and `threads` are those of `gc.function`. With a batch size the step is
        compiled at once, else by `fit`. Compiling again with the same optimizer keeps its slots;
        another one starts afresh, with states of the same names as in a new model.

        ema: the decay of exponential moving averages of the weights, which `evaluate` and `predict`
        use when asked: after each update, e = ema e + (1 - ema) w, from the weights before the
        first one on. They are states `ema.<name>`.

        Raises GraphError for an optimizer without a loss or parameters, TypeError for what is none,
        ValueError for another mode, fewer than one thread or an `ema` that is not in [0, 1),
        DataError for a batch size that is no positive integer, and what the optimizer's `updates`
        raise; the model then is as it was.
        """
        check_options(mode, threads)
        if batch_size is not None:
            batch_size = as_batch_size(batch_size)
        network, variables, frozen = self._network, self.variables, self._frozen
        if ema is not None:
            check_decay(ema, optimizer)
        with self._changing():
            before = self._optimization
            if optimizer is not self.optimizer:
                made = optimization_of(optimizer, network, variables, before, frozen, ema)
                self._optimization = made
            elif before is not None and before.decay != ema:
                self._optimization = revised(before, network, variables, frozen, ema)
            how = HowToRun(mode, fuse, threads)
            self._functions = ModelFunctions(network, variables, self._optimization, how)
        if batch_size is not None:
            self.batch_size = batch_size
            run = self.predict_function if optimizer is None else self.train_function
            self._functions.prepare(run, {batch_size})

    @property
    def train_function(self) -> Function:
        """(inputs, targets) -> loss and metrics by name, with the optimizer's updates."""
        return self._functions.train

    @property
    def watched_train_function(self) -> Function:
        """`train_function` that makes no update unless loss and all updates are finite.

        One more output, `is_finite`, tells.
        """
        return self._functions.watched_train

    @property
    def declared_function(self) -> Function:
        """(inputs, targets) -> loss and metrics by name as training has them, without updates."""
        return self._functions.declared

    @property
    def test_function(self) -> Function:
        """(inputs, targets) -> loss and metrics by name, as in inference."""
        return self._functions.test

    @property
    def predict_function(self) -> Function:
        """inputs -> outputs as in inference, in the structure of the outputs."""
        return self._functions.predict

    @property
    def classify_function(self) -> Function:
        """inputs -> class (i64) of each row, which needs neither softmax nor loss."""
        return self._functions.classify

    # --- running -----------------------------------------------------------------------------

    @checks_flags
    def fit(
        self,
        x: Any,
        y: Any = None,
        epochs: int = 1,
        batch_size: int | None = None,
        validation_data: Any = None,
        validation_split: float = 0.0,
        callbacks: Sequence[Callback] = (),
        shuffle: bool = True,
        seed: int | None = 0,
        verbose: Verbosity = "auto",
        initial_epoch: int = 0,
        nan_watch: bool = False,
        debug: Literal["nan"] | None = None,
        record: bool | int = False,
        sample_weight: Any = None,
        class_weight: ClassWeight | None = None,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
    ) -> History:
        """Trains from `initial_epoch` to `epochs` and returns what was logged.

        x, y: an array for one input or target, else a sequence in order or a mapping by name, all
        with equally many rows. Everything is checked, and converted once to the inputs' dtypes,
        before the first step. The last batch may be smaller, and counts by its rows.
            Or x is an iterable of batches (x, y) or (x, y, sample_weight), such as a generator; an
        epoch has `steps_per_epoch` of them, or all. Where it has too few, training ends with a
        warning.
        validation_data: x and y, and sample_weight if it has any, or an iterable of batches, of
        which `validation_steps` are taken; its loss and metrics are logged as `val_...`.
        validation_split: the share of the rows, from the end, that is kept for validation instead.
        seed: with the epoch's number it fixes the order of the rows; None is another in every run.
        nan_watch: checks loss and updates of every step and raises NotFiniteError, with all
        variables as they were before the step.
        debug: "nan" watches too, and runs a step that is not finite again, a kernel an op, so that
        the error names the op that was not finite first (`NotFiniteError.report`).
        record: True or a number logs of each layer the norms of activations, gradients and updates
        and the share of dead units, as `dense/gradient`: means over every twentieth or so many-th
        step.
        sample_weight: (rows,), how much the loss of each row counts: a mean over the batch becomes
        sum(w * l) / rows, and metrics stay as they are, as in Keras. class_weight: the same by
        class, {0: 1.0, 1: 5.0}, for targets that are integers, one-hot or binary; it is 1 for a
        class that is left out, leaves validation as it is, and both together are multiplied.

        Raises DataError for arrays and numbers that do not fit, IndexError for labels out of range,
        NotCompiledError before `compile`, GraphError for weights and a loss that is not linear in
        its sums over the rows, KeyboardInterrupt on Ctrl-C: then, and after any other error, the
        variables are those after a whole number of steps.
        """
        span = epoch_span(initial_epoch, epochs, shuffle, seed)
        how = HowToFit(span, callbacks, verbose, nan_watch, debug, record)
        given = GivenData(x, y, sample_weight, class_weight, batch_size, steps_per_epoch)
        validation = GivenValidation(
            validation_data, validation_split, validation_batch_size, validation_steps
        )
        return training_of(self, self._functions, given, validation, how).run()

    @checks_flags
    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        sample_weight: Any = None,
        class_weight: ClassWeight | None = None,
        steps: int | None = None,
        *,
        use_ema: bool = False,
    ) -> dict[str, Any]:
        """Loss and metrics of all rows, by name; floats, but for the array of a metric that is one.

        Data is as `fit` takes it; of an iterable of batches `steps` are taken. Raises as it does.
        Where another thread trains meanwhile, arrays are judged by the values of one moment, and
        each batch of an iterable by those of its own.
        use_ema: by the averages of the weights; GraphError unless `compile` was given `ema`.
        """
        given = GivenData(x, y, sample_weight, class_weight, batch_size, steps)
        return judged(self._functions_by(use_ema), source_of(self._network, given, self.batch_size))

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: ClassWeight | None = None,
    ) -> dict[str, Any]:
        """Makes one step on these rows: `model.train_on_batch(x, y)["loss"]`.

        Returns loss and metrics by name, as they were before it. Raises as `fit` does.
        """
        chosen = functions_for(self._functions, sample_weight, class_weight)
        return run_on_batch(chosen, chosen.train, x, y, sample_weight, class_weight)

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: ClassWeight | None = None,
    ) -> dict[str, Any]:
        """Loss and metrics of these rows, as in inference. Raises as `fit` does."""
        chosen = functions_for(self._functions, sample_weight, class_weight)
        return run_on_batch(chosen, chosen.test, x, y, sample_weight, class_weight)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for these rows at once, in the structure of the outputs; one need not have a
        batch. Raises as `fit` does."""
        return self.predict_function(*matched(self.inputs, x, "x"))

    @checks_flags
    def predict(self, x: Any, batch_size: int | None = None, *, use_ema: bool = False) -> Any:
        """The outputs for all rows, in the structure of the outputs. Raises as `fit` does.

        use_ema: by the averages of the weights; GraphError unless `compile` was given `ema`. Every
        output must have the batch as its first dimension (GraphError).
        """
        rows = self._rows_of_batch(batch_size)
        run = self._functions_by(use_ema).predict
        return predict_rows(run, self.inputs, self.outputs, x, rows)

    @checks_flags
    def predict_classes(
        self, x: Any, batch_size: int | None = None, *, use_ema: bool = False
    ) -> Array:
        """The class (i64) of every row: of several scores the greatest as `argmax` finds it, of one
        logit under a binary loss 1 where it is positive and else 0.

        Raises GraphError for one number a row under another loss, and as `predict` does.
        """
        classify = self._functions_by(use_ema).classify
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
        from graphc.profiling.measuring.profile import ROUNDS, profile

        size = self.batch_size if batch_size is None else batch_size
        return profile(
            self.train_function,
            {self.batch_dimension: size, **(dimensions or {})},
            threads=threads,
            rounds=ROUNDS if rounds is None else rounds,
            repeats=repeats,
        )

    # --- saving ------------------------------------------------------------------------------

    @checks_flags
    def save(self, path: str | os.PathLike[str], weights_only: bool = False) -> None:
        """Writes the model, which `gc.load_model` reads, with the values of all states, as
        safetensors: `model.save("digits.safetensors")`. `weights_only` writes the weights alone.

        As `Variables.save` does: whole or not at all. Raises OSError, and TypeError for an
        optimizer of one's own whose fields are not numbers, texts, and lists of them.
        """
        if weights_only:
            self.variables.save(path, [state.name for state in self.weights])
            return
        with self.graph.declaring.lock:
            how = self._functions.how
            content = Content(
                self._network, self._optimization, how, self.batch_size, self._frozen_parameters
            )
            stored = stored_model(content, self.variables, self.states)
        stored.write(path)

    @checks_flags
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
        try:
            self.variables.load(path, names, allow_others=weights_only, allow_nan=allow_nan)
        except VariableError as error:
            if weights_only or self.optimizer is not None:
                raise
            hint = "the model is not compiled: compile first, or load with weights_only=True"
            raise VariableError(f"{error}\n  {hint}") from None

    # --- helpers -----------------------------------------------------------------------------

    def _functions_by(self, use_ema: bool) -> ModelFunctions:
        return self._functions.averaged() if use_ema else self._functions

    def _rows_of_batch(self, batch_size: int | None) -> int:
        return self.batch_size if batch_size is None else as_batch_size(batch_size)
