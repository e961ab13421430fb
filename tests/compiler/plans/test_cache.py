"""Processes that share plans and kernels on disk: the same bits, without the compiler."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from graphc.compiler.load.native import Native
from graphc.ir.types import f32
from graphc.kernels.loops.language.expressions import Element, Name, of
from graphc.kernels.loops.language.scalar import number
from graphc.kernels.loops.language.source import KernelSource, kernel_digest
from graphc.kernels.loops.language.statements import increased
from graphc.kernels.native.builds import this_build
from graphc.kernels.native.cache import DiskCache
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.llvm import default_target
from tests.small_kernels import small_kernel

PASSES = "graphc.compiler.pipeline"

# Trains three steps; prints the bits of loss and weights, and what was imported to compile them.
TRAINING = """
import sys
import numpy as np
import graphc as gc

graph = gc.Graph(seed=0)
x = graph.input("x", (8, 5))
t = graph.input("t", (8,), "i32")
loss = gc.losses.softmax_cross_entropy(gc.nn.dense(gc.nn.dense(x, 7, gc.tanh), 3), t)
step = gc.function([x, t], loss, gc.optim.SGD(0.1).updates(loss))
values = np.arange(40, dtype=np.float32).reshape(8, 5) / 40
for _ in range(3):
    result = step(values, np.arange(8, dtype=np.int32) % 3)
results = [np.asarray(result), *(graph.variables[name] for name in graph.variables)]
imported = [name for name in ("graphc.compiler.pipeline",) if name in sys.modules]
if any(name in sys.modules for name in ("numba", "graphc.compiler.load.two_processes")):
    imported.append("compiler")
print(b"".join(each.tobytes() for each in results).hex(), *imported)
"""


def start(directory: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "GRAPHC_CACHE_DIR": str(directory), **variables},
    )


def finish(started: Sequence[subprocess.Popen[str]]) -> list[tuple[str, set[str], str]]:
    """Of each process its bits, the compilers that it imported, and its warnings."""
    found = []
    for process in started:
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        bits, *imported = output.split()
        found.append((bits, set(imported), errors))
    return found


def in_directory(directory: Path, suffix: str) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix == suffix)


@pytest.fixture(scope="module")
def uncached(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bits of a process that has no cache."""
    directory = tmp_path_factory.mktemp("off") / "kernels"
    ((bits, imported, errors),) = finish([start(directory, GRAPHC_CACHE="off")])
    assert imported == {"compiler", PASSES} and not errors and not directory.exists()
    return bits


def test_processes_at_once_and_one_after_them(tmp_path: Path, uncached: str) -> None:
    directory = tmp_path / "kernels"
    assert {(bits, errors) for bits, _, errors in finish([start(directory) for _ in range(4)])} == {
        (uncached, "")
    }
    stored = sorted(os.listdir(directory))
    kernels, plans = (in_directory(directory, suffix) for suffix in (".kernel", ".plan"))
    assert kernels and len(plans) == 1 and len(stored) == len(kernels) + 1
    assert finish([start(directory)]) == [(uncached, set(), "")]

    # A plan without its kernels, then kernels without their plan.
    for path in kernels:
        path.unlink()
    assert finish([start(directory)]) == [(uncached, {"compiler", PASSES}, "")]
    plans[0].unlink()
    assert finish([start(directory)]) == [(uncached, {PASSES}, "")]
    assert sorted(os.listdir(directory)) == stored

    # Damaged: a kernel and the plan half gone, a kernel with a bit flipped in its machine code.
    for path in (kernels[0], plans[0]):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    data = bytearray(kernels[1].read_bytes())
    data[len(data) // 2] ^= 1
    kernels[1].write_bytes(data)
    ((bits, imported, errors),) = finish([start(directory)])
    assert bits == uncached and imported == {"compiler", PASSES}
    assert errors.count("CacheWarning") == 1 and "damaged" in errors
    assert sorted(os.listdir(directory)) == stored
    assert finish([start(directory)]) == [(uncached, set(), "")]


def test_an_unwritable_cache_warns_and_compiles(tmp_path: Path, uncached: str) -> None:
    (tmp_path / "file").write_text("")
    ((bits, imported, errors),) = finish([start(tmp_path / "file" / "kernels")])
    assert bits == uncached and imported == {"compiler", PASSES}
    assert errors.count("CacheWarning") == 1 and "Not a directory" in errors


# --- in one process ------------------------------------------------------------------------------


def kernel(name: str, buffer: str, unroll: bool = True) -> KernelSource:
    first = increased(Element(Name(buffer), of(0)), number(1, f32))
    return small_kernel(name, first, buffer=buffer, unroll=unroll)


@pytest.fixture
def make_native(tmp_path: Path) -> Callable[..., Native]:
    """A compiler on a cache of its own; the arguments change what its build is."""

    def make(**changes: str) -> Native:
        target = default_target()
        build = dataclasses.replace(this_build(target), **changes)
        return Native(target, DiskCache(tmp_path / "kernels", build))

    return make


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that are compiled, as they come."""
    names: list[str] = []
    original = KernelCompiler.compile_kernel

    def compile_kernel(self, source, name, **more):  # type: ignore[no-untyped-def]
        names.append(name)
        return original(self, source, name, **more)

    monkeypatch.setattr(KernelCompiler, "compile_kernel", compile_kernel)
    return names


def test_equal_kernels_of_other_names_share(
    make_native: Callable[..., Native], compiled: list[str]
) -> None:
    one = make_native().compile(kernel("first", "x")).module
    other = make_native().compile(kernel("second", "weights")).module
    assert compiled == ["first"]
    assert other.object_code == one.object_code
    # What `inspect` shows comes from disk too.
    assert (other.llvm, other.assembly) == (one.llvm, one.assembly)


def test_a_changed_version_is_a_miss(
    make_native: Callable[..., Native], compiled: list[str]
) -> None:
    for changes in ({}, {"versions": "numba 0"}, {"features": ""}, {}):
        make_native(**changes).compile(kernel("first", "x"))
    assert compiled == ["first"] * 3


def test_unrolling_is_part_of_what_is_compiled() -> None:
    digests = {kernel_digest(kernel("first", "x", unroll)) for unroll in (True, False)}
    assert len(digests) == 2


def test_without_a_cache(compiled: list[str]) -> None:
    native = Native(default_target(), None)
    first = native.compile(kernel("first", "x"))
    assert native.compile(kernel("second", "y")) is first
    assert compiled == ["first"]


def test_the_executor_is_stored(make_native: Callable[..., Native], monkeypatch) -> None:
    make_native().executor  # noqa: B018 - made when it is first asked for
    monkeypatch.setattr("graphc.kernels.native.llvm.compile_ir", None)
    make_native().executor  # noqa: B018
