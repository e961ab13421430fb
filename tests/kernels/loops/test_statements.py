"""Loops as data: what blocks hold, and the source that is printed of them."""

from __future__ import annotations

import graphc as gc
from graphc.kernels.loops.language.expressions import Element, Name, of
from graphc.kernels.loops.language.statements import (
    Block,
    Break,
    Call,
    Comment,
    For,
    LoopKind,
    Prefetch,
    Return,
    Stack,
    assigned,
    increased,
    innermost_loops,
    loops_in,
)

PRINTED = """\
# a comment
sums = stack(f32, 4)
for i in range(0, 8, 2):
    prefetch(x, i + 64)
    x_value = x[i]
    sums[0] = sums[0] + x_value
    if x_value > 1:
        count(x, i)
    while x_value > 2:
        x_value = x_value - 1
        break
    y[i] = x_value
total = total + sums[1]
return 3"""


CHAIN = """\
if x == 0:
    y = 0
elif x == 1:
    y = 1
elif x == 2:
    y = 2
elif x == 0:
    y = 0
else:
    y = 7
z = y"""


ROW, COLUMN, X, Y = map(Name, "ijxy")
VALUE, SUMS = Name("x_value"), Name("sums")


def _block() -> Block:
    each, branch, repeated, whole = Block(), Block(), Block(), Block()
    each.store_last(Element(Y, ROW), VALUE)
    each.add(Prefetch(Element(X, ROW + 64)))
    each.assign(VALUE, Element(X, ROW))
    each.add(increased(Element(SUMS, of(0)), VALUE))
    branch.add(Call("count", (X, ROW)))
    each.branch(VALUE.above(1), branch)
    repeated.accumulate(VALUE, VALUE - 1)
    repeated.add(Break())
    each.repeat(VALUE.above(2), repeated)
    whole.add(Comment("a comment"), Stack(SUMS, "f32", 4))
    whole.loop(ROW, (0, 8, 2), each, LoopKind.STRIPS)
    whole.add(increased(Name("total"), Element(SUMS, of(1))), Return(3))
    return whole


def test_every_statement_is_printed_as_it_reads() -> None:
    assert _block().lines == PRINTED.splitlines()


def test_an_unrolled_loop_says_so_first() -> None:
    block = Block()
    block.loop(ROW, 4, Block.of(assigned(X, ROW)), LoopKind.UNROLLED)
    assert block.lines == ["for i in range(4):", "    unrolled()", "    x = i"]


def test_choices_are_printed_as_one_chain() -> None:
    cases = [(X.equals(number), Block.of(assigned(Y, number))) for number in range(3)]
    whole, nested = Block(), Block()
    nested.choose(cases[:1], Block.of(assigned(Y, 7)))
    whole.choose(cases, nested)
    whole.choose([], Block.of(assigned(Name("z"), Y)))
    assert whole.lines == CHAIN.splitlines()


def test_loops_of_all_branches_are_found() -> None:
    first, second, whole = Block(), Block(), Block()
    first.loop(ROW, 4, Block.of(assigned(X, ROW)))
    second.loop(COLUMN, 4, Block.of(assigned(X, COLUMN)))
    whole.branch(X.above(0), first, second)
    assert [loop.variable.text for loop in innermost_loops(whole.whole)] == ["i", "j"]


def test_loops_are_found_with_what_they_are() -> None:
    around = Block()
    around.loop(Name("block"), 3, _block())
    found = [(loop.variable.text, loop.kind) for loop in loops_in(around.whole)]
    assert found == [("block", LoopKind.PLAIN), ("i", LoopKind.STRIPS)]


def test_innermost_loops_have_no_other_inside() -> None:
    around = Block()
    around.loop(Name("block"), 3, _block())
    around.loop(COLUMN, 8, Block.of(assigned(X, COLUMN)), LoopKind.ROW)
    found = [(loop.variable.text, loop.kind) for loop in innermost_loops(around.whole)]
    assert found == [("i", LoopKind.STRIPS), ("j", LoopKind.ROW)]


def test_a_loop_around_nothing_is_none() -> None:
    block = Block()
    block.loop(ROW, 4, Block())
    block.branch(X.above(0), Block())
    block.repeat(X.above(0), Block())
    assert block.whole == ()


def test_a_body_is_what_its_block_had_when_the_loop_was_made() -> None:
    body, around = Block.of(assigned(X, Name("first"))), Block()
    around.loop(ROW, 4, body)
    body.assign(X, Name("second"))
    (loop,) = around.whole
    assert isinstance(loop, For) and around.lines == ["for i in range(4):", "    x = first"]


def test_a_users_line_stands_beside_the_first_statement_that_comes_from_it() -> None:
    graph = gc.Graph()
    one = gc.exp(graph.input("x", (4,)))
    other = gc.tanh(one)
    block = Block()
    for name, node in (("a", one), ("b", one), ("c", other), ("d", None), ("e", one)):
        block.assign(Name(name), 0, node)
    beside = [("  # " in line, line.split("  # ")[-1].endswith("4,)))")) for line in block.lines]
    assert [shown for shown, _ in beside] == [True, False, True, False, True]
    assert beside[0] == beside[4]
