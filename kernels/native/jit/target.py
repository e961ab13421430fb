"""What numba knows while it types and lowers kernel source: scalars, loops, and our primitives.

numba's own CPU target also knows arrays, lists, strings, dates and the ufuncs of numpy. Importing
these takes a quarter of a second, and every `x + y` would be tried against each of them.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import jit
from numba.core import target_extension, types
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.cpu import CPUContext
from numba.core.descriptors import TargetDescriptor
from numba.core.funcdesc import PythonFunctionDescriptor
from numba.core.registry import CPUDispatcher
from numba.core.typing.context import BaseContext
from numba.core.typing.templates import Signature
from numba.cpython import builtins, numbers, rangeobj

from graphc.ir.lazy import Lazy
from graphc.kernels.native.jit.lowering import KernelLower

# The modules that lower what kernel source is made of; importing them fills numba's registry.
LOWERED_BY = (builtins, numbers, rangeobj)
TARGET_NAME = "graphc"


class KernelTarget(target_extension.CPU):
    """Takes the declarations that numba has for any target, and those for CPUs."""


class KernelTypingContext(BaseContext):
    """Types operators and loops of scalars: what numba declares for all targets.

    Kernels call the same few functions on the same few types, which numba would try against all
    it knows each time.
    """

    def __init__(self) -> None:
        self._types: dict[Any, types.Type] = {}
        self._signatures: dict[tuple[Any, tuple[types.Type, ...]], Signature] = {}
        super().__init__()

    def _insert_global(self, gv: Any, gty: types.Type) -> None:
        """A registry that adds to an operator gives it another type, which knows no call yet."""
        super()._insert_global(gv, gty)
        self._types.clear()
        self._signatures.clear()

    def resolve_value_type(self, val: Any) -> types.Type:
        if not callable(val):
            return super().resolve_value_type(val)
        if val not in self._types:
            self._types[val] = super().resolve_value_type(val)
        return self._types[val]

    def resolve_value_type_prefer_literal(self, value: Any) -> types.Type:
        if callable(value):
            return self.resolve_value_type(value)
        return super().resolve_value_type_prefer_literal(value)

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Signature | None:
        if kws:
            return super().resolve_function_type(func, args, kws)
        key = (func, tuple(args))
        if key not in self._signatures:
            found = super().resolve_function_type(func, args, kws)
            if found is None:
                return None
            self._signatures[key] = found
        return self._signatures[key]

    def resolve_setitem(self, target: Any, index: Any, value: Any) -> Signature | None:
        return self.resolve_function_type(operator.setitem, (target, index, value), {})


class KernelContext(CPUContext):
    """Lowers operators and loops of scalars: what numba defines for all targets."""

    def init(self) -> None:
        super().init()
        # Of LLVM's types; numba would ask LLVM again for each variable, by way of a module's text.
        self._sizes: dict[ir.Type, int] = {}
        self._implementations: dict[tuple[Any, Signature], Any] = {}

    def get_abi_sizeof(self, ty: ir.Type) -> int:
        if ty not in self._sizes:
            self._sizes[ty] = super().get_abi_sizeof(ty)
        return self._sizes[ty]

    def get_function(self, fn: Any, sig: Signature, _firstcall: bool = True) -> Any:
        """What lowers a call; numba would look at the Python signature of each anew."""
        key = (fn, sig)
        if key not in self._implementations:
            self._implementations[key] = super().get_function(fn, sig, _firstcall)
        return self._implementations[key]

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
            lower = KernelLower(
                state.targetctx, state.library, described, state.func_ir, state.metadata
            )
            lower.lower()
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
