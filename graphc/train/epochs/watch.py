"""Steps that make no update unless all is finite, and the error of one that is not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.declare.graphs.variables import Variables
from graphc.errors import NotFiniteError
from graphc.functions.function import Function
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.op import Array
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.nan_report import NanReport
from graphc.train.callbacks.logged import IS_FINITE, LOSS
from graphc.train.data.batches import Batches
from graphc.train.epochs.native_epochs import Steps
from graphc.train.epochs.span import EpochSpan


def all_finite(values: Sequence[Node]) -> Node:
    """A bool scalar: whether every element of every float among `values` is finite.

    The sum of x * 0 is 0 then, and NaN where an x is infinite or NaN.
    """
    zeros = [build.sum(value * 0) for value in values if value.dtype.is_float]
    total = zeros[0]
    for zero in zeros[1:]:
        total = total + build.cast(zero, total.dtype)
    return ops.equal(total, 0)


NanSearch = Callable[[Sequence[Array]], NanReport | None]


def nan_search(step: Function, variables: Variables) -> NanSearch:
    """Says of a batch where `step` on it is not finite first, by the values of now."""

    def search(batch: Sequence[Array]) -> NanReport | None:
        # Imported where something was not finite: it needs the passes.
        from graphc.inspect.nan_search import find_nan

        values = variables.copy()
        states = {state.name: values.storage(state) for state in step.program.states}
        return find_nan(step.program, states, batch)

    return search


@dataclass(frozen=True)
class Watch:
    """Looks at the flag of steps that make no update unless all is finite.

    steps: how many an epoch has, where that is known.
    batch_of: the arrays of a step, by the numbers of epoch and step.
    search: asked about a batch that is not, where somebody wants to know.
    """

    steps: int | None
    batch_of: Callable[[int, int], Sequence[Array]]
    search: NanSearch | None = None

    def checked(self, steps: Steps, epoch: int) -> Steps:
        """The steps without the flag. Raises NotFiniteError when it is false in the last of them,
        behind which nothing was run."""
        values = {name: found for name, found in steps.values.items() if name != IS_FINITE}
        if not steps.values[IS_FINITE].item(-1):
            number = steps.first + len(steps) - 1
            report = None if self.search is None else self.search(self.batch_of(epoch, number))
            raise NotFiniteError(self._message(values, epoch, number), report)
        return replace(steps, values=values)

    def _message(self, values: Mapping[str, Array], epoch: int, number: int) -> str:
        loss = float(values[LOSS].item(-1))
        problem = (
            f"the loss is {loss:g}, but an update is not finite"
            if math.isfinite(loss)
            else f"the loss is {loss}"
        )
        of_all = "" if self.steps is None else f" of {self.steps}"
        return (
            f"epoch {epoch + 1}, step {number + 1}{of_all}: {problem}; "
            "the variables are those before this step"
        )


def batch_of(batches: Batches, span: EpochSpan, epoch: int, number: int) -> Sequence[Array]:
    """The arrays of a step."""
    order = span.order(epoch, batches.rows)
    return next(itertools.islice(batches(order), number, None))
