"""Matrix products of the generated kernels against numpy's BLAS, on one thread.

    python -m benchmarks.contract [--json FILE] [--dtype f64]

Both sides run interleaved on the same arrays; figures are medians. Our kernel is called once for
a number of repetitions, as an executor would; numpy pays one Python call each. The FMA peak is
that of a register tile whose operands stay in the first cache.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.measure import Repeated, interleaved_medians, seconds_each, write_json
from graphc.kernels.loops.language.expressions import Element, Name
from graphc.kernels.loops.language.statements import Block, assigned, printed
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.llvm import CompiledKernel
from graphc.kernels.products.contraction import Contraction, MatrixAccess, Tiling
from graphc.kernels.products.epilogues.tile_end import TileByTile
from graphc.kernels.products.microkernels.microkernel import microkernel
from graphc.kernels.products.tiles.tile_source import contraction_source
from graphc.kernels.products.tilings.tiling import choose_tiling

NUMPY_DTYPES: dict[str, type[np.floating]] = {"f32": np.float32, "f64": np.float64}
ROUNDS = 9
SECONDS_A_ROUND = 0.01
PEAK_DEPTH = 1 << 16
# rows, depth, columns, left transposed, right transposed
SHAPES = [
    (100, 784, 50, False, False),
    (100, 50, 10, False, False),
    (100, 10, 50, False, True),
    (784, 100, 50, True, False),
    (50, 100, 10, True, False),
    (128, 784, 512, False, False),
    (128, 512, 512, False, False),
    (128, 512, 512, False, True),
    (512, 128, 512, True, False),
    (784, 128, 512, True, False),
    (512, 1024, 1024, False, False),
    (512, 1024, 1024, False, True),
    (1024, 512, 1024, True, False),
    (1024, 512, 1024, True, True),
    (512, 1024, 10, False, False),
    (32, 8, 64, False, False),
    (32, 64, 64, False, False),
    (32, 64, 4, False, False),
    (64, 32, 64, True, False),
    (512, 784, 1, False, False),
    (512, 784, 1, True, False),
    (1, 784, 512, False, False),
    (1, 784, 512, False, True),
    (4, 784, 512, False, True),
    (101, 203, 307, False, False),
    (33, 17, 65, True, True),
]


@dataclass(frozen=True)
class Row:
    """One shape: GFLOP/s of both sides and what the compiler did."""

    shape: str
    ours_gflops: float
    numpy_gflops: float
    ratio: float
    peak_share: float
    compile_ms: float
    tiling: str


def _store_result(columns: int) -> TileByTile:
    def epilogue(*, batch_indices: tuple[Name, ...], row: Name, column: Name, value: Name) -> Block:
        return Block.of(assigned(Element(Name("y"), row * columns + column), value))

    return TileByTile(epilogue)


def _repeated_kernel(
    compiler: KernelCompiler, contraction: Contraction, tiling: Tiling
) -> tuple[CompiledKernel, int]:
    """A kernel that does everything on one thread, as often as its second argument says."""
    source = contraction_source(contraction, tiling, _store_result(contraction.columns))
    names = ("x", "w", "y", "scratch")
    text = ["def contraction(arguments, repetitions, _):"]
    text += [
        f"    {name} = buffer(arguments, {k}, {len(names)}, {contraction.dtype})"
        for k, name in enumerate(names)
    ]
    text += ["    thread = 0", "    threads = 1", "    for repetition in range(repetitions):"]
    text += [f"        {line}" for line in printed(source.statements)]
    text += ["    return 0", ""]
    kernel = compiler.compile_kernel(
        "\n".join(text), "contraction", filename="<contraction>", microkernels=source.microkernels
    )
    return kernel, source.scratch


def _caller(kernel: CompiledKernel, arrays: list[np.ndarray]) -> Repeated:
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(
        kernel.address
    )
    table = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])

    def call(repetitions: int) -> None:
        # Kernel, table and arrays have to live as long as this function.
        assert kernel.address and len(arrays) == len(table)
        function(ctypes.addressof(table), repetitions, 0)

    return call


def peak_gflops(compiler: KernelCompiler, dtype: str) -> float:
    """FMA rate of a register tile with all operands in the first cache.

    The stride of the depth is 0, but passed at run time: a constant would be optimised away.
    """
    lanes = compiler.target.vector_bits // (8 * np.dtype(NUMPY_DTYPES[dtype]).itemsize)
    rows, columns = (6, 4 * lanes) if compiler.target.vector_bits == 512 else (6, 2 * lanes)
    tile = microkernel(dtype, rows, columns, lanes)
    text = f"""
def peak(arguments, repetitions, stride):
    x = buffer(arguments, 0, 2, {dtype})
    y = buffer(arguments, 1, 2, {dtype})
    for repetition in range(repetitions):
        {tile.name}({PEAK_DEPTH}, x, 1, stride, x, stride, y, {columns})
    return 0
"""
    kernel = compiler.compile_kernel(text, "peak", filename="<peak>", microkernels=(tile,))
    arrays = [np.ones(rows * columns, NUMPY_DTYPES[dtype]) for _ in range(2)]
    call = _caller(kernel, arrays)
    seconds = median(seconds_each(call, 3) for _ in range(ROUNDS))
    return 2 * rows * columns * PEAK_DEPTH / seconds / 1e9


def measure(
    compiler: KernelCompiler, dtype: str, shape: tuple[int, int, int, bool, bool], peak: float
) -> Row:
    """Time one shape. Raises AssertionError if our result is wrong."""
    rows, depth, columns, left_transposed, right_transposed = shape
    left_strides = (1, rows) if left_transposed else (depth, 1)
    right_strides = (1, depth) if right_transposed else (columns, 1)
    contraction = Contraction(
        dtype,
        (),
        rows,
        columns,
        depth,
        MatrixAccess("x", 0, (), *left_strides),
        MatrixAccess("w", 0, (), *right_strides),
    )
    start = time.perf_counter()
    tiling = choose_tiling(contraction, compiler.target.vector_bits)
    kernel, scratch = _repeated_kernel(compiler, contraction, tiling)
    compile_ms = (time.perf_counter() - start) * 1e3
    random = np.random.default_rng(0)
    kind = NUMPY_DTYPES[dtype]
    x = random.standard_normal((depth, rows) if left_transposed else (rows, depth)).astype(kind)
    shape_w = (columns, depth) if right_transposed else (depth, columns)
    w = random.standard_normal(shape_w).astype(kind)
    y, theirs = np.zeros((rows, columns), kind), np.zeros((rows, columns), kind)
    left, right = (x.T if left_transposed else x), (w.T if right_transposed else w)
    ours = _caller(kernel, [x, w, y, np.zeros(scratch, kind)])

    def numpy_product(repetitions: int) -> None:
        for _ in range(repetitions):
            np.matmul(left, right, out=theirs)

    ours(1)
    numpy_product(1)
    np.testing.assert_allclose(y, theirs, rtol=0, atol=4 * depth * float(np.finfo(kind).eps))
    seconds = interleaved_medians({"ours": ours, "numpy": numpy_product}, ROUNDS, SECONDS_A_ROUND)
    work = 2 * rows * depth * columns / 1e9
    ours_gflops, numpy_gflops = work / seconds["ours"], work / seconds["numpy"]
    flags = ("T" if left_transposed else "N") + ("T" if right_transposed else "N")
    return Row(
        f"{rows}x{depth}x{columns} {flags}",
        ours_gflops,
        numpy_gflops,
        ours_gflops / numpy_gflops,
        ours_gflops / peak,
        compile_ms,
        tiling.reason,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="generated contractions against numpy's BLAS")
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--dtype", choices=sorted(NUMPY_DTYPES), default="f32")
    options = parser.parse_args()
    compiler = KernelCompiler()
    peak = peak_gflops(compiler, options.dtype)
    print(f"{options.dtype}, one thread, measured FMA peak {peak:.0f} GFLOP/s")
    heads = ("rows x depth x columns", "ours", "numpy", "ratio", "of peak", "compile")
    print("{:24}{:>7}{:>8}{:>8}{:>9}{:>10}  tiling".format(*heads))
    rows = []
    for shape in SHAPES:
        row = measure(compiler, options.dtype, shape, peak)
        rows.append(row)
        print(
            f"{row.shape:24}{row.ours_gflops:7.1f}{row.numpy_gflops:8.1f}{row.ratio:8.2f}"
            f"{row.peak_share:9.0%}{row.compile_ms:7.0f} ms  {row.tiling}",
            flush=True,
        )
    result = {"dtype": options.dtype, "peak_gflops": peak, "rows": [vars(row) for row in rows]}
    write_json(options.json, result)


if __name__ == "__main__":
    main()
