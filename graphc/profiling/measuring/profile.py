"""Where the time of a step goes: every kernel timed, fused beside unfused in one run."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.functions.function import Function
from graphc.functions.random_inputs import random_inputs
from graphc.functions.variants import as_function, check_extents
from graphc.kernels.run.memory import data_address
from graphc.profiling.measuring.measure import measure
from graphc.profiling.shown.display import DisplayedProfile

ROUNDS = 15


def profile(
    step: Function,
    dimensions: Mapping[str, int] | None = None,
    *,
    threads: int | None = None,
    rounds: int = ROUNDS,
    repeats: int | None = None,
) -> DisplayedProfile:
    """Measures a function, such as a model's training step. Variables are as before afterwards;
    other threads wait for them meanwhile.

    dimensions: the extents of its open dimensions.
    threads: how many run the step, at most; those of the function unless given.
    rounds: how often fused and unfused steps are measured in turns; repeats: steps in one
    measurement. The inputs are random, of the right shapes and dtypes, with indices in range.
    Raises DataError for an open dimension without an extent, ValueError for fewer than one thread.
    """
    extents = dimensions or {}
    if threads is not None and threads != step.threads:
        step = as_function(step, fuse=step.fuse, threads=threads)
    check_extents(step.program, extents)
    fused = (step if step.fuse else as_function(step, fuse=True)).loaded(extents)
    unfused = (as_function(step, fuse=False) if step.fuse else step).loaded(extents)
    inputs = random_inputs(fused.compilation.program)
    # Others wait: they would run on the same memory, and what they change would be put back.
    with step.steady():
        before = step.variables.read([state.name for state in step.program.states])
        try:
            return measure(
                step.program.name,
                extents,
                (fused, unfused),
                [data_address(array) for array in inputs],
                lambda: step.variables.update(before),
                rounds,
                repeats,
            )
        finally:
            step.variables.update(before)
