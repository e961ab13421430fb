"""What numba knows while it types and lowers kernel source: scalars, loops, and our primitives.

numba's own CPU target also knows arrays, lists, strings, dates and the ufuncs of numpy. Importing
these takes a quarter of a second, and every `x + y` would be tried against each of them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import jit
from numba.core import target_extension
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.cpu import CPUContext
from numba.core.descriptors import TargetDescriptor
from numba.core.funcdesc import PythonFunctionDescriptor
from numba.core.lowering import Lower
from numba.core.registry import CPUDispatcher
from numba.core.typing.context import BaseContext
from numba.cpython import builtins, numbers, rangeobj

from graphc.ir.lazy import Lazy

# The modules that lower what kernel source is made of; importing them fills numba's registry.
LOWERED_BY = (builtins, numbers, rangeobj)
TARGET_NAME = "graphc"


class KernelTarget(target_extension.CPU):
    """Takes the declarations that numba has for any target, and those for CPUs."""


class KernelTypingContext(BaseContext):
    """Types operators and loops of scalars: what numba declares for all targets."""


class KernelContext(CPUContext):
    """Lowers operators and loops of scalars: what numba defines for all targets."""

    def init(self) -> None:
        super().init()
        # Of LLVM's types; numba would ask LLVM again for each variable, by way of a module's text.
        self._sizes: dict[ir.Type, int] = {}

    def get_abi_sizeof(self, ty: ir.Type) -> int:
        if ty not in self._sizes:
            self._sizes[ty] = super().get_abi_sizeof(ty)
        return self._sizes[ty]

    def load_additional_registries(self) -> None:
        """None: what kernels need is imported above."""

    def post_lowering(self, mod: Any, library: Any) -> None:
        """Links nothing: kernels hold no objects that numba's runtime would count."""


class KernelText:
    """What numba calls a code library: holds the LLVM IR of a kernel as text.

    It is parsed, linked and optimised later and by any thread, while numba, which does not wait
    for LLVM any more, goes on with the next kernel.
    """

    llvm_ir: str

    def create_ir_module(self, name: str) -> ir.Module:
        return ir.Module(name)

    def add_ir_module(self, module: ir.Module) -> None:
        self.llvm_ir = str(module)


@register_pass(mutates_CFG=True, analysis_only=False)
class KernelLowering(LoweringPass):
    """Typed source becomes LLVM IR in `state.library`; the name of its function is the result."""

    _name = "kernel_lowering"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        described = PythonFunctionDescriptor.from_specialized_function(
            state.func_ir,
            state.typemap,
            state.return_type,
            state.calltypes,
            mangler=state.targetctx.mangler,
            abi_tags=[state.flags.get_mangle_string()],
            inline=state.flags.forceinline,
            noalias=state.flags.noalias,
        )
        with state.targetctx.push_code_library(state.library):
            Lower(state.targetctx, state.library, described, state.func_ir, state.metadata).lower()
        state.cr = described.mangled_name
        return True


class KernelTargetDescriptor(TargetDescriptor):
    """The contexts that kernels are typed and lowered in; a process has one of each."""

    @Lazy
    def typing_context(self) -> KernelTypingContext:
        return KernelTypingContext()

    @Lazy
    def target_context(self) -> KernelContext:
        return KernelContext(self.typing_context, self._target_name)


class _KernelDispatcher(CPUDispatcher):
    """Where numba looks up the contexts of a target; nothing is dispatched."""

    targetdescr: Any


def kernel_target() -> KernelTargetDescriptor:
    """The target, made known to numba when it is first asked for."""
    if TARGET_NAME not in target_extension.target_registry:
        target_extension.target_registry[TARGET_NAME] = KernelTarget
        _KernelDispatcher.targetdescr = KernelTargetDescriptor(TARGET_NAME)
        target_extension.dispatcher_registry[KernelTarget] = _KernelDispatcher
        # Asked for before an overload has said that it does not apply, as none does.
        target_extension.jit_registry[KernelTarget] = jit
    found: KernelTargetDescriptor = _KernelDispatcher.targetdescr
    return found
