"""Memory for arenas, and the address of an array's first element."""

import ctypes

import numpy as np
from numpy.typing import NDArray

from graphc.kernels.machine import MACHINE

# numpy's C ABI: PyArrayObject is the object header followed by `char *data`.
_DATA_FIELD = object.__basicsize__
_word_at = ctypes.c_size_t.from_address


def aligned_empty(nbytes: int, alignment: int = MACHINE.line_bytes) -> NDArray[np.uint8]:
    """uint8 (nbytes,), not initialised, at an address that is a multiple of `alignment`.

    Raises ValueError for a negative size or an alignment that is not a power of two.
    """
    if nbytes < 0:
        raise ValueError(f"expected a size of at least 0 bytes, got {nbytes}")
    if alignment < 1 or alignment & (alignment - 1):
        raise ValueError(f"expected an alignment that is a power of two, got {alignment}")
    memory = np.empty(nbytes + alignment, np.uint8)
    skip = -memory.ctypes.data % alignment
    # In two slices: numpy does not move the address when it cuts out nothing.
    return memory[skip:][:nbytes]


def data_address(array: np.ndarray) -> int:
    """`array.ctypes.data` at about a tenth of its cost: the field is read where numpy keeps it.

    `array` must be a numpy array; this is not checked.
    """
    return _word_at(id(array) + _DATA_FIELD).value
