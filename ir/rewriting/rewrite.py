"""The rewriting driver: rules applied bottom-up until none fires, and a record of each firing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphc.ir.errors import GraphError
from graphc.ir.graph import Node, Program, are_same, rebuild
from graphc.ir.nodes.attributes import DTYPE, INT, SHAPE
from graphc.ir.nodes.location import Location, located
from graphc.ir.nodes.lowering import Leaf
from graphc.ir.nodes.op import Array, Op
from graphc.ir.types import DType, Shape, TensorType

# A right-hand side may hold values that are rewritten in turn; more of them nested than this means
# that the rules never end.
NESTED_FIRINGS = 1000

# Bounds of rules (`Rule.ulps`). One function of the vector math in the place of several, within 2
# ULP, its derivative within 4; a sum in another order, or of terms that are made otherwise; and
# another of several values that mean the same: either zero, or one of equal positions.
MATHEMATICS_ULPS = 4.0
SUM_ULPS = 4.0
CHOICE_ULPS = 0.5


@dataclass(frozen=True)
class Rule:
    """An equation read from left to right.

    roots: the ops that the left-hand side may begin with.
    apply: a node of such an op -> the right-hand side, or None where the rule does not fit. Its
        operands have already been rewritten.
    ulps: 0 where both sides have the same bits, NaN, infinities and zeros' signs included. Else
        they are equal for real numbers, and the right-hand side is no further from the exact
        value than the left or than so many units in the last place, in a row that is added up of
        its greatest term. The same holds for derivatives, whose zeros may have either sign, and
        which are summed in another order where an operand was broadcast.
    """

    name: str
    equation: str
    roots: tuple[Op, ...]
    apply: Callable[[Node], Node | None]
    ulps: float = 0.0


def rule(*roots: Op, ulps: float = 0.0) -> Callable[[Callable[[Node], Node | None]], Rule]:
    """Makes a Rule of a function whose docstring begins with the equation on a line of its own."""

    def make(function: Callable[[Node], Node | None]) -> Rule:
        equation = inspect.getdoc(function)
        if not equation:
            raise TypeError(f"rule {function.__name__}: its docstring must be its equation")
        return Rule(function.__name__, equation.splitlines()[0], roots, function, ulps)

    return make


@dataclass(frozen=True, eq=False)
class Firing:
    """One application of a rule: what stood there, what replaced it, and the user's line."""

    rule: str
    equation: str
    before: Node
    after: Node
    location: Location | None


OnFire = Callable[[Firing], None]


def rewrite(program: Program, rules: Iterable[Rule], on_fire: OnFire | None = None) -> Program:
    """The program, in the same graph, with `rules` applied until none fires.

    `on_fire` is called with every Firing in order. Raises GraphError naming the rules when they
    go round in a circle or do not end.
    """
    mapped = rewrite_values(program.roots, rules, on_fire=on_fire)
    return program.map_roots(mapped.__getitem__)


def rewrite_values(
    roots: Iterable[Node],
    rules: Iterable[Rule],
    opaque: Iterable[Node] = (),
    on_fire: OnFire | None = None,
) -> dict[Node, Node]:
    """Maps each of `roots` to its rewritten value.

    The nodes in `opaque` stay what they are, and no rule sees what they are made of: each is
    hidden behind a placeholder while the rules run. Raises as `rewrite` does.
    """
    wanted = tuple(roots)
    driver = _Driver(_by_root(rules), on_fire)
    hidden = {node: _placeholder_for(node) for node in opaque}
    driver.normal.update(hidden)
    driver.normal.update({placeholder: placeholder for placeholder in hidden.values()})
    rewritten = {root: driver.normalize(root) for root in wanted}
    if not hidden:
        return rewritten
    return _reveal(rewritten, {placeholder: node for node, placeholder in hidden.items()})


def _by_root(rules: Iterable[Rule]) -> dict[Op, list[Rule]]:
    result: dict[Op, list[Rule]] = {}
    for each in rules:
        for op in each.roots:
            result.setdefault(op, []).append(each)
    return result


@dataclass
class _Driver:
    """Brings nodes to normal form.

    normal: nodes whose normal form is known; a normal form maps to itself.
    pending: nodes being rewritten, each with the rule that fired there and what it gave.
    """

    rules: Mapping[Op, list[Rule]]
    on_fire: OnFire | None
    normal: dict[Node, Node] = field(default_factory=dict)
    pending: dict[Node, tuple[Rule, Node]] = field(default_factory=dict)

    def normalize(self, root: Node) -> Node:
        """The normal form of `root`; iterative, so that depth is bounded by memory alone."""
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.normal:
                stack.pop()
                continue
            unknown = [x for x in node.operands if x not in self.normal]
            if unknown:
                stack.extend(reversed(unknown))
                continue
            waiting_for = self._step(node)
            if waiting_for is not None:
                stack.append(waiting_for)
        return self.normal[root]

    def _step(self, node: Node) -> Node | None:
        """Settles `node`, whose operands are settled, or gives what must be settled before."""
        if node in self.pending:
            _, after = self.pending[node]
            if after not in self.normal:
                raise self._endless(node)
            self.normal[node] = self.normal[after]
            del self.pending[node]
            return None
        rebuilt = _with_operands(node, tuple(self.normal[x] for x in node.operands))
        if rebuilt is not node:
            if rebuilt not in self.normal:
                return rebuilt
            self.normal[node] = self.normal[rebuilt]
            return None
        fired = self._fire(node)
        if fired is None:
            self.normal[node] = node
            return None
        self.pending[node] = fired
        if len(self.pending) > NESTED_FIRINGS:
            raise self._endless(node)
        return fired[1]

    def _fire(self, node: Node) -> tuple[Rule, Node] | None:
        for each in self.rules.get(node.op, ()):
            with node.graph.at(node.location):
                after = each.apply(node)
            if after is None or after is node:
                continue
            if after.type != node.type:
                raise GraphError(
                    located(f"rule {each.name}: {node!r} became {after!r}", node.location)
                )
            if self.on_fire is not None:
                self.on_fire(Firing(each.name, each.equation, node, after, node.location))
            return each, after
        return None

    def _endless(self, node: Node) -> GraphError:
        """The error for a node whose rewriting needs itself, or ever more nodes."""
        names = ", ".join(dict.fromkeys(each.name for each, _ in self.pending.values()))
        return GraphError(
            located(f"rewrite: the rules {names} do not end at {node!r}", node.location)
        )


def _with_operands(node: Node, operands: tuple[Node, ...]) -> Node:
    if are_same(operands, node.operands):
        return node
    with node.graph.at(node.location):
        return node.graph.apply(node.op, operands, node.attributes)


# --- values that rules must not look into ----------------------------------------------------


def _placeholder_reference(result: TensorType, **_: Any) -> Array:
    raise GraphError("a placeholder of the rewriting driver has no value")


def _infer_placeholder(number: int, shape: Shape, dtype: DType) -> TensorType:
    return TensorType(dtype, shape)


_placeholder = Op(
    "placeholder",
    arity=0,
    attributes={"number": INT, "shape": SHAPE, "dtype": DTYPE},
    infer=_infer_placeholder,
    reference=_placeholder_reference,
    vjp=[],
    lowering=Leaf(),
)


def _placeholder_for(node: Node) -> Node:
    """A leaf of the node's type that nothing else equals."""
    attributes = {"number": node.number, "shape": node.shape, "dtype": node.dtype}
    with node.graph.at(node.location):
        return node.graph.apply(_placeholder, (), attributes)


def _reveal(rewritten: Mapping[Node, Node], hidden: Mapping[Node, Node]) -> dict[Node, Node]:
    """`rewritten` with the hidden nodes back in the place of their placeholders."""

    def reveal(node: Node, operands: tuple[Node, ...]) -> Node:
        return hidden[node] if node in hidden else _with_operands(node, operands)

    made = rebuild(rewritten.values(), reveal)
    return {root: made[value] for root, value in rewritten.items()}
