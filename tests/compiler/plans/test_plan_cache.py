"""Plans on disk: what is loaded is what would be compiled, and whatever is not sound is refused."""

from __future__ import annotations

import gc as garbage
import itertools
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler import pipeline
from graphc.compiler.load.assemble import compiled, executable_of
from graphc.compiler.load.executable import BufferRole
from graphc.compiler.load.executable_text import CONSTANTS, TEXT, read_executable, write_executable
from graphc.compiler.load.native import LoadedProgram
from graphc.compiler.load.plan_cache import (
    PLAN,
    compiled_or_stored,
    compiler_files,
    plan_cache,
    program_digest,
    stored,
)
from graphc.compiler.options import Options
from graphc.ir.graph import Program
from graphc.kernels.host.cache_entry import Entry
from graphc.kernels.native.builds import this_build
from graphc.kernels.native.cache import CacheWarning, DiskCache
from graphc.kernels.native.llvm import default_target
from tests.compiler import networks
from tests.compiler.execution import VECTOR_BITS, compilation
from tests.random_graphs import random_program

RANDOM_PROGRAMS = 25
OPTIONS = Options({}, True, VECTOR_BITS)


@pytest.fixture
def plans(tmp_path: Path) -> DiskCache:
    return plan_cache(DiskCache(tmp_path / "cache", this_build(default_target())))


@pytest.fixture
def no_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called on, no pass runs."""

    def forbid() -> None:
        def refuse(*arguments: Any) -> None:
            raise AssertionError("a pass ran")

        monkeypatch.setattr(pipeline, "compile_program", refuse)

    return forbid


# --- what is stored --------------------------------------------------------------------------


def test_an_executable_comes_back_whole() -> None:
    programs = [random_program(seed) for seed in range(RANDOM_PROGRAMS)]
    programs += [networks.classifier().program, networks.adam().program, _constants()]
    for program in programs:
        executable = executable_of(compilation(program))
        assert read_executable(write_executable(executable)) == executable
    assert sum(buffer.role is BufferRole.CONSTANT for buffer in executable.buffers) == 4


def _constants() -> Program:
    """A program of arrays of several types and shapes."""
    graph = gc.Graph()
    x = graph.input("x", (2, 3))
    rows = graph.constant(np.array([1, 0, 1], "i4"))
    chosen = graph.constant(np.array([[True, False, True]] * 2))
    outputs = [
        x + np.array([np.nan, -0.0, np.inf], "f4"),
        gc.cast(x, "f64") * np.arange(6.0).reshape(2, 3),
        gc.take(x, rows),
        gc.where(chosen, x, 0.0),
    ]
    return gc.function([x], outputs).program


def test_a_stored_plan_needs_no_pass(plans: DiskCache, no_passes: Callable[[], None]) -> None:
    program = networks.classifier().program
    first = compiled_or_stored(program, OPTIONS, plans)
    assert [path.suffix for path in plans.directory.iterdir()] == [f".{PLAN}"]
    # An equal program in another graph finds it, and makes the same of it when it is asked to.
    again = networks.classifier().program
    found = stored(again, OPTIONS, plans)
    assert found is not None and found.executable == first.executable
    assert executable_of(found.compilation) == first.executable
    no_passes()
    assert compiled_or_stored(again, OPTIONS, plans).executable == first.executable


def test_passes_that_do_otherwise_are_noticed(
    plans: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = networks.classifier().program
    compiled_or_stored(program, OPTIONS, plans)
    found = stored(program, OPTIONS, plans)
    other = compilation(networks.dense().program)
    monkeypatch.setattr(pipeline, "compile_program", lambda *arguments: other)
    assert found is not None
    with pytest.raises(RuntimeError, match="the plan differs from the first"):
        found.compilation  # noqa: B018 - made when it is first asked for


def test_large_constants_are_not_stored(plans: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = gc.Graph()
    x = graph.input("x", (3,))
    program = gc.function([x], x + np.arange(3, dtype="f4")).program
    monkeypatch.setattr("graphc.compiler.load.plan_cache.MOST_CONSTANT_BYTES", 11)
    compiled_or_stored(program, OPTIONS, plans)
    assert stored(program, OPTIONS, plans) is None
    monkeypatch.setattr("graphc.compiler.load.plan_cache.MOST_CONSTANT_BYTES", 12)
    compiled_or_stored(program, OPTIONS, plans)
    assert stored(program, OPTIONS, plans) is not None


# --- what it goes by -------------------------------------------------------------------------


def _digest(
    constant: Any = 2.0,
    *,
    name: str = "x",
    state: str = "w",
    output: str = "y",
    dtype: str = "f32",
    trainable: bool = True,
    axis: int = 0,
    others_first: int = 0,
    options: Options = OPTIONS,
) -> str:
    graph = gc.Graph()
    for _ in range(others_first):
        graph.constant(np.arange(3))
    x = graph.input(name, (4, 4), dtype)
    w = graph.state(state, (4, 4), dtype, trainable=trainable)
    y = gc.sum(x * w * constant, axis)
    return program_digest(gc.function([x], {output: y}, [(w, w * 0.5)]).program, options)


def test_equal_programs_are_one_plan_wherever_they_stand() -> None:
    assert _digest() == _digest(others_first=1)
    lines = "\n\n\n"
    names: dict[str, Any] = {"digest": _digest}
    exec(compile(f"{lines}found = digest()", "elsewhere.py", "exec"), names)
    assert names["found"] == _digest()


def test_other_programs_are_other_plans() -> None:
    large = np.ones((4, 4), "f4")
    changed = large.copy()
    changed[3, 3] = np.nextafter(np.float32(1), np.float32(2))
    digests = [
        _digest(),
        *(_digest(value) for value in (3.0, -0.0, 0.0, np.nan, large, changed)),
        *(_digest(name=name) for name in ("other", "a\nb")),
        _digest(state="v"),
        _digest(output="z"),
        _digest(dtype="f64"),
        _digest(trainable=False),
        _digest(axis=1),
        _digest(options=replace(OPTIONS, fuse=False)),
        _digest(options=replace(OPTIONS, threads=2)),
        _digest(options=replace(OPTIONS, vector_bits=128)),
        _digest(options=replace(OPTIONS, bindings={"batch": 3})),
        _digest(options=replace(OPTIONS, bindings={"batch": 4})),
    ]
    assert len(set(digests)) == len(digests)


def test_what_outputs_and_updates_hold_is_part_of_a_program() -> None:
    """Whichever of the same values, of which one is made of the other, each of them has."""
    graph = gc.Graph()
    x = graph.input("x", (3,))
    states = [graph.state(name, (3,)) for name in "vw"]
    values = [x * states[0] * states[1]]
    values += [values[0] + 1, values[0] + 2]
    digests = set()
    orders = list(itertools.permutations(values))
    for outputs, updates in itertools.product(orders, orders):
        results = tuple(zip("abc", outputs, strict=True))
        following = tuple(zip(states, updates[:2], strict=True))
        digests.add(program_digest(Program("chosen", (x,), results, following), OPTIONS))
    assert len(digests) == len(orders) ** 2


def test_another_compiler_is_another_plan(plans: DiskCache, tmp_path: Path) -> None:
    assert f"numpy {np.__version__}" in plans.build.versions
    names = {path.name for path in plans.generators}
    assert {"fuse.py", "tiling.py", "simplify.py", "elementwise.py", "plan_cache.py"} <= names
    program = networks.dense().program
    compiled_or_stored(program, OPTIONS, plans)
    other = replace(plans, build=replace(plans.build, generators="other"))
    assert stored(program, OPTIONS, other) is None
    reason = other.explain(program_digest(program, OPTIONS), other.entries())
    assert reason == "the compiler's sources differ"


# Prints what a process makes of the same program.
MAKE = """
from tests.compiler.execution import compilation
from tests.random_graphs import random_program
from graphc.compiler.load.assemble import executable_of
from graphc.compiler.load.executable_text import write_executable
from graphc.compiler.load.executable import BufferRole
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.kernels.host.cache_entry import source_digest
kept = [object() for _ in range(int(input()))]
for seed in range(12):
    options = Options({}, True, 256, 1 + seed % 2)
    made = executable_of(compile_program(random_program(seed), options))
    print(source_digest([write_executable(made)["plan"].decode()]))
"""


def test_processes_make_the_same_plan() -> None:
    """Whatever strings hash to, and wherever objects stand in memory."""
    found = [
        subprocess.run(
            [sys.executable, "-c", MAKE],
            input=objects,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        for seed, objects in (("1", "0"), ("2", "12345"))
    ]
    assert found[0] == found[1] and len(set(found[0].split())) == 12


# --- what is not sound -----------------------------------------------------------------------


def _nothing(plan: dict[str, Any]) -> None:
    plan.clear()


def _role(plan: dict[str, Any]) -> None:
    plan["buffers"][0]["role"] = "other"


def _dtype(plan: dict[str, Any]) -> None:
    plan["buffers"][0]["dtype"] = "f16"


def _late_input(plan: dict[str, Any]) -> None:
    plan["buffers"].append(plan["buffers"][0])


def _outside_the_arena(plan: dict[str, Any]) -> None:
    plan["arena_bytes"] = 64


def _no_such_buffer(plan: dict[str, Any]) -> None:
    plan["rows"][0]["arguments"] = [len(plan["buffers"])]


def _no_such_field(plan: dict[str, Any]) -> None:
    plan["rows"][0]["other"] = 1


def _output_outside(plan: dict[str, Any]) -> None:
    plan["outputs"][0]["offset"] = 1 << 20


def _constant_without_value(plan: dict[str, Any]) -> None:
    plan["buffers"][0]["role"] = "constant"


@pytest.mark.parametrize(
    "spoil",
    [
        _nothing,
        _role,
        _dtype,
        _late_input,
        _outside_the_arena,
        _no_such_buffer,
        _no_such_field,
        _output_outside,
        _constant_without_value,
    ],
)
def test_an_entry_that_is_no_plan_is_refused(
    plans: DiskCache, spoil: Callable[[dict[str, Any]], None]
) -> None:
    program = networks.classifier().program
    made = compiled(compilation(program)).executable
    parts = write_executable(made)
    plan = json.loads(parts[TEXT])
    spoil(plan)
    _store(plans, {**parts, TEXT: json.dumps(plan).encode()})
    with pytest.warns(CacheWarning, match="it holds no plan"):
        found = compiled_or_stored(program, OPTIONS, plans)
    assert found.executable == made
    # The sound plan is in its place.
    again = stored(program, OPTIONS, plans)
    assert again is not None and again.executable == made


@pytest.mark.parametrize("changes", [{TEXT: b"{"}, {TEXT: b"\xff"}, {CONSTANTS: b"x"}])
def test_parts_that_cannot_be_read_are_refused(plans: DiskCache, changes: Any) -> None:
    program = networks.classifier().program
    _store(plans, {**write_executable(compiled(compilation(program)).executable), **changes})
    with pytest.warns(CacheWarning, match="it holds no plan"):
        assert stored(program, OPTIONS, plans) is None


def _store(plans: DiskCache, parts: dict[str, bytes]) -> None:
    digest = program_digest(networks.classifier().program, OPTIONS)
    plans.store(Entry(PLAN, "spoilt", digest, plans.build, parts))


def test_a_damaged_file_is_compiled_afresh(plans: DiskCache) -> None:
    program = networks.classifier().program
    made = compiled_or_stored(program, OPTIONS, plans)
    path = plans.path(program_digest(program, OPTIONS))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(CacheWarning, match="damaged"):
        found = compiled_or_stored(program, OPTIONS, plans)
    assert found.executable == made.executable
    assert stored(program, OPTIONS, plans) is not None


# --- warm functions --------------------------------------------------------------------------

# Indices that the program computes: the check is a row behind others.
TAKING = """
graph = gc.Graph()
x = graph.input("x", (3,))
table = graph.parameter("table", (5, 2), 1.0)
rows = gc.take(table, gc.cast(gc.relu(x * 2.0), "i32"))
function = gc.function([x], gc.sum(rows))
"""


def _function(filename: str, lines_before: int, source: str = TAKING) -> gc.Function:
    names: dict[str, Any] = {"gc": gc}
    exec(compile("\n" * lines_before + source, filename, "exec"), names)
    function: gc.Function = names["function"]
    return function


def test_what_runs_does_not_keep_what_the_passes_made(plans: DiskCache) -> None:
    program = networks.dense().program
    made = compiled_or_stored(program, OPTIONS, plans)
    passes = weakref.ref(made.compilation)
    states = {node.name: np.zeros(node.type.dims, node.dtype.numpy) for node in program.states}
    loaded = LoadedProgram(made, states)
    garbage.collect()
    assert passes() is None
    # Whoever asks has it made again.
    assert executable_of(loaded.compilation) == made.executable
    assert loaded.compilation is loaded.compilation


def test_an_error_names_the_line_as_it_is_now() -> None:
    good, bad = np.array([0, 1, 2], "f4"), np.array([0, 1, 7], "f4")
    before = _function("before.py", 0)
    assert before(good) == 6
    moved = _function("after.py", 10)
    assert moved(good) == 6
    loaded = moved.loaded()
    assert "compilation" not in vars(loaded.compiled), "it came from disk"
    with pytest.raises(IndexError) as raised:
        before(bad)
    expected = str(raised.value).replace("before.py:5", "after.py:15")
    with pytest.raises(IndexError) as raised:
        moved(bad)
    assert str(raised.value) == expected and "after.py:15" in expected


def test_a_stored_plan_that_is_too_large_is_refused(
    monkeypatch: pytest.MonkeyPatch, no_passes: Callable[[], None]
) -> None:
    needed = networks.adam(20_000).memory()
    warm = networks.adam(20_000)
    monkeypatch.setenv("GRAPHC_MEMORY_LIMIT", str(needed.total - 1))
    with pytest.raises(gc.PlanTooLargeError, match=r"limit allows|allows") as raised:
        warm.prepare()
    assert ": w f32[20000] at networks.py:" in str(raised.value)
    no_passes()
    monkeypatch.setenv("GRAPHC_MEMORY_LIMIT", str(needed.total))
    assert networks.adam(20_000).memory() == needed


def test_a_warm_function_can_be_looked_at(no_passes: Callable[[], None]) -> None:
    networks.dense().prepare()
    warm = networks.dense().loaded()
    assert [kernel.name for kernel in warm.kernels] == [row.name for row in warm.executable.rows]
    assert warm.plan.kernels == len(warm.executable.rows)
    assert "microkernel" in warm.kernels[0].source
    no_passes()
    x = np.ones((64, 48), "f4")
    assert networks.dense()(x).shape == (64, 32)


def test_plans_depend_on_every_file_of_the_passes() -> None:
    """Those of the rooms inside of rooms too."""
    passes = {Path(sys.modules[apply.__module__].__file__ or "") for _, apply in pipeline.PASSES}
    rooms = ("compiler/fusion", "compiler/plan", "compiler/legalize", "compiler/load")
    found = set(compiler_files())
    assert passes <= found
    folder = Path(pipeline.__file__).parent.parent
    assert all(set((folder / room).glob("*.py")) <= found for room in rooms)
