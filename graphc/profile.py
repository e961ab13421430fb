"""Where the time of a step goes: every kernel timed, fused beside unfused in one run."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graphc.compiler.grouping import computed_nodes
from graphc.compiler.native import LoadedProgram, native
from graphc.compiler.plan import PlannedInstruction, bytes_moved, operations
from graphc.errors import DataError
from graphc.function import Function, function
from graphc.ir.graph import Node, Program
from graphc.ir.location import Location
from graphc.ir.ops import elementwise, leaf
from graphc.ir.ops.movement import in_range
from graphc.ir.types import Dim
from graphc.kernels.group import ContractionGroup, LoopGroup, is_view
from graphc.kernels.memory import data_address
from graphc.model import Model

Array = np.ndarray[Any, np.dtype[Any]]

ROUNDS = 15

# One measurement repeats the step for about so long, but no more often than this: a net that is
# trained on the same few rows for long converges, and then computes with denormal numbers.
SECONDS_A_MEASUREMENT = 2e-3
MOST_REPEATS = 50

# Integer inputs that index nothing are drawn below this.
UNLIMITED_INTEGERS = 10


@dataclass(frozen=True)
class Line:
    """A line of the user's script."""

    file: str
    line: int
    text: str

    @property
    def name(self) -> str:
        """The file without its folders."""
        return os.path.basename(self.file)


@dataclass(frozen=True)
class KernelProfile:
    """One row of the instruction table.

    nanoseconds: of one step, the median over all rounds; share: of the sum of all kernels.
    calls: in one step. bytes: read and written at the least. operations: multiplications and
    additions of products, one for any other element. ops: names of the ops computed, in order.
    unfused_nanoseconds: what the same ops take with a kernel each; None for an unfused kernel.
    """

    name: str
    kind: str
    nanoseconds: float
    share: float
    calls: int
    bytes: int
    operations: int
    gigabytes_per_second: float
    ops: tuple[str, ...]
    lines: tuple[Line, ...]
    unfused_nanoseconds: float | None = None


@dataclass(frozen=True)
class StepProfile:
    """A compiled step. step_nanoseconds: in the executor's loop, without clocks between kernels,
    the median over all rounds."""

    step_nanoseconds: float
    ops: int
    arena_bytes: int
    kernels: tuple[KernelProfile, ...]


@dataclass(frozen=True)
class Profile:
    """Fused and unfused steps of one program, measured in turns."""

    program: str
    dimensions: dict[str, int]
    vector_bits: int
    threads: int
    rounds: int
    repeats: int
    ratio: float
    fused: StepProfile
    unfused: StepProfile

    def as_dict(self) -> dict[str, Any]:
        """The same as plain dicts, lists and numbers, fit for JSON."""
        return asdict(self)


def profile(
    model: Model,
    batch_size: int | None = None,
    *,
    dimensions: Mapping[str, int] | None = None,
    rounds: int = ROUNDS,
    repeats: int | None = None,
) -> Profile:
    """Measures the model's training step. Its variables are as before afterwards.

    batch_size: that of the model unless given. dimensions: extents of other open dimensions.
    rounds: how often fused and unfused steps are measured in turns; repeats: steps in one
    measurement. The inputs are random, of the right shapes and dtypes, with indices in range.
    `ratio` is the median over the rounds of unfused over fused time. Raises NotCompiledError for
    a model without optimizer, DataError for an open dimension without an extent.
    """
    bindings = {
        model.batch_dimension: model.batch_size if batch_size is None else batch_size,
        **(dimensions or {}),
    }
    step = model.train_function
    return profile_function(step, bindings, rounds=rounds, repeats=repeats)


def profile_function(
    step: Function, dimensions: Mapping[str, int], *, rounds: int, repeats: int | None = None
) -> Profile:
    """As `profile`, for any function."""
    check_dimensions(step.program, dimensions)
    fused = (step if step.fuse else as_function(step, fuse=True)).loaded(dimensions)
    unfused = (as_function(step, fuse=False) if step.fuse else step).loaded(dimensions)
    inputs = random_inputs(fused.compilation.program)
    before = {state: step.variables[state] for state in step.program.states}
    samples = _Samples(fused, unfused, [data_address(array) for array in inputs])
    try:
        if repeats is None:
            repeats = samples.suitable_repeats()
        for _ in range(rounds):
            samples.measure(repeats, lambda: _restore(step, before))
    finally:
        _restore(step, before)
    return samples.profile(step.program.name, dict(dimensions), rounds, repeats)


def as_function(step: Function, fuse: bool) -> Function:
    """The same program on the same variables, compiled fused or unfused."""
    program = step.program
    return function(
        program.inputs,
        dict(program.outputs),
        dict(program.updates),
        variables=step.variables,
        fuse=fuse,
        threads=step.threads,
        name=program.name,
    )


def check_dimensions(program: Program, dimensions: Mapping[str, int]) -> None:
    """Raises DataError naming the open dimensions of the inputs that have no extent."""
    wanted = {e.name for node in program.inputs for e in node.shape if isinstance(e, Dim)}
    missing = sorted(wanted - dimensions.keys())
    if missing:
        raise DataError(f"{program.name}: extents for the dimensions {missing} are missing")


def _restore(step: Function, values: Mapping[Node, Array]) -> None:
    for state, value in values.items():
        step.variables[state] = value


# --- inputs ----------------------------------------------------------------------------------


def random_inputs(program: Program, seed: int = 0) -> list[Array]:
    """Arrays for the inputs of a compiled program: floats uniform in [0, 1), indices in range."""
    generator = np.random.default_rng(seed)
    limits = _index_limits(program)
    return [_random(node, limits, generator) for node in program.inputs]


def _random(node: Node, limits: Mapping[str, int], generator: np.random.Generator) -> Array:
    shape, dtype = node.type.dims, node.dtype
    if dtype.is_float:
        return generator.random(shape).astype(dtype.numpy)
    limit = limits.get(node.name, UNLIMITED_INTEGERS if dtype.is_integer else 2)
    return generator.integers(0, limit, shape).astype(dtype.numpy)


def _index_limits(program: Program) -> dict[str, int]:
    """The names of inputs that index something, each with the least bound of its values."""
    limits: dict[str, int] = {}
    for node in program.nodes:
        if node.op is in_range:
            limit, source = node.attributes["limit"], node.operands[0]
            while is_view(source) or source.op is elementwise.cast:
                source = source.operands[0]
            if source.op is leaf.input_:
                limits[source.name] = min(limit, limits.get(source.name, limit))
    return limits


# --- measuring -------------------------------------------------------------------------------


class _Samples:
    """Measurements of a fused and an unfused step, taken in turns."""

    def __init__(
        self, fused: LoadedProgram, unfused: LoadedProgram, addresses: Sequence[int]
    ) -> None:
        self.programs = (fused, unfused)
        self.addresses = addresses
        self.steps: tuple[list[float], list[float]] = ([], [])
        self.kernels: tuple[list[Array], list[Array]] = ([], [])

    def suitable_repeats(self) -> int:
        """So many that a measurement takes the wanted time; the first step, on cold caches, tells
        nothing."""
        for _ in range(2):
            start = time.perf_counter()
            for program in self.programs:
                program.run(self.addresses)
            seconds = (time.perf_counter() - start) / len(self.programs)
        return int(min(max(SECONDS_A_MEASUREMENT / seconds, 1), MOST_REPEATS))

    def measure(self, repeats: int, restore: Callable[[], None]) -> None:
        """One round: each step in the executor's loop, then each with clocks between kernels."""
        for program, steps in zip(self.programs, self.steps, strict=True):
            restore()
            program.run(self.addresses)
            start = time.perf_counter_ns()
            program.run(self.addresses, repeats)
            steps.append((time.perf_counter_ns() - start) / repeats)
        for program, kernels in zip(self.programs, self.kernels, strict=True):
            restore()
            program.run(self.addresses)
            timing = program.table.run_timed(self.addresses, repeats)
            kernels.append(timing.instruction_nanoseconds())

    def profile(self, name: str, dimensions: dict[str, int], rounds: int, repeats: int) -> Profile:
        fused, unfused = self.programs
        fused_times, unfused_times = (np.median(kernels, 0) for kernels in self.kernels)
        beside = _unfused_times(fused, unfused, unfused_times)
        ratios = [slow / fast for fast, slow in zip(*self.steps, strict=True)]
        return Profile(
            program=name,
            dimensions=dimensions,
            vector_bits=native().vector_bits,
            threads=fused.compilation.options.threads,
            rounds=rounds,
            repeats=repeats,
            ratio=statistics.median(ratios),
            fused=_step_profile(fused, self.steps[0], fused_times, beside),
            unfused=_step_profile(unfused, self.steps[1], unfused_times, None),
        )


def _unfused_times(fused: LoadedProgram, unfused: LoadedProgram, times: Array) -> list[float]:
    """For each fused kernel the time of the unfused kernels whose ops it is the first to hold.

    Both programs are the same, node by node: only how nodes are grouped differs.
    """
    same = dict(
        zip(unfused.compilation.program.nodes, fused.compilation.program.nodes, strict=True)
    )
    cost: dict[Node, float] = {}
    for instruction, nanoseconds in zip(unfused.plan.instructions, times, strict=True):
        for node in _nodes(instruction):
            key = same.get(node, node)
            cost[key] = cost.get(key, 0.0) + float(nanoseconds)
    return [
        sum(cost.pop(node, 0.0) for node in _nodes(instruction))
        for instruction in fused.plan.instructions
    ]


def _nodes(instruction: PlannedInstruction) -> tuple[Node, ...]:
    group = instruction.group or instruction.finishes
    if group is not None:
        return group.nodes
    assert instruction.checked is not None
    return (instruction.checked,)


def _step_profile(
    loaded: LoadedProgram, steps: Sequence[float], times: Array, beside: list[float] | None
) -> StepProfile:
    instructions = loaded.plan.instructions
    total = float(times.sum())
    kernels = tuple(
        _kernel_profile(instruction, float(times[i]), total, None if beside is None else beside[i])
        for i, instruction in enumerate(instructions)
    )
    ops = len(computed_nodes(loaded.compilation.program))
    return StepProfile(statistics.median(steps), ops, loaded.plan.arena.nbytes, kernels)


def _kernel_profile(
    instruction: PlannedInstruction, nanoseconds: float, total: float, beside: float | None
) -> KernelProfile:
    nodes = _nodes(instruction)
    group = instruction.group
    if group is None:
        storages = instruction.source.arguments
        moved, count = sum(s.nbytes for s in storages), sum(s.size for s in storages)
    else:
        moved, count = bytes_moved(group), operations(group)
    return KernelProfile(
        name=instruction.name,
        kind=kind_of(instruction),
        nanoseconds=nanoseconds,
        share=nanoseconds / total if total else 0.0,
        calls=1,
        bytes=moved,
        operations=count,
        # Bytes a nanosecond are gigabytes a second.
        gigabytes_per_second=moved / nanoseconds if nanoseconds else 0.0,
        ops=tuple(node.op.name for node in nodes),
        lines=lines_of(nodes),
        unfused_nanoseconds=beside,
    )


def kind_of(instruction: PlannedInstruction) -> str:
    """What sort of kernel it is, in one word."""
    if instruction.checked is not None:
        return "check"
    if instruction.finishes is not None:
        return "finish"
    if isinstance(instruction.group, ContractionGroup):
        return "contraction"
    return "loops" if isinstance(instruction.group, LoopGroup) else "movement"


def lines_of(nodes: Sequence[Node]) -> tuple[Line, ...]:
    """The user's lines that `nodes` come from, each once, in the order of the files."""
    found: set[Location] = {node.location for node in nodes if node.location is not None}
    ordered = sorted(found, key=lambda location: (location.filename, location.line))
    return tuple(Line(where.filename, where.line, where.text) for where in ordered)
