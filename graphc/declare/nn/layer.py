"""What every layer has: a name, states that its first call declares, and calls that share them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType
from typing import Any

from graphc.declare.graphs.graph import Graph, graph_of
from graphc.declare.graphs.scopes import check_name
from graphc.declare.init import glorot_uniform
from graphc.errors import DTypeError, ForeignTensorError, GraphError, ShapeError
from graphc.ir.arguments.given import as_array, as_integer, check_tensors
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.scope import Scope, current_scope, inside
from graphc.ir.types import TensorType, as_dtype, as_shape, f32

# The start of each word but the first in a name such as LayerNorm, RMSNorm or Conv2DTranspose.
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])")


class Layer:
    """A part of a network that is called with tensors, each time with the same parameters.

    A layer is constructed with its configuration alone. Its first call declares its parameters,
    from the shape, dtype and graph of what it is called with, and gives the layer its name: that
    of the class ("dense", "dense_1", ...) unless one is given, inside of the scopes around it.
    Further calls read the same parameters:

        encode = gc.nn.Dense(16, "relu")
        distance = gc.sum(gc.square(encode(left) - encode(right)), axis=1)

    A layer of your own has two methods: `__init__`, which keeps the configuration and calls
    `super().__init__(name)`, and `call`, which makes the result. `call` asks for each parameter
    where it needs it, with `parameter`, `variable` and `random_stream`. Layers that it calls are
    made in `__init__`, and named inside of it ("gate.dense.kernel"):

        class Gate(gc.nn.Layer):
            def __init__(self, units, name=None):
                super().__init__(name)
                self.dense = gc.nn.Dense(units, "sigmoid")

            def call(self, x):
                return self.dense(x) * self.parameter("scale", (self.dense.units,), init=1.0)

    What is declared is an attribute of the layer by its name (`gate.scale`), from the first call
    on. A function over tensors is as good a layer wherever none of this is needed.
    """

    def __init_subclass__(cls) -> None:
        """A constructor that is another class's has a copy, by whose name Python's errors begin:
        that of the layer which a user wrote."""
        super().__init_subclass__()
        found = cls.__init__
        if "__init__" not in vars(cls) and isinstance(found, FunctionType):
            cls.__init__ = _named(found, f"{cls.__qualname__}.__init__")  # type: ignore[method-assign]

    def __init__(self, name: str | None = None) -> None:
        """Raises TypeError for a name that is no text, ValueError for an empty one."""
        if name is not None:
            check_name(self.kind, name)
        self._given_name = name
        self._name: str | None = None
        self._graph: Graph | None = None
        self._calls = 0
        # By their names inside of the layer; with the type of what each was declared for.
        self._declared: dict[str, tuple[Node, TensorType]] = {}
        self._inner: dict[Layer, None] = {}
        self._operand: Node | None = None
        # A layer that has been called before, in whose further call this one is made.
        outer = _CALLED.get()
        self._made_again_in = outer if outer is not None and outer._calls > 1 else None

    def call(self, *operands: Any, **options: Any) -> Node:
        """The layer's result for the tensors that it is called with."""
        raise NotImplementedError(f"{type(self).__name__} has no method `call`")

    def __call__(self, x: Node, *others: Any, **options: Any) -> Node:
        """`call`, with the names and the scope of the layer.

        Raises ForeignTensorError for a tensor of another graph than that of its parameters,
        ShapeError and DTypeError where parameters of other shapes or dtypes would be needed,
        GraphError when the layer's name is taken, and where a further call makes a layer with
        parameters anew.
        """
        check_tensors(self.kind, x)
        self._take_place_in(graph_of(x), x)
        outer = _CALLED.get()
        self._calls += 1
        before, self._operand = self._operand, x
        try:
            with inside(self._scope()), _called(self):
                result = self.call(x, *others, **options)
        except BaseException:
            self._calls -= 1
            raise
        finally:
            self._operand = before
        if outer is not None:
            outer._inner[self] = None
        return result

    # --- what it consists of -----------------------------------------------------------------

    @property
    def kind(self) -> str:
        """The name of its class as names of layers begin: "layer_norm" for LayerNorm."""
        return _WORD.sub("_", type(self).__name__).lower()

    @property
    def name(self) -> str:
        """Its name in the graph, with those of scopes: "block1.dense_1".

        Raises AttributeError before the first call.
        """
        if self._name is None:
            raise AttributeError  # `__getattr__` says why
        return self._name

    @property
    def trainable(self) -> bool:
        """True: what trains is a matter of the model. Setting it raises AttributeError."""
        return True

    @trainable.setter
    def trainable(self, value: bool) -> None:
        problem = (
            f"{type(self).__name__}: `trainable` cannot be set; model.freeze(*layer.parameters)"
        )
        problem += " leaves a layer's parameters as they are, and model.unfreeze trains them again"
        raise AttributeError(located(problem, callers_location()))

    @property
    def parameters(self) -> list[Node]:
        """The trainable states of the layer and of the layers that it calls, in their order.

        Raises AttributeError before the first call.
        """
        if not self._calls:
            raise AttributeError  # `__getattr__` says why
        own = (node for node, _ in self._declared.values() if node.attributes["trainable"])
        found = dict.fromkeys(own)
        for layer in self._inner:
            found |= dict.fromkeys(layer.parameters)
        return sorted(found, key=lambda node: node.number)

    def __getattr__(self, name: str) -> Any:
        """A state that the layer has declared. Raises AttributeError for all else."""
        kind, known = type(self).__name__, self.__dict__
        if "_declared" not in known:
            raise AttributeError(f"{kind} has no {name!r}; does it call super().__init__()?")
        if name in known["_declared"]:
            return known["_declared"][name][0]
        if not name.startswith("_") and not known["_calls"]:
            problem = f"{kind} has no {name!r} yet: a layer is named, and declares its parameters"
            raise AttributeError(f"{problem}, at its first call")
        raise AttributeError(f"{kind} has no {name!r}")

    def __repr__(self) -> str:
        named = self._name or self._given_name
        return f"<{type(self).__name__}{f' {named}' if named else ''}>"

    # --- for `call` --------------------------------------------------------------------------

    def parameter(
        self, name: str, shape: Any = (), init: object = glorot_uniform, dtype: object = None
    ) -> Node:
        """The trainable state `<layer>.<name>`, declared when it is first asked for.

        `shape` and `dtype` (that of the layer's operand where it is a float, else f32) are the same
        whenever it is asked for: raises ShapeError or DTypeError where they are not, and as
        `Graph.parameter` does.
        """
        wanted = TensorType(self._dtype(dtype), as_shape(shape))
        return self._state(
            name, wanted, lambda: self.graph.parameter(name, wanted.shape, init, wanted.dtype)
        )

    def variable(
        self, name: str, init: object = 0.0, shape: Any = None, dtype: object = None
    ) -> Node:
        """The state `<layer>.<name>`, which no gradient changes; else as `parameter`.

        `shape` is that of `init` unless given, () for an initialiser.
        """
        if shape is None:
            shape = () if callable(init) else as_array(init).shape
        wanted = TensorType(self._dtype(dtype), as_shape(shape))
        return self._state(
            name, wanted, lambda: self.graph.variable(name, init, wanted.shape, wanted.dtype)
        )

    def random_stream(self, name: str = "key") -> Node:
        """The key of a random stream of this call alone: `<layer>.<name>`, in further calls
        `<layer>.<name>_1`, ..."""
        free, number = name, 0
        while self._key(free) in self._declared:
            number += 1
            free = f"{name}_{number}"
        stream = self.graph.random_stream(free)
        self._declared[self._key(free)] = stream, stream.type
        return stream

    @property
    def graph(self) -> Graph:
        """The graph of its parameters. Raises AttributeError before the first call."""
        if self._graph is None:
            raise AttributeError  # `__getattr__` says why
        return self._graph

    # --- names and scopes --------------------------------------------------------------------

    def _has_name(self) -> bool:
        """Whether names of what it declares begin with its own."""
        return True

    def _take_place_in(self, graph: Graph, x: Node) -> None:
        """The layer is of `graph` from its first call on, and has a name there."""
        if self._graph is graph:
            return
        if self._declared:
            first = next(iter(self._declared.values()))[1]
            problem = f"its parameters are of another graph, declared for {first}"
            raise ForeignTensorError(self._message(x, f"{problem}; make a layer for each graph"))
        if self._has_name():
            self._name = current_scope().prefix + graph.name_for(self.kind, self._given_name)
        self._graph, self._calls, self._inner = graph, 0, {}

    def _scope(self) -> Scope:
        around = current_scope()
        if self._name is None:
            return around
        call = self._name.removeprefix(around.prefix)
        if self._calls > 1:
            call = f"{call} (call {self._calls})"
        return Scope(f"{self._name}.", (*around.path, call))

    def _dtype(self, dtype: object) -> Any:
        if dtype is not None:
            return as_dtype(dtype)
        operand = self._operand
        return operand.dtype if operand is not None and operand.dtype.is_float else f32

    def _state(self, name: str, wanted: TensorType, declare: Callable[[], Node]) -> Node:
        if self._operand is None:
            raise GraphError(
                located(f"{self.kind}: {name} is asked for outside of `call`", callers_location())
            )
        key = self._key(name)
        if key not in self._declared:
            self._check_shared()
            self._declared[key] = declare(), self._operand.type
        node, first = self._declared[key]
        if node.type != wanted:
            kind = ShapeError if node.dtype == wanted.dtype else DTypeError
            problem = f"its {key} is {node.type}, declared for {first}; {wanted} would be needed"
            raise kind(self._message(self._operand, problem))
        return node

    def _key(self, name: str) -> str:
        """`name` with the names of scopes around it inside of the layer."""
        around = current_scope().prefix
        return (around if self._name is None else around.removeprefix(f"{self._name}.")) + name

    def _check_shared(self) -> None:
        """Raises GraphError where a layer would have other parameters at each of its calls."""
        outer = self._made_again_in
        if outer is not None:
            where = f"call {outer._calls} of {outer._name or outer.kind}"
            problem = f"{where} makes the layer anew, with parameters that no other call has"
            problem += "; make it once, before the call, as in `__init__`"
            raise GraphError(located(f"{self.kind}: {problem}", callers_location()))

    def _message(self, x: Node, problem: str) -> str:
        return located(f"{self._name or self.kind}({x.type}): {problem}", callers_location())

    def _count(self, value: Any, what: str, least: int = 1) -> int:
        """A number of the configuration. Raises ShapeError for what is no integer of at least
        `least`."""
        try:
            number = as_integer(value)
        except TypeError as error:
            problem = f"{self.kind}: {what}s: {error}"
            raise ShapeError(located(problem, callers_location())) from None
        if number < least:
            problem = f"{self.kind}: at least {least} {what} expected, not {number}"
            raise ShapeError(located(problem, callers_location()))
        return number

    def _fixed_extent(self, x: Node, axis: int = -1) -> int:
        """The extent of an axis. Raises ShapeError where there is none, or an open one."""
        extent = x.shape[axis] if x.rank else None
        if not isinstance(extent, int):
            which = "last axis" if axis == -1 else f"axis {axis}"
            raise ShapeError(self._message(x, f"a {which} of fixed extent expected"))
        return extent


def short_form(layer: type[Layer], name: str) -> Callable[..., Node]:
    """The function (x, *configuration) -> `layer(*configuration)(x)`, with the layer's words."""

    own = inspect.signature(layer).parameters.values()
    x = inspect.Parameter("x", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Node")
    signature = inspect.Signature([x, *own], return_annotation="Node")

    def applied(*given: Any, **options: Any) -> Node:
        try:
            bound = signature.bind(*given, **options)
        except TypeError as error:
            raise TypeError(located(f"{name}: {error}", callers_location())) from None
        x, *configuration = bound.args
        return layer(*configuration, **bound.kwargs)(x)

    applied.__signature__ = signature  # type: ignore[attr-defined]
    applied.__name__ = applied.__qualname__ = name
    applied.__doc__ = f"`{layer.__name__}(...)(x)`, the layer for one call: `gc.nn.{name}(x, ...)`."
    return applied


def _named(function: FunctionType, name: str) -> FunctionType:
    """The function under another name."""
    named = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__,
        function.__closure__,
    )  # fmt: skip
    named.__kwdefaults__, named.__annotations__ = function.__kwdefaults__, function.__annotations__
    named.__doc__, named.__module__ = function.__doc__, function.__module__
    named.__qualname__ = name
    return named


_CALLED: ContextVar[Layer | None] = ContextVar("graphc.called_layer", default=None)


@contextmanager
def _called(layer: Layer) -> Iterator[None]:
    """While it lasts, layers that are called are inner ones of `layer`."""
    token = _CALLED.set(layer)
    try:
        yield
    finally:
        _CALLED.reset(token)
