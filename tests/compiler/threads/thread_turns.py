"""Programs walked as threads would, one at a time and in any order, on this thread alone."""

from __future__ import annotations

import ctypes
import itertools
import random
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.native import LoadedProgram, native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.ir.graph import Node, Program
from graphc.ir.nodes.op import Array
from graphc.kernels.run.instruction_table import Instruction
from graphc.kernels.run.memory import data_address

KERNEL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)

# A row of the table and a thread.
Call = tuple[int, int]
# The calls between two barriers in some order, from those of each thread in theirs.
Order = Callable[[list[list[Call]]], list[Call]]


def by_turns(turns: Sequence[int]) -> Order:
    """One thread makes all its calls before another begins."""
    return lambda calls: [call for thread in turns for call in calls[thread]]


def mixed(seed: int) -> Order:
    """A random one of all orders."""
    rng = random.Random(seed)

    def order(calls: list[list[Call]]) -> list[Call]:
        left = [list(each) for each in calls]
        merged = []
        while any(left):
            merged.append(rng.choice([each for each in left if each]).pop(0))
        return merged

    return order


def orders_of(threads: int, seeds: int = 2) -> list[Order]:
    """All turns of a few threads, and some mixed orders."""
    turns = [by_turns(each) for each in itertools.permutations(range(threads))]
    return [*turns, *(mixed(seed) for seed in range(seeds))]


class Walked:
    """A program for some threads, with arrays of its own."""

    def __init__(self, program: Program, threads: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        compilation = compile_program(program, Options({}, True, native().vector_bits, threads))

        def drawn(node: Node) -> Array:
            if node.dtype.numpy.kind != "f":
                return rng.integers(0, 4, node.type.dims).astype(node.dtype.numpy)
            return rng.uniform(-1, 1, node.type.dims).astype(node.dtype.numpy)

        self.threads = threads
        self.inputs = [drawn(node) for node in compilation.program.inputs]
        self.states = {node.name: drawn(node) for node in program.states}
        self.program = LoadedProgram(compiled(compilation), self.states)

    @property
    def rows(self) -> tuple[Instruction, ...]:
        return self.program.table.instructions

    def results(self) -> dict[str, bytes]:
        found = {**self.program.outputs, **{f"state {k}": v for k, v in self.states.items()}}
        return {name: value.tobytes() for name, value in found.items()}

    def addresses(self) -> list[int]:
        """Of all buffers."""
        found = list(self.program.addresses)
        found[: len(self.inputs)] = map(data_address, self.inputs)
        return found

    def walk(self, order: Order) -> None:
        """Walks the table; between barriers the calls of all threads are in this order."""
        for row, thread in self.calls(order):
            self.call(row, thread)

    def calls(self, order: Order) -> Iterator[Call]:
        for together in _between_barriers(self.rows):
            yield from order(
                [
                    [(row, thread) for row in together if thread == 0 or not self.rows[row].solo]
                    for thread in range(self.threads)
                ]
            )

    def call(self, row: int, thread: int) -> None:
        instruction, addresses = self.rows[row], self.addresses()
        pointers = (ctypes.c_int64 * len(instruction.arguments))(
            *(addresses[number] for number in instruction.arguments)
        )
        threads = 1 if instruction.solo else self.threads
        assert KERNEL(instruction.address)(ctypes.addressof(pointers), thread, threads) == 0


def _between_barriers(rows: Sequence[Instruction]) -> Iterator[list[int]]:
    together: list[int] = []
    for number, row in enumerate(rows):
        if row.barrier and together:
            yield together
            together = []
        together.append(number)
    yield together
