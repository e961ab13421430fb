"""Declaring a network: the graph with its parameters and variables, derivatives, Jacobians."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, overload

from graphc.errors import GraphError
from graphc.forms import Form, Nodes, form_of, in_form, listed
from graphc.init import Initializer, RandomKey, as_initializer, glorot_uniform
from graphc.ir import autodiff
from graphc.ir.build import broadcast_to
from graphc.ir.given import as_array, as_integer, check_tensors, shown
from graphc.ir.graph import Graph as NodeGraph
from graphc.ir.graph import Node, default_dtype, topological
from graphc.ir.inference import inference_values
from graphc.ir.location import callers_location, located
from graphc.ir.ops import leaf
from graphc.ir.rewrite import rewrite_values
from graphc.ir.simplify import RULES
from graphc.ir.types import is_several
from graphc.kernels.forks import RenewedLock
from graphc.variables import Variables

__all__ = [
    "Graph",
    "Node",
    "Variables",
    "grad",
    "graph_of",
    "inference",
    "jacobian",
    "parameters_of",
    "states_of",
]


class Graph(NodeGraph):
    """A network under declaration.

    `initializers` maps the name of a state to what makes its first value; `variables` holds the
    values, drawn with `seed`. `streams` are the names of the states that are random streams.
    """

    def __init__(self, seed: int = 0) -> None:
        """Raises TypeError for a seed that is no integer."""
        super().__init__()
        self.initializers: dict[str, Initializer] = {}
        self.variables = Variables(self, _as_seed(seed))
        self.streams: set[str] = set()
        self._scopes: set[str] = set()
        # Held where nodes are made that the user did not ask for, maybe in several threads.
        self.declaring = RenewedLock()

    @property
    def parameters(self) -> list[Node]:
        """The trainable states in the order of declaration."""
        return [state for state in self.states.values() if state.attributes["trainable"]]

    def parameter(
        self, name: str, shape: Any = (), init: object = glorot_uniform, dtype: object = "f32"
    ) -> Node:
        """A trainable state. `init` is an initialiser, a number or an array of `shape`.

        Raises GraphError when the name is taken, ShapeError when an extent is left open.
        """
        initializer = _initializer(name, init)
        node = self.state(name, shape, dtype, trainable=True)
        self.initializers[name] = initializer
        return node

    def variable(
        self, name: str, init: object = 0.0, shape: Any = None, dtype: object | None = None
    ) -> Node:
        """A state that no gradient changes: a rate, a counter, an optimizer's slot.

        `init` is a number, an array, or an initialiser; shape and dtype are its own unless given
        (f32 for floats and for initialisers). Raises as `parameter` does.
        """
        initializer = _initializer(name, init)
        if shape is None:
            shape = () if callable(init) else as_array(init).shape
        if dtype is None:
            dtype = "f32" if callable(init) else default_dtype(init)
        node = self.state(name, shape, dtype, trainable=False)
        self.initializers[name] = initializer
        return node

    def random_stream(self, name: str) -> Node:
        """A state (i64, scalar) whose value is the key of random numbers.

        Its first value depends on the seed and on the name; one more is the key of the next step.
        Raises GraphError when the name is taken.
        """
        stream = self.variable(name, RandomKey(), dtype="i64")
        self.streams.add(name)
        return stream

    def scope(self, base: str, name: str | None) -> str:
        """`name`, or a unique one from `base`. Raises GraphError when the name is taken."""
        return self.unique_name(base) if name is None else self.reserve_name(name)

    def unique_name(self, base: str) -> str:
        """`base`, or `base_1`, `base_2`, ... where layers before have taken it."""
        name, number = base, 0
        while self._is_taken(name):
            number += 1
            name = f"{base}_{number}"
        self._scopes.add(name)
        return name

    def reserve_name(self, name: str) -> str:
        """`name`, now taken. Raises GraphError when a layer before has taken it."""
        if self._is_taken(name):
            raise GraphError(located(f"the name {name!r} is taken", callers_location()))
        self._scopes.add(name)
        return name

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

    @contextmanager
    def as_before_on_error(self) -> Iterator[None]:
        """Takes back what is declared or forgotten inside, when an error leaves it."""
        now: Sequence[Any] = (
            self.inputs, self.states, self.initializers, self._scopes, self.streams,
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


def _initializer(name: str, init: object) -> Initializer:
    try:
        return as_initializer(init)
    except (TypeError, ValueError) as error:
        raise TypeError(located(f"{name}: init: {error}", callers_location())) from None


def _as_seed(seed: int) -> int:
    try:
        number = as_integer(seed)
    except TypeError as error:
        raise TypeError(f"seed: {error}") from None
    if number < 0:
        raise ValueError(f"seed: at least 0 expected, not {number}")
    return number


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


@overload
def grad(value: Node, wrt: Node) -> Node: ...
@overload
def grad(value: Node, wrt: Sequence[Node]) -> list[Node]: ...
def grad(value: Node, wrt: Node | Sequence[Node]) -> Node | list[Node]:
    """d value / d wrt as nodes of the same graph: of each w's type, so differentiable again.

    The value is brought to its stable form first, so 1/(1+exp(-x)) has the derivative of sigmoid.

    `value` is a float scalar; `wrt` is a node, or several, for which a list is returned. Raises
    GraphError when the value is not a scalar or does not depend on a w, NotDifferentiableError
    when it does only through what has no derivative.
    """
    several = [wrt] if isinstance(wrt, Node) else wrt
    if not is_several(several):
        raise TypeError(f"grad: wrt: a tensor or several expected, not {shown(wrt)}")
    several = list(several)
    check_tensors("grad", value, *several)
    stable = _stable(value, several)
    # Simplification may drop what the value never depended on in truth: its derivative is zero.
    written, left = set(topological([value])), set(topological([stable]))
    dropped = {w for w in several if w in written and w not in left}
    found = iter(autodiff.gradients(stable, [w for w in several if w not in dropped]))
    result = [_zeros_like(w) if w in dropped else next(found) for w in several]
    return result[0] if isinstance(wrt, Node) else result


@overload
def inference(values: Node) -> Node: ...
@overload
def inference(values: Mapping[str, Node]) -> dict[str, Node]: ...
@overload
def inference(values: Sequence[Node]) -> list[Node]: ...
def inference(values: Nodes) -> Form:
    """A value, several, or several by name, as they are where the network is used: no dropout.

    Nodes of the same graph, in the form in which they were given; those that nothing for training
    alone goes into are the same nodes.
    """
    check_tensors("inference", *listed(values))
    found = inference_values(listed(values))
    made: Form = in_form(form_of(values), [found[node] for node in listed(values)])
    return made


def _zeros_like(node: Node) -> Node:
    return broadcast_to(node.graph.constant(0.0, node.dtype), node.shape)


def jacobian(y: Node, x: Node) -> Node:
    """All dy_i / dx_j, of shape y.shape + x.shape; every extent must be fixed.

    Raises GraphError for open dimensions, and as `grad` does.
    """
    check_tensors("jacobian", y, x)
    return autodiff.jacobian(_stable(y, [x]), x)


def _stable(value: Node, wrt: Sequence[Node]) -> Node:
    """`value` simplified, but for what lies below a `wrt` that is computed itself."""
    opaque = [node for node in wrt if node.operands]
    return rewrite_values([value], RULES, opaque)[value]
