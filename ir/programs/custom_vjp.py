"""Functions over tensors whose derivative the user writes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from graphc.ir.arguments.given import is_tensor, shown
from graphc.ir.errors import DTypeError, GraphError, ShapeError
from graphc.ir.functions.build import broadcast_to
from graphc.ir.graph import Node, Program, rebuild, topological
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.lowering import Region
from graphc.ir.nodes.op import GraphOfNodes, Stopped
from graphc.ir.ops import custom, leaf
from graphc.ir.programs.lower import applied
from graphc.ir.types import TensorType, is_several


class CustomVjp:
    """A function over tensors with a backward function of its own; what `custom_vjp` makes.

    Called, it gives what the function gives, and derivatives go through the backward function.
    """

    def __init__(self, function: Callable[..., Node]) -> None:
        """Raises TypeError for what cannot be called."""
        if not callable(function):
            raise TypeError(f"custom_vjp: a function expected, not {shown(function)}")
        self.function = function
        self.backward: Callable[..., Any] | None = None
        functools.update_wrapper(self, function)

    @property
    def name(self) -> str:
        return f"custom_vjp {getattr(self.function, '__name__', type(self.function).__name__)}"

    def defvjp(self, backward: Callable[..., Any]) -> Callable[..., Any]:
        """Sets the backward function and returns it, so it serves as a decorator.

        `backward(ct, result, *arguments, **options)` is given the cotangent of the result, the
        result, and what the function was called with. It returns the cotangent of each argument
        that is a tensor, of that tensor's type: one alone or several in their order, None for 0.
        Raises TypeError for what cannot be called.
        """
        if not callable(backward):
            raise TypeError(f"{self.name}: defvjp: a function expected, not {shown(backward)}")
        self.backward = backward
        return backward

    def __call__(self, *arguments: Any, **options: Any) -> Node:
        """The function's result. Tensors are given by position, and one of them at least.

        Raises GraphError without a backward function, for results and cotangents that are not as
        they should be, and where the result depends on an input or state that is no argument.
        """
        tensors = self._tensors(arguments, options)
        result = self._result(self.function(*arguments, **options), tensors)
        graph = result.graph
        ct, formal = formal_of(graph, result.type), formal_of(graph, result.type)
        assert self.backward is not None
        made = self.backward(ct, formal, *arguments, **options)
        pairs = self._pairs(made, tensors)
        if not pairs:
            raise self._error("no argument is a float, so there is nothing to derive by")
        return graph.apply(custom.custom_vjp, (result, ct, formal, *pairs), {})

    def _tensors(self, arguments: Sequence[Any], options: dict[str, Any]) -> list[Node]:
        if self.backward is None:
            raise self._error("no backward function; give it one with defvjp")
        for name, value in options.items():
            if is_tensor(value):
                raise self._error(f"the tensor {name!r} is given by name; give it by position")
        tensors: list[Node] = [value for value in arguments if is_tensor(value)]
        if not tensors:
            raise self._error("at least one argument is a tensor of a graph")
        return tensors

    def _result(self, result: Any, tensors: Sequence[Node]) -> Node:
        """The function's result, which depends on its arguments alone."""
        if is_several(result):
            raise self._error("one tensor expected as its result, not several; concatenate them")
        if not is_tensor(result):
            raise self._error(f"a tensor expected as its result, not {shown(result)}")
        if not result.dtype.is_float:
            raise self._error(f"a float expected as its result, not {result!r}", DTypeError)
        other = _foreign_leaf(result, tensors)
        if other is not None:
            raise self._error(
                f"its result depends on {other!r}, which is no argument and would have the "
                "derivative 0; give it as an argument, or use stop_gradient"
            )
        return result

    def _pairs(self, made: Any, tensors: Sequence[Node]) -> list[Node]:
        """Each float among the arguments, followed by its cotangent."""
        cotangents = list(made) if isinstance(made, tuple | list) else [made]
        if len(cotangents) != len(tensors):
            raise self._error(
                f"its backward function returns {len(cotangents)} cotangents, and "
                f"{len(tensors)} of its arguments are tensors"
            )
        pairs: list[Node] = []
        for number, (x, ct) in enumerate(zip(tensors, cotangents, strict=True)):
            where = f"the cotangent of tensor {number}, {x!r}"
            if ct is not None and not is_tensor(ct):
                raise self._error(f"{where}: a tensor or None expected, not {shown(ct)}")
            if ct is not None and not x.dtype.is_float:
                raise self._error(f"{where}: None expected, since it is {x.dtype}", DTypeError)
            if ct is not None and ct.type != x.type:
                raise self._error(f"{where}: {x.type} expected, not {ct.type}", ShapeError)
            if x.dtype.is_float:
                pairs += [x, _zeros_like(x) if ct is None else ct]
        return pairs

    def _error(self, problem: str, kind: type[GraphError] = GraphError) -> GraphError:
        return kind(located(f"{self.name}: {problem}", callers_location()))


def custom_vjp(function: Callable[..., Node]) -> CustomVjp:
    """A decorator for a function over tensors whose derivative you write yourself.

    The backward function, which `defvjp` sets, is given the cotangent of the result, the result,
    and what the function was called with; it returns the cotangents of the tensors among these.
    There are no residuals: any node that the backward function needs it can make or refer to.

        @gc.custom_vjp
        def reverse(x, scale):
            return x

        @reverse.defvjp
        def _(ct, result, x, scale):
            return -scale * ct

    Second derivatives are those of what the backward function makes; the result in it has the
    derivative that the backward function says. The result is one tensor of floats. Raises
    TypeError for what cannot be called.
    """
    return CustomVjp(function)


def without_custom_vjp(program: Program) -> Program:
    """The program without the derivatives that users stated, once no other is taken of it."""
    if not any(_holds_statement(node) for node in program.nodes):
        return program

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        if node.op is custom.custom_vjp:
            return operands[custom.VALUE]
        return applied(node, operands, without_custom_vjp)

    made = rebuild(program.roots, make)
    return program.map_roots(made.__getitem__)


def _holds_statement(node: Node) -> bool:
    return node.op is custom.custom_vjp or isinstance(node.op.lowering, Region)


def formal_of(graph: GraphOfNodes, of: TensorType) -> Node:
    """A formal parameter that nothing else in the graph equals."""
    number = count = len(graph.nodes)
    while True:
        attributes = {"number": number, "shape": of.shape, "dtype": of.dtype}
        node = graph.apply(custom.formal, (), attributes)
        if node.number == count:
            return node
        number += 1  # a graph that was read from text has numbers of its own


def _zeros_like(node: Node) -> Node:
    return broadcast_to(node.graph.constant(0.0, node.dtype), node.shape)


def _foreign_leaf(result: Node, arguments: Sequence[Node]) -> Node | None:
    """An input or a state that a path of derivatives leads to, past the arguments."""
    reached = {result}
    for node in reversed(topological([result])):
        if node not in reached or any(node is x for x in arguments):
            continue
        if node.op in (leaf.input_, leaf.state):
            return node
        for position, operand in enumerate(node.operands):
            rule = node.op.vjp[0 if node.op.arity is None else position]
            if operand.dtype.is_float and not isinstance(rule, Stopped) and callable(rule):
                reached.add(operand)
    return None
