"""From a plan to machine code bound to memory, ready to run."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from graphc.compiler.pipeline import Compilation
from graphc.compiler.plan import Plan
from graphc.ir.graph import Node
from graphc.ir.op import Array
from graphc.ir.reference import out_of_range
from graphc.kernels.access import place_in_memory
from graphc.kernels.cache import Entry, ObjectCache, open_cache, source_digest
from graphc.kernels.executor import (
    Executor,
    Instruction,
    InstructionTable,
    KernelStopped,
    load_executor,
)
from graphc.kernels.executor_ir import EXECUTOR_IR
from graphc.kernels.group import viewed
from graphc.kernels.memory import aligned_empty
from graphc.kernels.pool import ThreadPool, ThreadPools
from graphc.kernels.row_kernels import (
    GATHER_SYMBOL,
    ROW_KERNELS_IR,
    RowKernels,
    load_row_kernels,
)
from graphc.kernels.source import KernelSource, Storage, canonical_text
from graphc.kernels.thread_choice import TableRunner

# llvmlite and numba are imported where they are first needed, which may be never.
if TYPE_CHECKING:
    from graphc.kernels.jit import KernelCompiler
    from graphc.kernels.llvm import CompiledKernel, NativeModule, Target

# One of the functions that the executor's machine code defines.
EXECUTOR_SYMBOL = "graphc_run"
EXECUTOR_DIGEST = source_digest([EXECUTOR_IR])


class Native:
    """What turns source into machine code: taken from disk where it was compiled before.

    target: what code is made for. cache: None to compile everything in this process.
    """

    def __init__(self, target: Target, cache: ObjectCache | None) -> None:
        self.target = target
        self.vector_bits = target.vector_bits
        self.cache = cache
        # The kernels in use, by the digest of their source.
        self._kernels: weakref.WeakValueDictionary[str, CompiledKernel] = (
            weakref.WeakValueDictionary()
        )
        self._lock = threading.Lock()

    @functools.cached_property
    def compiler(self) -> KernelCompiler:
        """Made for the first kernel that is not on disk: importing numba takes half a second."""
        from graphc.kernels.jit import KernelCompiler

        return KernelCompiler(self.vector_bits)

    @functools.cached_property
    def executor(self) -> Executor:
        from graphc.kernels.llvm import compile_ir

        def compiled() -> tuple[NativeModule, str]:
            return compile_ir(EXECUTOR_IR, self.target), EXECUTOR_SYMBOL

        module, _ = self._module("executor", EXECUTOR_DIGEST, compiled)
        return load_executor(module)

    @functools.cached_property
    def row_kernels(self) -> RowKernels:
        from graphc.kernels.llvm import compile_ir

        def compiled() -> tuple[NativeModule, str]:
            return compile_ir(ROW_KERNELS_IR, self.target), GATHER_SYMBOL

        module, _ = self._module("rows", source_digest([ROW_KERNELS_IR]), compiled)
        return load_row_kernels(module)

    @functools.cached_property
    def pools(self) -> ThreadPools:
        return ThreadPools(self.executor)

    def compile(self, source: KernelSource) -> CompiledKernel:
        """The kernel, or an equal one of other names that is in use or on disk."""
        from graphc.kernels.llvm import CompiledKernel

        filename = f"<graphc {source.name}>"

        def compiled() -> tuple[NativeModule, str]:
            kernel = self.compiler.compile_kernel(
                source.text,
                source.name,
                filename=filename,
                microkernels=source.microkernels,
                unroll=source.unroll,
            )
            return kernel.native, kernel.name

        digest = kernel_digest(source)
        with self._lock:
            found = self._kernels.get(digest)
            if found is None:
                module, symbol = self._module(source.name, digest, compiled)
                address = module.address(symbol)
                found = CompiledKernel(source.name, source.text, filename, address, module)
                self._kernels[digest] = found
            return found

    def _module(
        self, name: str, digest: str, compiled: Callable[[], tuple[NativeModule, str]]
    ) -> tuple[NativeModule, str]:
        """Machine code and the symbol that it defines, which perf is told where it is wanted."""
        from graphc.kernels import perf_map

        module, symbol = self._found_or_compiled(name, digest, compiled)
        if perf_map.is_wanted():
            perf_map.append_to_map(name, symbol, module)
        return module, symbol

    def _found_or_compiled(
        self, name: str, digest: str, compiled: Callable[[], tuple[NativeModule, str]]
    ) -> tuple[NativeModule, str]:
        """From disk, or else compiled and stored."""
        from graphc.kernels.llvm import load_object

        if self.cache is None:
            return compiled()
        entry = self.cache.load(digest)
        if entry is not None:
            return load_object(entry.object_code, self.target, entry.bitcode), entry.symbol
        module, symbol = compiled()
        build = self.cache.build
        self.cache.store(Entry(name, symbol, digest, build, module.object_code, module.bitcode))
        return module, symbol


def kernel_digest(source: KernelSource) -> str:
    """What a kernel's machine code depends on besides the build; equal kernels of other names have
    the same."""
    microkernels = (kernel.llvm_ir for kernel in source.microkernels)
    return source_digest([canonical_text(source), f"unroll={source.unroll}", *microkernels])


@functools.cache
def native() -> Native:
    """This process' compiler and executor.

    Raises SettingError for a GRAPHC_VECTOR_BITS that is no width of this machine's vectors.
    """
    from graphc.kernels.llvm import default_target

    target = default_target()
    return Native(target, open_cache(target))


class LoadedProgram:
    """A compiled program with its arena, bound to the memory of its states.

    Serves one run at a time.
    """

    def __init__(self, compilation: Compilation, states: Mapping[str, Array]) -> None:
        assert compilation.plan is not None
        self.compilation = compilation
        self.plan: Plan = compilation.plan
        # Equal kernels are compiled once; each still shows its own name and source.
        self._machine_code = [native().compile(i.source) for i in self.plan.instructions]
        self.kernels = tuple(
            replace(code, name=row.name, source=row.source.text, filename=f"<graphc {row.name}>")
            for code, row in zip(self._machine_code, self.plan.instructions, strict=True)
        )
        self._arena = aligned_empty(self.plan.arena.nbytes)
        self._constants = {
            storage: np.ascontiguousarray(node.attributes["value"].array)
            for node, storage in self.plan.storages.constants.items()
        }
        self._states = {
            storage: states[node.name] for node, storage in self.plan.storages.states.items()
        }
        self.pool = self._pool()
        # Of the table's buffers; those of inputs, which come first, are 0: each run says where.
        self.addresses: tuple[int, ...] = ()
        self.table = self._table()
        self._runner = TableRunner(self.table)
        self.outputs = {name: self._view(node) for name, node in compilation.program.outputs}

    def run(self, addresses: Sequence[int], repeats: int = 1) -> None:
        """Runs the program on inputs at `addresses`; results stand in `outputs` until the next run.

        Raises IndexError, before any update, when an index is out of range.
        """
        try:
            self._runner.run(addresses, repeats)
        except KernelStopped as stopped:
            raise self.explained(stopped, stopped.instruction) from None

    def explained(self, stopped: KernelStopped, instruction: int) -> Exception:
        """IndexError where it is a check of indices that stopped, else `stopped` itself."""
        checked = self.plan.instructions[instruction].checked
        if checked is None:
            return stopped
        return IndexError(out_of_range(checked, checked.attributes["limit"]))

    def _table(self) -> InstructionTable:
        inputs = list(self.plan.storages.inputs.values())
        storages: dict[Storage, int] = {storage: i for i, storage in enumerate(inputs)}
        for instruction in self.plan.instructions:
            for storage in instruction.source.arguments:
                storages.setdefault(storage, len(storages))
        addresses = [0] * len(inputs)
        addresses += [
            self._memory(storage).ctypes.data for storage in list(storages)[len(inputs) :]
        ]
        rows = [
            Instruction(
                planned.name,
                kernel.address,
                tuple(storages[storage] for storage in planned.source.arguments),
                barrier=planned.barrier,
                solo=not planned.shared,
            )
            for planned, kernel in zip(self.plan.instructions, self.kernels, strict=True)
        ]
        self.addresses = tuple(addresses)
        external = tuple(range(len(inputs)))
        return InstructionTable(native().executor, rows, addresses, external, pool=self.pool)

    def _pool(self) -> ThreadPool | None:
        """The threads that run the plan; none where no kernel is worth sharing."""
        threads = self.compilation.options.threads
        is_shared = any(row.shared for row in self.plan.instructions)
        return native().pools.pool(threads) if threads > 1 and is_shared else None

    def _memory(self, storage: Storage) -> Array:
        """The storage's elements as a flat array."""
        if storage in self._constants:
            return self._constants[storage].reshape(-1)
        if storage in self._states:
            return self._states[storage].reshape(-1)
        offset = self.plan.arena.offsets[storage]
        part = self._arena[offset : offset + storage.nbytes]
        return part.view(storage.dtype.numpy)

    def _view(self, node: Node) -> Array:
        """The output's elements where its kernel leaves them."""
        place = place_in_memory(node)
        assert place is not None
        flat = self._memory(self.plan.storages.of(viewed(node)))
        strides = tuple(stride * node.dtype.itemsize for stride in place.strides)
        if not flat.size:
            return np.empty(node.type.dims, node.dtype.numpy)
        return np.lib.stride_tricks.as_strided(
            flat[place.offset :], node.type.dims, strides, writeable=False
        )
