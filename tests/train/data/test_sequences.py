"""Texts as numbers, padded sequences, batches by length, and windows of a series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc


def test_words_are_counted_by_how_often_they_are() -> None:
    vectorize = gc.data.TextVectorization()
    vectorize.adapt(["The cat sat.", "the dog; the end", "A dog"])
    expected = ["", "[UNK]", "the", "dog", "a", "cat", "end", "sat"]
    assert vectorize.get_vocabulary() == expected
    assert vectorize.vocabulary_size() == len(expected)
    rows = vectorize(["The dog sat", "a bird"])
    assert rows.dtype == np.int32
    np.testing.assert_array_equal(rows, [[2, 3, 7], [4, 1, 0]])
    assert vectorize.decode(rows[0]) == "the dog sat"
    assert vectorize.decode(rows[1]) == "a [UNK]"


def test_characters_are_themselves_again() -> None:
    text = "To be, or not to be!"
    vectorize = gc.data.TextVectorization(standardize=None, split="character")
    vectorize.adapt(text)
    assert vectorize.decode(vectorize.encode(text)) == text
    assert vectorize.vocabulary_size() == len(set(text)) + 2


def test_rows_have_the_length_that_is_asked_for() -> None:
    vectorize = gc.data.TextVectorization(
        max_tokens=4, output_sequence_length=3, vocabulary=["a", "b"]
    )
    np.testing.assert_array_equal(vectorize(["a b a b", "c"]), [[2, 3, 2], [1, 0, 0]])
    vectorize.adapt("x y y z z z")
    assert vectorize.get_vocabulary()[2:] == ["z", "y"]


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: gc.data.TextVectorization(split="letters"), ValueError, "split: one of"),
        (lambda: gc.data.TextVectorization(standardize="none"), ValueError, "standardize"),
        (lambda: gc.data.TextVectorization(vocabulary=["a", "a"]), gc.DataError, "different"),
        (lambda: gc.data.TextVectorization(3, vocabulary=["a", "b"]), gc.DataError, "2 symbols"),
        (lambda: gc.data.TextVectorization()("a"), gc.DataError, "adapt it"),
        (lambda: gc.data.TextVectorization().adapt([3]), gc.DataError, "texts expected"),
        (lambda: gc.data.TextVectorization(vocabulary=["a"]).decode([3]), gc.DataError, "0 to 2"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused(make: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def test_sequences_are_padded_as_keras_pads_them() -> None:
    rows = [[1], [1, 2, 3], []]
    pad = gc.data.pad_sequences
    np.testing.assert_array_equal(pad(rows), [[0, 0, 1], [1, 2, 3], [0, 0, 0]])
    np.testing.assert_array_equal(pad(rows, 2), [[0, 1], [2, 3], [0, 0]])
    post = pad(rows, 2, padding="post", truncating="post", value=9)
    np.testing.assert_array_equal(post, [[1, 9], [1, 2], [9, 9]])
    assert pad([np.ones((2, 3)), np.ones((1, 3))], dtype="f4").shape == (2, 2, 3)
    with pytest.raises(ValueError, match="padding: 'pre' or 'post'"):
        pad(rows, padding="left")  # type: ignore[arg-type]
    with pytest.raises(gc.DataError, match="elements of one shape"):
        pad([np.ones((2, 3)), np.ones((1, 4))])


@pytest.mark.parametrize("inner", [(), (2,)])
def test_windows_are_views_of_the_series(inner: Any) -> None:
    series = np.arange(10 * int(np.prod(inner, dtype=int))).reshape(10, *inner)
    windows = gc.data.timeseries_windows(series, 3, 2, 2)
    assert np.shares_memory(windows, series) and windows.shape == (3, 3, *inner)
    for number, window in enumerate(windows):
        np.testing.assert_array_equal(window, series[2 * number : 2 * number + 5 : 2])
    assert len(gc.data.timeseries_windows(series, 10)) == 1
    with pytest.raises(gc.DataError, match="at least 11 elements"):
        gc.data.timeseries_windows(series, 11)


def test_batches_by_length_have_every_sequence_once() -> None:
    random = np.random.default_rng(0)
    x = [np.full(length, length, np.int32) for length in random.integers(1, 9, 40)]
    y = [len(each) for each in x]
    batches = gc.data.BucketedBatches(x, y, 4, boundaries=(4, 8))
    seen: list[int] = []
    for rows, targets in batches:
        assert rows.shape[1] == (4 if targets.max() <= 4 else 8)
        np.testing.assert_array_equal((rows > 0).sum(1), targets)
        seen += targets.tolist()
    assert sorted(seen) == sorted(y)
    assert len(batches) == len(list(batches))
    first = [targets.tolist() for _, targets in batches]
    assert first != [targets.tolist() for _, targets in batches]
    dropped = gc.data.BucketedBatches(x, x, 4, boundaries=(4, 8), drop_remainder=True)
    assert len(dropped) == len(list(dropped)) < len(batches)
    assert all(rows.shape == targets.shape == (4, rows.shape[1]) for rows, targets in dropped)
    with pytest.raises(gc.DataError, match="beyond all boundaries"):
        gc.data.BucketedBatches(x, y, 4, boundaries=(4,))
    with pytest.raises(gc.DataError, match="40 sequences for 2 targets"):
        gc.data.BucketedBatches(x, [1, 2], 4, boundaries=(8,))


@pytest.mark.parametrize(("length", "filled"), [(1, 4), (3, 4), (4, 4), (5, 8), (8, 8)])
def test_a_sequence_is_filled_up_to_the_least_boundary_that_holds_it(
    length: int, filled: int
) -> None:
    batches = gc.data.BucketedBatches([np.ones(length)], [0], 4, boundaries=(8, 4), value=-1)
    ((rows, _),) = batches
    np.testing.assert_array_equal(rows, [[1] * length + [-1] * (filled - length)])


def test_rows_of_targets_belong_to_their_sequences() -> None:
    """Some of integers and some of floats: as floats, all of them."""
    x = [np.full(n, n) if n % 2 else np.full(n, n + 0.5) for n in range(1, 9)]
    y = [10 * each for each in x]
    for rows, targets in gc.data.BucketedBatches(x, y, 3, boundaries=(4, 8)):
        np.testing.assert_array_equal(targets, 10 * rows)
        assert set(rows[rows > 0].ravel()) <= {n if n % 2 else n + 0.5 for n in range(1, 9)}


def test_fit_takes_batches_by_length() -> None:
    random = np.random.default_rng(1)
    x = [random.integers(1, 5, length) for length in random.integers(1, 9, 64)]
    y = [int((each == 1).any()) for each in x]
    graph = gc.Graph(seed=0)
    words = graph.input("words", ("batch", "length"), "i32")
    labels = graph.input("labels", ("batch",), "i32")
    vectors = gc.nn.embedding(words, 5, 8, padding_index=0)
    scores = gc.nn.dense(gc.max(vectors, axis=1), 2)
    model = gc.Model(words, scores, labels, gc.losses.softmax_cross_entropy(scores, labels))
    model.compile(gc.optim.Adam(0.03))
    batches = gc.data.BucketedBatches(x, y, 16, boundaries=(4, 8), drop_remainder=True)
    history = model.fit(batches, epochs=20, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("use", "problem"),
    [
        (lambda d: d.pad_sequences([1, 2]), "sequences of numbers expected, not 1"),
        (lambda d: d.pad_sequences("abc"), "sequences of numbers expected, not 'abc'"),
        (lambda d: d.pad_sequences([["a"]], dtype=None), "sequences of numbers expected"),
        (lambda d: d.BucketedBatches([1, 2], [0, 1], 2, (4,)), "sequences of numbers expected"),
        (lambda d: d.BucketedBatches([[1]], [0], 2, (4,), seed=-1), "seed: at least 0"),
        (lambda d: d.BucketedBatches([[1]], [0], 2, (4,), seed="a"), "seed: an integer"),
        (lambda d: d.TextVectorization().adapt(None), "texts expected, not None"),
        (lambda d: d.TextVectorization(vocabulary="abc"), "a sequence of symbols expected"),
        (lambda d: d.TextVectorization(vocabulary=[1, 2]), "a sequence of symbols expected"),
        (lambda d: d.TextVectorization(vocabulary=["a"]).decode([1.5]), "integers expected"),
    ],
)
def test_what_is_given_is_named(use: Any, problem: str) -> None:
    with pytest.raises(gc.DataError, match=problem):
        use(gc.data)
