"""What the machine code of representative kernels looks like: innermost loops on whole vectors."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import graphc as gc
from graphc.compiler.native import native
from graphc.kernels import jit
from graphc.kernels.llvm import CompiledKernel
from graphc.kernels.machine_code import InnerLoop, inner_loops
from tests.compiler import networks

# Rows that are a multiple of every vector's lanes: no loop has to work element by element.
WHOLE: dict[str, Callable[[], gc.Function]] = {
    "elementwise workload": lambda: networks.elementwise_workload(64, 1024),
    "softmax": lambda: networks.softmax(64, 1024),
    "relu chain": lambda: networks.relu_chain(64, 1024),
    "layer normalization": lambda: networks.layer_normalization(64, 1024),
    "dense": lambda: networks.dense(gc.tanh, 64, 48, 64),
}
# Rows with a rest, or shared among threads at any element: they may take a second, scalar loop.
WITH_REST: dict[str, Callable[[], gc.Function]] = {
    "softmax": lambda: networks.softmax(64, 1001),
    "relu chain": lambda: networks.relu_chain(63, 1001),
    "adam": lambda: networks.adam(10_001),
}


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


def _problems(assembly: str, bits: int) -> list[str]:
    """Why the kernel is not vectorised as it should be; empty when it is."""
    found = [
        f"{loop.label} works element by element: {loop}"
        for loop in _working(assembly)
        if loop.scalar > loop.packed
    ]
    found += [f"{loop.label} calls a function" for loop in _working(assembly) if loop.calls]
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
        assert _problems(kernel.assembly, native().vector_bits) == [], kernel.source


@pytest.mark.parametrize("name", WITH_REST)
def test_scalar_loops_are_the_rest_of_vector_loops(name: str) -> None:
    for kernel in _kernels(WITH_REST[name]()):
        loops = _working(kernel.assembly)
        scalar = [loop for loop in loops if loop.scalar > loop.packed]
        packed = [
            loop for loop in loops if loop.vector_bits == native().vector_bits and loop.packed
        ]
        assert len(scalar) <= len(packed), kernel.source
        assert sum(p.packed for p in packed) >= sum(s.scalar for s in scalar), kernel.source
        assert not any(loop.calls for loop in loops)


def test_without_alias_scopes_it_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the scopes are for: LLVM keeps a scalar loop for buffers that overlap."""
    (kernel,) = _kernels(networks.elementwise_workload(64, 1024))
    monkeypatch.setattr(jit, "_mark_scope", lambda builder, access, buffer: None)
    compiler = native().compiler
    broken = compiler.compile_kernel(kernel.source, kernel.name, filename="<without scopes>")
    assert any(
        "element by element" in p for p in _problems(broken.assembly, compiler.target.vector_bits)
    )
    assert _problems(kernel.assembly, native().vector_bits) == []
