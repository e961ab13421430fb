"""A model in a file: its nodes as text, what it makes of them as JSON, and its values."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.declare.as_data import (
    OPTIMIZERS,
    initializer_data,
    initializer_of,
)
from graphc.declare.graphs.forms import Nodes
from graphc.declare.graphs.graph import Graph
from graphc.declare.graphs.variables import Variables
from graphc.declare.optim import Optimizer
from graphc.errors import GraphError, ModelFileError, VariableError
from graphc.files.plain_data import Part, read_json
from graphc.files.value_files import ARRAYS, StoredFile, write_values
from graphc.ir.arguments.given import shown
from graphc.ir.graph import Node, Program, topological
from graphc.ir.nodes.op import Array, Op
from graphc.ir.ops import leaf
from graphc.ir.programs.verify import verify
from graphc.ir.text.graph_text import print_nodes, read_nodes
from graphc.train.files.metric_data import metric_data, metric_of
from graphc.train.files.optimization_data import optimization_data, optimization_from, pairs_of
from graphc.train.model_functions import HowToRun
from graphc.train.network.network import Network, network_of
from graphc.train.network.optimization import Optimization

# Under these names the metadata of a file holds its parts.
NODES, STRUCTURE = "graphc.nodes", "graphc.model"
VERSION = 1
MOST_CHARACTERS = 2**25

_PARTS = ("version", "seed", "states", "scopes", "streams", "initializers", "steps", "network",
          "frozen", "optimization", "batch_size", "run", "beside")  # fmt: skip

_NETWORK = ("inputs", "outputs", "targets", "loss", "metrics", "parameters", "updates")


@dataclass(frozen=True)
class Content:
    """What a file says of a model."""

    network: Network
    optimization: Optimization | None
    how: HowToRun
    batch_size: int
    frozen: list[Node]


# --- writing ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class StoredModel:
    """What is written of a model: its parts, with the memory of its states.

    states: the names of those that are written under their own. arrays: what the structure refers
    to by number.
    """

    nodes: str
    structure: dict[str, Any]
    states: frozenset[str]
    arrays: list[Array]
    memory: Mapping[str, Array]
    variables: Variables

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes it with the values of now, whole or not at all. Raises OSError."""
        values = self.variables.copied(self.memory)
        # What inference does not need of a model that is not compiled, such as keys of streams.
        others = sorted(values.keys() - self.states)
        places = {name: len(self.arrays) + n for n, name in enumerate(others)}
        arrays = [*self.arrays, *(values.pop(name) for name in others)]
        prefix = "@"
        while any(name.startswith(prefix) for name in values):
            prefix += "@"
        beside = {f"{prefix}{number}": array for number, array in enumerate(arrays)}
        metadata = {
            NODES: self.nodes,
            STRUCTURE: json.dumps({**self.structure, "beside": places}),
            ARRAYS: json.dumps(list(beside)),
        }
        write_values(path, values | beside, metadata)


def stored_model(content: Content, variables: Variables, states: Sequence[Node]) -> StoredModel:
    """The model as it is declared now, with `states`, to be written.

    Raises TypeError for an optimizer of the user's that is no plain data.
    """
    with content.network.graph.declaring.lock:
        nodes = _needed(content)
        kept = [node for node in nodes if node.op in (leaf.input_, leaf.state)]
        made = print_nodes(nodes, set(kept), lambda place: os.path.basename(place.filename))
        arrays = list(made.arrays)
        structure = _structure(content, variables, made.labels, arrays)
        memory = variables.storages(node.name for node in kept if node.op is leaf.state)
    names = frozenset(state.name for state in states)
    return StoredModel(made.text, structure, names, arrays, memory, variables)


def _needed(content: Content) -> list[Node]:
    """The nodes of a model, with what training makes of its states, in the order of making."""
    network, optimization = content.network, content.optimization
    further = network.further
    roots = [*network.arguments, *network.roots, *further, *further.values()]
    if optimization is not None:
        roots += [*optimization.states, *optimization.updates, *optimization.updates.values()]
    steps = network.graph.training_steps
    while True:
        nodes = set(topological(roots))
        more = [s.value for s in steps if s.when in nodes and s.value not in nodes]
        more += [s.state for s in steps if s.when in nodes and s.state not in nodes]
        if not more:
            return sorted(nodes, key=lambda node: node.number)
        roots += more


def _structure(
    content: Content, variables: Variables, labels: Mapping[Node, str], arrays: list[Array]
) -> dict[str, Any]:
    network, graph = content.network, content.network.graph
    names = [node.name for node in labels if node.op is leaf.state]
    return {
        "version": VERSION,
        "seed": variables.seed,
        "states": [name for name in graph.states if name in set(names)],
        "scopes": sorted(graph.names - {*graph.inputs, *graph.states}),
        "streams": [name for name in names if name in graph.streams],
        "initializers": {
            name: initializer_data(graph.initializers[name], name, arrays)
            for name in names
            if name in graph.initializers
        },
        "steps": [
            [_label_of(node, labels) for node in (s.state, s.when, s.value, s.before)]
            for s in graph.training_steps
            if s.when in labels
        ],
        "network": {
            "inputs": _labelled(network.inputs, labels),
            "outputs": _labelled(network.outputs, labels),
            "targets": _labelled(network.targets, labels),
            "loss": _label_of(network.loss, labels),
            "metrics": {
                name: metric_data(each, f"metric {name!r}", labels, arrays)
                for name, each in network.metrics.items()
            },
            "parameters": _labelled(network.trainables, labels),
            "updates": [[labels[state], labels[x]] for state, x in network.further.items()],
        },
        "frozen": _labelled(content.frozen, labels),
        "optimization": optimization_data(content.optimization, labels, arrays),
        "batch_size": content.batch_size,
        "run": {"mode": content.how.mode, "fuse": content.how.fuse},
    }


def _label_of(node: Node | None, labels: Mapping[Node, str]) -> str | None:
    # None too where a next value does not depend on the one before.
    return None if node is None else labels.get(node)


def _labelled(nodes: Nodes, labels: Mapping[Node, str]) -> Any:
    if isinstance(nodes, Node):
        return labels[nodes]
    if isinstance(nodes, Mapping):
        return {name: labels[node] for name, node in nodes.items()}
    return [labels[node] for node in nodes]


# --- reading ---------------------------------------------------------------------------------


def read_model(
    file: StoredFile,
    ops: Sequence[Op] = (),
    optimizers: Mapping[str, type[Optimizer]] | None = None,
    allow_nan: bool = False,
) -> Content:
    """The model of a file, in a graph of its own, whose variables have the file's values.

    Raises ModelFileError for a file that holds none, or one that does not fit together.
    """
    if NODES not in file.metadata or STRUCTURE not in file.metadata:
        raise ModelFileError("it holds values alone; declare the model and load them into it")
    structure = read_json(file.metadata[STRUCTURE], "model", MOST_CHARACTERS)
    version = structure.entries().get("version", Part(None, "model.version"))
    if version.value != VERSION:
        raise version.error(f"version {VERSION} expected, not {shown(version.value)}")
    try:
        return _Reader(structure.has(_PARTS), file, ops, optimizers or {}, allow_nan).content()
    except (GraphError, VariableError) as error:
        raise ModelFileError(str(error)) from None


class _Reader:
    def __init__(
        self,
        parts: Mapping[str, Part],
        file: StoredFile,
        ops: Sequence[Op],
        optimizers: Mapping[str, type[Optimizer]],
        allow_nan: bool,
    ) -> None:
        self.parts = parts
        self.optimizers = {**optimizers, **OPTIMIZERS}
        self.arrays = [value.own_array() for value in file.arrays]
        text = file.metadata[NODES]
        if len(text) > MOST_CHARACTERS:
            raise ModelFileError(f"nodes: at most {MOST_CHARACTERS} characters expected")
        self.graph = Graph(parts["seed"].count())
        self.nodes = read_nodes(self.graph, text, self.arrays, ops, lambda name: f"<{name}>")
        self._declare(file, allow_nan)

    def content(self) -> Content:
        network = self._network()
        optimization = self._optimization(network)
        updates = () if optimization is None else tuple(optimization.updates.items())
        outputs = tuple((f"output{n}", node) for n, node in enumerate(network.roots))
        verify(Program("model", tuple(network.arguments), outputs, updates))
        run, size = self.parts["run"].has(("mode", "fuse")), self.parts["batch_size"].count()
        mode = run["mode"].text()
        if mode not in ("compiled", "reference"):
            raise run["mode"].error(f"'compiled' or 'reference' expected, not {shown(mode)}")
        if not size:
            raise self.parts["batch_size"].error("at least 1 expected")
        how = HowToRun("reference" if mode == "reference" else "compiled", run["fuse"].flag())
        frozen = [self._node(each) for each in self.parts["frozen"].items()]
        return Content(network, optimization, how, size, frozen)

    def _declare(self, file: StoredFile, allow_nan: bool) -> None:
        """The states with their values, and what else the graph knows of them."""
        graph, states = self.graph, self.graph.states
        order = self.parts["states"].texts()
        beside = {name: part.count() for name, part in self.parts["beside"].entries().items()}
        if sorted(order) != sorted(states) or states.keys() != {*file.values, *beside}:
            raise self.parts["states"].error("the states of the nodes and of the file differ")
        graph.states = {name: states[name] for name in order}
        if any(number >= len(file.arrays) for number in beside.values()):
            raise self.parts["beside"].error(f"there are {len(file.arrays)} arrays")
        stored = {**{n: file.arrays[k] for n, k in beside.items()}, **file.values}
        arrays = {n: stored[n].array(s.dtype, allow_nan) for n, s in graph.states.items()}
        graph.variables.update(arrays)
        for name, part in self.parts["initializers"].entries().items():
            if name not in states:
                raise part.error("a state of that name expected")
            graph.initializers[name] = initializer_of(part, states, self.arrays)
        for part in self.parts["streams"].items():
            if part.text() not in states:
                raise part.error(f"a state expected, not {shown(part.value)}")
            graph.streams.add(part.text())
        graph.take_names(self.parts["scopes"].texts())
        for part in self.parts["steps"].items():
            self._step(part)

    def _step(self, part: Part) -> None:
        state, when, value, before = self._several(part, 4)
        given = None if before.is_null else self._node(before)
        self.graph.add_training_step(self._node(state), self._node(when), self._node(value), given)

    def _network(self) -> Network:
        found = self.parts["network"].has(_NETWORK)
        trains = not found["loss"].is_null
        return network_of(
            [self._node(each) for each in found["inputs"].items()],
            self._form(found["outputs"]),
            [self._node(each) for each in found["targets"].items()],
            None if found["loss"].is_null else self._node(found["loss"]),
            {
                name: metric_of(each, self._node, self.arrays)
                for name, each in found["metrics"].entries().items()
            },
            [self._node(each) for each in found["parameters"].items()] if trains else None,
            pairs_of(found["updates"], self._node) or None,
        )

    def _optimization(self, network: Network) -> Optimization | None:
        part, kinds = self.parts["optimization"], self.optimizers
        made = optimization_from(part, kinds, self.graph, self.arrays, self._node)
        if made is not None:
            network.checked_loss  # noqa: B018 (raises without one)
        return made

    def _several(self, part: Part, count: int) -> list[Part]:
        items = part.items()
        if len(items) != count:
            raise part.error(f"{count} values expected, not {shown(part.value)}")
        return items

    def _node(self, part: Part) -> Node:
        node = self.nodes.get(part.text())
        if node is None:
            raise part.error(f"a node of the file expected, not {shown(part.value)}")
        return node

    def _form(self, part: Part) -> Nodes:
        if isinstance(part.value, str):
            return self._node(part)
        if isinstance(part.value, dict):
            return {name: self._node(each) for name, each in part.entries().items()}
        return [self._node(each) for each in part.items()]
