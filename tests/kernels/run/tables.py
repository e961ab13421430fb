"""Tables of the tests of executor and threads, and the arrays that they work on."""

import time
from collections.abc import Callable

import numpy as np

from graphc.kernels.run.executor import Executor, MachineCode
from graphc.kernels.run.instruction_table import Instruction, InstructionTable
from graphc.kernels.run.pool import ThreadPool
from tests.kernels.run.pool_kernels import MARK_WORDS

WALKS = 3_000
ENDLESS = 2**60
# Cycles by which the counters of two processors may differ, and reads of one change places.
CLOCK_SLACK = 1_000
# What must happen soon has so long; then the test fails rather than hangs.
PATIENCE_SECONDS = 60


def int64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def addresses(*arrays: np.ndarray) -> list[int]:
    return [array.ctypes.data for array in arrays]


def journal_table(
    executor: Executor, kernels: MachineCode, length: int, tags: np.ndarray
) -> tuple[InstructionTable, np.ndarray]:
    """One `write_journal` a tag, and the journal."""
    journal = np.zeros(length + 1, np.int64)
    write = kernels.address("write_journal")
    instructions = [Instruction(f"write{k}", write, (0, k + 1)) for k in range(len(tags))]
    tag_addresses = [tags[k:].ctypes.data for k in range(len(tags))]
    return InstructionTable(executor, instructions, [*addresses(journal), *tag_addresses]), journal


class Marks:
    """A mark a thread, each on a line of its own, and a count of differences."""

    def __init__(self, threads: int) -> None:
        self.words = np.zeros((threads, MARK_WORDS), np.int64)
        self.differences = int64(0)
        self.addresses = [self.words.ctypes.data, self.differences.ctypes.data]

    def values(self) -> list[int]:
        return [int(mark) for mark in self.words[:, 0]]


def counting_table(
    executor: Executor, kernels: MachineCode, pool: ThreadPool, marks: Marks
) -> InstructionTable:
    """All threads count; behind a barrier each compares its own count with the others'."""
    count = Instruction("count", kernels.address("count"), (0,), barrier=True)
    compare = Instruction("compare", kernels.address("compare"), (0, 1), barrier=True)
    return InstructionTable(executor, [count, compare], marks.addresses, pool=pool)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)
