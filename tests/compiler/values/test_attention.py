"""Attention in blocks of scores: where it is cut, what memory that takes, and random shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.legalize import attention_blocks
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.functions.function import Function

SEED = 11
RANDOM_CASES = 200


def training_step(tokens: int, heads: int = 4, causal: bool = True) -> Function:
    graph = gc.Graph()
    q, k, v, ct = (graph.input(name, (heads, tokens, 64)) for name in ("q", "k", "v", "ct"))
    mixed = gc.nn.attention(q, k, v, causal=causal)
    return gc.function([q, k, v, ct], gc.grad(gc.sum(mixed * ct), [q, k, v]))


def blocks_of(step: Function) -> set[int]:
    found = set[int]()

    def note(trace: Any) -> None:
        if trace.name == "attention":
            nodes = trace.after.program.nodes
            found.update(n.attributes["block"] for n in nodes if "block" in n.attributes)

    compile_program(step.program, Options({}, False, 512), note)
    return found


@pytest.mark.parametrize(
    ("tokens", "heads", "causal", "block"),
    [(64, 64, True, 0), (128, 256, True, 0), (512, 4, True, 128), (512, 4, False, 0),
     (1100, 4, True, 256), (1100, 4, False, 256)],
)  # fmt: skip
def test_scores_that_leave_the_caches_are_cut(
    tokens: int, heads: int, causal: bool, block: int
) -> None:
    assert blocks_of(training_step(tokens, heads, causal)) == {block}


def test_a_named_batch_is_known_where_it_is_cut() -> None:
    graph = gc.Graph()
    q = graph.input("q", ("batch", 256, 64))
    step = gc.function([q], gc.nn.attention(q, q, q, causal=True))
    program = compile_program(step.program, Options({"batch": 16}, True, 512)).program
    assert sum(node.shape == (16, 128, 256) for node in program.nodes)
    assert not any(node.shape == (16, 256, 256) for node in program.nodes)


def test_memory_grows_with_the_length_and_not_with_its_square() -> None:
    """Of 4 times as many tokens; all scores of 4 heads would be 67 MB of 2,048 tokens."""
    arenas = [
        compile_program(training_step(tokens).program, Options({}, True, 512)).plan
        for tokens in (512, 2048)
    ]
    short, long = (plan.arena.nbytes for plan in arenas if plan is not None)
    assert long < 8 * short
    assert long < 40e6


def plain(q: Any, k: Any, v: Any, bias: Any, causal: bool) -> Any:
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(max(q.shape[-1], 1)) + bias
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    peak = np.maximum(scores.max(-1, keepdims=True, initial=-np.inf), np.finfo(np.float64).min)
    e = np.exp(scores - peak)
    return e / np.maximum(e.sum(-1, keepdims=True), 1) @ v


def random_case(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random shape and mask, cut into random blocks, against the plain form; and the gradients
    against those of the plain form as primitives."""
    random = np.random.default_rng([SEED, number])
    n, m = random.integers(1, 12, 2)
    d, e = random.integers(1, 6, 2)
    batch = tuple(random.integers(1, 4, random.integers(0, 3)))
    shared = bool(batch) and random.random() < 0.3
    keys = (*batch[:-1], 1) if shared else batch
    shapes = [(*batch, n, d), (*keys, m, d), (*keys, m, e)]
    causal = bool(random.random() < 0.5)
    mask = random.random((n, m)) < random.choice([0.0, 0.5, 0.9, 1.0])
    block = int(random.integers(1, n + 1))
    monkeypatch.setattr(attention_blocks, "_block_of", lambda node: block)
    graph = gc.Graph()
    q, k, v = (graph.input(name, shape, "f64") for name, shape in zip("qkv", shapes, strict=True))
    given = graph.input("mask", mask.shape, "bool")
    mixed = gc.nn.attention(q, k, v, mask=given, causal=causal)
    weights = gc.nn.attention_weights(q, k, mask=given, causal=causal)
    slopes = [gc.grad(gc.sum(gc.square(y)), [q, k, v]) for y in (mixed, weights @ v)]
    results = [mixed, *slopes[0], *slopes[1]]
    arrays = [random.standard_normal(shape) for shape in shapes]
    found, *derived = gc.function([q, k, v, given], results)(*arrays, mask)
    expected = plain(*arrays, np.where(mask, 0.0, -np.inf), causal)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    for one, other in zip(derived[:3], derived[3:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("number", range(4))
def test_random_shapes_and_masks(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random_case(number, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("number", range(4, RANDOM_CASES))
def test_more_random_shapes_and_masks(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random_case(number, monkeypatch)
