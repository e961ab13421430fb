"""The compiled functions of a model: to train, to judge, to predict."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.declare.functional.derivatives import inference
from graphc.declare.graphs.forms import Nodes, listed
from graphc.declare.graphs.variables import Variables
from graphc.declare.hyperparameters import as_count
from graphc.errors import GraphError, NotCompiledError
from graphc.files.value_files import listed_names
from graphc.functions.function import Function, function
from graphc.functions.mode import Mode
from graphc.ir.graph import Node
from graphc.ir.lazy import Lazy
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.train.callbacks.logged import IS_FINITE
from graphc.train.epochs.prediction import classes_of
from graphc.train.epochs.recording import RECORD_EVERY, Recorder, recording_step
from graphc.train.epochs.watch import all_finite
from graphc.train.network.network import Network
from graphc.train.network.optimization import Optimization, weighted_optimization
from graphc.train.network.weight_averages import WeightAverages, by_averages

# What does not depend on which parameters train.
UNTRAINED = ("declared", "test", "predict", "classify")

# Outputs, and the updates of states.
_Declared = tuple[Nodes, Mapping[Node, Node] | None]


@dataclass(frozen=True)
class HowToRun:
    """As `gc.function` has these parameters."""

    mode: Mode = "compiled"
    fuse: bool = True
    threads: int | None = None


class ModelFunctions:
    """Each is declared when it is first asked for, and kept.

    prefix: what their names begin with.
    """

    def __init__(
        self,
        network: Network,
        variables: Variables,
        optimization: Optimization | None = None,
        how: HowToRun | None = None,
        prefix: str = "",
        averages: Mapping[Node, Node] | None = None,
    ) -> None:
        self.network = network
        self.prefix = prefix
        self.how = how or HowToRun()
        self.variables = variables
        self._optimization = optimization
        self._made: dict[str, Function] = {}
        # States that stand in the place of the weights.
        self._averages = averages or {}
        self._averaged: ModelFunctions | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles declare their functions themselves."""
        return {**vars(self), "_made": {}}

    @property
    def optimization(self) -> Optimization:
        """Raises NotCompiledError where there is none."""
        if self._optimization is None:
            raise NotCompiledError("compile the model with an optimizer first")
        return self._optimization

    @Lazy
    def weighted(self) -> ModelFunctions:
        """Functions whose loss weighs the rows: they take weights (batch,), of the loss's dtype, as
        their last argument, and share all states with these. Metrics are the same.

        Raises GraphError for a loss whose rows have no weights.
        """
        network, optimization = self.network.weighted, self._optimization
        with self.network.graph.declaring.lock:
            if optimization is not None:
                optimization = weighted_optimization(optimization, network)
            return ModelFunctions(
                network, self.variables, optimization, self.how, "weighted_", self._averages
            )

    @property
    def updates(self) -> dict[Node, Node]:
        """Those of a training step. Raises NotCompiledError before there is an optimizer,
        GraphError where no parameter trains."""
        if not self.optimization.trained:
            names = listed_names(parameter.name for parameter in self.network.trainables)
            raise GraphError(f"every parameter is frozen: {names}; model.unfreeze('*') trains them")
        return self.optimization.updates

    def retrained(self, optimization: Optimization) -> ModelFunctions:
        """The same for another training step; what does not train is kept."""
        other = ModelFunctions(self.network, self.variables, optimization, self.how, self.prefix)
        other._made = {name: self._made[name] for name in UNTRAINED if name in self._made}
        return other

    @property
    def averages(self) -> WeightAverages:
        """Those of the weights. Raises GraphError where none are kept."""
        averages = None if self._optimization is None else self._optimization.averages
        if averages is None:
            problem = "the model keeps no averages of its weights"
            raise GraphError(f"{problem}; model.compile(optimizer, ema=0.999) has them kept")
        return averages

    def averaged(self) -> ModelFunctions:
        """What judges and predicts by the averages of the weights as they are now.

        Raises GraphError where none are kept.
        """
        states = self.averages.begun(self.variables)
        with self.network.graph.declaring.lock:
            if self._averaged is None:
                self._averaged = ModelFunctions(
                    self.network, self.variables, None, self.how, "averaged_", states
                )
            return self._averaged

    @property
    def train(self) -> Function:
        """(inputs, targets) -> loss and metrics by name, with the optimizer's updates."""
        updates = self.updates
        return self._function("train", lambda: (self.network.judged, updates))

    @property
    def watched_train(self) -> Function:
        """`train` that makes no update unless loss and all updates are finite, as `is_finite`, one
        more output, tells."""
        updates = self.updates
        loss = self.network.checked_loss

        def declared() -> _Declared:
            is_finite = all_finite([loss, *updates.values()])
            kept = {state: ops.where(is_finite, new, state) for state, new in updates.items()}
            return {**self.network.judged, IS_FINITE: is_finite}, kept

        return self._function("watched_train", declared)

    @property
    def declared(self) -> Function:
        """(inputs, targets) -> loss and metrics by name as training has them, without updates."""
        return self._function("declared", lambda: (self.network.judged, None))

    @property
    def test(self) -> Function:
        """(inputs, targets) -> loss and metrics by name, as in inference."""
        return self._function("test", lambda: (inference(self.network.judged), None))

    @property
    def predict(self) -> Function:
        """inputs -> outputs as in inference, in the structure of the outputs."""
        inputs = self.network.inputs
        return self._function("predict", lambda: (inference(self.network.outputs), None), inputs)

    @property
    def classify(self) -> Function:
        """inputs -> class (i64) of each row, which needs neither softmax nor loss."""
        output, loss = self.network.outputs, self.network.loss
        if not isinstance(output, Node):
            raise GraphError("classes of a model with a single output alone")
        inputs = self.network.inputs
        return self._function("classify", lambda: (classes_of(output, loss), None), inputs)

    def recorder(self, step: Function, record: bool | int) -> Recorder | None:
        """`step` with what it records of the layers, in as many steps as `record` says: every so
        many-th, every twentieth for True, none for False and 0."""
        if record is False:
            return None
        every = RECORD_EVERY if record is True else as_count("record", record, 0)
        if not every:
            return None
        # In turn with the batches of an update, of which only the last changes parameters.
        while math.gcd(every, self.optimization.optimizer.gradient_accumulation_steps or 1) > 1:
            every += 1
        name = f"recorded_{step.program.name}"
        with self.network.graph.declaring.lock:
            if name not in self._made:
                outputs = listed(self.network.outputs)
                loss = self.network.checked_loss
                parameters, trained = self.network.parameters, self.optimization.trained
                self._made[name] = recording_step(step, outputs, parameters, loss, trained)
        return Recorder(step, self._made[name], every)

    def _function(
        self,
        name: str,
        declare: Callable[[], _Declared],
        inputs: Sequence[Node] | None = None,
    ) -> Function:
        """The function of that name, of all arguments of the network unless of `inputs` alone."""
        with self.network.graph.declaring.lock:
            if name not in self._made:
                outputs, updates = declare()
                outputs = by_averages(outputs, self._averages) if self._averages else outputs
                self._made[name] = function(
                    self.network.arguments if inputs is None else inputs,
                    outputs,
                    updates,
                    variables=self.variables,
                    mode=self.how.mode,
                    fuse=self.how.fuse,
                    threads=self.how.threads,
                    name=self.prefix + name,
                )
            return self._made[name]

    def prepare(self, run: Function, batch_sizes: Collection[int]) -> None:
        """Compiles `run` ahead for these batch sizes, where no other dimension is open."""
        if run.mode == "compiled" and self.network.opens_only_batch(run):
            for size in sorted(batch_sizes):
                run.prepare({self.network.batch_dimension: size})
