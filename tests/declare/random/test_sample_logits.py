"""Tokens that are drawn from logits: which may be drawn, how often, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc

LOGITS = np.log([0.4, 0.3, 0.15, 0.1, 0.05]).astype("f4")
DRAWS = 4000


def frequencies(**words: Any) -> Any:
    graph = gc.Graph(seed=4)
    logits = graph.input("logits", (DRAWS, 5))
    token = gc.random.sample_logits(logits, **words)
    assert token.dtype == gc.i64 and token.shape == (DRAWS,)
    drawn = gc.function([logits], token, mode="reference")(np.tile(LOGITS, (DRAWS, 1)))
    return np.bincount(drawn, minlength=5) / DRAWS


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        ({}, [0.4, 0.3, 0.15, 0.1, 0.05]),
        ({"temperature": 0.5}, np.square([0.4, 0.3, 0.15, 0.1, 0.05])),
        ({"temperature": 0}, [1, 0, 0, 0, 0]),
        ({"top_k": 2}, [0.4, 0.3, 0, 0, 0]),
        ({"top_k": 1}, [1, 0, 0, 0, 0]),
        ({"top_p": 0.6}, [0.4, 0.3, 0, 0, 0]),
        ({"top_p": 0.72}, [0.4, 0.3, 0.15, 0, 0]),
        ({"top_p": 1.0}, [0.4, 0.3, 0.15, 0.1, 0.05]),
        ({"top_p": 1e-6}, [1, 0, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.5}, [0.4, 0.3, 0, 0, 0]),
    ],
)
def test_tokens_are_drawn_by_their_probabilities(words: Any, weights: Any) -> None:
    expected = np.array(weights) / np.sum(weights)
    found = frequencies(**words)
    assert not found[expected == 0].any()
    # Five deviations of the mean of so many draws.
    np.testing.assert_allclose(found, expected, atol=2.5 / np.sqrt(DRAWS))


def test_what_nothing_can_be_drawn_from_is_refused() -> None:
    graph = gc.Graph()
    x, n = graph.input("x", (3, 5)), graph.input("n", (3, 5), "i32")
    with pytest.raises(gc.DTypeError, match="f32 or f64"):
        gc.random.sample_logits(n)
    with pytest.raises(ValueError, match="temperature: at least 0"):
        gc.random.sample_logits(x, temperature=-1)
    with pytest.raises(ValueError, match="top_p: above 0 and at most 1"):
        gc.random.sample_logits(x, top_p=1.5)
    with pytest.raises(gc.ShapeError, match="top_k"):
        gc.random.sample_logits(x, top_k=6)
    with pytest.raises(gc.ShapeError, match="at least 1"):
        gc.random.sample_logits(x, top_k=0)
