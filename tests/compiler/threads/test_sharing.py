"""Which kernels are shared, and where threads meet."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

import graphc as gc
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.compiler.plan.arena import Arena
from graphc.compiler.plan.planning import check_scratch
from graphc.compiler.plan.sharing import SURELY_SHARED_CYCLES, Sharing, share
from graphc.ir.types import f32
from graphc.kernels.loops.kernel_function import BLOCK
from graphc.kernels.loops.language.indices import THREAD
from graphc.kernels.loops.language.source import KernelSource, OwnRows, ScratchParts, Storage
from tests.compiler.execution import compilation

LONG = 2 * SURELY_SHARED_CYCLES
A, B, C, STATE = (Storage(name, f32, 64) for name in ("a", "b", "c", "state"))

Places = Mapping[Storage, int]


def kernel(
    reads: list[Storage],
    writes: list[Storage],
    cycles: float = LONG,
    splits: bool = True,
    own: tuple[Storage, ...] = (),
    chunk: int = 4,
    can_stop: bool = False,
    indexes: bool = False,
    rows: int = 8,
) -> KernelSource:
    return KernelSource(
        "kernel",
        (),
        (*reads, *writes),
        writes=tuple(writes),
        splits=splits,
        cycles=cycles,
        own_rows=OwnRows(rows, chunk, frozenset(own)) if own else None,
        can_stop=can_stop,
        indexes=indexes,
    )


def sharing_of(*kernels: KernelSource, offsets: tuple[int, ...] = (0, 256, 512)) -> Sharing:
    places = dict(zip((A, B, C), offsets, strict=True))
    return share(kernels, Arena((), places, 1024), threads=2)


def _random_kernel(rng: random.Random) -> KernelSource:
    arguments = rng.sample([A, B, C, STATE], rng.randint(1, 3))
    written = rng.randint(0, len(arguments))
    return kernel(
        arguments[written:],
        arguments[:written],
        cycles=rng.choice([100, 900, LONG]),
        splits=rng.random() < 0.7,
        own=tuple(each for each in arguments if rng.random() < 0.6),
        chunk=rng.choice([2, 4]),
        can_stop=rng.random() < 0.2,
        indexes=rng.random() < 0.3,
        rows=rng.choice([8, 16]),
    )


def _must_meet(
    first: KernelSource, second: KernelSource, shared: tuple[bool, bool], places: Places
) -> bool:
    """Whether threads must meet between two kernels: one touches what another thread may have
    written, or may be about to, in the other; or the first may stop the run, and the second
    writes what lasts or trusts the indices that the first checks."""
    if not any(shared):
        return False
    lasting = any(storage not in places for storage in second.writes)
    trusting = second.indexes and set(first.arguments) & set(second.arguments)
    if first.can_stop and (lasting or trusting):
        return True
    one, other = first.own_rows, second.own_rows
    own: frozenset[Storage] = frozenset()
    if all(shared) and one and other and replace(one, arguments=other.arguments) == other:
        own = one.arguments & other.arguments
    return any(
        (x in first.writes or y in second.writes) and not (x is y and x in own)
        for x in first.arguments
        for y in second.arguments
        if _memory(x, places) & _memory(y, places)
    )


def _memory(storage: Storage, places: Places) -> set[tuple[Storage | None, int]]:
    """The bytes of a storage; those of the arena are of no storage alone."""
    start = places.get(storage, 0)
    owner = None if storage in places else storage
    return {(owner, start + byte) for byte in range(storage.nbytes)}


@pytest.mark.parametrize("seed", range(120))
def test_threads_meet_where_they_must_and_nowhere_else(seed: int) -> None:
    rng = random.Random(seed)
    kernels = [_random_kernel(rng) for _ in range(6)]
    offsets = tuple(rng.choice([0, 128, 252, 256, 512]) for _ in range(3))
    sharing = sharing_of(*kernels, offsets=offsets)
    places = dict(zip((A, B, C), offsets, strict=True))
    last = 0
    for later, (barrier, is_shared) in enumerate(
        zip(sharing.barriers, sharing.shared, strict=True)
    ):
        must = any(
            _must_meet(
                kernels[earlier], kernels[later], (sharing.shared[earlier], is_shared), places
            )
            for earlier in range(last, later)
        )
        assert barrier == must, f"before kernel {later}"
        last = later if barrier else last


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (kernel([A], [B]), kernel([B], [C])),
        (kernel([B], [C]), kernel([A], [B])),
        (kernel([A], [B]), kernel([A], [B])),
    ],
    ids=["read what was written", "overwrite what was read", "overwrite what was written"],
)
def test_threads_meet_between_kernels_that_use_the_same_memory(
    first: KernelSource, second: KernelSource
) -> None:
    assert sharing_of(first, second) == Sharing((True, True), (False, True))


def test_threads_do_not_meet_between_kernels_that_read_the_same() -> None:
    assert sharing_of(kernel([A], [B]), kernel([A], [C])).barriers == (False, False)


def test_threads_meet_where_memory_of_the_arena_is_used_again() -> None:
    first, second = kernel([STATE], [A]), kernel([STATE], [B])
    assert sharing_of(first, second).barriers == (False, False)
    assert sharing_of(first, second, offsets=(0, 128, 512)).barriers == (False, True)


def test_threads_go_on_with_rows_of_their_own() -> None:
    first, second = kernel([A], [B], own=(A, B)), kernel([B], [C], own=(B, C))
    assert sharing_of(first, second) == Sharing((True, True), (False, False))
    # Cut otherwise, or by rows only in one of the two.
    assert sharing_of(first, kernel([B], [C], own=(B, C), chunk=2)).barriers == (False, True)
    assert sharing_of(first, kernel([B], [C], own=(C,))).barriers == (False, True)
    # The first thread alone reads the rows of all.
    alone = kernel([B], [C], splits=False, own=(B, C))
    assert sharing_of(first, alone) == Sharing((True, False), (False, True))


def test_kernels_of_one_thread_need_no_barrier() -> None:
    kernels = [kernel([A], [B], splits=False), kernel([B], [C], splits=False)]
    assert sharing_of(*kernels) == Sharing((False, False), (False, False))


def test_states_are_written_only_after_the_check_of_an_index() -> None:
    check = kernel([A], [], cycles=0, splits=False, can_stop=True)
    before = kernel([B], [C])
    assert sharing_of(check, before, kernel([C], [STATE])).barriers == (False, False, True)
    assert sharing_of(check, kernel([B], [STATE])).barriers == (False, True)
    # What compares indices may run before; what they lead to in memory may not.
    assert sharing_of(check, kernel([A], [C])).barriers == (False, False)
    assert sharing_of(check, kernel([A], [C], indexes=True)).barriers == (False, True)


def test_a_short_step_runs_on_one_thread() -> None:
    kernels = [kernel([A], [B], cycles=900), kernel([B], [C], cycles=900)]
    assert sharing_of(*kernels).shared == (False, False)


def test_a_short_kernel_is_shared_where_that_costs_no_barrier() -> None:
    kernels = [kernel([A], [B], own=(A, B)), kernel([B], [C], cycles=900, own=(B, C))]
    assert sharing_of(*kernels) == Sharing((True, True), (False, False))


def test_one_thread_shares_nothing() -> None:
    sharing = share([kernel([A], [B])], Arena((), {A: 0, B: 256}, 512), threads=1)
    assert sharing == Sharing((False,), (False,))


@pytest.mark.parametrize(
    ("rows", "blocks"), [(24, 2), (44, 4), (56, 6), (88, 8), (120, 12), (400, 16)]
)
def test_blocks_of_rows_are_shared_evenly(rows: int, blocks: int) -> None:
    """A sum over rows, whose number of blocks is not that of the rows."""
    x = gc.Graph().input("x", (rows, 1024))
    program = gc.function([x], gc.sum(gc.exp(x), axis=0)).program
    first = compilation(program).plan.instructions[0]
    assert f"for block in range(thread * {blocks} // threads" in first.source.text


# --- scratch memory of threads -------------------------------------------------------------------

SCRATCH = Storage("scratch", f32, 48)


@pytest.mark.parametrize(
    ("part", "flaw"),
    [
        (None, "no parts"),
        (ScratchParts(SCRATCH, THREAD, 2, 16, ((0, 16),)), "2 parts for 3 threads"),
        (ScratchParts(SCRATCH, THREAD, 4, 16, ((0, 16),)), "4 parts of 16 in 48 elements"),
        (ScratchParts(SCRATCH, BLOCK, 4, 16, ((0, 16),)), "4 parts of 16 in 48 elements"),
        (ScratchParts(SCRATCH, THREAD, 3, 16, ((0, 17),)), "arrays of 17 elements in parts of"),
        (ScratchParts(SCRATCH, THREAD, 3, 16, ((8, 8), (0, 9))), "two arrays at element 8"),
    ],
)
def test_scratch_memory_that_is_not_proven_is_refused(part: ScratchParts | None, flaw: str) -> None:
    source = replace(kernel([A], [B]), scratch=(SCRATCH,), parts=(part,) if part else ())
    with pytest.raises(AssertionError, match=f"kernel: threads share scratch: {flaw}"):
        check_scratch(source, threads=3)


@pytest.mark.parametrize(
    "part",
    [
        ScratchParts(SCRATCH, THREAD, 3, 16, ((7, 9), (0, 7))),
        ScratchParts(SCRATCH, BLOCK, 2, 16, ((0, 16),)),
    ],
)
def test_parts_of_threads_and_of_blocks_are_apart(part: ScratchParts) -> None:
    check_scratch(replace(kernel([A], [B]), scratch=(SCRATCH,), parts=(part,)), threads=3)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_meet_behind_a_loop_of_one_thread(threads: int) -> None:
    """What is shared behind it reads its result, which the first thread makes alone."""
    graph = gc.Graph()
    x, h = graph.input("x", (1 << 20,)), graph.input("h", (3,))
    last, _ = gc.scan(lambda c, _: (0.5 * c + h, None), h, length=4)
    function = gc.function([x, h], gc.tanh(x) * gc.sum(last), mode="reference")
    plan = compile_program(function.program, Options({}, True, 512, threads)).plan
    rows = plan.instructions
    end = next(number for number, row in enumerate(rows) if row.ends is not None)
    assert not rows[end].shared and rows[end + 1].barrier
    assert any(row.shared for row in rows[end + 1 :])
