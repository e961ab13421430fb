"""A kernel's function while it is being written."""

from __future__ import annotations

from dataclasses import dataclass, field

from graphc.kernels.loops.language.expressions import Expression, Name, texts
from graphc.kernels.loops.language.source import RESERVED, Arguments, Storage
from graphc.kernels.loops.language.statements import Block
from graphc.kernels.loops.rewrites.loops import INNER_VARIABLES, OUTER_VARIABLES
from graphc.kernels.loops.rewrites.parts import first_step
from graphc.kernels.loops.rewrites.row_strips import STRIP_NUMBER
from graphc.kernels.loops.rewrites.stages import STRIP_END, STRIP_START
from graphc.kernels.loops.rewrites.transposed_tiles import TILE_COLUMN, TILE_ROW
from graphc.kernels.nests.names import Names

BLOCK = Name("block")


@dataclass
class KernelFunction:
    """A kernel function that is being written.

    known: values by (id of the block that computes them, value).
    prologue: what is computed once, before any loop.
    """

    name: str
    names: Names
    arguments: Arguments
    known: dict[tuple[int, object], Expression] = field(default_factory=dict)
    prologue: Block = field(default_factory=Block)
    writes: list[Storage] = field(default_factory=list)


def new_function(name: str) -> KernelFunction:
    """An empty function whose names are none that loops and primitives have."""
    cuts = texts(BLOCK, STRIP_NUMBER, STRIP_START, STRIP_END, TILE_ROW, TILE_COLUMN)
    loops = (*OUTER_VARIABLES, *INNER_VARIABLES)
    parts = texts(*map(first_step, loops))
    names = Names({*RESERVED, *loops, *parts, *cuts, name})
    return KernelFunction(name, names, Arguments(names))
