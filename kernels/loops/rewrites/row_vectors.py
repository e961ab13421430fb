"""Short rows run in vectors.

LLVM unrolls a loop of few and cheap steps whole before it vectorises, so that the loop around it
may be vectorised. Of a row that is reduced neither is: its elements are added up by one chain of
additions, each of which waits for the one before, and what later passes store is put together from
single elements. The loops over such rows say that they are to be vectorised first.
"""

from __future__ import annotations

from graphc.ir.graph import Node, is_among
from graphc.kernels.loops.language.scalar import rounds
from graphc.kernels.loops.rewrites.loops import Loops
from graphc.kernels.loops.rewrites.stages import is_vector_math
from graphc.kernels.nests.loopnest import SHORT_ROW, LoopNest

# Elements of a row that fills vectors.
FEWEST_ELEMENTS = 16
# LLVM vectorises longer rows anyway; loops that add up are smaller than others.
MOST_ADDED_UP = 96


def runs_in_vectors(nest: LoopNest, loops: Loops, level: int, sinks: list[Node]) -> bool:
    """Whether pass `level`, which brings about `sinks`, is to be vectorised before anything else.

    Calls of vector math keep LLVM from unrolling by themselves.
    """
    row = loops.row_loop
    if row is None or not loops.outer or not loops.steps_by_one(row):
        return False
    of_rows = [node for node in nest.reduces if not nest.roles[node].inner]
    adds_up = any(is_among(node, sinks) and rounds(node) for node in of_rows)
    if not of_rows:
        return False
    if not FEWEST_ELEMENTS <= row.extent <= (MOST_ADDED_UP if adds_up else SHORT_ROW):
        return False
    made = [node for node in nest.nodes if nest.roles[node].level == level]
    return not any(nest.roles[node].inner and is_vector_math(node) for node in made)
