"""From kernel source and textual LLVM IR to machine code, with numba as the front end.

numba reads and types the source. Its LLVM IR is linked here with the vector math and the
microkernels that it calls, optimised once for the chosen target, and loaded. The object code needs
no symbol of numba or of Python.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import llvmlite.binding as llvm
from numba.core import types
from numba.core.compiler import CompilerBase, Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.cpu_options import FastMathOptions
from numba.core.target_extension import target_override
from numba.core.typed_passes import NopythonTypeInference
from numba.core.untyped_passes import FixupArgs, IRProcessing, TranslateByteCode

from graphc.kernels.host.forks import Awaited, await_before_fork
from graphc.kernels.mathematics import vecmath
from graphc.kernels.mathematics.math_ir import RecordedFunction, record_function, recordable
from graphc.kernels.mathematics.vector_variants import Variant, called_variants, declare_variants
from graphc.kernels.native.interleave import interleave_long_loops
from graphc.kernels.native.jit.buffers import install_buffers
from graphc.kernels.native.jit.primitives import (
    VECTOR_MATH_PREFIX,
    call_indexed_microkernel,
    call_microkernel,
    kernel_namespace,
)
from graphc.kernels.native.jit.target import TARGET_NAME, KernelLowering, KernelText, kernel_target
from graphc.kernels.native.llvm import CompiledKernel, Target, build, default_target, host_target
from graphc.kernels.native.loop_hints import unroll_marked

# numba's state must be whole in a forked child.
await_before_fork(Awaited.NUMBA, global_compiler_lock)

# What numba's native function reports is nonzero only if it raised, which kernels do not do.
RAISED_STATUS = -1

# Debug metadata of the entry point: line directives in assembly, and no sections of their own.
_LINES_OF_ENTRY = """
!llvm.module.flags = !{{!5}}
!llvm.dbg.cu = !{{!0}}
!0 = distinct !DICompileUnit(
  language: DW_LANG_C11, file: !1, isOptimized: true, emissionKind: DebugDirectivesOnly)
!1 = !DIFile(filename: "{name}", directory: "")
!2 = !DISubroutineType(types: !{{}})
!3 = distinct !DISubprogram(
  name: "{name}", scope: !1, file: !1, line: 1, type: !2, unit: !0, spFlags: DISPFlagDefinition)
!4 = !DILocation(line: 1, scope: !3)
!5 = !{{i32 2, !"Debug Info Version", i32 3}}
"""


def _entry_point(name: str, native_name: str, target: Target, lines: bool) -> str:
    """LLVM IR of the kernel's C function around the function that numba made."""
    function, call, metadata = "", "", ""
    if lines:
        function, call, metadata = " !dbg !3", ", !dbg !4", _LINES_OF_ENTRY.format(name=name)
    return f"""
declare i32 @"{native_name}"(ptr, ptr, ptr, i64, i64)
define i32 @"{name}"(ptr %arguments, i64 %thread, i64 %threads) #0{function} {{
  %result = alloca i32
  %exception = alloca ptr
  %raised = call i32 @"{native_name}"(
    ptr %result, ptr %exception, ptr %arguments, i64 %thread, i64 %threads){call}
  %returned = load i32, ptr %result
  %is_normal = icmp eq i32 %raised, 0
  %status = select i1 %is_normal, i32 %returned, i32 {RAISED_STATUS}
  ret i32 %status
}}
attributes #0 = {{ nounwind "prefer-vector-width"="{target.vector_bits}" }}
{metadata}"""


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


@dataclass(frozen=True)
class TranslatedKernel:
    """A kernel as numba's LLVM IR, in which its function is `native_name`.

    microkernels: the LLVM IR of those that it calls. The rest is as `translate` was given it.
    """

    source: str
    name: str
    filename: str
    llvm_ir: str
    native_name: str
    microkernels: tuple[str, ...]
    unroll: bool
    long_rows: bool
    lines: bool


class KernelCompiler:
    """Compiles kernel source; holds the primitives and the LLVM IR of the vector math."""

    def __init__(self, vector_bits: int | None = None) -> None:
        """`vector_bits` is the width of vectors, that of `default_target` unless given."""
        self.target = default_target() if vector_bits is None else host_target(vector_bits)
        self._namespace = kernel_namespace()
        self._recordable = recordable(vecmath)
        self._vector_math: dict[Variant, RecordedFunction] = {}
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
        """The second half, which is LLVM's: Python's other threads run meanwhile."""
        name = kernel.name
        module, called, late = self._module(kernel)
        for llvm_ir in kernel.microkernels:
            module.link_in(llvm.parse_assembly(llvm_ir))
        self._link(module, called, name)

        def link_late(vectorized: Any) -> Any:
            text, variants = called_variants(str(vectorized), late)
            module = llvm.parse_assembly(text)
            self._link(module, variants, name)
            return module

        native = build(module, self.target, kernel.unroll, link_late if late else None)
        return CompiledKernel(name, kernel.source, kernel.filename, native.address(name), native)

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

    def _module(self, kernel: TranslatedKernel) -> tuple[Any, list[Variant], list[str]]:
        """The LLVM module of a kernel: what numba made, and the entry point.

        With it come the functions of vector math that it calls, those with a branch by symbol.
        """
        module = llvm.parse_assembly(unroll_marked(kernel.llvm_ir))
        called, late = self._called_vector_math(module)
        if called or late:
            text = interleave_long_loops(str(module), VECTOR_MATH_PREFIX, kernel.long_rows, late)
            arities = {symbol: len(list(module.get_function(symbol).arguments)) for symbol in late}
            module = llvm.parse_assembly(declare_variants(text, arities))
        module.get_function(kernel.native_name).add_function_attribute("alwaysinline")
        entry = _entry_point(kernel.name, kernel.native_name, self.target, kernel.lines)
        module.link_in(llvm.parse_assembly(entry))
        for variable in module.global_variables:
            if not variable.name.startswith("llvm."):
                variable.linkage = "internal"
        return module, called, late

    def _called_vector_math(self, module: Any) -> tuple[list[Variant], list[str]]:
        """The functions that the module declares: straight-line code, and symbols of others."""
        names = [function.name for function in module.functions if function.is_declaration]
        called = [Variant(name, 1) for name in names if name.startswith(VECTOR_MATH_PREFIX)]
        straight = [each for each in called if not self._record(each).has_branch]
        return straight, [each.symbol for each in called if each not in straight]

    def _link(self, module: Any, functions: Sequence[Variant], name: str) -> None:
        """Adds the definitions of vector math; the kernel `name` alone stays visible."""
        for each in functions:
            module.link_in(llvm.parse_assembly(self._record(each).llvm_ir))
        for function in module.functions:
            if not function.is_declaration and function.name != name:
                function.linkage = "internal"

    def _call(self, microkernel: MicrokernelLike) -> Any:
        """What kernel source calls by the microkernel's name."""
        key = (microkernel.name, microkernel.is_indexed)
        if key not in self._calls:
            make = call_indexed_microkernel if microkernel.is_indexed else call_microkernel
            self._calls[key] = make(microkernel.name)
        return self._calls[key]

    def _record(self, variant: Variant) -> RecordedFunction:
        """LLVM IR of a vector math function."""
        if variant not in self._vector_math:
            _, name, dtype = variant.symbol.split(".")
            function = vecmath.VECTOR_MATH[name][dtype]
            rebuilt = self._recordable[function.__name__]
            self._vector_math[variant] = record_function(
                rebuilt, variant.name, dtype, function.__code__.co_argcount, variant.lanes
            )
        return self._vector_math[variant]
