"""The invariants of a program, one check each. Shapes are checked by each op's own `infer`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from graphc.ir.errors import DTypeError, GraphError, ShapeError
from graphc.ir.graph import Node, Program, is_among
from graphc.ir.nodes.location import located
from graphc.ir.nodes.lowering import Composite, Region, Result, Scalar
from graphc.ir.nodes.op import Op
from graphc.ir.ops import OPS, leaf
from graphc.ir.types import Shape, TupleType, named_dimensions

Check = Callable[[Program, tuple[Node, ...]], None]


def verify(program: Program) -> None:
    """Runs every check. Raises GraphError naming the invariant, the node and the user's line."""
    _run_checks(program, CHECKS)


def _run_checks(program: Program, checks: Iterable[Check]) -> None:
    nodes = reachable(program)
    for check in checks:
        check(program, nodes)


def reachable(program: Program) -> tuple[Node, ...]:
    """Every node that the program names or needs. Ends even where operands form a cycle."""
    found: dict[Node, None] = {}
    waiting = [*program.inputs, *(state for state, _ in program.updates), *program.roots]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = None
            waiting.extend(node.operands)
    return tuple(found)


def check_one_graph(program: Program, nodes: tuple[Node, ...]) -> None:
    """All nodes are of one graph, which knows them."""
    graph = program.graph
    for node in nodes:
        held = node.graph.nodes
        if node.graph is not graph:
            _fail("one graph", node, "is of another graph")
        if not (0 <= node.number < len(held) and held[node.number] is node):
            _fail("one graph", node, "is unknown to its graph")


def check_order(program: Program, nodes: tuple[Node, ...]) -> None:
    """Operands were made before their users, so there is no cycle."""
    for node in nodes:
        for operand in node.operands:
            if operand.number >= node.number:
                _fail("order", node, f"was made before its operand {operand!r}")


def check_ops(program: Program, nodes: tuple[Node, ...]) -> None:
    """Every op has as many operands as its arity says. It is a record in OPS, or a template or an
    expansion of a name that no other op has."""
    added: dict[str, Op] = {}
    for node in nodes:
        known = OPS.get(node.op.name) or added.setdefault(node.op.name, node.op)
        if known is not node.op:
            _fail("ops", node, f"applies {node.op!r}, but another op has that name")
        if node.op.name in added and not isinstance(node.op.lowering, Scalar | Composite):
            _fail("ops", node, f"applies {node.op!r}, which is no template and no expansion")
        if node.op.arity is not None and len(node.operands) != node.op.arity:
            _fail("ops", node, f"has {len(node.operands)} operands, not {node.op.arity}")


def check_attributes(program: Program, nodes: tuple[Node, ...]) -> None:
    """Attributes are those of the op, in its order, each in its kind's stored form."""
    for node in nodes:
        expected, found = list(node.op.attributes), list(node.attributes)
        if expected != found:
            _fail("attributes", node, f"has attributes {found}, not {expected}")
        for name, kind in node.op.attributes.items():
            value = node.attributes[name]
            try:
                stored = kind.check(value)
            except (TypeError, ValueError) as error:
                _fail("attributes", node, f"has {name}={value!r}: {error}")
            if type(stored) is not type(value) or (stored != value and stored == stored):
                _fail("attributes", node, f"has {name}={value!r}, which is no {kind.name}")


def check_types(program: Program, nodes: tuple[Node, ...]) -> None:
    """Each node's type is what its op infers from its operands."""
    for node in nodes:
        try:
            inferred = node.op.infer(*(x.type for x in node.operands), **node.attributes)
        except (ShapeError, DTypeError) as error:
            _fail("types", node, f"has operands that do not fit: {error}")
        if inferred != node.type:
            _fail("types", node, f"should have the type {inferred}")


def check_inputs(program: Program, nodes: tuple[Node, ...]) -> None:
    """The inputs are input nodes, each listed once, and every input in use is listed."""
    for node in program.inputs:
        if node.op is not leaf.input_:
            _fail("inputs", node, "is listed as an input but is none")
    for node in _repeated(program.inputs):
        _fail("inputs", node, "is listed twice")
    for node in nodes:
        if node.op is leaf.input_ and not is_among(node, program.inputs):
            _fail("inputs", node, "is used but not listed as an input")


def check_names(program: Program, nodes: tuple[Node, ...]) -> None:
    """No two inputs or states share a name; outputs have names, no two the same."""
    declared = [node for node in nodes if node.op in (leaf.input_, leaf.state)]
    for name in _repeated(node.name for node in declared):
        node = next(node for node in declared if node.name == name)
        _fail("names", node, f"shares the name {name!r} with another value")
    for name, node in program.outputs:
        if not name:
            _fail("names", node, "is an output without a name")
    for name in _repeated(name for name, _ in program.outputs):
        _fail("names", dict(program.outputs)[name], f"is one of two outputs named {name!r}")


def check_updates(program: Program, nodes: tuple[Node, ...]) -> None:
    """Updates write states, each once, with values of the state's type."""
    for state, value in program.updates:
        if state.op is not leaf.state:
            _fail("updates", state, "is updated but is no state")
        if state.type != value.type:
            _fail("updates", value, f"cannot become the next value of {state!r}")
    for state in _repeated(state for state, _ in program.updates):
        _fail("updates", state, "is updated twice")


def check_loops(program: Program, nodes: tuple[Node, ...]) -> None:
    """Results alone read loops, whose bodies have no states and pass all checks but that of the
    dimensions, which are those of the program around them."""
    for node in nodes:
        tuples = [x for x in node.operands if isinstance(x.type, TupleType)]
        if tuples and not isinstance(node.op.lowering, Result):
            _fail("loops", node, f"reads {tuples[0]!r}, of which `result` takes one value")
        if isinstance(node.op.lowering, Region):
            body = node.attributes["body"]
            if body.updates or body.states:
                _fail("loops", node, "has a body with states")
            _run_checks(body, [check for check in CHECKS if check is not check_dimensions])
    for root in program.roots:
        if isinstance(root.type, TupleType):
            _fail("loops", root, "is a root, of which `result` takes one value")


def check_dimensions(program: Program, nodes: tuple[Node, ...]) -> None:
    """Every named dimension is an extent of an input, whose array will bind it at a call."""
    bound = set(named_dimensions(node.shape for node in program.inputs))
    for node in nodes:
        for name in named_dimensions(_shapes(node)):
            if name not in bound:
                _fail("dimensions", node, f"has the dimension {name}, which no input binds")


def _shapes(node: Node) -> Iterable[Shape]:
    yield node.shape
    if isinstance(node.op.lowering, Region):
        for inner in reachable(node.attributes["body"]):
            yield from _shapes(inner)
    for name, kind in node.op.attributes.items():
        if kind.bind is not None:
            value = node.attributes[name]
            yield value if isinstance(value, tuple) else (value,)


CHECKS: tuple[Check, ...] = (
    check_one_graph,  # first: the others look nodes up in their graph
    check_order,
    check_ops,
    check_attributes,
    check_types,
    check_inputs,
    check_names,
    check_updates,
    check_loops,
    check_dimensions,
)


def _repeated(items: Iterable[object]) -> list:
    return [item for item, count in Counter(items).items() if count > 1]


def _fail(invariant: str, node: Node, problem: str) -> None:
    raise GraphError(located(f"verify {invariant}: {node!r} {problem}", node.location))
