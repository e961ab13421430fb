"""LLVM: from textual IR to optimised machine code, and from object code to callable addresses.

Imports llvmlite and no numba, so that a process whose object code is on disk starts quickly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import llvmlite.binding as llvm

from graphc.kernels.host.forks import Awaited, await_before_fork
from graphc.kernels.host.vector_width import VECTOR_BITS, default_vector_bits

# LLVM's state must be whole in a forked child. llvmlite has a lock around each call of it.
await_before_fork(Awaited.LLVM, llvm.ffi.lib._lock)

# How the names of the features of x86 that come with 512-bit vectors begin, in LLVM.
AVX512 = "avx512"
# Loads and stores of each lane apart take far longer than short rows do in turn. LLVM would
# unroll such rows whole and then take the lanes of a vector from as many rows.
LANES_APART = ("prefer-no-gather", "prefer-no-scatter")


def host_vector_bits() -> int:
    """Width of the host's vector registers: 512 (AVX-512), 256 (AVX) or 128 bits."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f", False):
        return 512
    return 256 if features.get("avx", False) else 128


@dataclass(frozen=True)
class Target:
    """What code is made for: a processor with its features, and the vector width to prefer."""

    cpu: str
    features: str
    vector_bits: int


def host_target(vector_bits: int | None = None) -> Target:
    """This machine, or this machine held to narrower vectors: 256 or 128 bits on one with AVX-512.

    Narrower vectors keep the fused multiply-add of a host that has it: NEON has one too. With it
    come 256-bit registers, in which LLVM may copy and clear memory; loops keep to the width.
    Raises ValueError for a width that the host does not have.
    """
    host_bits = host_vector_bits()
    wanted = host_bits if vector_bits is None else vector_bits
    if wanted not in VECTOR_BITS or wanted > host_bits:
        raise ValueError(f"cannot make code for {wanted}-bit vectors on a {host_bits}-bit host")
    features = llvm.get_host_cpu_features()
    if wanted < host_bits:
        # Also for 128 bits: AVX-512 has twice as many registers of that width.
        for name in features:
            if name.startswith(AVX512):
                features[name] = False
    if "avx2" in features:
        features.update(dict.fromkeys(LANES_APART, True))
    return Target(llvm.get_host_cpu_name(), features.flatten(), wanted)


def default_target() -> Target:
    """This machine, held to GRAPHC_VECTOR_BITS where that is set. Raises SettingError for a
    width that the machine does not have."""
    return host_target(default_vector_bits(host_vector_bits()))


@dataclass(frozen=True)
class NativeModule:
    """Loaded machine code.

    bitcode is the optimised LLVM IR that it was made from, empty where it came as object code.
    """

    bitcode: bytes = field(repr=False)
    object_code: bytes = field(repr=False)
    target: Target
    engine: Any = field(repr=False)

    def address(self, name: str) -> int:
        """Address of the function `name`. Raises KeyError if the module defines none."""
        found = self.engine.get_function_address(name)
        if not found:
            raise KeyError(name)
        return int(found)

    @property
    def llvm(self) -> str:
        """The optimised LLVM IR as text."""
        return str(llvm.parse_bitcode(self.bitcode))

    @property
    def assembly(self) -> str:
        """Machine code as text, generated again from the optimised LLVM IR."""
        machine = _target_machine(self.target)
        return str(machine.emit_assembly(llvm.parse_bitcode(self.bitcode)))


@dataclass(frozen=True)
class CompiledKernel:
    """A kernel ready to be called as `int32 (void** arguments, int64 thread, int64 threads)`.

    It owns its machine code: the address is valid as long as this object lives.
    """

    name: str
    source: str
    filename: str
    address: int
    native: NativeModule = field(repr=False)

    @property
    def llvm(self) -> str:
        """The optimised LLVM IR."""
        return self.native.llvm

    @property
    def assembly(self) -> str:
        """The machine code as text."""
        return self.native.assembly

    @property
    def object_code(self) -> bytes:
        """The relocatable object file, which defines `name`."""
        return self.native.object_code


def _target_machine(target: Target) -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="jitdefault"
    )


@dataclass(frozen=True)
class ObjectCode:
    """A relocatable object file, and the optimised LLVM IR that it was made from; that is empty
    where nobody has kept it."""

    code: bytes = field(repr=False)
    bitcode: bytes = field(default=b"", repr=False)


def emitted(
    module: Any,
    target: Target,
    unroll: bool = True,
    link_late: Callable[[Any], Any] | None = None,
    vectorize: bool = True,
) -> ObjectCode:
    """Machine code of an LLVM module, which is optimised. `unroll` lets short loops be unrolled
    whole, before loops around them are vectorised.

    link_late: makes of the optimised module the one with what it calls, which is optimised again.
    """
    machine = _target_machine(target)
    module.triple = llvm.get_process_triple()
    module.data_layout = str(machine.target_data)
    module.verify()
    _optimize(module, machine, vectorize, unroll)
    if link_late is not None:
        module = link_late(module)
        module.verify()
        _optimize(module, machine, vectorize=False, unroll=False)
    return ObjectCode(machine.emit_object(module), module.as_bitcode())


def _optimize(module: Any, machine: Any, vectorize: bool, unroll: bool) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_unrolling = unroll
    options.loop_vectorization = vectorize
    options.slp_vectorization = vectorize
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def load_object(made: ObjectCode, target: Target) -> NativeModule:
    """Links object code into this process. The engine holds no IR, which takes far more memory."""
    machine = _target_machine(target)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(made.code))
    engine.finalize_object()
    return NativeModule(made.bitcode, made.code, target, engine)


def compile_ir(
    llvm_ir: str, target: Target | None = None, *, vectorize: bool = True
) -> NativeModule:
    """Compile textual LLVM IR at the highest level of optimisation, for `default_target` unless
    another is given. vectorize: whether loops are vectorised and unrolled, which takes half of the
    time, and nothing is gained by in those that walk a table."""
    made_for = target or default_target()
    module = llvm.parse_assembly(llvm_ir)
    return load_object(emitted(module, made_for, vectorize, vectorize=vectorize), made_for)
