"""Whatever threads do between two barriers, in whatever order: the bits are those of one thread.

Threads that run into each other do so seldom. Here each has its turn: between two barriers one
thread calls all its kernels before another begins.
"""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from graphc.compiler import sharing
from graphc.compiler.assemble import compiled
from graphc.compiler.native import LoadedProgram, native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.ir import build
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.op import Array
from graphc.kernels.executor import Instruction
from graphc.kernels.memory import data_address

PROGRAMS = 24
WALKS = 3
# Two threads take 7 and 6 rows, three 5, 5 and 3.
EXTENT = 13
STEPS = 4

KERNEL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@pytest.fixture(autouse=True)
def _all_products_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "SURELY_SHARED_CYCLES", 0)
    monkeypatch.setattr(sharing, "BARRIER_CYCLES", 1)


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


class _Loaded:
    """A program for some threads, with arrays of its own."""

    def __init__(self, program: Program, threads: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        compilation = compile_program(program, Options({}, True, native().vector_bits, threads))

        def drawn(node: Node) -> Array:
            return rng.uniform(-1, 1, node.type.dims).astype(node.dtype.numpy)

        self.threads = threads
        self.inputs = [drawn(node) for node in compilation.program.inputs]
        self.states = {node.name: drawn(node) for node in program.states}
        self.program = LoadedProgram(compiled(compilation), self.states)

    def results(self) -> dict[str, bytes]:
        found = {**self.program.outputs, **{f"state {k}": v for k, v in self.states.items()}}
        return {name: value.tobytes() for name, value in found.items()}

    def walk(self, turns: Sequence[int]) -> None:
        """Walks the table; between barriers the threads have their turns in this order."""
        addresses = list(self.program.addresses)
        addresses[: len(self.inputs)] = map(data_address, self.inputs)
        for rows in _between_barriers(self.program.table.instructions):
            for thread in turns:
                for row in rows:
                    if thread == 0 or not row.solo:
                        pointers = (ctypes.c_int64 * len(row.arguments))(
                            *(addresses[number] for number in row.arguments)
                        )
                        sharing_it = 1 if row.solo else self.threads
                        kernel = KERNEL(row.address)
                        assert kernel(ctypes.addressof(pointers), thread, sharing_it) == 0


def _between_barriers(rows: Sequence[Instruction]) -> Iterator[list[Instruction]]:
    together: list[Instruction] = []
    for row in rows:
        if row.barrier and together:
            yield together
            together = []
        together.append(row)
    yield together


def test_any_order_of_threads_has_the_same_bits() -> None:
    kept: list[_Loaded] = []  # so that equal kernels are compiled once
    followed = 0
    for seed in range(PROGRAMS):
        program, threads = _chain(seed), 2 + seed % 2
        alone, *others = (_Loaded(program, n, seed) for n in (1, threads, threads))
        kept += [alone, *others]
        orders = ([0], range(threads), range(threads)[::-1])
        for loaded, turns in zip((alone, *others), orders, strict=True):
            for _ in range(WALKS):
                loaded.walk(turns)
            assert loaded.results() == alone.results(), (seed, list(turns))
        rows = others[0].program.plan.instructions
        followed += sum(row.shared and not row.barrier for row in rows[1:])
    # Enough go on without a barrier, or there would be nothing to test.
    assert followed > PROGRAMS / 2
