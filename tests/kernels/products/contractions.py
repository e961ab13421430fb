"""Contractions as kernels with a bias as epilogue, run between guards and compared with numpy."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

import numpy as np

from graphc.ir.types import DTYPES
from graphc.kernels.loops.language.expressions import Element, Expression, Infix, Name
from graphc.kernels.loops.language.source import KernelSource, buffer_argument
from graphc.kernels.loops.language.statements import Block, Return, Statement, assigned
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.llvm import CompiledKernel
from graphc.kernels.products.contraction import Contraction, MatrixAccess, Tiling
from graphc.kernels.products.epilogues.tile_end import TileByTile
from graphc.kernels.products.tiles.tile_source import contraction_source
from graphc.kernels.products.tilings.tiling import choose_tiling

NUMPY_DTYPES: dict[str, type[np.floating]] = {"f32": np.float32, "f64": np.float64}
BUFFERS = ("x", "w", "bias", "y", "scratch")
GUARD = 64  # elements around every array that must stay as they were
SENTINEL = 12345.0


def add_bias(columns: int, rows: int, batch: tuple[int, ...]) -> TileByTile:
    """Epilogue y[b, i, j] = acc + bias[j] for contiguous y."""

    def epilogue(*, batch_indices: tuple[Name, ...], row: Name, column: Name, value: Name) -> Block:
        index: Expression = row * columns + column
        stride = rows * columns
        for name, extent in reversed([*zip(batch_indices, batch, strict=True)]):
            index = index + name * stride
            stride *= extent
        shifted = Name("shifted")
        sum_ = Infix("+", value, Element(Name("bias"), column))
        return Block.of(assigned(shifted, sum_), assigned(Element(Name("y"), index), shifted))

    return TileByTile(epilogue)


def kernel_text(dtypes: Mapping[str, str], statements: Sequence[Statement]) -> str:
    """A whole kernel around a contraction's statements. dtypes: of the buffers, in their order."""
    declared = [
        assigned(Name(name), buffer_argument(number, len(dtypes), DTYPES[dtype]))
        for number, (name, dtype) in enumerate(dtypes.items())
    ]
    return KernelSource("contraction", (*declared, *statements, Return(0)), ()).text


def compile_contraction(
    compiler: KernelCompiler, contraction: Contraction, tiling: Tiling
) -> tuple[CompiledKernel, int]:
    epilogue = add_bias(contraction.columns, contraction.rows, contraction.batch)
    source = contraction_source(contraction, tiling, epilogue)
    text = kernel_text(dict.fromkeys(BUFFERS, contraction.dtype), source.statements)
    kernel = compiler.compile_kernel(
        text, "contraction", filename="<contraction>", microkernels=source.microkernels
    )
    return kernel, source.scratch


def guarded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A misaligned copy with guards before and behind: (whole, the copy inside)."""
    whole = np.full(values.size + 2 * GUARD + 1, SENTINEL, values.dtype)
    inside = whole[GUARD + 1 : GUARD + 1 + values.size]
    inside[:] = values.ravel()
    return whole, inside


def run(
    kernel: CompiledKernel,
    scratch: int,
    operands: list[np.ndarray],
    result_shape: tuple[int, ...],
    threads: int,
) -> np.ndarray:
    """Call the kernel once for every thread, one after the other; check the guards."""
    dtype = operands[0].dtype
    result, space = np.full(result_shape, SENTINEL, dtype), np.full(threads * scratch, np.nan)
    pairs = [guarded(array) for array in [*operands, result, space.astype(dtype)]]
    table = (ctypes.c_void_p * len(pairs))(*[inside.ctypes.data for _, inside in pairs])
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(
        kernel.address
    )
    for thread in reversed(range(threads)):
        assert function(ctypes.addressof(table), thread, threads) == 0
    for whole, inside in pairs:
        assert (whole[: GUARD + 1] == SENTINEL).all()
        assert (whole[GUARD + 1 + inside.size :] == SENTINEL).all()
    return pairs[-2][1].reshape(result_shape).copy()


def view(array: np.ndarray, access: MatrixAccess, extents: tuple[int, ...]) -> np.ndarray:
    """The batch of matrices that an access describes."""
    strides = (*access.batch_strides, access.row_stride, access.column_stride)
    return np.lib.stride_tricks.as_strided(
        array[access.offset :], extents, [stride * array.itemsize for stride in strides]
    )


def dense(buffer: str, rows: int, columns: int, layout: str) -> tuple[MatrixAccess, int]:
    """(access, elements of the buffer) of one matrix stored in the named layout."""
    size = rows * columns
    if layout == "rows":
        return MatrixAccess(buffer, 0, (), columns, 1), size
    if layout == "columns":
        return MatrixAccess(buffer, 0, (), 1, rows), size
    if layout == "reversed":
        return MatrixAccess(buffer, max(size - 1, 0), (), -columns, -1), size
    if layout == "spread":
        return MatrixAccess(buffer, 3, (), 2 * columns + 1, 2), 2 * size + rows + 3
    assert layout == "broadcast"
    return MatrixAccess(buffer, 1, (), 0, 1), columns + 1


def check(
    compiler: KernelCompiler,
    contraction: Contraction,
    sizes: tuple[int, int],
    threads: tuple[int, ...] = (1, 2, 3),
    tiling: Tiling | None = None,
) -> None:
    """Compare with numpy in f64, at several thread counts, which must agree to the bit."""
    kind = NUMPY_DTYPES[contraction.dtype]
    random = np.random.default_rng(contraction.rows + 7 * contraction.depth)
    x, w = (random.standard_normal(max(size, 1)).astype(kind) for size in sizes)
    bias = random.standard_normal(max(contraction.columns, 1)).astype(kind)
    if tiling is None:
        tiling = choose_tiling(contraction, compiler.target.vector_bits)
    kernel, scratch = compile_contraction(compiler, contraction, tiling)
    batch, (rows, depth, columns) = (
        contraction.batch,
        (contraction.rows, contraction.depth, contraction.columns),
    )
    left = view(x, contraction.left, (*batch, rows, depth)).astype(np.float64)
    right = view(w, contraction.right, (*batch, depth, columns)).astype(np.float64)
    expected = left @ right + bias[:columns].astype(np.float64)
    results = [run(kernel, scratch, [x, w, bias], expected.shape, count) for count in threads]
    # Higham, Accuracy and Stability, (3.5): |error| <= gamma_n |a| |b|, n additions in any order.
    bound = (depth + 2) * np.finfo(kind).eps * (np.abs(left) @ np.abs(right) + 4)
    difference = np.abs(results[0] - expected)
    assert (difference <= bound).all(), (tiling, difference.max(initial=0))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def plain(
    dtype: str, rows: int, depth: int, columns: int, left: str = "rows", right: str = "rows"
) -> tuple[Contraction, tuple[int, int]]:
    left_access, left_size = dense("x", rows, depth, left)
    right_access, right_size = dense("w", depth, columns, right)
    contraction = Contraction(dtype, (), rows, columns, depth, left_access, right_access)
    return contraction, (left_size, right_size)
