"""The kernels that gather rows and stop loops."""

import ctypes

import numpy as np
import pytest

from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run.row_kernels import ROW_KERNELS_IR, load_row_kernels, row_extent

GUARD = 7


@pytest.fixture(scope="module")
def kernels():
    return load_row_kernels(compile_ir(ROW_KERNELS_IR))


def call(address, arrays, thread=0, threads=1):
    pointers = np.array([array.ctypes.data for array in arrays], np.int64)
    signature = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return signature(address)(pointers.ctypes.data, thread, threads)


@pytest.mark.parametrize("row_bytes", [0, 1, 3, 4, 5, 15, 16, 17, 63, 64, 65, 128, 200])
def test_gather(kernels, row_bytes):
    random = np.random.default_rng(row_bytes)
    source = random.integers(0, 256, (40, row_bytes), np.uint8)
    order = random.permutation(40)[:9]
    for threads in (1, 3):
        target = np.full((10, row_bytes), GUARD, np.uint8)
        arrays = (target, source, order, row_extent(9, row_bytes))
        for thread in range(threads):
            assert call(kernels.gather, arrays, thread, threads) == 0
        np.testing.assert_array_equal(target[:9], source[order])
        assert (target[9] == GUARD).all()


def test_stop_unless(kernels):
    assert call(kernels.stop_unless, (np.array(True),)) == 0
    assert call(kernels.stop_unless, (np.array(False),)) == 1


def test_nothing_outside_is_called(kernels):
    lines = kernels.module.assembly.splitlines()
    assert any("prefetch" in line or "prfm" in line for line in lines)
    assert not [line for line in lines if line.split()[:1] in (["call"], ["callq"], ["bl"])]
    assert "memcpy" not in kernels.module.assembly
