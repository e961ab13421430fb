"""What the machine code of representative kernels looks like: innermost loops on whole vectors, in
registers."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import graphc as gc
from benchmarks.workloads import workloads
from graphc.compiler.load.native import native
from graphc.compiler.plan.planning import PlannedInstruction
from graphc.kernels.groups.group import Group
from graphc.kernels.native.jit import buffers
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.llvm import CompiledKernel, compile_ir
from graphc.kernels.native.machine_code import InnerLoop, inner_loops
from graphc.kernels.products.microkernels.microkernel import microkernel
from graphc.kernels.products.microkernels.window_microkernel import window_microkernel
from tests.compiler import networks

# Rows that are a multiple of every vector's lanes: no loop has to work element by element.
WHOLE: dict[str, Callable[[], gc.Function]] = {
    "elementwise workload": lambda: networks.elementwise_workload(64, 1024),
    "softmax": lambda: networks.softmax(64, 1024),
    "cross entropy": lambda: networks.cross_entropy(64, 1024),
    "relu chain": lambda: networks.relu_chain(64, 1024),
    "scaled bytes": lambda: networks.scaled_bytes(64, 1024),
    "layer normalization": lambda: networks.layer_normalization(64, 1024),
    "sgd": lambda: networks.sgd(8192),
    "dense": lambda: networks.dense(gc.tanh, 64, 48, 64),
    "dropout": lambda: networks.dropout_layer(64, 48, 64),
    "scaled dense": lambda: networks.scaled_dense(4096, 64, 64),
}
# Rows that LLVM unrolls whole, of a length that shuffles of whole vectors do not serve.
SHORT: dict[str, Callable[[gc.Node], gc.Node]] = {
    "a row beside rows": lambda x: x + gc.sum(x * 0, axis=0),
    "normalized rows": lambda x: x / gc.sum(x * x, axis=1, keepdims=True),
    "slices by index": lambda x: gc.take(x, gc.argmax(x, axis=1)),
}
# Rows with a rest, or shared among threads at any element: they may take a second, scalar loop.
WITH_REST: dict[str, Callable[[], gc.Function]] = {
    "softmax": lambda: networks.softmax(64, 1001),
    "relu chain": lambda: networks.relu_chain(63, 1001),
    "adam": lambda: networks.adam(10_001),
}

# With vectors of this width there are 32 registers. The 16 of others are too few for two vectors of
# exp at once, which is what LLVM makes of a loop with a rest.
MANY_REGISTERS = 512
# Work on two vectors at a time (kernels/native/interleave.py, and LLVM by itself): quicker by a
# sixth even where 16 registers are too few for that.
INTERLEAVED = ("elementwise workload", "softmax")
# What a tile may read from the stack in each step, by the width: a mask or an address, that is
# nothing which the tile adds up.
RELOADS = {512: 0, 256: 1, 128: 1}

# An update of one element.
EDGE_OPERATIONS = 2

# Rows of fewer bits fill no vector.
NARROWEST_VECTOR = 128


def _kernels(function: gc.Function) -> list[CompiledKernel]:
    loaded = function.loaded()
    return [
        kernel
        for kernel, row in zip(loaded.kernels, loaded.plan.instructions, strict=True)
        if row.group is not None and any(n.rank for n in row.group.outputs)
    ]


def _working(assembly: str) -> list[InnerLoop]:
    """The innermost loops that do float arithmetic."""
    return [loop for loop in inner_loops(assembly) if loop.packed + loop.scalar > 0]


def _problems(assembly: str, bits: int, may_spill: bool = False) -> list[str]:
    """Why the kernel is not vectorised as it should be; empty when it is."""
    working = _working(assembly)
    found = [
        f"{loop.label} works element by element: {loop}"
        for loop in working
        if loop.scalar > loop.packed
    ]
    found += [f"{loop.label} calls a function" for loop in working if loop.calls]
    spilling = [] if may_spill else [loop for loop in working if loop.spills]
    found += [f"{loop.label} has too few registers: {loop}" for loop in spilling]
    register = {512: "zmm", 256: "ymm", 128: "xmm"}[bits]
    if not re.search(rf"\tv?(f?n?m?(add|sub|mul|div|max|min)\w*)p[sd]\s.*%{register}", assembly):
        found.append(f"nothing is computed in vectors of {bits} bits")
    if re.search(r"\tv?p?(gather|scatter)[dq]", assembly):
        found.append("it gathers or scatters")
    return found


@pytest.mark.parametrize("name", WHOLE)
def test_inner_loops_work_on_whole_vectors(name: str) -> None:
    kernels = _kernels(WHOLE[name]())
    assert kernels
    for kernel in kernels:
        bits = native().vector_bits
        may_spill = name in INTERLEAVED and bits != MANY_REGISTERS
        assert _problems(kernel.assembly, bits, may_spill) == [], kernel.source


@pytest.mark.parametrize("columns", [10, 16, 20])
@pytest.mark.parametrize("name", SHORT)
def test_short_rows_are_neither_gathered_nor_scattered(name: str, columns: int) -> None:
    x = gc.Graph().input("x", (400, columns))
    for kernel in gc.function(x, SHORT[name](x)).loaded().kernels:
        assert not re.search(r"\tv?p?(gather|scatter)[dq]", kernel.assembly), kernel.source


@pytest.mark.parametrize("name", WITH_REST)
def test_scalar_loops_are_the_rest_of_vector_loops(name: str) -> None:
    for kernel in _kernels(WITH_REST[name]()):
        loops = _working(kernel.assembly)
        if native().vector_bits == MANY_REGISTERS:
            assert not any(loop.spills for loop in loops), kernel.source
        scalar = [loop for loop in loops if loop.scalar > loop.packed]
        packed = [
            loop for loop in loops if loop.vector_bits == native().vector_bits and loop.packed
        ]
        assert len(scalar) <= len(packed), kernel.source
        assert sum(p.packed for p in packed) >= sum(s.scalar for s in scalar), kernel.source
        assert not any(loop.calls for loop in loops)


# --- the training steps that the benchmarks measure ---------------------------------------------


Step = list[tuple[PlannedInstruction, list[InnerLoop]]]


# Networks of dense layers without layers or sums of a few columns, whose elements are stored one
# by one.
VECTORISED = ("S", "A", "B", "C", "L", "E", "ppo", "dqn", "embed")


@pytest.fixture(scope="module", params=VECTORISED)
def step(request: pytest.FixtureRequest) -> Step:
    """The instructions of a workload's step for two threads, each with its working loops."""
    loaded = workloads.workload(request.param).step(threads=2).loaded()
    rows = zip(loaded.plan.instructions, loaded.kernels, strict=True)
    return [(row, _working(kernel.assembly)) for row, kernel in rows]


def _longest_row(group: Group) -> int:
    """In bits."""
    rows = [node.type.dims[-1] * 8 * node.dtype.itemsize for node in group.outputs if node.rank]
    return max(rows, default=0)


def _least_bits(group: Group, bits: int) -> int:
    """The widest vector that the group's longest row fills, at most the host's."""
    longest = _longest_row(group)
    return min(bits, 1 << longest.bit_length() - 1) if longest else 0


def _rest_over_whole(group: Group, bits: int) -> float:
    """Of a short row that is unrolled: elements behind its whole vectors, for each of these."""
    item = 8 * max(node.dtype.itemsize for node in group.outputs)
    whole, rest = divmod(_longest_row(group), _least_bits(group, bits))
    return rest / item / whole


def test_each_kernel_of_a_step_works_on_whole_vectors(step: Step) -> None:
    seen = 0
    for row, loops in step:
        if row.group is None or not loops or _longest_row(row.group) < NARROWEST_VECTOR:
            continue
        seen += 1
        has_rest = "# columns from" in row.source.text
        # The last columns of a product have a tile of their own, of more and narrower vectors.
        main = max(loops, key=lambda loop: (has_rest and loop.vector_bits, loop.packed))
        assert main.vector_bits >= _least_bits(row.group, native().vector_bits), row.source.text
        for loop in loops:
            # The last columns of a product that is computed transposed are stored one by one.
            is_edge = has_rest and loop.scalar <= EDGE_OPERATIONS
            rest = max(1, _rest_over_whole(row.group, native().vector_bits))
            assert loop.scalar <= rest * loop.packed or is_edge, (loop, row.source.text)
            assert not loop.calls, (loop, row.source.text)
    assert seen


def test_no_tile_of_a_step_spills(step: Step) -> None:
    tiles = [loop for _, loops in step for loop in loops if "microkernel" in loop.function]
    assert len(tiles) >= sum(bool(row.source.microkernels) for row, _ in step)
    for loop in tiles:
        assert loop.fused == loop.packed > 0, loop
        assert not loop.spills and loop.reloads <= RELOADS[native().vector_bits], loop


def test_a_tile_of_windows_keeps_its_sums_in_registers() -> None:
    """It reads the places of some rows from the stack in each step, one for each FMA at most."""
    bits = native().vector_bits
    rows, lanes = bits // 64, bits // 32
    tile = window_microkernel("f32", rows, 2 * lanes, lanes, outer_axes=2)
    (loop, *_) = _working(compile_ir(tile.llvm_ir, native().target).assembly)
    assert loop.fused == loop.packed == 2 * rows
    assert not loop.spills and loop.reloads <= rows


@pytest.mark.parametrize(("width", "is_unrolled"), [(128, False), (4, True)])
def test_copies_of_long_rows_stay_loops(width: int, is_unrolled: bool) -> None:
    """Several rows of them at once are thousands of instructions, which LLVM orders for seconds."""
    graph = gc.Graph()
    parts = [graph.input(f"x{number}", (32, width)) for number in range(4)]
    loaded = gc.function(parts, gc.concatenate(parts, 1)).loaded()
    (row,) = loaded.plan.instructions
    assert row.source.unroll == is_unrolled
    assert is_unrolled or len(loaded.kernels[0].assembly.splitlines()) < 400


def test_too_large_a_tile_is_seen_to_spill() -> None:
    lanes = native().vector_bits // 32
    tile = microkernel("f32", 12, 4 * lanes, lanes)
    loops = _working(compile_ir(tile.llvm_ir, native().target).assembly)
    assert [loop.function for loop in loops] == [tile.name]
    assert loops[0].spills and loops[0].reloads


def test_without_alias_scopes_it_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the scopes are for: LLVM keeps a scalar loop for buffers that overlap."""
    (kernel,) = _kernels(networks.elementwise_workload(64, 1024))
    monkeypatch.setattr(buffers, "mark_scope", lambda builder, access, buffer: None)
    compiler = KernelCompiler()
    broken = compiler.compile_kernel(kernel.source, kernel.name, filename="<without scopes>")
    bits = native().vector_bits
    assert any("element by element" in p for p in _problems(broken.assembly, bits))
    assert not any("element by element" in p for p in _problems(kernel.assembly, bits))
