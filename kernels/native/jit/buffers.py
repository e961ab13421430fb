"""Buffers in kernel source: elements loaded and stored, arrays on the stack, and what their
accesses cannot overlap."""

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.imputils import Registry as LoweringRegistry
from numba.core.target_extension import target_override
from numba.core.typing.templates import AbstractTemplate, signature
from numba.core.typing.templates import Registry as TypingRegistry
from numba.extending import intrinsic

from graphc.kernels.native.jit.lowering import registry as loops_and_quotients
from graphc.kernels.native.jit.target import TARGET_NAME, KernelTargetDescriptor

STACK_ALIGNMENT_BYTES = 64

# numba tries typing rules of a definite target before its many generic ones for x[i].
_TRIED_FIRST = {"target": "cpu"}

_typing = TypingRegistry()
_lowering = LoweringRegistry()


class BufferType(types.Type):
    """A pointer to elements of one dtype; `scope` says which other buffers it cannot overlap.

    Argument `scope` of `count` overlaps no other argument and nothing on the stack. A stack array
    has count 0.
    """

    def __init__(self, dtype: types.Type, scope: int, count: int) -> None:
        self.dtype = dtype
        self.scope = scope
        self.count = count
        super().__init__(f"Buffer({dtype}, {scope} of {count})")


def _memory_type(manager: Any, dtype: types.Type) -> ir.Type:
    """How an element lies in memory: as in a register, but a bool takes a byte."""
    return ir.IntType(8) if dtype == types.boolean else manager.lookup(dtype).get_value_type()


class BufferModel(models.PrimitiveModel):
    """A buffer is a bare pointer."""

    def __init__(self, manager: Any, frontend_type: BufferType) -> None:
        element = _memory_type(manager, frontend_type.dtype)
        super().__init__(manager, frontend_type, element.as_pointer())


def mark_scope(builder: Any, access: Any, buffer: BufferType) -> None:
    """Alias scopes in two domains: argument against argument, arguments against stack."""
    module = builder.module
    storage = module.add_metadata(["storage"])
    arguments = module.add_metadata(["arguments", storage])
    if buffer.count == 0:
        stack_scope = module.add_metadata(["stack", storage])
        scopes, others = [stack_scope], [arguments]
    else:
        kernel = module.add_metadata(["kernel"])
        all_scopes = [module.add_metadata([f"argument{k}", kernel]) for k in range(buffer.count)]
        scopes = [all_scopes[buffer.scope], arguments]
        others = [scope for k, scope in enumerate(all_scopes) if k != buffer.scope]
    access.set_metadata("alias.scope", module.add_metadata(scopes))
    if others:
        access.set_metadata("noalias", module.add_metadata(others))


@_typing.register_global(operator.getitem)
class _BufferLoad(AbstractTemplate):
    """`x[i]`"""

    metadata = _TRIED_FIRST

    def generic(self, args: Any, kws: Any) -> Any:
        buffer, index = args
        if isinstance(buffer, BufferType) and isinstance(index, types.Integer):
            return signature(buffer.dtype, buffer, types.intp)
        return None


@_typing.register_global(operator.setitem)
class _BufferStore(AbstractTemplate):
    """`x[i] = value`: the value has the buffer's dtype; integers of any width are cut to it."""

    metadata = _TRIED_FIRST

    def generic(self, args: Any, kws: Any) -> Any:
        buffer, index, value = args
        if not (isinstance(buffer, BufferType) and isinstance(index, types.Integer)):
            return None
        both_integers = isinstance(buffer.dtype, types.Integer) and isinstance(value, types.Integer)
        if types.unliteral(value) != buffer.dtype and not both_integers:
            return None
        return signature(types.none, buffer, types.intp, buffer.dtype)


@_lowering.lower(operator.getitem, BufferType, types.Integer)
def _load_element(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    buffer = sig.args[0]
    loaded = builder.load(builder.gep(args[0], [args[1]]))
    mark_scope(builder, loaded, buffer)
    if buffer.dtype == types.boolean:
        return builder.icmp_unsigned("!=", loaded, loaded.type(0))
    return loaded


@_lowering.lower(operator.setitem, BufferType, types.Integer, types.Any)
def _store_element(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    buffer = sig.args[0]
    pointer, index, value = args
    if buffer.dtype == types.boolean:
        value = builder.zext(value, ir.IntType(8))
    mark_scope(builder, builder.store(value, builder.gep(pointer, [index])), buffer)
    return context.get_dummy_value()


def install_buffers(target: KernelTargetDescriptor) -> None:
    """Teaches a target to type and lower buffers."""
    with target_override(TARGET_NAME):
        target.target_context.refresh()
        target.typing_context.install_registry(_typing)
        target.target_context.install_registry(_lowering)
        target.target_context.install_registry(loops_and_quotients)
    target.target_context.data_model_manager.register(BufferType, BufferModel)


@intrinsic(prefer_literal=True)
def _buffer(typing_context: Any, args: Any, index: Any, count: Any, dtype: Any) -> Any:
    """`buffer(args, index, count, dtype)`: pointer `index` of the kernel's `count` arguments."""
    buffer = BufferType(dtype.dtype, index.literal_value, count.literal_value)

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        pointer = builder.load(builder.gep(values[0], [values[1]]))
        return builder.bitcast(pointer, context.get_value_type(buffer))

    return buffer(args, index, count, dtype), lower


@intrinsic(prefer_literal=True)
def _buffer_in_run(
    typing_context: Any, args: Any, first: Any, number: Any, count: Any, dtype: Any
) -> Any:
    """`buffer_in_run(args, first, number, count, dtype)`: pointer `first + number` of the kernel's
    `count` arguments, where only the number may vary. For aliases all are the first."""
    buffer = BufferType(dtype.dtype, first.literal_value, count.literal_value)

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        place = builder.add(values[1], values[2])
        pointer = builder.load(builder.gep(values[0], [place]))
        return builder.bitcast(pointer, context.get_value_type(buffer))

    return buffer(args, first, types.intp, count, dtype), lower


@intrinsic(prefer_literal=True)
def _stack(typing_context: Any, dtype: Any, count: Any) -> Any:
    """`stack(dtype, count)`: an array of fixed size in the stack frame, one a call in source."""
    buffer = BufferType(dtype.dtype, 0, 0)

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        element = _memory_type(context.data_model_manager, buffer.dtype)
        # Not with numba's alloca_once, which sets the memory to zero at every call of the kernel.
        with builder.goto_entry_block():
            allocation = builder.alloca(ir.ArrayType(element, count.literal_value))
        allocation.align = STACK_ALIGNMENT_BYTES
        return builder.bitcast(allocation, element.as_pointer())

    return buffer(dtype, count), lower


@intrinsic
def _advance(typing_context: Any, buffer: Any, offset: Any) -> Any:
    """`advance(x, offset)`: the buffer that starts `offset` elements further."""
    if not isinstance(buffer, BufferType):
        return None

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return builder.gep(values[0], [values[1]])

    return buffer(buffer, types.intp), lower


@intrinsic
def _prefetch(typing_context: Any, buffer: Any, index: Any) -> Any:
    """`prefetch(x, index)`: asks for the cache line of an element, which need not exist."""
    if not isinstance(buffer, BufferType):
        return None

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        flag = ir.IntType(32)
        address = builder.bitcast(builder.gep(values[0], [values[1]]), ir.IntType(8).as_pointer())
        function_type = ir.FunctionType(ir.VoidType(), [address.type, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch")
        builder.call(function, [address, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.none(buffer, types.intp), lower


BUFFER_PRIMITIVES: dict[str, Any] = {
    "buffer": _buffer,
    "buffer_in_run": _buffer_in_run,
    "stack": _stack,
    "advance": _advance,
    "prefetch": _prefetch,
}
