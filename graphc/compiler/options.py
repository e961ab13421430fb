"""What a compilation is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Options:
    """What a compilation is asked for.

    bindings: the extents of named dimensions.
    fuse: False gives one kernel an op; everything else is the same.
    vector_bits: the width of the vector registers that kernels are made for.
    threads: the greatest number of threads that will run the program.
    row_inputs: the inputs that are whole arrays, whose rows the program takes in an order that is
        one more input.
    """

    bindings: Mapping[str, int]
    fuse: bool
    vector_bits: int
    threads: int = 1
    row_inputs: tuple[str, ...] = ()
