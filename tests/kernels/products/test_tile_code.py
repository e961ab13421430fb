"""The machine code of tiles: nothing that a register should hold is in memory."""

from __future__ import annotations

import re

import pytest

from graphc.kernels.loops.language.source import Microkernel
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.llvm import compile_ir, default_target, host_vector_bits
from graphc.kernels.products.contraction import Contraction, Tiling
from graphc.kernels.products.microkernels.inner_microkernel import inner_microkernel
from graphc.kernels.products.microkernels.microkernel import microkernel
from graphc.kernels.products.tilings.tiling import choose_tiling
from tests.kernels.products.contractions import compile_contraction, plain


def inner_loops(assembly: str) -> list[list[str]]:
    """Instructions of every loop without another label inside: from a label to its own jump."""
    loops = []
    block: list[str] = []
    label = ""
    for line in assembly.splitlines():
        found = re.match(r"(\.?L\w+):", line)
        if found:
            label, block = found[1], []
        elif line.startswith("\t") and not line.startswith("\t."):
            block.append(line.strip())
            if re.match(rf"j\w+\s+{re.escape(label)}$", line.strip()) and label:
                loops.append(block)
    return loops


def spilled_stores(tile: Microkernel) -> list[str]:
    """Stores to the stack in the loops of a microkernel."""
    loops = inner_loops(compile_ir(tile.llvm_ir).assembly)
    assert loops
    lines = [line for loop in loops for line in loop]
    return [line for line in lines if re.search(r"mov\w+\s+%\w+,.*%r[sb]p", line)]


def register_name(bits: int) -> str:
    return {512: "%zmm", 256: "%ymm", 128: "%xmm"}[bits]


def is_x86() -> bool:
    return "%" in compile_ir(microkernel("f32", 1, 4, 4).llvm_ir).assembly


def tile_for_host(dtype: str) -> Microkernel:
    bits = default_target().vector_bits
    lanes = bits // (32 if dtype == "f32" else 64)
    return microkernel(dtype, 6, (4 if bits == 512 else 2) * lanes, lanes)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_machine_code_of_a_tile_has_no_spills(dtype: str) -> None:
    if not is_x86():
        pytest.skip("reads x86 machine code")
    tile = tile_for_host(dtype)
    [loop] = inner_loops(compile_ir(tile.llvm_ir).assembly)
    register = register_name(default_target().vector_bits)
    products = [line for line in loop if line.startswith("vfmadd")]
    assert len(products) == tile.rows * tile.columns // tile.lanes
    assert all(register in line for line in products)
    assert not [line for line in loop if "%rsp" in line or "%rbp" in line]


def test_too_large_a_tile_is_seen_to_spill() -> None:
    if not is_x86():
        pytest.skip("reads x86 machine code")
    lanes = default_target().vector_bits // 32
    assert spilled_stores(microkernel("f32", 12, 4 * lanes, lanes))


def network_tilings() -> list[tuple[Contraction, Tiling]]:
    bits = default_target().vector_bits
    shapes = [
        ("f32", 100, 784, 50, "rows", "rows"),
        ("f32", 100, 50, 10, "rows", "rows"),
        ("f32", 784, 128, 512, "columns", "rows"),
        ("f32", 512, 1024, 1024, "rows", "columns"),
        ("f32", 4, 784, 512, "rows", "columns"),
        ("f64", 128, 512, 512, "rows", "rows"),
    ]
    contractions = [plain(*shape)[0] for shape in shapes]
    return [(contraction, choose_tiling(contraction, bits)) for contraction in contractions]


def test_no_chosen_tile_spills() -> None:
    if not is_x86():
        pytest.skip("reads x86 machine code")
    for contraction, tiling in network_tilings():
        for part in (tiling, tiling.rest or tiling):
            make = microkernel if part.form == "outer" else inner_microkernel
            tile = make(contraction.dtype, part.rows, part.columns, part.lanes)
            assert not spilled_stores(tile), part


def test_epilogue_is_vectorised() -> None:
    if not is_x86():
        pytest.skip("reads x86 machine code")
    compiler = KernelCompiler(host_vector_bits())
    contraction, _ = plain("f32", 128, 64, 512)
    tiling = choose_tiling(contraction, compiler.target.vector_bits)
    kernel, _ = compile_contraction(compiler, contraction, tiling)
    register = register_name(compiler.target.vector_bits)
    assert re.search(rf"\tvaddps.*{register}", kernel.assembly)
    assert not re.search(r"\tvaddss", kernel.assembly)


def test_addresses_of_products_are_one_register() -> None:
    """Of two they would be two operations each, and fewer loads were looked for ahead."""
    if not is_x86() or host_vector_bits() < 512:
        pytest.skip("reads machine code whose FMAs load and broadcast")
    compiler = KernelCompiler(host_vector_bits())
    contraction, _ = plain("f32", 300, 32, 16)
    tiling = choose_tiling(contraction, compiler.target.vector_bits)
    kernel, _ = compile_contraction(compiler, contraction, tiling)
    loading = re.findall(r"\tvfmadd\S+\s+\S*\(.*\)", kernel.assembly)
    assert len(loading) >= tiling.rows
    assert not [line for line in loading if re.search(r"\(%\w+,", line)]
