"""From a kernel as numba's LLVM IR to machine code: what it calls is linked in, and all optimised.

Imports llvmlite and no numba, which may have translated the kernel in another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm

from graphc.kernels.mathematics import vecmath
from graphc.kernels.mathematics.math_ir import RecordedFunction, record_function, recordable
from graphc.kernels.mathematics.vector_variants import Variant, called_variants, declare_variants
from graphc.kernels.native.interleave import interleave_long_loops
from graphc.kernels.native.llvm import ObjectCode, Target, emitted
from graphc.kernels.native.loop_hints import hint_marked

# How the symbols of vector math begin, which kernels call: `graphc.tanh.f32`.
VECTOR_MATH_PREFIX = "graphc."

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


class KernelFinisher:
    """The half of a kernel's compilation that is LLVM's; holds the LLVM IR of the vector math."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._recordable = recordable(vecmath)
        self._vector_math: dict[Variant, RecordedFunction] = {}

    def object_code(self, kernel: TranslatedKernel) -> ObjectCode:
        """The kernel's machine code, of which its name is the symbol. Python's other threads run
        meanwhile."""
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

        return emitted(module, self.target, kernel.unroll, link_late if late else None)

    def _module(self, kernel: TranslatedKernel) -> tuple[Any, list[Variant], list[str]]:
        """The LLVM module of a kernel: what numba made, and the entry point.

        With it come the functions of vector math that it calls, those with a branch by symbol.
        """
        module = llvm.parse_assembly(hint_marked(kernel.llvm_ir))
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
