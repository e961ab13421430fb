"""What a plan consists of: rows of the table, loops among them, and the memory of every value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.compiler.plan.arena import Arena
from graphc.ir.graph import Node
from graphc.ir.lazy import Lazy
from graphc.kernels.groups.group import Group, MovementGroup
from graphc.kernels.loops.language.source import KernelSource, Storage
from graphc.kernels.nests.node_kinds import external_operands


@dataclass(frozen=True, eq=False)
class PlannedSlice:
    """Memory of which each step of a loop has another part: in `whole`, `first` bytes from its
    beginning in step 0, and `stride` further in each step."""

    storage: Storage
    whole: Storage
    first: int
    stride: int


@dataclass(frozen=True, eq=False)
class PlannedLoop:
    """What the rows around the steps of a loop say: how many there are, and of what they read and
    write slices.

    length: None where a step is made as long as the bool in `condition` is true.
    """

    node: Node
    length: int | None
    slices: tuple[PlannedSlice, ...]
    condition: Storage | None = None

    @property
    def count(self) -> str:
        """How many steps there are, as it is shown."""
        return "?" if self.length is None else str(self.length)


@dataclass(frozen=True, eq=False)
class PlannedInstruction:
    """One row of the table: a kernel's source, and what is behind it.

    group: what the kernel computes, if it is the first of its group.
    finishes: the group that the kernel finishes, if it is not the first of its group: it adds up
        blocks, or copies what the kernels before it have left.
    checked: the indices that the kernel checks.
    begins, ends: the loop whose steps are the rows behind this one, or before it. Such a row has no
        kernel; its arguments are all that the loop reads and writes of what is outside. The first
        one has the loop's group.
    shared: whether all threads call the kernel, each for its share.
    barrier: whether all threads must have finished the rows before it.
    repeats: how often it runs in a walk of the table: once, or in each step of the loops around it;
        of one whose steps are not counted a single step.
    """

    source: KernelSource
    group: Group | None = None
    finishes: Group | None = None
    checked: Node | None = None
    begins: PlannedLoop | None = None
    ends: PlannedLoop | None = None
    shared: bool = False
    barrier: bool = False
    repeats: int = 1

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def gathers(self) -> bool:
        """Whether the kernel copies slices that indices choose, and does nothing else."""
        return isinstance(self.group, MovementGroup) and self.group.gathers


@dataclass(frozen=True, eq=False)
class Storages:
    """The memory of every stored value: of inputs, states, constants, and temporaries.

    checked: of inputs that hold indices, the copies that their checks make. The caller may write to
        the input meanwhile, so whatever reads it reads what was checked.
    inner: of what steps of loops read and write in the memory of values outside.
    """

    inputs: dict[Node, Storage]
    states: dict[Node, Storage]
    constants: dict[Node, Storage]
    temporaries: dict[Node, Storage]
    overwritten: dict[Node, Storage]
    checked: dict[Node, Storage]
    inner: dict[Node, Storage]

    def of(self, node: Node) -> Storage:
        """Where kernels read or write `node`, which is no view. Raises KeyError when it is not
        stored."""
        for kind in (
            self.checked,
            self.temporaries,
            self.overwritten,
            self.inputs,
            self.states,
            self.constants,
            self.inner,
        ):
            if node in kind:
                return kind[node]
        raise KeyError(node)

    def add_steps(self, steps: Storages) -> None:
        """Adds what steps of a loop have."""
        self.temporaries.update(steps.temporaries)
        self.constants.update(steps.constants)
        self.checked.update(steps.checked)
        for kind in (steps.inputs, steps.states, steps.overwritten, steps.inner):
            self.inner.update(kind)


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a run needs but machine code and addresses.

    outputs: name, storage and node of each output; a view is read through its strides.
    """

    instructions: tuple[PlannedInstruction, ...]
    storages: Storages
    arena: Arena

    @property
    def kernels(self) -> int:
        return len(self.instructions)

    @Lazy
    def computing(self) -> Mapping[Node, tuple[str, ...]]:
        """The names of the kernels that compute each node, in their order."""
        found: dict[Node, list[str]] = {}
        for row in self.instructions:
            for node in row.group.nodes if row.group else ():
                found.setdefault(node, []).append(row.name)
        return {node: tuple(names) for node, names in found.items()}

    @Lazy
    def reading(self) -> Mapping[Node, tuple[PlannedInstruction, ...]]:
        """The kernels that read each value of memory, in their order."""
        found: dict[Node, list[PlannedInstruction]] = {}
        for row in self.instructions:
            for node in external_operands(row.group.nodes) if row.group else ():
                found.setdefault(node, []).append(row)
        return {node: tuple(rows) for node, rows in found.items()}
