"""Generation in one loop: against the whole sequence made anew for each token."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc

SYMBOLS, WIDTH = 7, 8


class Writer:
    """A small transformer with weights that make its choices differ."""

    def __init__(self, seed: int = 0) -> None:
        self.graph = gc.Graph(seed=seed)
        self.embed = gc.nn.Embedding(SYMBOLS, WIDTH, table_init=gc.init.normal(0.0, 1.0))
        self.block = gc.nn.TransformerDecoderBlock(
            8, 2, normalize_first=True, rotary=gc.nn.RotaryEmbedding()
        )
        self.head = gc.nn.Dense(SYMBOLS, kernel_init=gc.init.normal(0.0, 1.0))

    def __call__(self, tokens: gc.Node, cache: Any = None) -> gc.Node:
        return self.head(self.block(self.embed(tokens), cache=cache))


def greedily(writer: Writer, prompt: Any, length: int) -> Any:
    """The texts of the greatest scores; all tokens are read again for each."""
    tokens = writer.graph.input("tokens", ("batch", "time"), "i32")
    scores = gc.function(tokens, writer(tokens), mode="reference")
    texts = np.array(prompt)
    while texts.shape[1] < length:
        texts = np.c_[texts, scores(texts)[:, -1].argmax(-1)].astype(np.int32)
    return texts


PROMPT = np.array([[1, 4, 2], [3, 3, 0], [6, 5, 1]], np.int32)


@pytest.mark.parametrize("mode", ["reference", "compiled"])
def test_the_greatest_are_those_of_the_whole_sequence(mode: Any) -> None:
    writer = Writer()
    prompt = writer.graph.input("prompt", ("batch", 3), "i32")
    text = gc.nn.generate(writer, prompt, 12, temperature=0)
    found = gc.function(prompt, text, mode=mode)(PROMPT)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, greedily(writer, PROMPT, 12))


@pytest.mark.parametrize("mode", ["reference", "compiled"])
def test_a_text_ends_with_its_token(mode: Any) -> None:
    """Behind it there is nothing else, and the loop goes on while some text has none."""
    writer = Writer()
    prompt = writer.graph.input("prompt", ("batch", 3), "i32")
    expected = greedily(writer, PROMPT, 12)
    end = int(expected[0, 5])
    for row in expected:
        ends = np.flatnonzero(row[3:] == end)
        if len(ends):
            row[3 + ends[0] :] = end
    text = gc.nn.generate(writer, prompt, 12, temperature=0, end=end)
    np.testing.assert_array_equal(gc.function(prompt, text, mode=mode)(PROMPT), expected)


def test_a_part_of_the_prompt_is_given() -> None:
    writer = Writer()
    prompt = writer.graph.input("prompt", ("batch", 3), "i32")
    given = writer.graph.input("given", (), "i32")
    text = gc.function([prompt, given], gc.nn.generate(writer, prompt, 9, 0, given=given))
    for count in 1, 2, 3:
        expected = greedily(writer, PROMPT[:, :count], 9) if count == 3 else None
        found = text(PROMPT, count)
        np.testing.assert_array_equal(found[:, :count], PROMPT[:, :count])
        if expected is not None:
            np.testing.assert_array_equal(found, expected)
    one = Writer()
    short = one.graph.input("prompt", ("batch", 1), "i32")
    alone = gc.function(short, gc.nn.generate(one, short, 9, 0))(PROMPT[:, :1])
    np.testing.assert_array_equal(text(PROMPT, 1), alone)


def test_what_is_drawn_differs_by_token_and_call() -> None:
    """Of equal scores: all tokens come, and other ones in each call."""
    graph = gc.Graph(seed=1)
    prompt = graph.input("prompt", ("batch", 1), "i32")

    def even(token: gc.Node, cache: Any) -> gc.Node:
        return 0.0 * gc.cast(gc.one_hot(token, SYMBOLS), "f32")

    for options in {}, {"end": 99}:
        text = gc.nn.generate(even, prompt, 60, **options)
        write = gc.function(prompt, text, gc.random.advanced([text]))
        first, second = (write(np.zeros((2, 1), np.int32)) for _ in range(2))
        assert np.unique(first).tolist() == list(range(SYMBOLS))
        assert (first != second).mean() > 0.5 and (first[0] != first[1]).mean() > 0.5

    def rising(token: gc.Node, cache: Any) -> gc.Node:
        return even(token, cache) + gc.cast(gc.arange(SYMBOLS, like=graph), "f32")

    for options, least in ({"top_k": 2}, SYMBOLS - 2), ({"top_p": 0.5}, SYMBOLS - 1):
        text = gc.nn.generate(rising, prompt, 60, **options)
        drawn = gc.function(prompt, text)(np.full((2, 1), SYMBOLS - 1, np.int32))
        assert np.unique(drawn).tolist() == list(range(least, SYMBOLS))


def test_a_window_sees_the_last_tokens_alone() -> None:
    """With one layer its scores are those of the last tokens by themselves."""
    writer = Writer(3)
    prompt = writer.graph.input("prompt", ("batch", 3), "i32")
    text = gc.nn.generate(writer, prompt, 12, temperature=0, window=4)
    found = gc.function(prompt, text)(PROMPT)
    tokens = writer.graph.input("tokens", ("batch", "time"), "i32")
    scores = gc.function(tokens, writer(tokens), mode="reference")
    for at in range(3, 12):
        seen = found[:, max(0, at - 4) : at]
        np.testing.assert_array_equal(found[:, at], scores(seen)[:, -1].argmax(-1))


@pytest.mark.parametrize(
    ("use", "error", "match"),
    [
        (lambda s, x: gc.nn.generate(s, x, 2), gc.ShapeError, "a prompt of 1 to 2 tokens"),
        (
            lambda s, x: gc.nn.generate(s, gc.max(x, 1), 9),
            gc.ShapeError,
            r"\[batch, tokens\] expected",
        ),
        (lambda s, x: gc.nn.generate(s, gc.cast(x, "i64"), 9), gc.DTypeError, "i32 expected"),
        (lambda s, x: gc.nn.generate(s, x, 0), gc.DataError, "length"),
        (lambda s, x: gc.nn.generate(s, [[1]], 9), TypeError, "generate"),
        (lambda s, x: gc.nn.generate(s, x, 9, given=x), gc.ShapeError, r"given: \[\] expected"),
        (lambda s, x: gc.nn.generate(s, x, 9, window=0), gc.DataError, "window"),
        (lambda s, x: gc.nn.generate(lambda *_: x, x, 9), gc.ShapeError, "scores .* expected"),
        (lambda s, x: gc.nn.generate(lambda *_: 3, x, 9), TypeError, "scores of the next token"),
    ],
)
def test_refusals(use: Callable[..., Any], error: type[Exception], match: str) -> None:
    writer = Writer()
    with pytest.raises(error, match=match):
        use(writer, writer.graph.input("prompt", ("batch", 3), "i32"))
