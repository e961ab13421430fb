"""What `fit` records of every layer: norms of activations, gradients and updates, dead units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphc.compiler.load.row_loop import RowOrder
from graphc.declare.functional.derivatives import grad
from graphc.functions.function import Function, function
from graphc.ir.functions import build
from graphc.ir.graph import Node, is_among, topological
from graphc.ir.nodes.op import Array
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import f64
from graphc.train.callbacks.logged import DEAD, NORMS, recorded_name
from graphc.train.data.batches import Batches
from graphc.train.epochs.native_epochs import Pace, Steps, loops_by_size

# One step of so many records: its norms take 3 % of a large step, but a fifth and more of a small
# one, where each sum is one more kernel that one thread runs alone.
RECORD_EVERY = 20


@dataclass(frozen=True, eq=False)
class Layer:
    """Parameters of one scope (`dense` of `dense.kernel`) and the value that later layers read."""

    name: str
    parameters: tuple[Node, ...]
    activation: Node


def recorded_layers(outputs: Sequence[Node], parameters: Sequence[Node]) -> tuple[Layer, ...]:
    """The layers on the way to `outputs`, in the order of declaration.

    A value belongs to the layer declared last among those that it depends on; a layer's activation
    is the last of its values that another layer reads or that is an output.
    """
    scopes = {parameter: _scope(parameter) for parameter in parameters}
    order = {scope: number for number, scope in enumerate(dict.fromkeys(scopes.values()))}
    owner: dict[Node, str] = {}
    activation: dict[str, Node] = {}
    nodes = topological(outputs)
    for node in nodes:
        own = [scopes[node]] if node in scopes else []
        found = own + [owner[x] for x in node.operands if x in owner]
        if found:
            owner[node] = max(found, key=order.__getitem__)
    read = [
        operand
        for node in nodes
        for operand in node.operands
        if operand.operands and operand in owner and owner[operand] != owner[node]
    ]
    for value in (*read, *_floats_of(outputs)):
        if value in owner:
            last = activation.setdefault(owner[value], value)
            activation[owner[value]] = max(last, value, key=lambda x: x.number)
    return tuple(
        Layer(scope, tuple(p for p in parameters if scopes[p] == scope), activation[scope])
        for scope in order
        if scope in activation
    )


def _floats_of(outputs: Sequence[Node]) -> Iterator[Node]:
    """The outputs, instead of classes and the like the floats that they are made of."""
    pending = list(reversed(outputs))
    while pending:
        node = pending.pop()
        if node.dtype.is_float:
            yield node
        else:
            pending += reversed(node.operands)


def _scope(parameter: Node) -> str:
    return parameter.name.rpartition(".")[0] or parameter.name


def recorded_values(
    layers: Sequence[Layer], loss: Node, updates: Mapping[Node, Node], trained: Sequence[Node]
) -> dict[str, Node]:
    """Scalars by name, for each layer: `dense/activation`, `dense/gradient` and `dense/update`, the
    2-norms of a batch's activations and of all its parameters' gradients and changes, and
    `dense/dead`, the share of units that are 0 in every row. Gradients and changes are of what is
    `trained`."""
    gradients = gradients_of(layers, loss, trained)
    activation, gradient, update = NORMS
    values: dict[str, Node] = {}
    for layer in layers:
        own = [parameter for parameter in layer.parameters if parameter in gradients]
        changes = [ops.subtract(updates[parameter], parameter) for parameter in own]
        values[recorded_name(layer.name, activation)] = norm([layer.activation])
        if own:
            values[recorded_name(layer.name, gradient)] = norm([gradients[p] for p in own])
            values[recorded_name(layer.name, update)] = norm(changes)
        values[recorded_name(layer.name, DEAD)] = dead_share(layer.activation)
    return values


def gradients_of(layers: Sequence[Layer], loss: Node, trained: Sequence[Node]) -> dict[Node, Node]:
    """The same nodes as the optimizer made: a graph holds each once."""
    of_layers = (parameter for layer in layers for parameter in layer.parameters)
    parameters = [parameter for parameter in of_layers if is_among(parameter, trained)]
    return dict(zip(parameters, grad(loss, parameters), strict=True))


def norm(values: Sequence[Node]) -> Node:
    """The 2-norm of all elements together, in f64, which squares of f32 do not overflow."""
    squares = [build.sum(ops.square(build.cast(value, f64))) for value in values]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return ops.sqrt(total)


def dead_share(activation: Node) -> Node:
    """The share of units, along the last axis, that are 0 in every row."""
    rows = tuple(range(activation.rank - 1))
    largest = build.max(ops.absolute(activation), rows) if rows else ops.absolute(activation)
    return build.mean(build.cast(ops.equal(largest, 0), activation.dtype))


# --- while training --------------------------------------------------------------------------


class Recorder:
    """A training step of which every so many-th records as well, and what it has recorded.

    names: of all that is recorded. every: 1 to record each step; the first of an epoch always is.
    """

    def __init__(self, step: Function, recording: Function, every: int) -> None:
        self.step = step
        self.recording = recording
        self.every = every
        plain = {name for name, _ in step.program.outputs}
        self.names = [name for name, _ in recording.program.outputs if name not in plain]
        self._recorded: dict[str, list[Array]] = {}

    def wrapped(self) -> Callable[..., dict[str, Array]]:
        """The step for calls from Python, its results without what is recorded."""
        number = -1

        def call(*batch: Array) -> dict[str, Array]:
            nonlocal number
            number += 1
            if number % self.every:
                return dict(self.step(*batch))
            return self._kept(dict(self.recording(*batch)))

        return call

    def take_means(self) -> dict[str, float]:
        """The means of what was recorded since the last call, by name."""
        means = {
            name: float(np.concatenate([np.atleast_1d(part) for part in parts]).mean(dtype="f8"))
            for name, parts in self._recorded.items()
        }
        self._recorded = {}
        return means

    def kept(self, steps: Steps) -> Steps:
        """Recorded steps without what is recorded."""
        return replace(steps, values=self._kept(dict(steps.values)))

    def _kept(self, values: dict[str, Array]) -> dict[str, Array]:
        for name in self.names:
            self._recorded.setdefault(name, []).append(values.pop(name))
        return values


class RecordedEpochs:
    """As `CompiledEpochs`, with a recorder's steps among the others."""

    def __init__(
        self,
        recorder: Recorder,
        batches: Batches,
        *,
        shuffled: bool = False,
        stop_unless: str | None = None,
    ) -> None:
        self._recorder = recorder
        self._batches = batches
        self._plain = loops_by_size(recorder.step, batches, shuffled, stop_unless)
        self._recording = loops_by_size(recorder.recording, batches, shuffled, stop_unless)
        self._pace = Pace()

    def __call__(self, order: Array | None = None) -> Iterator[Steps]:
        """The steps of an epoch; raises as `CompiledEpochs` does."""
        size, every = self._batches.batch_size, self._recorder.every
        whole, rest = divmod(self._batches.rows, size)
        chosen = None if order is None else RowOrder(order, self._batches.rows)
        for first in range(0, whole, every):
            values = self._recording[size].run(first * size, 1, chosen)
            yield self._recorder.kept(Steps(first, size, values))
            made, end = first + 1, min(first + every, whole)
            while made < end:
                values = self._pace.run(self._plain[size], made * size, end - made, chosen)
                steps = Steps(made, size, values)
                yield steps
                made += len(steps)
        if rest and whole % every:
            yield Steps(whole, rest, self._plain[rest].run(whole * size, 1, chosen))
        elif rest:
            values = self._recording[rest].run(whole * size, 1, chosen)
            yield self._recorder.kept(Steps(whole, rest, values))


def recording_step(
    step: Function,
    outputs: Sequence[Node],
    parameters: Sequence[Node],
    loss: Node,
    trained: Sequence[Node],
) -> Function:
    """The training step with `recorded_values` of the layers as outputs besides its own."""
    program = step.program
    updates = dict(program.updates)
    values = recorded_values(recorded_layers(outputs, parameters), loss, updates, trained)
    return function(
        program.inputs,
        {**dict(program.outputs), **values},
        updates,
        variables=step.variables,
        mode=step.mode,
        fuse=step.fuse,
        threads=step.threads,
        name=f"recorded_{program.name}",
    )
