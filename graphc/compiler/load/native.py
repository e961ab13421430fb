"""From a plan to machine code bound to memory, ready to run."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphc.compiler.load.compiled import CompiledProgram
from graphc.compiler.load.executable import Buffer, BufferRole, Loop, Output
from graphc.compiler.load.kernel_code import KernelCode, WantedKernel
from graphc.compiler.load.kernel_compilers import KernelCompilers
from graphc.compiler.load.plan_cache import plan_cache
from graphc.display.announcement import Announcer, Work
from graphc.ir.lazy import Lazy
from graphc.ir.nodes.op import Array
from graphc.kernels.host.cache_entry import Entry, source_digest
from graphc.kernels.host.forks import RenewedLock
from graphc.kernels.host.imports import whole_imports
from graphc.kernels.native.cache import KERNEL, DiskCache, open_cache
from graphc.kernels.run.executor import Executor, load_executor
from graphc.kernels.run.executor_code.executor_ir import EXECUTOR_IR
from graphc.kernels.run.instruction_table import Instruction, InstructionTable, KernelStopped
from graphc.kernels.run.instructions import BeginLoop, EndLoop, Slice
from graphc.kernels.run.memory import aligned_empty
from graphc.kernels.run.pool import ThreadPool, ThreadPools
from graphc.kernels.run.row_kernels import (
    GATHER_SYMBOL,
    ROW_KERNELS_IR,
    RowKernels,
    load_row_kernels,
)
from graphc.kernels.run.thread_choice import TableRunner, ThreadChoice

# The passes, llvmlite and numba are imported where they are first needed, which may be never.
if TYPE_CHECKING:
    from graphc.compiler.pipeline import Compilation
    from graphc.compiler.plan.planning import Plan
    from graphc.kernels.loops.language.source import KernelSource
    from graphc.kernels.native.llvm import CompiledKernel, NativeModule, Target

# One of the functions that the executor's machine code defines.
EXECUTOR_SYMBOL = "graphc_run"
EXECUTOR_DIGEST = source_digest([EXECUTOR_IR])


class Native:
    """What turns source into machine code: taken from disk where it was compiled before.

    target: what code is made for. cache: None to compile everything in this process.
    """

    def __init__(self, target: Target, cache: DiskCache | None) -> None:
        self.target = target
        self.vector_bits = target.vector_bits
        self.cache = cache
        self.compilers = KernelCompilers(target)
        # The kernels in use, by the digest of their source.
        self._kernels: weakref.WeakValueDictionary[str, KernelCode] = weakref.WeakValueDictionary()
        # Held while kernels are compiled, and while what all programs share is made.
        self._compiling = RenewedLock()
        self._making = RenewedLock()
        self._executor: Executor | None = None
        self._row_kernels: RowKernels | None = None
        self._pools: ThreadPools | None = None
        self.announcer = Announcer()

    @Lazy
    def plans(self) -> DiskCache | None:
        """Plans on disk, beside the kernels."""
        return None if self.cache is None else plan_cache(self.cache)

    @property
    def executor(self) -> Executor:
        if self._executor is None:
            with self._making.lock:
                if self._executor is None:
                    self._executor = self._load_executor()
        return self._executor

    @property
    def row_kernels(self) -> RowKernels:
        if self._row_kernels is None:
            with self._making.lock:
                if self._row_kernels is None:
                    self._row_kernels = self._load_row_kernels()
        return self._row_kernels

    @property
    def pools(self) -> ThreadPools:
        if self._pools is None:
            with self._making.lock:
                if self._pools is None:
                    self._pools = ThreadPools(self.executor)
        return self._pools

    def _load_executor(self) -> Executor:
        from graphc.kernels.native.llvm import compile_ir

        def compiled() -> tuple[NativeModule, str]:
            return compile_ir(EXECUTOR_IR, self.target, vectorize=False), EXECUTOR_SYMBOL

        module, _ = self._module("executor", EXECUTOR_DIGEST, compiled)
        return load_executor(module)

    def _load_row_kernels(self) -> RowKernels:
        from graphc.kernels.native.llvm import compile_ir

        def compiled() -> tuple[NativeModule, str]:
            return compile_ir(ROW_KERNELS_IR, self.target), GATHER_SYMBOL

        module, _ = self._module("rows", source_digest([ROW_KERNELS_IR]), compiled)
        return load_row_kernels(module)

    def compile(self, source: KernelSource) -> KernelCode:
        """The kernel, or an equal one of other names that is in use or on disk."""
        from graphc.kernels.loops.language.source import kernel_digest

        return self.kernels([WantedKernel(source.name, kernel_digest(source), lambda: source)])[0]

    def kernels(self, wanted: Sequence[WantedKernel], work: Work | None = None) -> list[KernelCode]:
        """The kernels of some digests, in order; those in use or on disk are not compiled.

        `work` is told how many these are, and of each when it is compiled. Raises the error of the
        first kernel, in order, that has one.
        """
        with self._compiling.lock:
            found: dict[str, KernelCode] = {}
            missing: dict[str, WantedKernel] = {}
            for each in wanted:
                if each.digest not in found and each.digest not in missing:
                    code = self._kernels.get(each.digest) or self._stored_kernel(each)
                    if code is None:
                        missing[each.digest] = each
                    else:
                        found[each.digest] = code
            compiled = self._compiled([*missing.values()], work or Work("kernels"))
            found.update(zip(missing, compiled, strict=True))
            self._kernels.update(found)
            return [found[each.digest] for each in wanted]

    def _stored_kernel(self, wanted: WantedKernel) -> KernelCode | None:
        stored = self._stored(wanted.digest)
        return None if stored is None else self._code(wanted.name, *stored)

    def _compiled(self, missing: Sequence[WantedKernel], work: Work) -> list[KernelCode]:
        work.begin(len(missing))

        def finished(each: WantedKernel, module: NativeModule) -> KernelCode:
            code = self._finished(each, module)
            work.advance()
            return code

        return self.compilers.compiled(missing, finished, lambda: self.executor)

    def _finished(self, wanted: WantedKernel, module: NativeModule) -> KernelCode:
        """A new kernel, which is stored."""
        self._store(wanted.name, wanted.digest, module, wanted.name)
        return self._code(wanted.name, module, wanted.name)

    def _code(self, name: str, module: NativeModule, symbol: str) -> KernelCode:
        _tell_perf(name, symbol, module)
        return KernelCode(module.address(symbol), module)

    def _module(
        self, name: str, digest: str, compiled: Callable[[], tuple[NativeModule, str]]
    ) -> tuple[NativeModule, str]:
        """Machine code and the symbol that it defines: from disk, or else compiled and stored."""
        stored = self._stored(digest)
        module, symbol = stored or compiled()
        if stored is None:
            self._store(name, digest, module, symbol)
        _tell_perf(name, symbol, module)
        return module, symbol

    def _stored(self, digest: str) -> tuple[NativeModule, str] | None:
        from graphc.kernels.native.llvm import ObjectCode, load_object

        entry = None if self.cache is None else self.cache.load(digest)
        if entry is None:
            return None
        parts = entry.parts
        module = load_object(ObjectCode(parts["object_code"], parts["bitcode"]), self.target)
        return module, parts["symbol"].decode()

    def _store(self, name: str, digest: str, module: NativeModule, symbol: str) -> None:
        if self.cache is None:
            return
        parts = {
            "symbol": symbol.encode(),
            "object_code": module.object_code,
            "bitcode": module.bitcode,
        }
        self.cache.store(Entry(KERNEL, name, digest, self.cache.build, parts))


def _tell_perf(name: str, symbol: str, module: NativeModule) -> None:
    """Writes machine code to perf's map, where that is wanted."""
    from graphc.kernels.native import perf_map

    if perf_map.is_wanted():
        perf_map.append_to_map(name, symbol, module)


def native() -> Native:
    """This process' compiler and executor.

    Raises SettingError for a GRAPHC_VECTOR_BITS that is no width of this machine's vectors.
    """
    # One for threads that ask for it at once, and none half made in a forked child.
    with whole_imports():
        return _native()


@functools.cache
def _native() -> Native:
    from graphc.kernels.native.llvm import default_target

    target = default_target()
    return Native(target, open_cache(target))


def machine_code(compiled: CompiledProgram, work: Work | None = None) -> list[KernelCode | None]:
    """The kernel of each row, None where a loop begins or ends; equal ones are compiled once.
    `work` is told as in `kernels`."""

    def source(row: int) -> KernelSource:
        plan = compiled.compilation.plan
        return plan.instructions[row].source

    rows = compiled.executable.rows
    wanted = {
        number: WantedKernel(row.name, row.kernel, functools.partial(source, number))
        for number, row in enumerate(rows)
        if row.kernel
    }
    found = dict(zip(wanted, native().kernels([*wanted.values()], work), strict=True))
    return [found.get(number) for number in range(len(rows))]


class LoadedProgram:
    """A compiled program with its arena, bound to the memory of its states.

    Serves one run at a time.
    """

    def __init__(
        self,
        compiled: CompiledProgram,
        states: Mapping[str, Array],
        code: Sequence[KernelCode | None] | None = None,
    ) -> None:
        """code: of each row, compiled now unless it is given."""
        self.compiled = compiled
        self.executable = compiled.executable
        self.code = machine_code(compiled) if code is None else code
        self._arena = aligned_empty(self.executable.arena_bytes)
        # Of each buffer that is no input its elements as a flat array.
        self._memory = [self._memory_of(b, states) for b in self.executable.buffers]
        self.pool = self._pool()
        # Of the table's buffers; those of inputs, which come first, are 0: each run says where.
        self.addresses: tuple[int, ...] = ()
        self.table = self._table()
        self._runner = TableRunner(self.table)
        # One for all loops: what a loop finds out the next one knows, so short ones profit by it.
        self.choice_of_loops = None if self.pool is None else ThreadChoice(self.pool.congestion)
        self.outputs = {output.name: self._view(output) for output in self.executable.outputs}
        compiled.let_go_of_compilation()

    def run(self, addresses: Sequence[int], repeats: int = 1) -> None:
        """Runs the program on inputs at `addresses`; results stand in `outputs` until the next run.

        Raises IndexError, before any update, when an index is out of range.
        """
        try:
            self._runner.run(addresses, repeats)
        except KernelStopped as stopped:
            raise self.explained(stopped, stopped.instruction) from None

    @property
    def compilation(self) -> Compilation:
        """What the passes know of the program; they run now where its plan was on disk."""
        return self.compiled.compilation

    @property
    def plan(self) -> Plan:
        return self.compilation.plan

    @Lazy
    def kernels(self) -> tuple[CompiledKernel, ...]:
        """The kernel of each row that has one. Equal ones have one address, each its own name and
        source."""
        from graphc.kernels.native.llvm import CompiledKernel

        return tuple(
            CompiledKernel(
                row.name, row.source.text, f"<graphc {row.name}>", code.address, code.module
            )
            for code, row in zip(self.code, self.plan.instructions, strict=True)
            if code is not None
        )

    def explained(self, stopped: KernelStopped, instruction: int) -> Exception:
        """IndexError where it is a check of indices that stopped, else `stopped` itself."""
        from graphc.ir.reference import out_of_range

        if not self.executable.rows[instruction].checks_indices:
            return stopped
        checked = self.plan.instructions[instruction].checked
        assert checked is not None
        return IndexError(out_of_range(checked, checked.attributes["limit"]))

    def _table(self) -> InstructionTable:
        rows = [
            Instruction(
                row.name,
                0 if code is None else code.address,
                row.arguments,
                barrier=row.barrier,
                solo=not row.shared,
                starts=row.starts,
            )
            for row, code in zip(self.executable.rows, self.code, strict=True)
        ]
        executor = native().executor
        for loop in self.executable.loops:
            rows[loop.begin] = _begin_loop(rows[loop.begin], loop, executor.begin_loop)
            rows[loop.end] = _end_loop(rows[loop.end], executor.end_loop)
        inputs = self.executable.inputs
        own = (
            0 if buffer.role is BufferRole.SLICE else memory.ctypes.data
            for buffer, memory in zip(
                self.executable.buffers[inputs:], self._memory[inputs:], strict=True
            )
        )
        self.addresses = (*[0] * inputs, *own)
        external = tuple(range(inputs))
        return InstructionTable(executor, rows, self.addresses, external, pool=self.pool)

    def _pool(self) -> ThreadPool | None:
        """The threads that run the program; none where no kernel is worth sharing."""
        threads = self.executable.threads
        is_shared = any(row.shared for row in self.executable.rows)
        return native().pools.pool(threads) if threads > 1 and is_shared else None

    def _memory_of(self, buffer: Buffer, states: Mapping[str, Array]) -> Array:
        """The buffer's elements as a flat array; none for an input, which comes with each run, and
        for a slice, which is in another place in each step."""
        match buffer.role:
            case BufferRole.INPUT | BufferRole.SLICE:
                return np.empty(0, buffer.dtype.numpy)
            case BufferRole.PARAMETER | BufferRole.STATE:
                return states[buffer.name].reshape(-1)
            case BufferRole.CONSTANT:
                assert buffer.value is not None
                return buffer.value.array.reshape(-1)
            case BufferRole.ARENA:
                part = self._arena[buffer.offset : buffer.offset + buffer.nbytes]
                return part.view(buffer.dtype.numpy)

    def _view(self, output: Output) -> Array:
        """The output's elements where its kernel leaves them."""
        flat = self._memory[output.buffer]
        if not flat.size:
            return np.empty(output.shape, flat.dtype)
        strides = tuple(stride * flat.itemsize for stride in output.strides)
        return np.lib.stride_tricks.as_strided(
            flat[output.offset :], output.shape, strides, writeable=False
        )


def _begin_loop(row: Instruction, loop: Loop, address: int) -> BeginLoop:
    slices = tuple(Slice(each.buffer, each.whole, each.first, each.stride) for each in loop.slices)
    return BeginLoop(
        row.name,
        address,
        row.arguments,
        barrier=row.barrier,
        solo=row.solo,
        length=loop.length,
        slices=slices,
        condition=loop.condition,
    )


def _end_loop(row: Instruction, address: int) -> EndLoop:
    return EndLoop(row.name, address, (), barrier=row.barrier, solo=row.solo)
