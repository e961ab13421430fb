"""A kernel before and after it is compiled, as those who only want its code know it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphc.kernels.loops.language.source import KernelSource
    from graphc.kernels.native.llvm import NativeModule


@dataclass(frozen=True)
class KernelCode:
    """A kernel's address, valid as long as this object lives; shared by kernels of equal source."""

    address: int
    module: NativeModule


@dataclass(frozen=True)
class WantedKernel:
    """A kernel by the digest of its source, which is asked for where it has to be compiled."""

    name: str
    digest: str
    source: Callable[[], KernelSource]
