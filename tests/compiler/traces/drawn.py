"""Programs traced with all that decides about their kernels drawn at random, against the reference.

What is chosen for a shape depends on sizes, costs and the machine, so that most kernels are never
made of shapes small enough for a test. Here constants are small and the choice among tilings is by
chance: each run makes other kernels, and no kernel is compiled. A result may not depend on them, no
access may be outside of a buffer, and no two threads may meet.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graphc.compiler.fusion import (
    epilogue_reductions,
    grouping,
    prologues,
    recompute,
    row_epilogues,
)
from graphc.compiler.legalize import constants, depth_blocks
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.compiler.plan import arena, schedule, sharing
from graphc.ir.graph import Program
from graphc.ir.reference import run_program
from graphc.kernels.loops import accumulators, thread_blocks
from graphc.kernels.loops.rewrites import (
    block_sums,
    passes,
    register_blocks,
    row_strips,
    rows_together,
    stages,
    transposed_tiles,
)
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests import loopnest, row_blocks
from graphc.kernels.products.epilogues import element_epilogue, row_epilogue
from graphc.kernels.products.tiles import tile_sums
from graphc.kernels.products.tilings import left_copies, tasks, tiling
from tests.compiler.traces.traced import Traced
from tests.compiler.values.test_random_graphs import compare

PROGRAMS_A_TEST = 20


def draw_constants(monkeypatch: pytest.MonkeyPatch, rng: random.Random) -> None:
    """Small ones, so that a few elements have what thousands have otherwise."""

    def draw(module: Any, name: str, *values: Any) -> None:
        monkeypatch.setattr(module, name, rng.choice(values))

    def draw_machine(module: Any, **changed: int | float) -> None:
        monkeypatch.setattr(module, "MACHINE", replace(MACHINE, **changed))

    draw(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    draw(thread_blocks, "SMALLEST_BLOCK_ELEMENTS", 1, 8)
    draw(sharing, "SURELY_SHARED_CYCLES", 0)
    draw_machine(sharing, meeting_cycles=1)
    draw(arena, "NO_REUSE_BYTES", 0, 1 << 20)
    draw(schedule, "FAR_BYTES", -1, 1 << 20)
    draw(recompute, "DUPLICATE_COST", 0, 3, 9)
    draw(grouping, "MOST_COST", 4, 256, 256)
    draw(grouping, "MOST_BUFFERS", 4, 16, 16)
    draw(constants, "MANY_CONSTANTS", 0, 16)
    strip = rng.choice((2, 3, 4))
    for module in (stages, accumulators):
        monkeypatch.setattr(module, "STRIP", strip)
    draw(stages, "VECTOR_MATH_COST", 1, 12)
    for module in (stages, element_epilogue, epilogue_reductions):
        draw_machine(module, second_cache_bytes=0)
    draw_machine(row_strips, line_bytes=rng.choice((2, 4)))
    for name in ("FEWEST_ROWS", "SHORTEST_ROW", "NARROWEST", "STRIP"):
        draw(row_strips, name, 2, 4)
    draw(register_blocks, "MOST_OPERATIONS", 8, 24, 96)
    draw(register_blocks, "MOST_SUMS", 2, 4, 12)
    draw(rows_together, "MOST_ROWS", 1, 2, 4)
    draw(rows_together, "FEWEST_ELEMENTS", 2, 8)
    draw(transposed_tiles, "TILE", 2, 4)
    draw(transposed_tiles, "SHORTEST_ROW", 2)
    terms = (block_sums.Terms(2, 4), block_sums.Terms(3, 3))
    for name in ("ONE_AFTER_THE_OTHER", "SHORT_ROWS"):
        draw(accumulators, name, *terms)
    draw(accumulators, "shared_by_lanes", *(lambda bits, each=each: each for each in terms))
    draw(loopnest, "SHORT_ROW", 2, 64)
    draw(loopnest, "LONG_ROW", 4, 1 << 16)
    draw(passes, "RECOMPUTE_COST", 0, 8)
    draw(row_blocks, "SMALLEST_BLOCK_ROWS", 1, 4)
    draw(row_epilogue, "BLOCK_BYTES", 64, 256)
    draw_machine(row_epilogues, meeting_cycles=rng.choice((10**12, 0)))
    draw_machine(prologues, copied_element_cycles=1e12)
    draw(tile_sums, "BLOCK_STEPS", 1, 2, 512)
    draw(tile_sums, "MULTIPLE", 1, 2)
    draw(depth_blocks, "FEWEST_ROWS", 4, 1024)
    draw(depth_blocks, "BLOCK_ROWS", 2)
    draw(depth_blocks, "FEWEST_BLOCKS", 2)
    draw(depth_blocks, "GREAT_DEPTH", 8, 1 << 15)
    draw(depth_blocks, "GREAT_BLOCK_DEPTH", 3)
    draw(depth_blocks, "EVEN_BLOCKS", 2)
    draw(left_copies, "MOST_COPIED_BYTES", 64, 1 << 20)
    draw(tasks, "SMALLEST_TASK", 1)
    draw(tasks, "SMALLEST_PACKED_ROWS", 1)
    draw(tasks, "TASKS_WANTED", 2, 16)
    draw(tasks, "SMALLEST_COLUMN_SHARE", 1, 1 << 15)
    draw(tiling, "LARGEST_BY_ROWS", 0, 1 << 22, 1 << 22)
    draw(tiling, "PARTS_LIMIT", 1e12, 0.97, 0.0)
    for name in ("BY_ROWS_LIMIT", "LARGE_BY_ROWS_LIMIT"):
        draw(tiling, name, 1e12, 1e12, 1.0)
    draw_machine(tiling, first_cache_bytes=rng.choice((128, 1 << 15)))
    seed = rng.random()

    def chance(estimated: Any) -> int:
        # Tilings that are alike in all but their cost have one number.
        _, tile, _ = estimated
        found = (tile.form, tile.swapped, tile.rows, tile.columns, tile.packing, tile.left_rows)
        return zlib.crc32(repr((seed, found, tile.left_first)).encode())

    monkeypatch.setattr(tiling, "_cycles", chance)


def check_traced(program: Program, values: Any, rng: random.Random, fuse: bool = True) -> None:
    inputs, states = values
    threads, bits = rng.choice((1, 2, 3)), rng.choice((128, 256, 512))
    made = compile_program(program, Options({}, fuse, bits, threads))
    traced = Traced(made, threads)
    traced.run(inputs, states)
    outputs, updates = run_program(program, inputs, states)
    for name, wanted in outputs.items():
        compare(traced.output(name), wanted, program)
    for name, wanted in updates.items():
        compare(traced.state(name), wanted, program)


def check_some(
    monkeypatch: pytest.MonkeyPatch,
    first: int,
    declare: Callable[[int], Program],
    draw_values: Callable[[Program, int], Any],
    draw_more: Callable[[pytest.MonkeyPatch, random.Random], None] = lambda patch, rng: None,
) -> None:
    """draw_more: further constants."""
    for seed in range(first, first + PROGRAMS_A_TEST):
        rng, program = random.Random(seed), declare(seed)
        with monkeypatch.context() as patch, np.errstate(all="ignore"):
            draw_constants(patch, rng)
            draw_more(patch, rng)
            try:
                check_traced(program, draw_values(program, seed), rng, fuse=rng.random() < 0.8)
            except Exception as error:
                error.add_note(f"of number {seed}")
                raise
