"""Loops in machine code: against the reference, fused and not, on threads, in loops of steps."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.executable_text import read_executable, write_executable
from graphc.compiler.load.native import native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.inspect.stage import Stage
from graphc.inspect.stage_text import stage_text
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.nodes.op import Array
from graphc.ir.programs import loops
from graphc.ir.reference import run_program
from tests.compiler.execution import Machine, assert_same_bits, run_on_threads
from tests.ir.test_loops import counted_net, derivatives, simple_net, values_of, while_program
from tests.random_loops import random_net

TOLERANCE = 1e-10


def assert_as_reference(
    machine: Machine, program: Program, values: dict[str, Array], fuse: bool
) -> None:
    expected, _ = run_program(program, values, {})
    actual, _ = machine.run(program, values, {}, fuse=fuse)
    for name, value in expected.items():
        scale = TOLERANCE * np.abs(value).max(initial=1.0)
        np.testing.assert_allclose(actual[name], value, rtol=0, atol=scale, err_msg=name)


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize(("length", "reverse"), [(0, False), (1, True), (2, False), (5, True)])
def test_derivatives(machine: Machine, length: int, reverse: bool, fuse: bool) -> None:
    program = derivatives(simple_net(length, reverse), True) if length else _without_steps()
    assert_as_reference(machine, program, values_of(program), fuse)


@pytest.mark.parametrize("reverse", [False, True])
def test_derivatives_that_keep_carries_alone(machine: Machine, reverse: bool) -> None:
    program = derivatives(replace(simple_net(5, reverse), every=2), True)
    assert_as_reference(machine, program, values_of(program), True)


def _without_steps() -> Program:
    net = simple_net(0)
    (last,), (stacked,) = net.results(True)
    inputs = tuple(net.graph.inputs.values())
    return Program("none", inputs, (("last", last), ("stacked", stacked)))


@pytest.mark.parametrize("seed", [0, 1])
def test_random_bodies(machine: Machine, seed: int) -> None:
    program = derivatives(random_net(seed, 3), True)
    assert_as_reference(machine, program, values_of(program), True)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 130))
def test_many_random_bodies(machine: Machine, seed: int) -> None:
    program = derivatives(random_net(seed, 1 + seed % 5), True)
    assert_as_reference(machine, program, values_of(program), seed % 3 > 0)


def test_a_count_is_the_only_carry(machine: Machine) -> None:
    program = derivatives(counted_net(4), True)
    for fuse in False, True:
        assert_as_reference(machine, program, values_of(program), fuse)


def wide_net(steps: int) -> Program:
    """A loop whose products and sums are worth sharing, and its gradients."""
    graph = Graph()
    h, xs = graph.input("h", (64, 128)), graph.input("xs", (steps, 64, 128))
    w, u = graph.input("w", (128, 128)), graph.input("u", (128, 128))

    def step(carries: Sequence[Node], slices: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        after = gc.tanh(slices[0] @ w + carries[0] @ u)
        return [after], [build.sum(after, 0)]

    (last,), (sums,) = loops.scan(step, [h], [xs], steps)
    loss = build.sum(last * last) + build.sum(sums)
    outputs = [("loss", loss), *zip("whu", gc.grad(loss, [w, h, u]), strict=True)]
    return Program("wide", (h, xs, w, u), tuple(outputs))


def test_any_number_of_threads_gives_the_same_bits() -> None:
    program = wide_net(5)
    values = {name: 0.1 * value for name, value in values_of(program).items()}
    options = Options({}, True, native().vector_bits, 2)
    plan = compile_program(program, options).plan
    assert any(row.shared and row.begins for row in plan.instructions)
    alone = run_on_threads(program, values, 1, native().vector_bits)
    for threads in 2, 3:
        for _ in range(3):
            found = run_on_threads(program, values, threads, native().vector_bits)
            assert_same_bits(found, alone)


def test_a_loop_in_a_loop(machine: Machine) -> None:
    graph = Graph()
    xs, w = graph.input("xs", (3, 4, 2, 5), "f64"), graph.input("w", (5, 5), "f64")
    h = graph.input("h", (2, 5), "f64")

    def inner(carries: Sequence[Node], slices: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        after = gc.tanh(carries[0] @ w + slices[0])
        return [after], [after]

    def outer(carries: Sequence[Node], slices: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        (last,), (all_steps,) = loops.scan(inner, carries, slices, 4, reverse=True)
        return [last], [build.sum(all_steps, 0)]

    (last,), (sums,) = loops.scan(outer, [h], [xs], 3)
    loss = build.sum(last) + build.sum(gc.sin(sums))
    outputs = [("loss", loss), *zip("hxw", gc.grad(loss, [h, xs, w]), strict=True)]
    program = Program("nested", (h, xs, w), tuple(outputs))
    for fuse in False, True:
        assert_as_reference(machine, program, values_of(program), fuse)
    hidden, total, weights = values_of(program)["h"], 0.0, values_of(program)["w"]
    for t in range(3):
        steps = []
        for s in reversed(range(4)):
            hidden = np.tanh(hidden @ weights + values_of(program)["xs"][t, s])
            steps.append(hidden)
        total += np.sin(np.sum(steps, 0)).sum()
    found, _ = machine.run(program, values_of(program), {})
    np.testing.assert_allclose(found["loss"], hidden.sum() + total)


def test_steps_train_from_call_to_call() -> None:
    """A state that a loop reads and its gradient updates, repeated in native code."""
    graph = gc.Graph()
    xs, w = graph.input("xs", (6, 4, 3)), graph.state("w", (3, 3), trainable=True)
    start = graph.constant(np.zeros((4, 3), np.float32))
    graph.variables["w"] = 0.3 * np.ones((3, 3), np.float32)
    last, _ = gc.scan(lambda h, x: (gc.tanh(x + h @ w), None), start, xs)
    loss = gc.sum(gc.square(last - 0.5))
    step = gc.function(xs, loss, {w: w - 0.1 * gc.grad(loss, w)})
    reference = gc.function(xs, loss, {w: w - 0.1 * gc.grad(loss, w)}, mode="reference")
    data = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)
    first = graph.variables["w"].copy()
    expected = [reference(data) for _ in range(4)]
    after = graph.variables["w"].copy()
    graph.variables["w"] = first
    found = [step(data) for _ in range(2)]
    step.repeat(2, data)
    np.testing.assert_allclose(found, expected[:2], rtol=1e-5)
    np.testing.assert_allclose(graph.variables["w"], after, rtol=1e-5)


@pytest.mark.parametrize("fuse", [False, True])
def test_two_states_of_one_value(machine: Machine, fuse: bool) -> None:
    """A copy that one state needs is not another state's copy."""
    graph = Graph()
    a, b = graph.state("a", (2, 3)), graph.state("b", (2, 3))
    w = graph.input("w", (3, 3))
    value = gc.tanh(a @ w)
    program = Program("two", (w,), (), ((a, value), (b, value)))
    values = {"w": np.ones((3, 3), np.float32)}
    states = {"a": np.ones((2, 3), np.float32), "b": np.zeros((2, 3), np.float32)}
    _, expected = run_program(program, values, states)
    _, found = machine.run(program, values, states, fuse=fuse)
    for name in "ab":
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)


def test_an_index_out_of_range_in_a_step_stops_the_run() -> None:
    graph = gc.Graph()
    table, picked = graph.input("table", (5, 3)), graph.input("picked", (4, 2), "i32")
    total = graph.state("total", (2, 3))
    graph.variables["total"] = np.zeros((2, 3), np.float32)
    last, _ = gc.scan(lambda h, i: (h + gc.take(table, i, axis=0), None), total, picked)
    step = gc.function([table, picked], gc.sum(last), {total: last})
    data = np.arange(15, dtype=np.float32).reshape(5, 3)
    indices = np.array([[0, 1], [2, 3], [4, 4], [1, 1]], np.int32)
    step(data, indices)
    expected = data[indices].sum(0)
    np.testing.assert_array_equal(graph.variables["total"], expected)
    indices[2, 1] = 5
    with pytest.raises(IndexError, match="outside"):
        step(data, indices)
    np.testing.assert_array_equal(graph.variables["total"], expected)
    indices[2, 1] = 0
    step(data, indices)
    np.testing.assert_array_equal(graph.variables["total"], expected + data[indices].sum(0))


def test_a_plan_with_loops_is_read_back() -> None:
    from graphc.compiler.load.assemble import executable_of

    compilation = compile_program(wide_net(3), Options({}, True, 256, 2))
    executable = executable_of(compilation)
    assert executable.loops
    assert read_executable(write_executable(executable)) == executable


def test_compiling_does_not_grow_with_the_length() -> None:
    """As many kernels a step for a thousand steps as for three."""

    def rows_of_steps(length: int) -> list[str]:
        plan = compile_program(wide_net(length), Options({}, True, 256)).plan
        depth, rows = 0, []
        for row in plan.instructions:
            depth += (row.begins is not None) - (row.ends is not None)
            rows += [row.name] * (depth > 0)
        return rows

    assert rows_of_steps(3) == rows_of_steps(1000)


# --- loops whose steps are not counted -------------------------------------------------------


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_random_bodies_of_while_loops(machine: Machine, seed: int, fuse: bool) -> None:
    program = while_program(seed)
    assert_as_reference(machine, program, values_of(program), fuse)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_random_bodies_of_while_loops(machine: Machine, seed: int) -> None:
    program = while_program(seed)
    assert_as_reference(machine, program, values_of(program), seed % 3 > 0)


def wide_while(rows: int) -> Program:
    """A loop in a loop: products that are worth sharing until a norm is small, three times."""
    graph = Graph()
    h, w = graph.input("h", (rows, 128)), graph.input("w", (128, 128))
    none = graph.constant(0, "i32")

    def holds(carries: list[Node]) -> Node:
        return build.sum(carries[0] * carries[0]) > 1.0

    def inner(carries: list[Node]) -> list[Node]:
        return [gc.tanh(carries[0] @ w), carries[1] + 1]

    def outer(
        carries: Sequence[Node], slices: Sequence[Node]
    ) -> tuple[Sequence[Node], Sequence[Node]]:
        last, count = loops.while_loop(holds, inner, [*carries, none])
        return [last * 3.0], [count, build.sum(last)]

    (last,), (counts, sums) = loops.scan(outer, [h], [], 4)
    return Program("wide", (h, w), (("last", last), ("counts", counts), ("sums", sums)))


@pytest.mark.parametrize("rows", [1, 64])
def test_any_number_of_threads_makes_the_same_steps(rows: int) -> None:
    program = wide_while(rows)
    values = {name: 0.05 * value for name, value in values_of(program).items()}
    plan = compile_program(program, Options({}, True, native().vector_bits, 2)).plan
    loop = next(row for row in plan.instructions if row.begins and row.begins.condition)
    assert loop.shared == (rows == 64)
    alone = run_on_threads(program, values, 1, native().vector_bits)
    assert len(set(alone["counts"].tolist())) > 1
    for threads in 2, 3:
        for _ in range(5):
            found = run_on_threads(program, values, threads, native().vector_bits)
            assert_same_bits(found, alone)


def test_threads_meet_before_the_condition_is_written() -> None:
    """Behind the end of a step each thread has to read it before the next step writes it."""
    plan = compile_program(wide_while(64), Options({}, True, 256, 2)).plan
    rows = plan.instructions
    begin = next(k for k, row in enumerate(rows) if row.begins and row.begins.condition)
    condition = rows[begin].begins.condition
    writer = next(k for k in range(begin + 1, len(rows)) if condition in rows[k].source.writes)
    assert rows[writer].name != rows[begin].name
    assert any(row.barrier for row in rows[begin + 1 : writer + 1])


def test_a_plan_with_a_condition_is_read_back() -> None:
    from graphc.compiler.load.assemble import executable_of

    executable = executable_of(compile_program(wide_while(2), Options({}, True, 256, 2)))
    assert [loop.condition is None for loop in executable.loops] == [False, True]
    assert read_executable(write_executable(executable)) == executable
    loop, *others = executable.loops
    for changed in replace(loop, length=3), replace(loop, condition=0):
        broken = replace(executable, loops=(changed, *others))
        with pytest.raises(ValueError, match="condition"):
            read_executable(write_executable(broken))


def test_a_while_loop_is_shown_as_a_loop() -> None:
    h = gc.Graph().input("h", (3,))
    last = gc.while_loop(lambda h: gc.max(h) < 100.0, lambda h: h * 2, h)
    function = gc.function(h, last)
    text = stage_text(function, {}, Stage.FUSED).text
    assert "# ? steps" in text and "as long as start is true" in text
    assert "loop x?" in stage_text(function, {}, Stage.PLAN).text


def test_a_row_of_a_carry_is_written_in_place_though_an_index_is_checked_behind_it() -> None:
    """A run that an index stops has no carry, so the check need not come first."""
    rows, width = 64, 8
    graph = gc.Graph()
    table, start = graph.input("table", (rows, width)), graph.input("start", (rows, width))
    best = graph.input("best", (rows,), "i32")

    def body(i: gc.Node, carry: list[gc.Node]) -> list[gc.Node]:
        memory, total = carry
        row = gc.expand_dims(total, 0)
        memory = gc.scatter_set(memory, gc.reshape(i, (1,)), row)
        found = gc.take(best, gc.reshape(gc.argmax(memory[:, 0]), (1,)), axis=0)
        return [memory, gc.tanh(total + gc.sum(gc.take(table, found, axis=0), 0))]

    memory, total = gc.fori_loop(0, 5, body, [start, start[0]])
    step = gc.function([table, start, best], [memory, total])
    rng = np.random.default_rng(0)
    data = rng.standard_normal((2, rows, width)).astype(np.float32)
    given = (*data, rng.permutation(rows).astype(np.int32))
    reference = gc.function([table, start, best], [memory, total], mode="reference")
    for found, expected in zip(step(*given), reference(*given), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    plan = step.loaded().plan
    sets = [row for row in plan.instructions if "index_set" in row.name]
    assert len(sets) == 1
    large = {storage for storage in plan.arena.offsets if storage.size >= rows * width}
    assert len(large) <= 1, "the carry stands in one place of the arena"
