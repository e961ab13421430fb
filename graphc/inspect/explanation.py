"""What was decided about a program, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from graphc.inspect.explain_cache import CachedEntry


@dataclass(frozen=True)
class FusionDecision:
    """Two kernels that became one, or why they did not.

    kernels: where the two parts are computed now; one name where they were fused.
    bytes_saved: reads and writes of memory that fall away, or would have.
    """

    producer: str
    consumer: str
    fused: bool
    bytes_saved: int
    reason: str
    kernels: tuple[str, ...]


@dataclass(frozen=True)
class RecomputedValue:
    """A value that is cheaper to compute in each of `kernels` than to store."""

    value: str
    kernels: tuple[str, ...]
    bytes_saved: int


@dataclass(frozen=True)
class Rewrite:
    """A rule that fired `times` times on what a line of the user had declared."""

    rule: str
    equation: str
    line: str
    text: str
    times: int
    before: str
    after: str


@dataclass(frozen=True)
class ExplainedBuffer:
    """A run of memory. role: input, state, constant, temporary or scratch.

    first, last: the numbers of the first and the last instruction that use it, None where nothing
    does; `last` is the number of instructions where it is read after the step. offset: in the
    arena, in bytes; None for memory that is given.
    """

    name: str
    role: str
    dtype: str
    elements: int
    bytes: int
    offset: int | None
    first: int | None
    last: int | None
    reason: str


@dataclass(frozen=True)
class TileAlternative:
    """A tile that was not taken, and how much longer it is estimated to take: 0.1 is a tenth.

    It takes less where the product is cut by rows for threads.
    """

    tile: str
    slower: float


@dataclass(frozen=True)
class WindowsChoice:
    """Whether a product reads a copy of windows, or windows where they stand, and why.

    copied_bytes: what the copy takes, or would. in_place_cycles, copied_cycles: the estimates of
    both ways, the copy itself among them; None where windows cannot be read where they stand.
    """

    copied: bool
    copied_bytes: int
    in_place_cycles: float | None
    copied_cycles: float | None
    reason: str


@dataclass(frozen=True)
class TileChoice:
    """How a matrix product is cut. product: the types of operands and result.

    alternatives: the next best tile, and the best of each other form and packing. windows: how they
    are read, None where the operands have strides.
    """

    kernel: str
    product: str
    line: str
    reason: str
    alternatives: tuple[TileAlternative, ...]
    windows: WindowsChoice | None = None


@dataclass(frozen=True)
class ExplainedLoop:
    """What was decided about the steps of a loop, whose kernels are made once.

    loop: with the user's line. steps: how many there are, None where a condition says in the run.
    kernels: how many a step has, loops in it as one. Bytes and decisions are those of one step, as
    those of an Explanation are of the program without what its loops do.
    """

    loop: str
    steps: int | None
    kernels: int
    ops: int
    bytes_unfused: int
    bytes_fused: int
    fusions: tuple[FusionDecision, ...]
    refusals: tuple[FusionDecision, ...]
    recomputed: tuple[RecomputedValue, ...]


@dataclass(frozen=True)
class Explanation:
    """What was decided about a program, each decision with its reason.

    kernels: in the order in which they run. bytes_unfused, bytes_fused: what all kernels read and
    write at the least, with a kernel an op and as they are. arena_bytes holds values_bytes of
    temporaries, which share memory. loops: what their steps do besides, each loop before those in
    it.
    """

    program: str
    dimensions: dict[str, int]
    vector_bits: int
    threads: int
    kernels: tuple[str, ...]
    ops: int
    bytes_unfused: int
    bytes_fused: int
    fusions: tuple[FusionDecision, ...]
    refusals: tuple[FusionDecision, ...]
    recomputed: tuple[RecomputedValue, ...]
    loops: tuple[ExplainedLoop, ...]
    rewrites: tuple[Rewrite, ...]
    buffers: tuple[ExplainedBuffer, ...]
    arena_bytes: int
    values_bytes: int
    tiles: tuple[TileChoice, ...]
    cache: tuple[CachedEntry, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)
