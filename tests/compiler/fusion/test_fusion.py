"""What shares a kernel, what does not and why."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.fusion import grouping
from graphc.compiler.fusion.fuse import _Fusion
from graphc.compiler.fusion.grouping import computed_nodes
from graphc.compiler.fusion.traffic import traffic
from graphc.compiler.pipeline import Compilation
from graphc.compiler.plan.planning import PlannedInstruction
from graphc.compiler.plan.work import work_of
from graphc.kernels.groups.group import ContractionGroup, LoopGroup, MovementGroup
from graphc.kernels.loops.language.source import MOST_BUFFERS
from graphc.kernels.loops.thread_blocks import op_cost
from graphc.kernels.nests.loopnest import plan_loops
from graphc.kernels.nests.node_kinds import external_operands
from tests.compiler import networks
from tests.compiler.execution import Machine, compilation, refusals
from tests.random_graphs import random_program


def _kernels(function: gc.Function) -> list[PlannedInstruction]:
    """The instructions that compute something: checks of indices are left out."""
    plan = compilation(function.program).plan
    return [row for row in plan.instructions if row.group is not None]


def _ops(row: PlannedInstruction) -> set[str]:
    assert row.group is not None
    return {node.op.name for node in row.group.nodes}


def test_elementwise_workload_is_one_pass() -> None:
    (kernel,) = _kernels(networks.elementwise_workload())
    lines = [line.split("#")[0] for line in kernel.source.text.splitlines()]
    rows = [number for number, line in enumerate(lines) if "for i in range" in line]
    loads = [number for number, line in enumerate(lines) if " x[" in line or " t[" in line]
    assert len(rows) == 1 and loads[0] > rows[0], "rows are gone over once"
    assert isinstance(kernel.group, LoopGroup)
    assert kernel.group.nest.passes == 1
    # x and t, the four vectors, their four gradients and the loss.
    x_size = 4096 * 1024
    assert traffic(kernel.group.nodes, kernel.group.outputs) == 4 * (2 * x_size + 8 * 1024 + 1)
    # Threads may sum columns apart, but nothing of the size of x is kept.
    assert all(storage.size < x_size / 16 for storage in kernel.source.scratch)


def test_unfused_workload_is_a_kernel_an_op() -> None:
    function = networks.elementwise_workload(64, 32)
    made = compilation(function.program, fuse=False)
    assert len(made.plan.instructions) == len(computed_nodes(made.program)) > 15
    for row in made.plan.instructions:
        assert row.group is not None and len(row.group.nodes) == 1


def test_softmax_and_the_slope_of_its_loss_are_the_products_epilogue() -> None:
    product, bias, weights, mean = _kernels(networks.classifier())
    assert {"matmul", "add", "greatest", "exp", "sum", "log", "subtract"} <= _ops(product)
    assert _ops(bias) == {"sum", "multiply", "subtract"}
    names = [storage.name for storage in bias.source.arguments]
    assert "b" in names, "the bias is updated where its gradient is summed"
    assert _ops(weights) == {"matmul", "multiply", "subtract"}
    assert isinstance(weights.group, ContractionGroup)
    assert _ops(mean) == {"sum", "multiply"}


def test_layer_normalization_is_one_kernel() -> None:
    (kernel,) = _kernels(networks.layer_normalization())
    assert {"sum", "sqrt", "divide", "square"} <= _ops(kernel)


def test_a_layer_with_dropout_is_one_kernel() -> None:
    (kernel,) = _kernels(networks.dropout_layer())
    assert isinstance(kernel.group, ContractionGroup)
    assert {"matmul", "relu", "random_bits", "where"} <= _ops(kernel)
    assert [node.op.name for node in kernel.group.outputs] == ["where"]


@pytest.mark.parametrize("activation", [gc.relu, gc.sigmoid])
def test_a_mask_is_drawn_once_a_step(activation: object) -> None:
    """The backward pass reads the mask as bools; after relu it reads what dropout gave instead."""
    forward, *others = _kernels(networks.dropout_step(activation))
    assert {"matmul", "random_bits", "where"} <= _ops(forward)
    assert not any("random_bits" in _ops(row) for row in others)
    assert forward.group is not None
    stored = {node.op.name: node for node in forward.group.outputs}
    if activation is gc.relu:
        assert stored.keys() == {"where", "greater"}
        assert stored["greater"].operands[0] is stored["where"]
    else:
        # What the backward pass needs of the sigmoid is its slope, a product.
        assert stored.keys() == {"multiply", "where", "greater_equal"}


@pytest.mark.parametrize("activation", [gc.relu, gc.tanh, gc.softplus, gc.leaky_relu, gc.elu])
def test_bias_and_activation_are_an_epilogue(activation: object) -> None:
    (kernel,) = _kernels(networks.dense(activation))
    assert isinstance(kernel.group, ContractionGroup)


def test_gradient_of_an_activation_is_an_epilogue() -> None:
    """The backward product of a layer is masked while its tile is in cache."""
    graph = gc.Graph()
    x = graph.input("x", (64, 20))
    w0, w1 = graph.parameter("w0", (20, 32)), graph.parameter("w1", (32, 10))
    loss = gc.sum(gc.square(gc.tanh(x @ w0) @ w1))
    d0, d1 = gc.grad(loss, [w0, w1])
    kernels = _kernels(gc.function([x], [], [(w0, w0 - 0.1 * d0), (w1, w1 - 0.1 * d1)]))
    products = [row for row in kernels if isinstance(row.group, ContractionGroup)]
    assert len(products) == 5
    assert sum("subtract" in _ops(row) for row in products) >= 2, "updates are epilogues"
    assert len(kernels) <= 6


# --- what does not ---------------------------------------------------------------------------


def test_product_does_not_take_sums_over_its_operand_in() -> None:
    graph = gc.Graph()
    x, w = graph.input("x", (16, 8)), graph.input("w", (8, 4))
    function = gc.function([x, w], gc.sum(gc.expand(x, 0, 3) * 2, 0) @ w)
    assert [_ops(row) for row in _kernels(function)] == [{"multiply", "sum"}, {"matmul"}]
    (reason,) = refusals(function)
    assert re.fullmatch(r"the product matmul \(.*\) reads all of sum \(.*\), .*", reason)


def test_two_products_do_not_fuse() -> None:
    graph = gc.Graph()
    x, v, w = graph.input("x", (16, 8)), graph.input("v", (8, 4)), graph.input("w", (8, 4))
    function = gc.function([x, v, w], x @ v + x @ w)
    assert len(_kernels(function)) == 2
    assert any("two matrix products" in reason for reason in refusals(function))


def test_reduction_of_more_than_a_tile_is_no_epilogue() -> None:
    graph = gc.Graph()
    x, w = graph.input("x", (16, 8)), graph.input("w", (8, 400))
    function = gc.function([x, w], gc.sum(x @ w, 1))
    assert len(_kernels(function)) == 2
    assert any("fit no tile of registers" in each for each in refusals(function))


def test_movement_stays_alone() -> None:
    graph = gc.Graph()
    x, rows = graph.input("x", (16, 8)), graph.input("rows", (5,), "i64")
    function = gc.function([x, rows], gc.exp(gc.take(gc.tanh(x), rows)))
    kernels = [_ops(row) for row in _kernels(function)]
    assert kernels == [{"tanh"}, {"index_from_front"}, {"take"}, {"exp"}]
    assert any("a movement is a kernel of its own" in reason for reason in refusals(function))


def test_whole_sum_that_rows_need_is_complete_before() -> None:
    """x / sum(x) over all rows must run over x twice."""
    graph = gc.Graph()
    x = graph.input("x", (1024, 64))
    function = gc.function([x], gc.exp(x) / gc.sum(gc.exp(x)))
    for row in _kernels(function):
        assert isinstance(row.group, LoopGroup)


def test_too_many_buffers() -> None:
    graph = gc.Graph()
    total = graph.input("x0", (64,))
    inputs = [total]
    for number in range(1, 2 * MOST_BUFFERS):
        inputs.append(graph.input(f"x{number}", (64,)))
        total = total * inputs[-1]
    function = gc.function(inputs, total)
    kernels = _kernels(function)
    assert 1 < len(kernels) <= 4
    assert all(len(row.source.arguments) <= MOST_BUFFERS for row in kernels)
    most = f"a kernel takes at most {MOST_BUFFERS}"
    assert any(most in reason for reason in refusals(function))


def test_costly_value_is_not_computed_by_each_reader() -> None:
    graph = gc.Graph()
    x, w = graph.input("x", (64, 48)), graph.input("w", (48, 32))
    v = graph.input("v", (48, 8))
    costly = gc.tanh(x)
    function = gc.function([x, w, v], [costly @ w, costly @ v, costly * 2])
    assert sum("tanh" in _ops(row) for row in _kernels(function)) == 1


def test_cheap_value_is_computed_by_each_reader() -> None:
    """The mask of a relu is not stored between the forward and the backward kernel."""
    graph = gc.Graph()
    x, y = graph.input("x", (64, 32)), graph.input("y", (64, 32))
    w = graph.input("w", (32, 32))
    cheap = x + y
    function = gc.function([x, y, w], [gc.sum(cheap @ w), gc.exp(cheap)])
    stored = {node.op.name for row in _kernels(function) for node in row.group.outputs}
    assert "add" in stored, "the product's operand has to be stored"


# --- no cycles -------------------------------------------------------------------------------


def _diamond_through_a_product(graph: gc.Graph) -> object:
    x, w = graph.input("x", (16, 16)), graph.input("w", (16, 16))
    start = gc.exp(x)
    return start + start @ w


def _two_diamonds(graph: gc.Graph) -> object:
    x, w = graph.input("x", (16, 16)), graph.input("w", (16, 16))
    left, right = gc.exp(x), gc.sin(x)
    return [left + right @ w, right + left @ w]


def _ladder_of_products(graph: gc.Graph) -> object:
    x, w = graph.input("x", (16, 16)), graph.input("w", (16, 16))
    value, side = x, x
    for _ in range(6):
        value, side = gc.tanh(value @ w + side), gc.sigmoid(side) * value
    return [value, side]


def _diamond_through_a_gather(graph: gc.Graph) -> object:
    x, rows = graph.input("x", (16, 16)), graph.input("rows", (16,), "i64")
    start = gc.tanh(x)
    return start * gc.take(start, rows) + gc.sum(gc.take(start, rows), 0)


def _crossing_reductions(graph: gc.Graph) -> object:
    x = graph.input("x", (16, 16))
    by_row, by_column = gc.softmax(x, 1), gc.softmax(x, 0)
    return [by_row * by_column, by_column.T + by_row, gc.softmax(by_row * by_column, 0)]


def _transposed_readers(graph: gc.Graph) -> object:
    x = graph.input("x", (16, 16))
    value = gc.exp(x)
    return [value + value.T, gc.sum(value.T * x, 0), gc.reshape(value, (256,)) * 2]


ADVERSARIAL = [
    _diamond_through_a_product, _two_diamonds, _ladder_of_products, _diamond_through_a_gather,
    _crossing_reductions, _transposed_readers,
]  # fmt: skip


def _check_order(made: Compilation) -> None:
    """Every group reads only what a group before it has made, or what is given."""
    stored = {node for group in made.schedule.groups for node in group.outputs}
    ready: set[object] = set()
    for group in made.schedule.groups:
        for value in external_operands(group.nodes):
            assert value not in stored or value in ready, f"{value!r} is read before it is made"
        ready |= set(group.outputs)


@pytest.mark.parametrize("declare", ADVERSARIAL, ids=lambda declare: declare.__name__[1:])
def test_no_cycles(machine: Machine, declare: object) -> None:
    graph = gc.Graph()
    outputs = declare(graph)
    inputs = list(graph.inputs.values())
    function = gc.function(inputs, outputs if isinstance(outputs, list) else [outputs])
    _check_order(compilation(function.program))
    reference = gc.function(
        inputs, [node for _, node in function.program.outputs], mode="reference"
    )
    rng = np.random.default_rng(0)
    given = [
        rng.uniform(-1, 1, node.type.dims).astype(node.dtype.numpy)
        if node.dtype.is_float
        else rng.integers(0, 16, node.type.dims)
        for node in inputs
    ]
    for got, wanted in zip(function(*given), reference(*given), strict=True):
        # Sums of 16 terms up to e, a ladder of 6 products: all below a few hundred eps.
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(1000, 1060))
def test_order_of_random_programs(seed: int) -> None:
    _check_order(compilation(random_program(seed, steps=25)))


# --- the cost of fusing ----------------------------------------------------------------------


def _chain(length: int) -> gc.Function:
    graph = gc.Graph()
    x = graph.input("x", (64, 32))
    value = x
    for number in range(length):
        value = gc.tanh(value) if number % 3 else value * 1.5 + x
    return gc.function([x], value)


def _sum_of_terms(length: int) -> gc.Function:
    graph = gc.Graph()
    x = graph.input("x", (64, 32))
    return gc.function([x], sum((gc.tanh(x * (1 + number)) for number in range(length)), x))


def _pieces(length: int) -> gc.Function:
    graph = gc.Graph()
    x = graph.input("x", (64, 32))
    return gc.function([x], gc.concatenate([gc.tanh(x * (1 + n)) for n in range(length)], 1))


def _gradient_of_chain(length: int) -> gc.Function:
    chain = _chain(length)
    (x,) = chain.program.inputs
    ((_, value),) = chain.program.outputs
    return gc.function([x], gc.grad(gc.sum(value), x))


def test_a_chain_that_compiles_quickly_is_one_kernel() -> None:
    assert len(_kernels(_chain(20))) == 1


@pytest.mark.parametrize("made", [_chain, _sum_of_terms, _pieces, _gradient_of_chain])
def test_kernels_of_long_programs_are_more_but_not_longer(
    made: Callable[[int], gc.Function],
) -> None:
    longest, whole = [], []
    for length in (100, 300):
        kernels = _kernels(made(length))
        groups = [row.group for row in kernels if row.group is not None]
        assert all(sum(map(op_cost, group.nodes)) <= grouping.MOST_COST for group in groups)
        sizes = [row.source.text.count("\n") for row in kernels]
        longest.append(max(sizes))
        whole.append(sum(sizes))
    assert longest[1] <= 1.2 * longest[0]
    assert whole[1] <= 3.3 * whole[0]


def test_why_a_long_chain_is_cut() -> None:
    most = f"a kernel takes at most {grouping.MOST_COST}"
    assert any(most in reason for reason in refusals(_chain(100)))


@pytest.mark.parametrize(("count", "axis"), [(29, 1), (30, 1), (59, 0)])
def test_long_concatenations_are_made_in_parts(count: int, axis: int) -> None:
    graph = gc.Graph()
    inputs = [graph.input(f"x{number}", (3, 4)) for number in range(count)]
    function = gc.function(inputs, {"y": gc.concatenate(inputs, axis), "z": inputs[0] * 2})
    rng = np.random.default_rng(0)
    given = [rng.standard_normal((3, 4)).astype("f4") for _ in inputs]
    np.testing.assert_array_equal(function(*given)["y"], np.concatenate(given, axis))
    plan = compilation(function.program).plan
    rows = [
        row for row in plan.instructions if isinstance(row.group or row.finishes, MovementGroup)
    ]
    assert len(rows) == -(-count // (MOST_BUFFERS - 1))
    assert all(len(row.source.arguments) <= MOST_BUFFERS for row in rows)
    assert sum(work_of(row).bytes for row in rows) == 2 * count * 12 * 4
    assert sum(work_of(row).flops for row in rows) == count * 12


def test_work_of_fusing_grows_with_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops are planned a few times a node, however long the chain."""
    counts = []
    for length in (75, 300):
        calls: list[int] = []

        def counted(nodes: object, outputs: object, calls: list[int] = calls) -> object:
            calls.append(len(nodes))  # type: ignore[arg-type]
            return plan_loops(nodes, outputs)  # type: ignore[arg-type]

        monkeypatch.setattr(grouping, "plan_loops", counted)
        compilation(_chain(length).program)
        counts.append(len(calls))
    assert counts[1] <= 5 * counts[0]
    assert counts[1] <= 3 * 300


class _CountedLookups(dict[int, dict[int, None]]):
    count = 0

    def __getitem__(self, number: int) -> dict[int, None]:
        self.count += 1
        return super().__getitem__(number)


def test_a_deep_net_is_searched_near_a_pair_alone() -> None:
    """A search of all that comes after a pair looks at some 500 groups for each node of this net;
    levels keep it between the two."""
    graph = gc.Graph()
    x = value = graph.input("x", (32, 16))
    for _ in range(100):
        value = gc.nn.dense(value, 16, gc.tanh)
    gradients = gc.grad(gc.mean(gc.square(value)), list(graph.states.values()))
    fusion = _Fusion(compilation(gc.function([x], gradients).program).program)
    fusion.consumers = lookups = _CountedLookups(fusion.consumers)
    fusion.merge_all()
    assert lookups.count < 100 * len(fusion.number_of)
    for producer, consumers in fusion.consumers.items():
        assert all(fusion.levels[producer] < fusion.levels[each] for each in consumers)
