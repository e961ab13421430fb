"""Declaring a network: the graph with its parameters, variables and names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from graphc.declare.graphs.variables import Variables
from graphc.declare.hyperparameters import as_seed
from graphc.declare.init import (
    Constant,
    Given,
    Initializer,
    RandomKey,
    as_initializer,
    glorot_uniform,
)
from graphc.display.table import counted, html_table
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir.arguments.given import as_array, check_tensors, is_tensor, shown
from graphc.ir.graph import Graph as NodeGraph
from graphc.ir.graph import Node, default_dtype, topological
from graphc.ir.nodes.location import Location, callers_location, located, name_is_taken
from graphc.ir.nodes.op import Array, Op
from graphc.ir.nodes.scope import current_scope
from graphc.ir.ops import leaf
from graphc.ir.programs.custom_vjp import formal_of
from graphc.ir.text.graph_text import print_nodes, read_nodes
from graphc.ir.types import as_dtype, as_shape
from graphc.kernels.host.forks import RenewedLock


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """What a training step makes of a state where what is trained reads `when`.

    value: the state's next value. before: the formal parameter in it that stands for what steps
        declared before have made of the state; None where it reads the state itself.
    """

    state: Node
    when: Node
    value: Node
    before: Node | None


class Graph(NodeGraph):
    """A network under declaration.

    `initializers` maps the name of a state to what makes its first value; `variables` holds the
    values, drawn with `seed`. `streams` are the names of the states that are random streams.
    """

    def __init__(self, seed: int = 0) -> None:
        """Raises TypeError for a seed that is no integer."""
        super().__init__()
        self.initializers: dict[str, Initializer] = {}
        self.variables = Variables(self, as_seed(seed))
        self.streams: set[str] = set()
        self._training_steps: dict[tuple[str, int], TrainingStep] = {}
        self._scopes: set[str] = set()
        # Held while states come and go, and where nodes are made that the user did not ask for,
        # maybe in several threads. Inside of it nobody waits for the variables.
        self.declaring = RenewedLock()

    def __copy__(self) -> Graph:
        raise TypeError("a graph's nodes belong to it alone; copy.deepcopy makes a graph like it")

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles hold the text of all nodes, and the values that variables have."""
        with self.declaring.lock:
            named = {*self.inputs.values(), *self.states.values()}
            made = print_nodes(self.nodes, named)
            rest = {key: value for key, value in vars(self).items() if key not in _MADE_ANEW}
            order = tuple(self.inputs), tuple(self.states)
        return _graph_of_text, (type(self), made.text, made.arrays, made.ops, *order), rest

    @property
    def parameters(self) -> list[Node]:
        """The trainable states in the order of declaration."""
        states = tuple(self.states.values())
        return [state for state in states if state.attributes["trainable"]]

    def parameter(
        self, name: str, shape: Any = (), init: object = glorot_uniform, dtype: object = "f32"
    ) -> Node:
        """A trainable state. `init` is an initialiser, a number or an array of `shape`.

        The names of scopes around it come first: "block1.w". Raises GraphError when the name is
        taken, ShapeError when an extent is left open or an array has another shape, DTypeError for
        a number that is none of the dtype, such as 0.5 or 2^40 of i32.
        """
        name = _in_scope(name)
        return self._declared(name, _initializer(name, init), shape, dtype, trainable=True)

    def variable(
        self, name: str, init: object = 0.0, shape: Any = None, dtype: object | None = None
    ) -> Node:
        """A state that no gradient changes: a rate, a counter, an optimizer's slot.

        `init` is a number, an array, or an initialiser; shape and dtype are its own unless given
        (f32 for floats and for initialisers). Named in scopes, and raises, as `parameter`.
        """
        name = _in_scope(name)
        initializer = _initializer(name, init)
        if shape is None:
            shape = () if callable(init) else as_array(init).shape
        if dtype is None:
            dtype = "f32" if callable(init) else default_dtype(init)
        return self._declared(name, initializer, shape, dtype, trainable=False)

    def _declared(
        self, name: str, initializer: Initializer, shape: Any, dtype: object, trainable: bool
    ) -> Node:
        """A state with its initialiser: whoever reads all states finds neither or both."""
        _check_initial(name, initializer, shape, dtype)
        with self.declaring.lock:
            node = self.state(name, shape, dtype, trainable=trainable)
            self.initializers[name] = initializer
            return node

    def random_stream(self, name: str) -> Node:
        """A state (i64, scalar) whose value is the key of random numbers.

        Its first value depends on the seed and on the name; one more is the key of the next step.
        Raises GraphError when the name is taken.
        """
        stream = self.variable(name, RandomKey(), dtype="i64")
        self.streams.add(stream.name)
        return stream

    def update_in_training(
        self,
        state: Node,
        next_value: Node | Callable[[Node], Node],
        when: Node | None = None,
    ) -> None:
        """Says what a training step makes of `state`, whose loss reads `when`: the state itself
        unless given. `gc.training_updates` collects it, and an optimizer's `updates` and
        `Model.fit` with it.

        `next_value` is a node of the state's type, or a function that makes it of the state's
        value: of the state itself at first, then of what was declared before for the same state
        and is read too.

            mean = graph.variable("mean", 0.0)
            graph.update_in_training(mean, 0.9 * mean + 0.1 * gc.mean(x))

        Raises GraphError for what is no state of the graph, for a next value of another type, and
        where `when` has made one of the state already.
        """
        check_tensors("update_in_training", state, *([] if when is None else [when]))
        before: Node | None = None
        value: Any = next_value
        if callable(next_value):
            before = formal_of(self, state.type)
            value = next_value(before)
        self.add_training_step(state, state if when is None else when, value, before)

    def add_training_step(self, state: Node, read: Node, value: Any, before: Node | None) -> None:
        """As `update_in_training`, which makes the `value` of the formal parameter `before`."""
        problem: str | None = None
        if state.op is not leaf.state or state.graph is not self:
            problem = f"a state of this graph expected, not {state!r}"
        elif read.graph is not self:
            problem = f"{read!r} is of another graph"
        elif (state.name, read.number) in self._training_steps:
            problem = f"{state!r} has a next value already where {read!r} is read"
        elif not is_tensor(value):
            problem = f"a tensor or a function that makes one expected, not {shown(value)}"
        elif value.graph is not self:
            problem = f"{value!r} is of another graph"
        elif value.type != state.type:
            problem = f"{state!r} cannot become {value!r}"
        if problem is not None:
            raise GraphError(located(f"update_in_training: {problem}", callers_location()))
        self._training_steps[state.name, read.number] = TrainingStep(state, read, value, before)

    @property
    def training_steps(self) -> tuple[TrainingStep, ...]:
        """Those of `update_in_training`, in the order of declaration."""
        return tuple(self._training_steps.values())

    def take_training_steps(self, since: int) -> tuple[TrainingStep, ...]:
        """The next values of states from number `since` on, which are then not declared."""
        keys = list(self._training_steps)[since:]
        return tuple(self._training_steps.pop(key) for key in keys)

    def name_for(self, base: str, name: str | None) -> str:
        """`name`, or a unique one from `base`, inside of the scopes around it, which are left out.

        Raises GraphError when the name is taken.
        """
        return self.unique_name(base) if name is None else self.reserve_name(name)

    def take_names(self, names: Iterable[str]) -> None:
        """Nothing that is declared later gets one of the names by itself."""
        self._scopes.update(names)

    def unique_name(self, base: str) -> str:
        """`base`, or `base_1`, `base_2`, ... where layers before have taken it in this scope."""
        name, number = base, 0
        while self._is_taken(_in_scope(name)):
            number += 1
            name = f"{base}_{number}"
        self._scopes.add(_in_scope(name))
        return name

    def reserve_name(self, name: str) -> str:
        """`name`, now taken. Raises GraphError when a layer before has taken it."""
        if self._is_taken(_in_scope(name)):
            raise GraphError(name_is_taken(_in_scope(name), self._first_below(_in_scope(name))))
        self._scopes.add(_in_scope(name))
        return name

    def _first_below(self, name: str) -> Location | None:
        """Where the first node of that name, or below it, was declared."""
        named = {**self.inputs, **self.states}.items()
        below = (node for each, node in named if each == name or each.startswith(f"{name}."))
        first = next(below, None)
        return None if first is None else first.location

    def __repr__(self) -> str:
        elements = sum(state.type.size for state in self.parameters)
        parameters = f"{counted(len(self.parameters), 'parameter')} of {elements:,} elements"
        inputs, nodes = counted(len(self.inputs), "input"), counted(len(self.nodes), "node")
        return f"<graph of {inputs}, {parameters}, {nodes}>"

    def _repr_html_(self) -> str:
        """Inputs and states as a table, for notebooks."""
        rows = [
            (name, "input" if node.op is leaf.input_ else "state", str(node.type))
            for name, node in {**self.inputs, **self.states}.items()
        ]
        return html_table(repr(self)[1:-1], ("name", "kind", "type"), rows)

    @property
    def names(self) -> frozenset[str]:
        """Every name that is taken: of inputs, of states and of what they stand below."""
        return frozenset([*self._scopes, *self.inputs, *self.states])

    def forget(self, names: Collection[str]) -> None:
        """Takes states, and what states stand below, out again: their names are free. Their values
        are left to `Variables.forget`; what was compiled with the states keeps their memory."""
        for name in names:
            self.states.pop(name, None)
            self.initializers.pop(name, None)
        self._scopes -= set(names)
        self.streams -= set(names)
        for key in [key for key in self._training_steps if key[0] in names]:
            del self._training_steps[key]

    @contextmanager
    def as_before_on_error(self) -> Iterator[None]:
        """Takes back what is declared or forgotten inside, when an error leaves it."""
        now: Sequence[Any] = (
            self.inputs, self.states, self.initializers, self._scopes, self.streams,
            self._training_steps,
        )  # fmt: skip
        before = [declared.copy() for declared in now]
        try:
            yield
        except BaseException:
            for declared, was in zip(now, before, strict=True):
                declared.clear()
                declared.update(was)
            raise

    def _is_taken(self, name: str) -> bool:
        return name in self._scopes or name in self.inputs or name in self.states


def _in_scope(name: str) -> str:
    """`name` with the names of the scopes around it."""
    prefix = current_scope().prefix
    return f"{prefix}{name}" if prefix else name


# What a graph has by its nodes, and what cannot be copied.
_MADE_ANEW = ("nodes", "inputs", "states", "_interned", "_location", "declaring")


def _graph_of_text(
    kind: type[Graph],
    text: str,
    arrays: Sequence[Array],
    ops: Sequence[Op],
    inputs: Sequence[str],
    states: Sequence[str],
) -> Graph:
    """The graph with its nodes, and with names in the order in which they were declared."""
    graph = kind.__new__(kind)
    Graph.__init__(graph)
    read_nodes(graph, text, arrays, ops)
    graph.inputs = {name: graph.inputs[name] for name in inputs}
    graph.states = {name: graph.states[name] for name in states}
    return graph


def _initializer(name: str, init: object) -> Initializer:
    try:
        return as_initializer(init)
    except (TypeError, ValueError) as error:
        raise TypeError(located(f"{name}: init: {error}", callers_location())) from None


def _check_initial(name: str, initializer: Initializer, shape: Any, dtype: object) -> None:
    """Raises ShapeError or DTypeError for a number or an array that no such state can hold."""
    if not isinstance(initializer, Constant | Given):
        return
    try:
        wanted, of = as_shape(shape), as_dtype(dtype)
    except (ShapeError, DTypeError):
        return  # which the making of the state says in its own words
    try:
        initializer.check(wanted, of)
    except (ShapeError, DTypeError) as error:
        problem = f"{name}: init: {error}"
        raise type(error)(located(problem, callers_location())) from None


def graph_of(node: Node) -> Graph:
    """The graph that declares `node`. Raises GraphError when it cannot hold variables."""
    check_tensors("graph_of", node)
    if isinstance(node.graph, Graph):
        return node.graph
    raise GraphError(f"{node!r} belongs to no graphc.Graph, which alone holds variables")


def states_of(roots: Iterable[Node]) -> list[Node]:
    """The states that `roots` read, in the order of their declaration."""
    found = [node for node in topological(roots) if node.op is leaf.state]
    return sorted(found, key=lambda node: node.number)


def parameters_of(*roots: Node) -> list[Node]:
    """The trainable states that `roots` read, in the order of their declaration."""
    check_tensors("parameters_of", *roots)
    return [state for state in states_of(roots) if state.attributes["trainable"]]
