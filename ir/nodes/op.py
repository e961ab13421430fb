"""Op, the record of everything that is known about one operation, and Node, an op applied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from graphc.ir.arguments.given import is_tensor
from graphc.ir.errors import GraphError
from graphc.ir.lazy import Lazy
from graphc.ir.nodes.attributes import AttributeKind
from graphc.ir.nodes.location import Location
from graphc.ir.nodes.lowering import Leaf, Lowering, View
from graphc.ir.nodes.operators.operators import Operators
from graphc.ir.types import DType, Shape, TensorType, f32

Array = np.ndarray[Any, np.dtype[Any]]
Infer = Callable[..., TensorType]

# The names of operands in signatures and templates.
OPERANDS = "xyz"

# What is said of a bool of Python in the place of a tensor of conditions.
LONE_BOOL = (
    "is one bool of Python where a tensor of bools was expected; `is`, `in`, `not`, `and` and `or` "
    "give such a bool, and so does comparing what is no tensor"
)
Reference = Callable[..., Array]


@dataclass(frozen=True)
class NonDifferentiable:
    """In the place of a VJP: the operand has no derivative, and why.

    is_missing: there is one, but graphc has no rule for it; so it is refused even where the operand
    has others by other ways.
    """

    reason: str
    is_missing: bool = False


@dataclass(frozen=True)
class Stopped:
    """In the place of a VJP: the operand counts as a constant, whatever it depends on."""


Vjp = Callable[..., "Node | None"] | NonDifferentiable | Stopped


@dataclass(frozen=True, eq=False)
class Op:
    """One operation.

    name: its spelling in text form and in error messages.
    arity: number of operands; None where it varies (concatenate).
    attributes: static parameters, name to kind, in the order in which they are printed.
    infer: (*operand types, **attributes) -> result type; raises ShapeError or DTypeError.
    reference: (result type, *arrays, **attributes) -> array; the meaning of the op, in numpy,
        whose warnings of overflow and the like are off while it runs.
    vjp: a rule per operand, (ct, result, *operands, **attributes) -> cotangent of that operand
        (None: zero everywhere), NonDifferentiable or Stopped. A rule need not undo broadcasting:
        the autodiff pass does. It selects where the op selects: what was not chosen gets 0, not a
        product with 0, which infinite cotangents would make NaN. Where the arity varies there is
        one rule, which takes the operand's number as `position` besides.
    lowering: how kernels compute it.
    indices: for an op that reads operand `indices[0]` as indices: that number, and a function
        (*operand types, **attributes) -> extent that they must stay below.
    commutative: whether two operands may be swapped.
    conditions: the operands that are conditions, where one bool of Python is a mistake.
    logit: of a loss of yes or no: the operand that is above 0 where it means yes.
    doc: what `help` shows of an op that users call.
    inference: for an op that is for training alone: (*operands, **attributes) -> the value that
        stands in its place where a network is used.
    """

    name: str
    arity: int | None
    infer: Infer
    reference: Reference
    vjp: Sequence[Vjp]
    lowering: Lowering
    attributes: Mapping[str, AttributeKind] = field(default_factory=dict)
    indices: tuple[int, Callable[..., Any]] | None = None
    commutative: bool = False
    conditions: tuple[int, ...] = ()
    logit: int | None = None
    inference: Callable[..., Node] | None = None
    doc: str = ""

    def __post_init__(self) -> None:
        rules = 1 if self.arity is None else self.arity
        if len(self.vjp) != rules:
            raise TypeError(f"op {self.name}: {rules} VJP rules expected, {len(self.vjp)} given")
        # Of this record, for `help` and completion, in the place of the class's.
        object.__setattr__(self, "__signature__", self._signature())
        if self.doc:
            object.__setattr__(self, "__doc__", self.doc)

    def _signature(self) -> Signature:
        names = ["operands"] if self.arity is None else [f"x{n}" for n in range(self.arity)]
        if self.arity is not None and self.arity <= len(OPERANDS):
            names = list(OPERANDS[: self.arity])
        kind = Parameter.VAR_POSITIONAL if self.arity is None else Parameter.POSITIONAL_ONLY
        operands = [Parameter(name, kind) for name in names]
        keywords = [Parameter(name, Parameter.KEYWORD_ONLY) for name in self.attributes]
        return Signature([*operands, *keywords])

    def __call__(self, *operands: Any, **attributes: Any) -> Node:
        """A node that applies the op. At least one operand is a node; numbers become constants."""
        for operand in operands:
            if is_tensor(operand):
                node: Node = operand.graph.apply(self, operands, attributes)
                return node
        given = (x for k, x in enumerate(operands) if k in self.conditions)
        lone = next((x for x in given if isinstance(x, bool)), None)
        mistake = "" if lone is None else f"; {lone} {LONE_BOOL}"
        raise TypeError(f"{self.name}: no operand is a tensor of a graph{mistake}")

    def __copy__(self) -> Op:
        return self

    def __deepcopy__(self, memo: Any) -> Op:
        return self

    def __repr__(self) -> str:
        return f"Op({self.name})"


@dataclass(frozen=True, eq=False)
class Node(Operators):
    """One value of a graph: an op applied to operands.

    Nodes are interned, so two equal applications in one graph are the same object: `is` and the
    hash, a dict's key, tell nodes apart. `==` is elementwise and makes a node, so what looks for a
    node in a sequence asks `is_among`, and what compares sequences of nodes `are_same`.
    `location` is the user's line and is no part of that identity.
    """

    op: Op
    operands: tuple[Node, ...]
    attributes: Mapping[str, Any]
    type: TensorType
    graph: GraphOfNodes = field(repr=False)
    number: int
    location: Location | None

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def rank(self) -> int:
        return len(self.type.shape)

    @Lazy
    def viewed(self) -> Node:
        """The value whose memory this one shows: itself unless it is a view."""
        node = self
        while isinstance(node.op.lowering, View):
            node = node.operands[0]
        return node

    @property
    def name(self) -> str:
        """The name of an input or a state. Raises GraphError for any other node."""
        if isinstance(self.op.lowering, Leaf) and "name" in self.attributes:
            return str(self.attributes["name"])
        raise GraphError(f"a {self.op.name} has no name")

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.attributes.get('name', f'%{self.number}')} : {self.type}>"


class GraphOfNodes(Protocol):
    """What a node knows of the graph that it stands in; `graphc.ir.graph` has the class."""

    nodes: list[Node]
    inputs: dict[str, Node]
    states: dict[str, Node]

    @property
    def node_functions(self) -> ModuleType:
        """What operators and methods of nodes call: `functions.as_numpy.node_functions`."""

    def input(self, name: str, shape: Any = (), dtype: object = f32) -> Node: ...
    def state(
        self, name: str, shape: Any = (), dtype: object = f32, *, trainable: bool = False
    ) -> Node: ...
    def constant(self, value: object, dtype: object | None = None) -> Node: ...
    def constant_for(self, name: str, value: object, dtype: object | None) -> Node: ...
    def lifted(self, name: str, value: Any, dtype: DType | None) -> Node: ...
    def iota(self, shape: Any, dtype: object) -> Node: ...
    def extent(self, shape: Shape, dtype: object) -> Node: ...
    def apply(self, op: Op, operands: Iterable[Any], attributes: Mapping[str, Any]) -> Node: ...
    def at(self, location: Location | None) -> AbstractContextManager[None]: ...
