"""Memory whose neighbours must not be touched: an access one byte beyond it ends the process.

Values beside an array show what a kernel writes there, but not what it reads. Here pages without
any right of access lie before and behind, and what is not to be written to cannot be. A process
that ends so is a failed test: pytest-xdist names the one that ran.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from graphc.compiler.load.compiled import CompiledProgram
from graphc.compiler.load.executable import Buffer, BufferRole
from graphc.compiler.load.kernel_code import KernelCode
from graphc.compiler.load.native import LoadedProgram
from graphc.ir.nodes.op import Array

PAGE = mmap.PAGESIZE
NO_ACCESS, READ_ONLY, READ_WRITE = 0, 1, 3

# Where an array's own bytes end, the page that must not be touched begins; or where they begin, it
# ends. The other side has at most a page between.
Side = Literal["before", "behind"]
SIDES: tuple[Side, ...] = ("before", "behind")

_libc = ctypes.CDLL(None, use_errno=True)


def guarded(array: Array, side: Side, *, writable: bool = True) -> Array:
    """A C-contiguous copy of the array, with a page on that side that must not be touched.

    Behind it has its elements' alignment and no more. Without `writable` it cannot be written to.
    """
    pages = max(1, -(-array.nbytes // PAGE))
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = PAGE if side == "before" else (pages + 1) * PAGE - array.nbytes
    copy = whole[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    first = whole.ctypes.data
    _protect(first, PAGE, NO_ACCESS)
    _protect(first + PAGE, pages * PAGE, READ_WRITE if writable else READ_ONLY)
    _protect(first + (pages + 1) * PAGE, PAGE, NO_ACCESS)
    return copy


def _protect(address: int, nbytes: int, rights: int) -> None:
    if _libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(nbytes), rights):
        raise OSError(ctypes.get_errno(), "mprotect")


class GuardedProgram(LoadedProgram):
    """A program each of whose buffers lies in memory of its own, between pages not to be touched.

    The arena, where buffers share memory, is not used. `states` are guarded by the caller.
    """

    def __init__(
        self,
        compiled: CompiledProgram,
        states: Mapping[str, Array],
        side: Side,
        code: Sequence[KernelCode] | None = None,
    ) -> None:
        self._side = side
        super().__init__(compiled, states, code)

    def _memory_of(self, buffer: Buffer, states: Mapping[str, Array]) -> Array:
        memory = super()._memory_of(buffer, states)
        match buffer.role:
            case BufferRole.ARENA:
                return guarded(np.zeros_like(memory), self._side)
            case BufferRole.CONSTANT:
                return guarded(memory, self._side, writable=False)
            case BufferRole.INPUT | BufferRole.PARAMETER | BufferRole.STATE:
                return memory


def guarded_states(states: Mapping[str, Any], side: Side) -> dict[str, Array]:
    """The states' values in guarded memory."""
    return {name: guarded(np.asarray(value), side) for name, value in states.items()}
