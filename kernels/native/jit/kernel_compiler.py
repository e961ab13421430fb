"""From kernel source and textual LLVM IR to machine code, with numba as the front end.

numba reads and types the source. Its LLVM IR is linked here with the vector math and the
microkernels that it calls, optimised once for the chosen target, and loaded. The object code needs
no symbol of numba or of Python.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from numba.core import types
from numba.core.compiler import CompilerBase, Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.cpu_options import FastMathOptions
from numba.core.target_extension import target_override
from numba.core.typed_passes import NopythonTypeInference
from numba.core.untyped_passes import FixupArgs, IRProcessing, TranslateByteCode

from graphc.kernels.host.forks import Awaited, await_before_fork
from graphc.kernels.native.finishing import KernelFinisher, TranslatedKernel
from graphc.kernels.native.jit.buffers import install_buffers
from graphc.kernels.native.jit.primitives import (
    call_indexed_microkernel,
    call_microkernel,
    kernel_namespace,
)
from graphc.kernels.native.jit.target import TARGET_NAME, KernelLowering, KernelText, kernel_target
from graphc.kernels.native.llvm import CompiledKernel, default_target, host_target, load_object

# numba's state must be whole in a forked child.
await_before_fork(Awaited.NUMBA, global_compiler_lock)


def _kernel_flags(lines: bool) -> Flags:
    # Flags are descriptors that numba's own annotations do not describe.
    flags: Any = Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.no_rewrites = True
    flags.error_model = "numpy"
    # No contraction: LLVM would choose differently in a vector body and in its tail.
    flags.fastmath = FastMathOptions(set())
    flags.debuginfo = flags.dbg_directives_only = lines
    return flags


class _KernelPipeline(CompilerBase):
    """The passes of numba that kernel source needs: it has no closures, generators, literals to
    unroll, variables of two types or values to be released. LLVM brings variables into SSA form."""

    def define_pipelines(self) -> list[PassManager]:
        passes = PassManager("kernel")
        for each in (
            TranslateByteCode,
            FixupArgs,
            IRProcessing,
            NopythonTypeInference,
            KernelLowering,
        ):
            passes.add_pass(each, each.__name__)
        passes.finalize()
        return [passes]


class MicrokernelLike(Protocol):
    """Textual LLVM IR that defines `void @name(i64, ptr, i64, i64, ptr, i64, ptr, i64)`, with one
    more `ptr` when it is indexed."""

    @property
    def name(self) -> str: ...

    @property
    def llvm_ir(self) -> str: ...

    @property
    def is_indexed(self) -> bool: ...


class KernelCompiler:
    """Compiles kernel source; holds the primitives that it calls."""

    def __init__(self, vector_bits: int | None = None) -> None:
        """`vector_bits` is the width of vectors, that of `default_target` unless given."""
        self.target = default_target() if vector_bits is None else host_target(vector_bits)
        self._namespace = kernel_namespace()
        self._finisher = KernelFinisher(self.target)
        # Calls of microkernels by symbol: numba keeps each that is made as long as it lives.
        self._calls: dict[tuple[str, bool], Any] = {}
        self._numba = kernel_target()
        install_buffers(self._numba)

    def compile_kernel(self, source: str, name: str, **options: Any) -> CompiledKernel:
        """Compile the function `name` of `source`; the options and errors are `translate`'s."""
        return self.finish(self.translate(source, name, **options))

    def translate(
        self,
        source: str,
        name: str,
        *,
        filename: str,
        microkernels: Sequence[MicrokernelLike] = (),
        unroll: bool = True,
        long_rows: bool = False,
        lines: bool = False,
    ) -> TranslatedKernel:
        """The first half of `compile_kernel`, which is Python's and asks nothing of LLVM.

        `source` has `def name(args, thread, threads)`, with an int result.
        `filename` is what tracebacks and profilers show. `microkernels` are callable by name.
        `unroll` and `long_rows` are those of `KernelSource`.
        `lines` keeps the lines of the source beside the code, which is the same without: for
        reading LLVM IR and assembly.
        Raises numba's errors, with a note that names the kernel, when the source cannot be typed.
        """
        text = source.splitlines(keepends=True)
        linecache.cache[filename] = (len(source), None, text, filename)
        namespace = dict(self._namespace)
        namespace.update({kernel.name: self._call(kernel) for kernel in microkernels})
        exec(compile(source, filename, "exec"), namespace)
        try:
            llvm_ir, native_name = self._generate(namespace[name], lines)
        except Exception as error:
            error.add_note(f"while compiling kernel {name} of {filename}")
            raise
        return TranslatedKernel(
            source,
            name,
            filename,
            llvm_ir,
            native_name,
            tuple(kernel.llvm_ir for kernel in microkernels),
            unroll,
            long_rows,
            lines,
        )

    def finish(self, kernel: TranslatedKernel) -> CompiledKernel:
        """The second half of `compile_kernel`, which is LLVM's."""
        native = load_object(self._finisher.object_code(kernel), self.target)
        address = native.address(kernel.name)
        return CompiledKernel(kernel.name, kernel.source, kernel.filename, address, native)

    def _generate(self, function: Callable[..., Any], lines: bool) -> tuple[str, str]:
        """What numba makes of a kernel function, and the name that it gives it."""
        pointers = types.CPointer(types.voidptr)
        generated = KernelText()
        with global_compiler_lock, target_override(TARGET_NAME):
            native_name = compile_extra(
                self._numba.typing_context,
                self._numba.target_context,
                function,
                (pointers, types.int64, types.int64),
                types.int32,
                _kernel_flags(lines),
                {},
                pipeline_class=_KernelPipeline,
                library=generated,
            )
        return generated.llvm_ir, native_name

    def _call(self, microkernel: MicrokernelLike) -> Any:
        """What kernel source calls by the microkernel's name."""
        key = (microkernel.name, microkernel.is_indexed)
        if key not in self._calls:
            make = call_indexed_microkernel if microkernel.is_indexed else call_microkernel
            self._calls[key] = make(microkernel.name)
        return self._calls[key]
