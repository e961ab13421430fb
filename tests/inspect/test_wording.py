"""Fusion decides without words; each of its reasons has some."""

import re

import numpy as np

import graphc as gc
from graphc.compiler.fusion.decision import Decision, Gain, NotFused, RowsInCache
from graphc.compiler.legalize.windowed_products import WindowsCopied
from graphc.inspect.wording import REFUSALS, reason_of, refusal_text
from graphc.kernels.nests.refusal import NoLoops, NoProduct, Refusal

REASONS = (*NoLoops, *NoProduct, *NotFused, *WindowsCopied)


def _values(count: int) -> tuple[gc.Node, ...]:
    graph = gc.Graph()
    return tuple(graph.input(f"x{number}", (number + 1,)) for number in range(count))


def test_every_reason_has_words_of_its_own() -> None:
    assert set(REFUSALS) == set(REASONS)
    assert len(set(REFUSALS.values())) == len(REASONS)


def test_words_name_values_with_types_and_figures_in_their_places() -> None:
    one, other = _values(2)
    refusal = Refusal(NoProduct.AGAIN_FOR_ELEMENTS, (one, other))
    assert re.fullmatch(
        r"x0.* of f32\[1\] would be computed again .* of x1.* of f32\[2\]", refusal_text(refusal)
    )
    costs = Refusal(NotFused.AGAIN_COSTS_MORE, (one, 12345.6, np.float64(0.4)))
    assert "would take 12,346 cycles more, but save 0 by" in refusal_text(costs)


def test_a_gain_names_three_values_and_counts_the_rest() -> None:
    values = _values(6)
    parts = (frozenset(values[:1]), frozenset(values[1:]))
    gain = Gain(unstored=values[:1], unloaded=(), shared=values[1:])
    decision = Decision(values[0], values[1], 8, gain, parts)
    assert decision.fused
    assert re.fullmatch(
        r"x0.* is neither stored nor loaded; x1.*, x2.*, x3.* and 2 more are loaded once for both",
        reason_of(decision),
    )
    rows = Decision(values[0], values[1], 8, RowsInCache(values[0], values[1:2]), parts)
    assert re.search(r"reduced while they are in cache; x1.* of all rows after it", reason_of(rows))
