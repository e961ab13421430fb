"""The driver: order, ends, circles, hidden values and the record of what fired."""

from __future__ import annotations

import pytest

from graphc.ir.errors import GraphError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.programs.verify import verify
from graphc.ir.rewriting.rewrite import Firing, Rule, rewrite, rewrite_values, rule
from graphc.ir.rewriting.simplify import RULES, simplify


@rule(ops.sin)
def sin_to_cos(node: Node) -> Node | None:
    """sin(x) = cos(x)

    Wrong, but easy to see.
    """
    return ops.cos(node.operands[0])


@rule(ops.cos)
def cos_to_sin(node: Node) -> Node | None:
    """cos(x) = sin(x)"""
    return ops.sin(node.operands[0])


@rule(ops.cos)
def cos_to_tanh(node: Node) -> Node | None:
    """cos(x) = tanh(exp(x))"""
    return ops.tanh(ops.exp(node.operands[0]))


@rule(ops.exp)
def exp_grows(node: Node) -> Node | None:
    """exp(x) = exp(-x)"""
    return ops.exp(ops.negate(node.operands[0]))


@rule(ops.exp)
def exp_holds_itself(node: Node) -> Node | None:
    """exp(x) = sqrt(exp(x))"""
    return ops.sqrt(node)


@rule(ops.exp)
def exp_shrinks(node: Node) -> Node | None:
    """exp(x) = sum(x)"""
    return build.sum(node.operands[0])


def program_of(node: Node, *inputs: Node) -> Program:
    return Program("f", inputs, (("y", node),))


def test_right_hand_sides_are_rewritten_in_turn() -> None:
    x = Graph().input("x", (3,))
    rules: tuple[Rule, ...] = (sin_to_cos, cos_to_tanh)
    fired: list[Firing] = []
    program = rewrite(program_of(ops.sin(ops.sin(x)), x), rules, fired.append)
    inner = ops.tanh(ops.exp(x))
    assert program.roots == (ops.tanh(ops.exp(inner)),)
    assert [each.rule for each in fired] == ["sin_to_cos", "cos_to_tanh"] * 2


def test_a_firing_tells_what_happened_and_where() -> None:
    x = Graph().input("x", (3,))
    written = ops.sin(x)
    fired: list[Firing] = []
    rewrite(program_of(written, x), (sin_to_cos,), fired.append)
    (firing,) = fired
    assert (firing.rule, firing.equation) == ("sin_to_cos", "sin(x) = cos(x)")
    assert (firing.before, firing.after) == (written, ops.cos(x))
    assert firing.location == written.location
    assert firing.location is not None
    assert firing.location.text == "written = ops.sin(x)"


def test_new_nodes_carry_the_line_of_the_old() -> None:
    x = Graph().input("x", (3,))
    written = ops.sin(x)
    (result,) = rewrite(program_of(ops.exp(written), x), (sin_to_cos,)).roots
    assert result.operands[0].location == written.location


def test_updates_are_rewritten_and_inputs_kept() -> None:
    graph = Graph()
    x, w = graph.input("x", (3,)), graph.state("w", (3,))
    before = Program("f", (x,), (), ((w, ops.sin(w)),))
    after = rewrite(before, (sin_to_cos,))
    assert after == Program("f", (x,), (), ((w, ops.cos(w)),))


def test_shared_values_are_rewritten_once() -> None:
    x = Graph().input("x", (3,))
    fired: list[Firing] = []
    shared = ops.sin(x)
    rewrite(program_of(shared * ops.exp(shared), x), (sin_to_cos,), fired.append)
    assert len(fired) == 1


@pytest.mark.parametrize(
    ("rules", "write", "names"),
    [
        ((sin_to_cos, cos_to_sin), ops.sin, "sin_to_cos, cos_to_sin"),
        ((exp_holds_itself,), ops.exp, "exp_holds_itself"),
        ((exp_grows,), ops.exp, "exp_grows"),
    ],
)
def test_rules_that_do_not_end_are_named(rules, write, names: str) -> None:
    x = Graph().input("x", (3,))
    with pytest.raises(GraphError, match=rf"the rules {names} do not end at <") as raised:
        rewrite(program_of(write(x), x), rules)
    assert "at test_rewrite.py:" in str(raised.value)


def test_a_rule_that_changes_the_type_is_named() -> None:
    x = Graph().input("x", (3,))
    with pytest.raises(GraphError, match=r"rule exp_shrinks: <exp .* became <reshape "):
        rewrite(program_of(ops.exp(x), x), (exp_shrinks,))


def test_a_rule_needs_an_equation() -> None:
    def nameless(node: Node) -> Node | None:
        return node

    with pytest.raises(TypeError, match="its docstring must be its equation"):
        rule(ops.exp)(nameless)


# --- opaque values ---------------------------------------------------------------------------


def test_rules_do_not_see_through_opaque_values() -> None:
    x = Graph().input("x", (3,))
    exponential = ops.exp(-x)
    y = ops.sin(1 / (1 + exponential))
    open_result = rewrite_values([y], RULES)[y]
    assert open_result is ops.sin(ops.sigmoid(x))
    result = rewrite_values([y], RULES, opaque=[exponential])[y]
    assert result is ops.sin(ops.reciprocal(1 + exponential))


def test_opaque_values_are_not_rewritten_themselves() -> None:
    x = Graph().input("x", (3,))
    y = ops.sin(x)
    z = ops.exp(y)
    result = rewrite_values([z, y], (sin_to_cos,), opaque=[y])
    assert result == {z: z, y: y}


def test_two_opaque_values_of_one_type_stay_apart() -> None:
    graph = Graph()
    x, y = graph.input("x", (3,)), graph.input("y", (3,))
    difference = x + (-y)
    result = rewrite_values([difference], RULES, opaque=[x, y])[difference]
    assert result is x - y


def test_no_placeholder_is_left() -> None:
    x = Graph().input("x", (3,))
    y = ops.exp(x)
    total = build.sum(ops.log(y * 1.0) + y)
    result = rewrite_values([total], RULES, opaque=[y])[total]
    verify(program_of(result, x))


# --- size ------------------------------------------------------------------------------------


def test_a_deep_graph_needs_no_deep_stack() -> None:
    x = Graph().input("x", (3,))
    y = x
    for _ in range(20_000):
        y = ops.sin(y) + 1.5
    program = rewrite(program_of(y, x), (sin_to_cos,))
    assert {node.op for node in program.nodes} == {x.op, ops.cos, ops.add, y.operands[1].op}


def test_each_value_is_looked_at_once() -> None:
    """The work is linear: no rule is tried at a node again and again."""
    looked: list[Node] = []

    def look(node: Node) -> Node | None:
        looked.append(node)
        return None

    x = Graph().input("x", (3,))
    y = x
    for _ in range(100):
        y = ops.add(ops.sin(y), ops.sin(y))  # as a tree, 2^100 nodes
    watched = Rule("look", "x = x", (ops.sin, ops.add), look)
    rewrite(program_of(y, x), (sin_to_cos, watched))
    assert len(looked) == len(set(looked)) == 100


def test_long_chains_of_broadcasts_simplify() -> None:
    graph = Graph()
    x = graph.input("x", (1, 3))
    y = build.broadcast_to(x, (4, 3))
    for _ in range(3000):
        y = ops.sin(y)
    (result,) = simplify(program_of(y, x)).roots
    assert result.op.name == "broadcast_to"
    assert result.operands[0].shape == (1, 3)
