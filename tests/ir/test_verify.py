"""Each invariant: a program that breaks it alone is refused, and the message says which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from graphc.ir.errors import GraphError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.nodes.attributes import AXIS
from graphc.ir.ops import composite, leaf, region
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.programs import loops
from graphc.ir.programs.verify import CHECKS, verify
from graphc.ir.types import TensorType, f64


def sound() -> Program:
    graph = Graph()
    x = graph.input("x", ("batch", 4))
    w = graph.state("w", (4, 3), trainable=True)
    y = build.softmax(ops.sin(x) @ w)
    return Program("f", (x,), (("y", y), ("twice", y)), ((w, w * 2),))


def test_a_sound_program_passes() -> None:
    verify(sound())


def forge(program: Program, of: object, /, **changes: object) -> None:
    """Changes the first node of the op `of` in place, past everything that Graph checks."""
    node = next(node for node in program.nodes if node.op is of)
    for name, value in changes.items():
        object.__setattr__(node, name, value)


def foreign_operand() -> Program:
    program, other = sound(), sound()
    forge(program, ops.sin, operands=(other.inputs[0],))
    return program


def unknown_to_its_graph() -> Program:
    program = sound()
    x = program.inputs[0]
    return replace(program, outputs=(("y", replace(ops.sin(x), number=0)),))


def cycle() -> Program:
    program = sound()
    forge(program, ops.sin, operands=(program.roots[0],))
    return program


def unlisted_op() -> Program:
    program = sound()
    forge(program, ops.sin, op=replace(ops.sin))
    return program


def wrong_arity() -> Program:
    program = sound()
    forge(program, ops.sin, operands=program.inputs * 2)
    return program


def missing_attribute() -> Program:
    program = sound()
    forge(program, leaf.state, attributes={"name": "w"})
    return program


def unchecked_attribute() -> Program:
    program = sound()
    old = next(node for node in program.nodes if node.op is leaf.state).attributes
    forge(program, leaf.state, attributes={**old, "trainable": 1})
    return program


def wrong_type() -> Program:
    program = sound()
    forge(program, composite.softmax, type=TensorType(f64, (3,)))
    return program


def operands_do_not_fit() -> Program:
    program = sound()
    w = next(node for node in program.nodes if node.op is leaf.state)
    product = next(node for node in program.nodes if node.op.name == "matmul")
    object.__setattr__(product, "operands", (w, w))
    return program


def input_is_none() -> Program:
    program = sound()
    return replace(program, inputs=(*program.inputs, program.nodes[1]))


def input_twice() -> Program:
    program = sound()
    return replace(program, inputs=program.inputs * 2)


def input_unlisted() -> Program:
    return replace(sound(), inputs=())


def shared_name() -> Program:
    program = sound()
    old = next(node for node in program.nodes if node.op is leaf.state).attributes
    forge(program, leaf.state, attributes={**old, "name": "x"})
    return program


def output_twice() -> Program:
    program = sound()
    return replace(program, outputs=program.outputs + program.outputs[:1])


def output_unnamed() -> Program:
    program = sound()
    return replace(program, outputs=(("", program.roots[0]),))


def update_of_an_input() -> Program:
    program = sound()
    (x,) = program.inputs
    return replace(program, updates=((x, x),))


def update_of_another_type() -> Program:
    program = sound()
    ((w, _),) = program.updates
    return replace(program, updates=((w, build.cast(w, "f64")),))


def update_twice() -> Program:
    program = sound()
    return replace(program, updates=program.updates * 2)


def _with_loop() -> tuple[Program, Node]:
    program = sound()
    x = program.inputs[0]
    loops.scan(lambda carries, _: ([ops.sin(carries[0])], []), [x], [], 3)
    return program, next(node for node in x.graph.nodes if node.op is region.scan)


def loop_as_a_root() -> Program:
    program, loop = _with_loop()
    return replace(program, outputs=(("y", loop),))


def loop_as_an_operand() -> Program:
    program, loop = _with_loop()
    return replace(program, outputs=(("y", ops.sin(loop)),))


def state_in_a_body() -> Program:
    program, loop = _with_loop()
    body = loop.attributes["body"]
    changed = replace(
        body, updates=((body.graph.state("s", (4,)), body.graph.constant([0.0] * 4)),)
    )
    attributes = {**loop.attributes, "body": changed}
    made = loop.graph.apply(loop.op, loop.operands, attributes)
    return replace(program, outputs=(("y", region.result(made, number=0)),))


def open_dimension() -> Program:
    program = sound()
    stray = program.graph.iota("time", "i32")
    return replace(program, outputs=(("y", stray),))


def open_dimension_in_an_attribute() -> Program:
    program = sound()
    stray = program.graph.extent(("time",), "f32")  # type: ignore[arg-type]
    return replace(program, outputs=(("y", stray),))


BROKEN: dict[Callable[[], Program], str] = {
    foreign_operand: "verify one graph: <input x : f32[batch,4]> is of another graph",
    unknown_to_its_graph: "is unknown to its graph",
    cycle: "verify order",
    unlisted_op: "verify ops",
    wrong_arity: "has 2 operands, not 1",
    missing_attribute: "verify attributes",
    unchecked_attribute: "has trainable=1, which is no bool",
    wrong_type: "should have the type f32[batch,3]",
    operands_do_not_fit: "inner extents 3 and 4 differ",
    input_is_none: "is listed as an input but is none",
    input_twice: "is listed twice",
    input_unlisted: "is used but not listed",
    shared_name: "shares the name 'x'",
    output_twice: "is one of two outputs named 'y'",
    output_unnamed: "is an output without a name",
    update_of_an_input: "is updated but is no state",
    update_of_another_type: "cannot become the next value",
    update_twice: "is updated twice",
    loop_as_a_root: "is a root, of which `result` takes one value",
    loop_as_an_operand: "reads <scan",
    state_in_a_body: "has a body with states",
    open_dimension: "has the dimension time, which no input binds",
    open_dimension_in_an_attribute: "has the dimension time, which no input binds",
}


@pytest.mark.parametrize("make", BROKEN, ids=lambda make: make.__name__)
def test_a_broken_invariant_is_named(make: Callable[[], Program]) -> None:
    with pytest.raises(GraphError) as raised:
        verify(make())
    message = str(raised.value)
    assert BROKEN[make] in message
    assert "at test_verify.py:" in message


def test_every_check_is_needed() -> None:
    """Each check refuses one of the programs above that all checks before it let pass."""
    refusing = set()
    for make in BROKEN:
        program = make()
        with pytest.raises(GraphError) as raised:
            verify(program)
        refusing.add(raised.traceback[-2].name)
    assert refusing == {check.__name__ for check in CHECKS}


def test_an_attribute_kind_that_refuses_is_reported() -> None:
    program = sound()
    node: Node = next(node for node in program.nodes if node.op.name == "softmax")
    assert node.op.attributes == {"axis": AXIS}
    object.__setattr__(node, "attributes", {"axis": "last"})
    with pytest.raises(GraphError, match=r"verify attributes.*axis='last'"):
        verify(program)
