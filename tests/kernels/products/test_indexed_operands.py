"""Operands whose rows, or columns, indices choose: every kind of tiling that reads them.

Table, indices and the other operand stand somewhere inside their buffers, and the columns behind
the last whole vector are computed apart. Chosen columns are copied where a depth of 2 has too few
rows to be transposed in registers.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest

from graphc.ir.nodes.op import Array
from graphc.kernels.loops.language.expressions import Element, Name
from graphc.kernels.loops.language.statements import Block, assigned
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.llvm import CompiledKernel
from graphc.kernels.products.contraction import (
    Along,
    Contraction,
    MatrixAccess,
    RowIndices,
    Tiling,
    column_parts,
    cut_columns,
    reads_by_index,
)
from graphc.kernels.products.epilogues.tile_end import TileByTile
from graphc.kernels.products.tiles.tile_source import contraction_source
from graphc.kernels.products.tilings.tiling import choose_tiling, ranked_tilings
from tests.kernels.products.contractions import kernel_text

BUFFERS = {"x": "f32", "w": "f32", "y": "f32", "scratch": "f32", "chosen": "i32"}
TABLE_ROWS = 40
OFFSETS = {"x": 3, "w": 7, "chosen": 5}
SIDES = [("left", "rows"), ("left", "columns"), ("right", "rows"), ("right", "columns")]


def _contraction(side: str, along: Along, rows: int, columns: int, depth: int) -> Contraction:
    """Numbers of the table's rows stand from OFFSETS["chosen"] on; the rows of the table have as
    many elements as the operand's other extent, and three more."""
    extents = {"left": (rows, depth), "right": (depth, columns)}
    accesses = {}
    for buffer, name in (("x", "left"), ("w", "right")):
        accesses[name] = MatrixAccess(buffer, OFFSETS[buffer], (), extents[name][1], 1)
    length = extents[side][1 if along == "rows" else 0] + 3
    strides = (length, 1) if along == "rows" else (1, length)
    accesses[side] = replace(
        accesses[side],
        row_stride=strides[0],
        column_stride=strides[1],
        indices=RowIndices("chosen", "i32", along, OFFSETS["chosen"]),
    )
    return Contraction("f32", (), rows, columns, depth, **accesses)


def _kinds(contraction: Contraction, bits: int) -> dict[tuple[str, bool, str], Tiling]:
    """The smallest tiling of each kind that reads by index, which compiles quickest."""
    found: dict[tuple[str, bool, str], Tiling] = {}
    for tiling in sorted(ranked_tilings(contraction, bits), key=lambda each: each.columns):
        if reads_by_index(contraction, tiling) and tiling.rows in (1, 2, 3):
            found.setdefault((tiling.form, tiling.swapped, tiling.packing), tiling)
    return {key: replace(each, rows_per_task=each.rows) for key, each in found.items()}


def _tilings(contraction: Contraction, bits: int) -> list[Tiling]:
    """One of every kind, and one whose columns behind whole vectors are computed otherwise."""
    kinds = list(_kinds(contraction, bits).values())
    whole, rest = cut_columns(contraction, choose_tiling(contraction, bits).lanes)
    if not (whole.columns and rest.columns):
        return kinds
    mains, rests = (list(_kinds(part, bits).values()) for part in (whole, rest))
    return [*kinds, replace(mains[0], rest=rests[-1])]


def _kernel(
    compiler: KernelCompiler, contraction: Contraction, tiling: Tiling
) -> tuple[CompiledKernel, int]:
    def epilogue(*, batch_indices: tuple[Name, ...], row: Name, column: Name, value: Name) -> Block:
        return Block.of(assigned(Element(Name("y"), row * contraction.columns + column), value))

    source = contraction_source(contraction, tiling, TileByTile(epilogue))
    kernel = compiler.compile_kernel(
        kernel_text(BUFFERS, source.statements),
        "contraction",
        filename="<p>",
        microkernels=source.microkernels,
    )
    return kernel, source.scratch


def _matrix(array: Array, access: MatrixAccess, extents: tuple[int, int], chosen: Array) -> Array:
    rows, columns = np.arange(extents[0]), np.arange(extents[1])
    if access.indices is not None:
        numbers = chosen[access.indices.offset :]
        if access.indices.along == "rows":
            rows = numbers[: extents[0]]
        else:
            columns = numbers[: extents[1]]
    places = rows[:, None] * access.row_stride + columns * access.column_stride
    return array[access.offset + places]


@pytest.mark.parametrize(("side", "along"), SIDES)
@pytest.mark.parametrize(("rows", "columns", "depth"), [(7, 19, 12), (19, 17, 2)])
def test_rows_are_those_of_their_indices(
    side: str, along: Along, rows: int, columns: int, depth: int
) -> None:
    compiler = KernelCompiler()
    contraction = _contraction(side, along, rows, columns, depth)
    rng = np.random.default_rng(rows)
    size = 2 * TABLE_ROWS * (max(rows, columns, depth) + 3)
    x, w = (rng.integers(-4, 5, size).astype("f4") for _ in "xw")
    chosen = rng.integers(0, TABLE_ROWS, OFFSETS["chosen"] + max(rows, columns, depth))
    chosen = chosen.astype("i4")
    left = _matrix(x, contraction.left, (rows, depth), chosen)
    right = _matrix(w, contraction.right, (depth, columns), chosen)
    tilings = _tilings(contraction, compiler.target.vector_bits)
    assert tilings
    for tiling in tilings:
        assert reads_by_index(contraction, tiling)
        assert len(column_parts(contraction, tiling)) == 1 + (tiling.rest is not None)
        kernel, scratch = _kernel(compiler, contraction, tiling)
        for threads in (1, 2):
            y, space = np.full((rows, columns), np.nan, "f4"), np.zeros(threads * scratch, "f4")
            arrays = (x, w, y, space, chosen)
            table = (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
            call = ctypes.CFUNCTYPE(
                ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
            )(kernel.address)
            for thread in range(threads):
                assert call(ctypes.addressof(table), thread, threads) == 0
            np.testing.assert_array_equal(y, left @ right, err_msg=str(tiling))
