"""Steps on the rows of whole arrays, batch after batch in one native loop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from graphc.compiler.load.native import LoadedProgram, native
from graphc.ir.nodes.op import Array
from graphc.kernels.run.gate import Gate
from graphc.kernels.run.instruction_table import Instruction, InstructionTable, KernelStopped
from graphc.kernels.run.memory import aligned_empty, data_address
from graphc.kernels.run.row_kernels import row_extent
from graphc.kernels.run.thread_choice import TableRunner

# Batches of fewer bytes are gathered by one thread: sharing them takes longer than it saves.
SHARED_GATHER_BYTES = 1 << 16


class RowOrder:
    """An order of rows, checked; a copy, so that what is read is what was checked.

    values: i64 (rows,), the numbers of the rows.
    """

    def __init__(self, order: Array | None, rows: int) -> None:
        """Raises ValueError for no order or one of other length, and IndexError outside the
        rows."""
        if order is None or order.shape != (rows,) or order.dtype != np.int64:
            raise ValueError(f"an order of {rows} rows expected, i64 ({rows},)")
        self.values = np.array(order, order="C")
        if self.values.min() < 0 or self.values.max() >= rows:
            least, greatest = self.values.min(), self.values.max()
            raise IndexError(f"an order of {rows} rows names row {greatest} or {least}")


class RowLoop:
    """A loaded program of which each run is many steps, each on the next `batch_size` rows.

    Rows in order are read where they are: between two steps the inputs' addresses move on. With
    `gathers` a run is given an order, and the table begins with a kernel an input that copies the
    rows of the batch side by side; inputs that are in place the program reads by the order itself,
    which is its last input. Behind the program a kernel an output copies it to its place among
    those of all steps. One that can stop the loop comes last.

    arrays: for each input, C-contiguous, of its dtype, and with the rows of all batches.
    gate: the loop runs inside of it, since all runs of the program use the same memory.
    name: the program's, in errors.
    in_place: the inputs that the program takes whole (`Options.row_inputs`).
    stop_unless: a bool output; the loop ends with the first step in which it is false.
    """

    def __init__(
        self,
        loaded: LoadedProgram,
        arrays: Sequence[Array],
        batch_size: int,
        gate: Gate,
        *,
        name: str,
        gathers: bool,
        in_place: Collection[str] = (),
        stop_unless: str | None = None,
    ) -> None:
        self.batch_size = batch_size
        self._loaded = loaded
        self._gate = gate
        self._name = name
        self._gathers = gathers
        self._in_place = in_place
        self._arrays = list(arrays)
        self._rows = len(arrays[0])
        self._addresses = list(loaded.addresses)
        # What the addresses that the loop adds point at.
        self._memory: list[Array] = []
        self._first, table = self._make_table(stop_unless)
        self._runner = TableRunner(table, loaded.choice_of_loops)

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """The table, of which every step is a walk."""
        return self._runner.table.instructions

    def run(
        self, first: int, steps: int, order: RowOrder | Array | None = None
    ) -> dict[str, Array]:
        """Makes `steps` steps, the first on the `batch_size` rows from `first` on.

        order: the numbers (i64) of the rows, for a loop that gathers them; `first` counts in it.
            An array is copied and checked in each run, which reads all of it; who makes many runs
            by one order makes a `RowOrder` of it.

        Returns each output, (steps, *its shape); fewer where `stop_unless` was false, which the
        last one is. Raises ValueError for rows that there are not, and IndexError for an index out
        of range: states are then those after a whole number of steps.
        """
        end = first + steps * self.batch_size
        if steps < 1 or not 0 <= first < end <= self._rows:
            raise ValueError(f"rows {first} to {end} of {self._rows}: no steps on such rows")
        read = self._arrays
        if self._gathers:
            checked = order if isinstance(order, RowOrder) else RowOrder(order, self._rows)
            if len(checked.values) != self._rows:
                raise ValueError(f"an order of {self._rows} rows expected, not of another number")
            read = [checked.values]
        outputs = self._loaded.outputs
        logs = {name: np.empty((steps, *x.shape), x.dtype) for name, x in outputs.items()}
        row_bytes = [array.nbytes // len(array) for array in read]
        starts = [data_address(a) + first * n for a, n in zip(read, row_bytes, strict=True)]
        starts += [data_address(log) for log in logs.values()]
        advances = [self.batch_size * n for n in row_bytes]
        advances += [log.nbytes // steps for log in logs.values()]
        with self._gate.entered(self._loaded, self._name):
            made = self._run(starts, steps, advances)
        return {name: log[:made] for name, log in logs.items()}

    def _run(self, starts: list[int], steps: int, advances: list[int]) -> int:
        """The number of steps that were made."""
        try:
            self._runner.run(starts, steps, advances)
        except KernelStopped as stopped:
            instruction = stopped.instruction - self._first
            if instruction >= len(self._loaded.table):
                return stopped.walk + 1
            raise self._loaded.explained(stopped, instruction) from None
        return steps

    # --- the table -----------------------------------------------------------------------------

    def _make_table(self, stop_unless: str | None) -> tuple[int, InstructionTable]:
        """The table, and where in it the program begins."""
        program = list(self._loaded.table.instructions)
        before: list[Instruction] = []
        external = list(range(len(self._arrays)))
        if self._gathers:
            external = [len(self._arrays) if self._in_place else self._buffer(None)]
            before = self._gathering(external[0])
        if before:
            program[0] = replace(program[0], barrier=True)
        after: list[Instruction] = []
        for output in self._loaded.outputs.values():
            external.append(self._buffer(None))
            after.append(self._copying(output, external[-1]))
        if stop_unless is not None:
            after.append(self._stopping(self._loaded.outputs[stop_unless]))
        if after:
            after[0] = replace(after[0], barrier=True)
        table = InstructionTable(
            native().executor,
            [*before, *program, *after],
            self._addresses,
            external,
            pool=self._loaded.pool,
        )
        return len(before), table

    def _buffer(self, memory: Array | None) -> int:
        """The number of a new buffer, external where there is no memory yet."""
        if memory is not None:
            self._memory.append(memory)
        self._addresses.append(0 if memory is None else data_address(memory))
        return len(self._addresses) - 1

    def _gathering(self, order: int) -> list[Instruction]:
        """Copies of the batch's rows to memory that the program reads in place of the inputs."""
        kernel = native().row_kernels.gather
        used = {number for row in self._loaded.table.instructions for number in row.arguments}
        instructions = []
        for number, array in enumerate(self._arrays):
            if number not in used:
                continue
            if self._loaded.executable.buffers[number].name in self._in_place:
                self._addresses[number] = data_address(array)
                continue
            batch = array[: self.batch_size]
            target = aligned_empty(batch.nbytes)
            self._memory.append(target)
            self._addresses[number] = data_address(target)
            source = self._buffer(array)
            extent = self._buffer(row_extent(len(batch), batch.nbytes // len(batch)))
            arguments = (number, source, order, extent)
            solo = batch.nbytes < SHARED_GATHER_BYTES
            instructions.append(Instruction("gather", kernel, arguments, solo=solo))
        return instructions

    def _copying(self, output: Array, log: int) -> Instruction:
        """A copy of an output as one row, or element by element where it is a view with gaps."""
        is_whole = output.flags.c_contiguous
        rows = np.zeros(1, np.int64) if is_whole else _element_offsets(output)
        source, order = self._buffer(output), self._buffer(rows)
        extent = self._buffer(row_extent(len(rows), output.nbytes // max(len(rows), 1)))
        return Instruction(
            "log", native().row_kernels.gather, (log, source, order, extent), solo=True
        )

    def _stopping(self, flag: Array) -> Instruction:
        kernel = native().row_kernels.stop_unless
        return Instruction("stop_unless", kernel, (self._buffer(flag),), solo=True)


def _element_offsets(view: Array) -> Array:
    """Where the elements stand, in row-major order, counted in elements from the first one; i64."""
    offsets = np.zeros((1,) * view.ndim, np.int64)
    for axis, (extent, stride) in enumerate(zip(view.shape, view.strides, strict=True)):
        steps = np.arange(extent, dtype=np.int64) * (stride // view.itemsize)
        offsets = offsets + np.expand_dims(steps, tuple(a for a in range(view.ndim) if a != axis))
    return offsets.ravel()
