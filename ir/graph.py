"""Nodes and graphs: interned, typed, each with the user's line; programs, and walks over them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from graphc.ir.arguments.given import as_array, shown
from graphc.ir.dims import Dim
from graphc.ir.errors import DTypeError, ForeignTensorError, GraphError, ShapeError
from graphc.ir.functions.as_numpy import node_functions as functions_of_nodes
from graphc.ir.nodes.attributes import Literal
from graphc.ir.nodes.location import Location, callers_location, located, name_is_taken
from graphc.ir.nodes.op import LONE_BOOL, Array, GraphOfNodes, Op
from graphc.ir.nodes.op import Node as Node
from graphc.ir.ops import leaf
from graphc.ir.types import DType, Shape, as_dtype, bool_, f32, f64, static_shape


class Graph:
    """The nodes of one network, interned by op, operands and attributes."""

    # What operators and methods of nodes call: made of nodes, and so not known to their class.
    node_functions: ClassVar[ModuleType] = functions_of_nodes

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.inputs: dict[str, Node] = {}
        self.states: dict[str, Node] = {}
        self._interned: dict[tuple[Any, ...], Node] = {}
        self._location: Location | None = None

    def input(self, name: str, shape: Any = (), dtype: object = f32) -> Node:
        """A value given at each call. Raises GraphError when the name is taken."""
        return self._named(leaf.input_, self.inputs, name, shape, dtype, {})

    def state(
        self, name: str, shape: Any = (), dtype: object = f32, *, trainable: bool = False
    ) -> Node:
        """A value that lives from call to call: a parameter, an optimizer's slot, a rate.

        Raises GraphError when the name is taken, ShapeError when a dimension is left open.
        """
        return self._named(leaf.state, self.states, name, shape, dtype, {"trainable": trainable})

    def constant(self, value: object, dtype: object | None = None) -> Node:
        """A constant scalar or array; float by default (f32), integers and bools as given.

        Raises DTypeError for values that the dtype cannot hold.
        """
        return self.constant_for("constant", value, dtype)

    def constant_for(self, name: str, value: object, dtype: object | None) -> Node:
        """A constant whose errors begin with the function that a user called."""
        try:
            array = as_array(value)
            wanted = as_dtype(dtype) if dtype is not None else default_dtype(array)
            check_fits(array, wanted)
        except (TypeError, ValueError) as error:
            kind = DTypeError if isinstance(error, DTypeError | TypeError) else GraphError
            raise kind(located(f"{name}: {error}", callers_location())) from None
        return self.apply(leaf.constant, (), {"value": Literal(array, wanted)})

    def iota(self, shape: Any, dtype: object) -> Node:
        """0, 1, ... in row-major order, as a tensor of `shape`; a vector where that is a number."""
        return self.apply(leaf.iota, (), {"shape": shape, "dtype": dtype})

    def extent(self, shape: Shape, dtype: object) -> Node:
        """The number of elements of `shape` as a scalar, known once its dimensions are bound."""
        node = self.apply(leaf.extent, (), {"shape": shape, "dtype": dtype})
        if all(isinstance(extent, int) for extent in shape):
            return self.constant(math.prod(static_shape(shape)), dtype)
        return node

    def apply(self, op: Op, operands: Iterable[Any], attributes: Mapping[str, Any]) -> Node:
        """The node for `op` on `operands`: an existing one when there is an equal one.

        Numbers and arrays among the operands become constants of the tensors' dtype. Raises
        ShapeError, DTypeError or ForeignTensorError with the operands' types and the user's line.
        """
        given = tuple(operands)
        nodes = tuple(
            x if isinstance(x, Node) else self._lift(op, position, given)
            for position, x in enumerate(given)
        )
        for node in nodes:
            if node.graph is not self:
                raise ForeignTensorError(self._message(op, nodes, f"{node!r} is of another graph"))
        if op.arity is not None and len(nodes) != op.arity:
            raise GraphError(self._message(op, nodes, f"{op.arity} operands expected"))
        checked = self._check_attributes(op, nodes, attributes)
        # Numbers: two keys whose hashes agree are compared, and nodes would answer with a node.
        key = (op, tuple(node.number for node in nodes), _attribute_keys(op, checked))
        found = self._interned.get(key)
        if found is not None:
            return found
        try:
            result_type = op.infer(*(node.type for node in nodes), **checked)
        except (ShapeError, DTypeError) as error:
            raise type(error)(self._message(op, nodes, str(error))) from None
        location = self._location or callers_location()
        node = Node(op, nodes, checked, result_type, self, len(self.nodes), location)
        self._interned[key] = node
        self.nodes.append(node)
        return node

    @contextmanager
    def at(self, location: Location | None) -> Iterator[None]:
        """Nodes made inside carry `location`: a pass derives them from the user's line."""
        previous, self._location = self._location, location
        try:
            yield
        finally:
            self._location = previous

    def _named(
        self,
        op: Op,
        names: dict[str, Node],
        name: str,
        shape: Any,
        dtype: object,
        attributes: dict[str, Any],
    ) -> Node:
        if name in self.inputs or name in self.states:
            first = self.inputs[name] if name in self.inputs else self.states[name]
            raise GraphError(name_is_taken(name, first.location))
        attributes = {"name": name, "shape": shape, "dtype": dtype, **attributes}
        names[name] = self.apply(op, (), attributes)
        return names[name]

    def _lift(self, op: Op, position: int, operands: tuple[Any, ...]) -> Node:
        """The operand as a constant of the dtype that the tensors beside it have; a condition has
        its own."""
        value, is_condition = operands[position], position in op.conditions
        if isinstance(value, Dim):
            return self.extent((value,), _dtype_beside(operands))
        if is_condition and isinstance(value, bool):
            problem = f"{op.name}: {value} {LONE_BOOL}"
            raise DTypeError(located(problem, callers_location()))
        return self.lifted(op.name, value, None if is_condition else _dtype_beside(operands))

    def lifted(self, name: str, value: Any, dtype: DType | None) -> Node:
        """A number or an array as a constant of `dtype`, of its own for None. Raises DTypeError,
        in the name of the function that a user called, for what does not fit."""
        try:
            if not isinstance(value, bool | int | float | np.ndarray | np.generic | list | tuple):
                raise TypeError(f"{shown(value)} is neither a tensor nor a number")
            array = as_array(value)
        except (TypeError, ValueError) as error:
            raise DTypeError(located(f"{name}: {error}", callers_location())) from None
        if dtype is None:
            return self.constant(array)
        natural = array.dtype.kind
        fits = natural in "b" if dtype.is_bool else natural in ("biuf" if dtype.is_float else "biu")
        if not fits:
            problem = f"{name}: {shown(value)} does not fit {dtype}; cast one"
            raise DTypeError(located(problem, callers_location()))
        return self.constant(array, dtype)

    def _check_attributes(
        self, op: Op, operands: tuple[Node, ...], attributes: Mapping[str, Any]
    ) -> dict[str, Any]:
        if attributes.keys() != op.attributes.keys():
            problem = f"attributes {list(op.attributes)} expected, not {list(attributes)}"
            raise GraphError(self._message(op, operands, problem))
        checked = {}
        for name, kind in op.attributes.items():
            try:
                checked[name] = kind.check(attributes[name])
            except (TypeError, ValueError) as error:
                raised = type(error) if isinstance(error, GraphError) else GraphError
                problem = f"attribute {name}: {error}"
                raise raised(self._message(op, operands, problem)) from None
        return checked

    def _message(self, op: Op, operands: tuple[Node, ...], problem: str) -> str:
        types = ", ".join(str(node.type) for node in operands)
        location = self._location or callers_location()
        return located(f"{op.name}({types}): {problem}", location)


def _attribute_keys(op: Op, attributes: Mapping[str, Any]) -> tuple[Any, ...]:
    """What equal attributes have in common, and others have not."""
    return tuple(kind.key(attributes[name]) for name, kind in op.attributes.items())


def _dtype_beside(operands: Sequence[Any]) -> DType:
    """The dtype that a number takes beside tensors."""
    dtypes = [x.dtype for x in operands if isinstance(x, Node)]
    numeric = [dtype for dtype in dtypes if dtype is not bool_]
    return (numeric or dtypes)[-1]


def default_dtype(value: object) -> DType:
    """The dtype of a constant for which none is named: f32 for floats, else as numpy has it.

    Raises TypeError for what is no array of numbers, DTypeError for numbers of another kind.
    """
    natural = as_array(value).dtype
    return f32 if natural == f64.numpy else as_dtype(natural)


def check_fits(array: Array, dtype: DType) -> None:
    """Raises DTypeError for values that would change their meaning as `dtype`: fractions or text
    as integers, numbers beyond its range."""
    kind = array.dtype.kind
    if kind not in "biuf" or (kind == "f" and not dtype.is_float and array.size):
        raise DTypeError(f"values of {array.dtype} do not fit {dtype}")
    if kind in "iu" and dtype.is_integer and array.size:
        limits = np.iinfo(dtype.numpy)
        if array.min() < limits.min or array.max() > limits.max:
            raise DTypeError(f"{array.min()} to {array.max()} is beyond the range of {dtype}")
    if kind == "f" and dtype.is_float and array.dtype.itemsize > dtype.itemsize:
        try:
            with np.errstate(over="raise"):
                array.astype(dtype.numpy)
        except FloatingPointError:
            raise DTypeError(f"a finite value is beyond the range of {dtype}") from None


@dataclass(frozen=True, eq=False)
class Program:
    """What is compiled: inputs, named outputs, and states with their next values.

    All updates happen at once, after every value has been computed. Two programs are equal when
    they compute the same nodes in the same roles, whatever graph holds them.
    """

    name: str
    inputs: tuple[Node, ...]
    outputs: tuple[tuple[str, Node], ...]
    updates: tuple[tuple[Node, Node], ...] = ()

    @property
    def roots(self) -> tuple[Node, ...]:
        """The values that the program must compute."""
        return tuple(node for _, node in self.outputs) + tuple(node for _, node in self.updates)

    @property
    def graph(self) -> GraphOfNodes:
        for node in (*self.inputs, *self.roots):
            return node.graph
        return Graph()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that the roots need, operands first."""
        return topological(self.roots)

    @property
    def states(self) -> tuple[Node, ...]:
        """Every state that is read or written, in order of appearance."""
        read = [node for node in self.nodes if node.op is leaf.state]
        written = [state for state, _ in self.updates]
        return tuple(dict.fromkeys([*read, *written]))

    def structure(self) -> tuple[Any, ...]:
        """A hashable description that is equal for equal programs."""
        order = topological((*self.inputs, *(state for state, _ in self.updates), *self.roots))
        numbers = {node: number for number, node in enumerate(order)}
        rows = tuple(
            (
                node.op,
                tuple(numbers[operand] for operand in node.operands),
                _attribute_keys(node.op, node.attributes),
                node.type,
            )
            for node in order
        )
        return (
            self.name,
            rows,
            tuple(numbers[node] for node in self.inputs),
            tuple((name, numbers[node]) for name, node in self.outputs),
            tuple((numbers[state], numbers[value]) for state, value in self.updates),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self.structure() == other.structure()

    def __hash__(self) -> int:
        return hash(self.structure())

    def map_roots(self, replace: Callable[[Node], Node]) -> Program:
        """The program with every root replaced."""
        return Program(
            self.name,
            self.inputs,
            tuple((name, replace(node)) for name, node in self.outputs),
            tuple((state, replace(node)) for state, node in self.updates),
        )


def is_among(node: Node, nodes: Iterable[Node]) -> bool:
    """Whether `node` is one of `nodes`."""
    return any(other is node for other in nodes)


def are_same(nodes: Sequence[Node], others: Sequence[Node]) -> bool:
    """Whether both hold the same nodes in the same order."""
    return len(nodes) == len(others) and all(map(operator.is_, nodes, others))


def topological(roots: Iterable[Node], given: Iterable[Node] = ()) -> tuple[Node, ...]:
    """Every node reachable from `roots` past none of `given`, each once, operands before their
    users. The given ones are not among them.

    Iterative, so that depth is bounded by memory and not by Python's stack.
    """
    order: list[Node] = []
    done: set[Node] = set(given)
    for root in roots:
        stack: list[tuple[Node, int]] = [(root, 0)] if root not in done else []
        while stack:
            node, position = stack.pop()
            if node in done:
                continue
            while position < len(node.operands) and node.operands[position] in done:
                position += 1
            if position < len(node.operands):
                stack.append((node, position + 1))
                stack.append((node.operands[position], 0))
            else:
                done.add(node)
                order.append(node)
    return tuple(order)


def users(nodes: Iterable[Node]) -> dict[Node, list[Node]]:
    """For each node the nodes among `nodes` that have it as an operand, each once."""
    result: dict[Node, list[Node]] = {}
    for node in nodes:
        result.setdefault(node, [])
        for operand in dict.fromkeys(node.operands):
            result.setdefault(operand, []).append(node)
    return result


def depends_on(roots: Iterable[Node], sources: Iterable[Node]) -> set[Node]:
    """The nodes below `roots` whose value depends on one of `sources`, these included."""
    reached = set(sources)
    for node in topological(roots):
        if any(operand in reached for operand in node.operands):
            reached.add(node)
    return reached


def rebuild(
    roots: Iterable[Node],
    make: Callable[[Node, tuple[Node, ...]], Node],
) -> dict[Node, Node]:
    """Maps every node below `roots`, operands first, to `make(node, mapped operands)`."""
    mapped: dict[Node, Node] = {}
    for node in topological(roots):
        mapped[node] = make(node, tuple(mapped[operand] for operand in node.operands))
    return mapped
