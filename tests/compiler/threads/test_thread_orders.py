"""Whatever threads do between two barriers, in whatever order: the bits are those of one thread.

Threads that run into each other do so seldom. Here each has its turn: between two barriers one
thread calls all its kernels before another begins.
"""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.plan import sharing
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program
from graphc.kernels.loops import thread_blocks
from graphc.kernels.loops.rewrites.row_strips import STRIP_NUMBER
from graphc.kernels.machine import MACHINE
from tests.compiler.threads.thread_turns import Walked, by_turns, orders_of

PROGRAMS = 12
WALKS = 3
# Two threads take 7 and 6 rows, three 5, 5 and 3.
EXTENT = 13
STEPS = 4


@pytest.fixture(autouse=True)
def _all_products_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "SURELY_SHARED_CYCLES", 0)
    monkeypatch.setattr(sharing, "MACHINE", replace(MACHINE, meeting_cycles=1))


def _chain(seed: int) -> Program:
    """Products of square matrices, which all can be read by rows, by columns and in epilogues."""
    rng = random.Random(seed)
    graph = Graph()
    square = (EXTENT, EXTENT)
    x = graph.input("x", square, "f32")
    states = [graph.state(name, square, "f32", trainable=True) for name in "vw"]
    pool = [x, *states]

    def pick() -> Node:
        node = rng.choice(pool[-2:] if rng.random() < 0.7 else pool)
        return build.transpose(node) if rng.random() < 0.15 else node

    for _ in range(STEPS):
        left = pick()
        right = left if rng.random() < 0.15 else rng.choice(pool)
        node = build.matmul(left, right) * (1 / EXTENT)
        if rng.random() < 0.5:
            node = node + (left if rng.random() < 0.4 else pick())
        pool.append(node)
    updates = [(state, (state + pick()) * 0.5) for state in states]
    outputs = (("last", pool[-1]), ("other", rng.choice(pool[3:])))
    return Program(f"chain{seed}", (x,), outputs, tuple(updates))


def test_any_order_of_threads_has_the_same_bits() -> None:
    kept: list[Walked] = []  # so that equal kernels are compiled once
    followed = 0
    for seed in range(PROGRAMS):
        program, threads = _chain(seed), 2 + seed % 2
        alone, *others = (Walked(program, n, seed) for n in (1, threads, threads))
        kept += [alone, *others]
        orders = ([0], range(threads), range(threads)[::-1])
        for loaded, turns in zip((alone, *others), orders, strict=True):
            for _ in range(WALKS):
                loaded.walk(by_turns(turns))
            assert loaded.results() == alone.results(), (seed, list(turns))
        rows = others[0].program.plan.instructions
        followed += sum(row.shared and not row.barrier for row in rows[1:])
    # Enough go on without a barrier, or there would be nothing to test.
    assert followed > PROGRAMS / 2


# --- columns as rows, kept rows, strips ----------------------------------------------------------


def _columns_as_rows(graph: gc.Graph) -> gc.Function:
    """Products of one column, which is a row of the next product without having moved."""
    x, w = graph.input("x", (EXTENT, EXTENT)), graph.parameter("w", (EXTENT, EXTENT))
    column, row = graph.input("column", (EXTENT, 1)), (1, EXTENT)
    first = gc.tanh(x @ column)
    second = gc.reshape(first, row) @ w
    third = x @ gc.reshape(second, (EXTENT, 1)) + first
    outer = third @ second
    return gc.function([x, column], [first, third, outer], {w: w * 0.5 + outer * 0.1})


def _columns_of_batches(graph: gc.Graph) -> gc.Function:
    """Columns of one batch that are the rows of another product, and the columns of a third."""
    x = graph.input("x", (5, EXTENT, 7))
    v, w = graph.parameter("v", (7, 1)), graph.parameter("w", (EXTENT, EXTENT))
    rows = gc.reshape(gc.sigmoid(x @ v), (5, EXTENT))
    mixed = gc.tanh(rows @ w)
    back = gc.reshape(mixed, (5, EXTENT, 1)) * x
    slope = gc.transpose(rows) @ mixed
    return gc.function([x], [back, gc.sum(mixed, 0)], {w: w - 0.1 * slope})


def _kept_rows(graph: gc.Graph) -> gc.Function:
    """Normalization and softmax, which keep a row from pass to pass."""
    x = graph.input("x", (29, 70))
    scale = graph.parameter("scale", (70,))
    centered = x - gc.mean(x, -1, keepdims=True)
    normal = centered / gc.sqrt(gc.mean(gc.square(centered), -1, keepdims=True) + 1e-5)
    shares_of = gc.softmax(normal * scale)
    loss = gc.mean(gc.square(shares_of - x))
    return gc.function([x], [shares_of, loss], {scale: scale - 0.1 * gc.grad(loss, scale)})


def _kept_rows_of_a_product(graph: gc.Graph) -> gc.Function:
    x, w = graph.input("x", (EXTENT, 24)), graph.parameter("w", (24, 90))
    logits = gc.log_softmax(gc.exp(x @ w))
    loss = -gc.mean(logits[:, 3] + gc.logsumexp(logits * 2.0))
    return gc.function([x], [logits, loss], {w: w - 0.1 * gc.grad(loss, w)})


def _strips(graph: gc.Graph) -> gc.Function:
    """Along an axis that is not the last; strips of two results beside each other."""
    x = graph.input("x", (24, 550))
    deviation = x - gc.mean(x, 0, keepdims=True)
    variance = gc.mean(gc.square(deviation), 0)
    return gc.function([x], [gc.max(x, 0), variance, gc.softmax(gc.transpose(x)) * 2.0])


def _strips_of_batches(graph: gc.Graph) -> gc.Function:
    x = graph.input("x", (5, 16, 130))
    total = gc.sum(gc.exp(x), axis=1, keepdims=True)
    return gc.function([x], [gc.exp(x) / total, gc.log(total)])


def _blocks_of_rows(graph: gc.Graph) -> gc.Function:
    """Sums over rows in blocks, and one of them over all."""
    x = graph.input("x", (301, 10))
    bias = graph.parameter("bias", (10,))
    y = gc.tanh(x + bias)
    return gc.function([x], [gc.sum(y), gc.max(y, 0)], {bias: bias - 0.01 * gc.sum(y * x, 0)})


SHARED: list[Callable[[gc.Graph], gc.Function]] = [
    _columns_as_rows,
    _columns_of_batches,
    _kept_rows,
    _kept_rows_of_a_product,
    _strips,
    _strips_of_batches,
    _blocks_of_rows,
]


@pytest.fixture
def small_shares(monkeypatch: pytest.MonkeyPatch, tasks_of_a_tile: None) -> None:
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_ELEMENTS", 64)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("declare", SHARED, ids=lambda declare: declare.__name__[1:])
def test_what_threads_share_has_the_same_bits_in_any_order(
    declare: Callable[[gc.Graph], gc.Function], threads: int, small_shares: None
) -> None:
    program = declare(gc.Graph(seed=1)).program
    alone = Walked(program, 1, seed=3)
    expected = []
    for _ in range(WALKS):
        alone.walk(by_turns([0]))
        expected.append(alone.results())
    kept = []
    for order in orders_of(threads):
        walked = Walked(program, threads, seed=3)
        kept.append(walked)
        for results in expected:
            walked.walk(order)
            assert walked.results() == results
    assert any(row.shared for row in kept[0].program.plan.instructions)


def test_strips_are_cut_into_uneven_shares(small_shares: None) -> None:
    for declare in (_strips, _strips_of_batches):
        rows = Walked(declare(gc.Graph()).program, 3, seed=0).program.plan.instructions
        assert any(row.shared and STRIP_NUMBER.text in row.source.text for row in rows)


# --- scratch memory ------------------------------------------------------------------------------

_UNTOUCHED = 0xA5


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("declare", SHARED, ids=lambda declare: declare.__name__[1:])
def test_no_two_threads_write_to_the_same_scratch_memory(
    declare: Callable[[gc.Graph], gc.Function], threads: int, small_shares: None
) -> None:
    walked = Walked(declare(gc.Graph(seed=1)).program, threads, seed=3)
    owners: dict[tuple[int, int], int] = {}
    for row, thread in walked.calls(by_turns(range(threads))):
        source = walked.program.plan.instructions[row].source
        addresses = walked.addresses()
        areas = {
            addresses[number]: np.ctypeslib.as_array(
                (ctypes.c_uint8 * storage.nbytes).from_address(addresses[number])
            )
            for number, storage in zip(walked.rows[row].arguments, source.arguments, strict=True)
            if storage in source.scratch and not walked.rows[row].solo
        }
        before = {address: area.copy() for address, area in areas.items()}
        for area in areas.values():
            area[:] = _UNTOUCHED
        walked.call(row, thread)
        for address, area in areas.items():
            touched = area != _UNTOUCHED
            area[~touched] = before[address][~touched]
            for byte in np.flatnonzero(touched).tolist():
                assert owners.setdefault((row, address + byte), thread) == thread
