"""Epochs in native code: the bits of the loop batch by batch, and pauses in between."""

import os
import signal

import numpy as np
import pytest

import graphc as gc
from graphc.callbacks import Callback, LearningRateSchedule
from graphc.compiler.legalize import row_inputs
from graphc.kernels.run.thread_choice import ThreadChoice
from graphc.train import fitting
from graphc.train.callbacks import progress
from graphc.train.data.batches import Batches
from graphc.train.epochs import native_epochs as epochs
from graphc.train.epochs.loop import Averages
from graphc.train.epochs.native_epochs import CompiledEpochs, Steps

# 20 batches of 10, and one of 5.
ROWS, BATCH = 205, 10
RNG = np.random.default_rng(5)
WIDE = RNG.standard_normal((ROWS, 3)).astype("f4")
NARROW = RNG.standard_normal((ROWS, 1))
LABELS = RNG.integers(0, 4, ROWS).astype("i4")
PIXELS = RNG.integers(0, 256, (ROWS, 19)).astype("u1")


class EachBatch(Callback):
    """Has every step called from Python."""

    def on_batch_end(self, epoch, batch, logs):
        pass


def two_inputs(dtype="f32", width=3, hidden=6, threads=None):
    """Inputs of two dtypes, i32 labels, and Adam with its counter."""
    graph = gc.Graph(seed=3)
    wide = graph.input("wide", ("batch", width), dtype)
    narrow = graph.input("narrow", ("batch", 1), "f64")
    labels = graph.input("labels", ("batch",), "i32")
    both = gc.concatenate([wide, gc.cast(narrow, dtype)], 1)
    scores = gc.nn.dense(gc.nn.dense(both, hidden, gc.tanh), 4)
    loss = gc.losses.softmax_cross_entropy(scores, labels)
    metrics = {"accuracy": gc.metrics.accuracy(scores, labels)}
    model = gc.Model([wide, narrow], scores, labels, loss, metrics)
    model.compile(gc.optim.Adam(0.02), batch_size=BATCH, threads=threads)
    return model


def fitted(model, callbacks=(), wide=WIDE, **options):
    """The values of all states after three epochs from the same start, and what was logged."""
    before = model.values()
    rows = slice(len(wide))
    history = model.fit(
        [wide, NARROW[rows]], LABELS[rows], epochs=3, callbacks=callbacks, **options
    )
    values = model.values()
    model.variables.update(before)
    return values, history.history


def failed(model, callbacks, wide):
    """The values of all states where training ended, and the message of its error."""
    before = model.values()
    rows = slice(len(wide))
    with pytest.raises(gc.NotFiniteError) as caught:
        model.fit(
            [wide, NARROW[rows]], LABELS[rows], shuffle=False, nan_watch=True, callbacks=callbacks
        )
    values = model.values()
    model.variables.update(before)
    return values, str(caught.value)


def assert_same_bits(one, other):
    assert one[1] == other[1]
    for name, value in one[0].items():
        np.testing.assert_array_equal(value, other[0][name])


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_the_bits_of_the_loop_batch_by_batch(dtype, shuffle):
    model = two_inputs(dtype)
    for watch in (False, True):
        options = {"shuffle": shuffle, "nan_watch": watch, "validation_split": 0.1, "seed": 8}
        native = fitted(model, **options)
        assert_same_bits(native, fitted(model, [EachBatch()], **options))
        assert len(native[1]["loss"]) == 3


def pixels_model(dtype):
    """Pixels from 0 to 255, scaled in the network, and u8 labels."""
    graph = gc.Graph(seed=3)
    pixels = graph.input("pixels", ("batch", PIXELS.shape[1]), dtype)
    labels = graph.input("labels", ("batch",), "u8")
    scores = gc.nn.dense(gc.cast(pixels, "f32") * (1 / 255), 4)
    loss = gc.losses.softmax_cross_entropy(scores, labels)
    metrics = {"accuracy": gc.metrics.accuracy(scores, labels)}
    model = gc.Model(pixels, gc.softmax(scores), labels, loss, metrics)
    model.compile(gc.optim.SGD(0.5), batch_size=BATCH)
    return model


def test_bytes_train_as_the_floats_that_they_become():
    results = []
    for dtype, callbacks in (("u8", ()), ("u8", [EachBatch()]), ("f32", ())):
        model = pixels_model(dtype)
        given = PIXELS.astype("f4") if dtype == "f32" else PIXELS
        history = model.fit(given, LABELS.astype("u1"), epochs=3, callbacks=callbacks)
        assert history.history["loss"][-1] < history.history["loss"][0]
        results.append((model.values() | {"predicted": model.predict(given)}, history.history))
    assert_same_bits(results[0], results[1])
    assert_same_bits(results[0], results[2])


def test_the_same_bits_where_threads_share_the_gathering():
    wide = RNG.standard_normal((10 * BATCH, 2000)).astype("f4")
    broken = wide.copy()
    broken[75] = np.nan
    models = [two_inputs(width=2000, hidden=64, threads=threads) for threads in (2, 1)]
    shared = fitted(models[0], wide=wide, nan_watch=True)
    assert models[0].watched_train_function.loaded({"batch": BATCH}).pool is not None
    assert_same_bits(shared, fitted(models[0], [EachBatch()], wide, nan_watch=True))
    assert_same_bits(shared, fitted(models[1], wide=wide, nan_watch=True))
    results = [failed(models[0], callbacks, broken) for callbacks in ([], [EachBatch()])]
    assert_same_bits(*results)


def wide_model(threads):
    """A batch of rows that its products gather themselves."""
    graph = gc.Graph(seed=3)
    wide = graph.input("wide", ("batch", 2000))
    labels = graph.input("labels", ("batch",), "i32")
    scores = gc.nn.dense(gc.nn.dense(wide, 50, gc.tanh), 4)
    model = gc.Model(wide, scores, labels, gc.losses.softmax_cross_entropy(scores, labels))
    model.compile(gc.optim.SGD(0.02), batch_size=BATCH, threads=threads)
    return model


def gathers(loop):
    return [each.name for each in loop.instructions].count("gather")


def test_the_program_waits_for_its_rows_and_the_log_for_the_program():
    """On several threads: each copies some rows, and the first copies what all have made."""
    graph = gc.Graph()
    x, y = graph.input("x", ("batch", 4)), graph.input("y", ("batch", 4))
    run = gc.function([x, y], {"sum": gc.sum(x * y), "most": gc.max(x + y)}, threads=2)
    loop = run.row_loop([np.zeros((8, 4), "f4")] * 2, 2, gathers=True)
    names = [each.name for each in loop.instructions]
    assert names[:2] == ["gather"] * 2 and names[-2:] == ["log"] * 2
    for first in (names.count("gather"), names.index("log")):
        assert loop.instructions[first].barrier


def test_a_loop_knows_what_those_before_have_found_out_about_threads():
    graph = gc.Graph()
    x = graph.input("x", ("batch", 4))
    run = gc.function([x], gc.sum(x))
    asked = []

    class Asked(ThreadChoice):
        def next_walks(self, left):
            asked.append(left)
            return super().next_walks(left)

    run.loaded({"batch": 3}).choice_of_loops = Asked()
    for steps in (2, 3):
        run.row_loop([np.zeros((9, 4), "f4")], 3).run(0, steps)
    assert 2 in asked and 3 in asked


@pytest.fixture
def small_arrays(monkeypatch):
    """Arrays of any size are worth a program of their own."""
    monkeypatch.setattr(row_inputs, "SMALLEST_ARRAY_BYTES", 0)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_where_products_gather_rows(small_arrays, threads):
    model = wide_model(threads)
    wide = RNG.standard_normal((ROWS, 2000)).astype("f4")
    loop = model.train_function.row_loop([wide, LABELS], BATCH, gathers=True)
    assert gathers(loop) == 1  # of the labels
    assert gathers(model.train_function.row_loop([wide, LABELS], 5, gathers=True)) == 2
    start = model.values()
    for watch in (False, True):
        results = []
        for callbacks in ([], [EachBatch()]):
            history = model.fit(wide, LABELS, epochs=2, callbacks=callbacks, nan_watch=watch)
            results.append((model.values(), history.history))
            model.variables.update(start)
        assert_same_bits(*results)
    assert set(model.loss.graph.inputs) == {"wide", "labels"}, "the order is the program's own"
    # Another array, of more rows, is read by the same program.
    longer = np.concatenate([wide, wide])
    order = np.concatenate([np.arange(ROWS, 2 * ROWS), np.arange(ROWS)])
    labels = np.concatenate([LABELS, LABELS])
    again = model.train_function.row_loop([longer, labels], BATCH, gathers=True)
    made = again.run(0, 3, order)["loss"]
    model.variables.update(start)
    assert made.tobytes() == loop.run(0, 3, np.arange(ROWS))["loss"].tobytes()


def test_rows_that_no_product_can_gather_are_copied(small_arrays):
    """One that reads them on both sides, and one that reads them as other rows."""
    graph = gc.Graph()
    x, y = graph.input("x", ("batch", 400)), graph.input("y", ("batch", 400))
    w = graph.input("row_order", ("batch", 1))
    loss = gc.sum(gc.transpose(x) @ x) + gc.sum(gc.transpose(y) @ w)
    run = gc.function([x, y, w], loss)
    arrays = [RNG.integers(-3, 4, (100, n)).astype("f4") for n in (400, 400, 1)]
    loop = run.row_loop(arrays, 50, gathers=True)
    assert gathers(loop) == 2
    order = np.random.default_rng(1).permutation(100)
    made = loop.run(0, 2, order)["output"]
    wanted = [run(*(array[rows] for array in arrays)) for rows in (order[:50], order[50:])]
    np.testing.assert_array_equal(made, wanted)


def test_evaluation_has_the_bits_of_batches():
    model = two_inputs()
    sums = {"loss": 0.0, "accuracy": 0.0}
    for start in range(0, ROWS, BATCH):
        rows = slice(start, start + BATCH)
        values = model.test_function(WIDE[rows], NARROW[rows], LABELS[rows])
        for name in sums:
            sums[name] += float(values[name]) * len(LABELS[rows])
    means = {name: total / ROWS for name, total in sums.items()}
    assert model.evaluate([WIDE, NARROW], LABELS) == means


@pytest.mark.parametrize("row", [157, 203])
def test_the_first_step_that_is_not_finite_ends_training(row):
    """In the midst of a chunk, and in the last, smaller batch."""
    wide = WIDE.copy()
    wide[row] = np.inf
    wide[row + 1] = np.nan
    model = two_inputs()
    native = failed(model, [], wide)
    assert native[1].startswith(f"epoch 1, step {row // BATCH + 1} of 21: the loss is nan")
    assert all(np.isfinite(value).all() for value in native[0].values())
    assert_same_bits(native, failed(model, [EachBatch()], wide))


def test_averages_are_added_up_from_left_to_right():
    values = {"loss": RNG.standard_normal(50) * 10.0 ** RNG.integers(-9, 9, 50)}
    together, single = Averages(), Averages()
    for first in (0, 20):
        part = values["loss"][first : first + 20]
        together.add_steps(Steps(first, 3, {"loss": part}))
        for value in part:
            single.add({"loss": value}, 3)
    assert together.result() == single.result()


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, [1] * 21), (1e9, [1, 8, 11, 1])])
def test_pauses(monkeypatch, seconds, expected):
    monkeypatch.setattr(epochs, "SECONDS_BETWEEN_PAUSES", seconds)
    model = two_inputs()
    batches = Batches([WIDE, NARROW, LABELS], BATCH)
    lengths, first = [], 0
    for steps in CompiledEpochs(model.train_function, batches)():
        assert steps.first == first
        first += len(steps)
        lengths.append(len(steps))
        assert steps.rows == (5 if first == 21 else BATCH)
    assert lengths == expected


def test_an_interrupt_takes_effect_at_the_next_pause():
    class Interrupt(Callback):
        def on_epoch_begin(self, epoch):
            os.kill(os.getpid(), signal.SIGINT)

    model = two_inputs()
    before = model.values()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit([WIDE, NARROW], LABELS, shuffle=False, callbacks=[Interrupt()])
    finally:
        signal.signal(signal.SIGINT, handler)
    interrupted = model.values()
    model.variables.update(before)
    # The first chunk is one step.
    model.train_function(WIDE[:BATCH], NARROW[:BATCH], LABELS[:BATCH])
    for name, value in model.values().items():
        np.testing.assert_array_equal(value, interrupted[name])


def test_stopping_takes_effect_at_the_next_pause(monkeypatch):
    model = two_inputs()
    advanced = []

    class Stopping(progress.Silent):
        def advance(self, rows):
            advanced.append(rows)
            model.stop_training = True

    monkeypatch.setattr(fitting, "make_reporter", lambda *_: Stopping())
    history = model.fit([WIDE, NARROW], LABELS, epochs=3)
    assert advanced == [BATCH] and history.epoch == [0]


def test_who_wants_batches():
    def rate(step):
        return 0.1

    assert EachBatch().wants_batches()
    assert not Callback().wants_batches()
    assert LearningRateSchedule(rate, "step").wants_batches()
    assert not LearningRateSchedule(rate, "epoch").wants_batches()


# --- the loop itself -------------------------------------------------------------------------


def counting(limit=4):
    """Takes by computed indices, and counts calls in a state that is an output as well."""
    graph = gc.Graph()
    x = graph.input("x", ("batch",))
    table = graph.parameter("table", (limit,), np.arange(limit, dtype="f4"))
    count = graph.variable("count", 0.0)
    chosen = gc.sum(gc.take(table, gc.cast(x * 2, "i32")))
    outputs = {"chosen": chosen, "count": count + 1, "small": chosen < 3}
    return gc.function([x], outputs, {count: count + 1}), graph


def test_every_output_of_every_step():
    run, graph = counting()
    x = np.array([0, 0.5, 1, 1.5, 0, 0], "f4")
    made = run.row_loop([x], 2).run(0, 3)
    assert {name: value.tolist() for name, value in made.items()} == {
        "chosen": [1, 5, 0],
        "count": [1, 2, 3],
        "small": [True, False, True],
    }
    order = np.array([5, 3, 0, 1, 2, 4])
    made = run.row_loop([x], 2, gathers=True).run(2, 2, order)
    assert made["chosen"].tolist() == [1, 2] and graph.variables["count"] == 5
    made = run.row_loop([x], 2, stop_unless="small").run(0, 3)
    assert made["small"].tolist() == [True, False] and graph.variables["count"] == 7


def test_an_index_out_of_range_ends_the_loop_before_its_step():
    run, graph = counting()
    x = np.array([0, 0, 1, 1, 2, 0, 0, 0], "f4")
    for gathers in (False, True):
        graph.variables["count"] = 0
        loop = run.row_loop([x], 2, gathers=gathers)
        with pytest.raises(IndexError, match="outside -4 to 3"):
            loop.run(0, 4, np.arange(8))
        assert graph.variables["count"] == 2


def test_a_loop_writes_down_outputs_of_any_shape():
    """Values of rows, sums over them, and views with gaps in memory; each step at its own place."""
    graph = gc.Graph()
    x = graph.input("x", ("batch", 3), "f64")
    y = gc.exp(x)
    outputs = {
        "total": gc.sum(y),
        "rows": y,
        "column": y[:, 1],
        "turned": gc.transpose(y),
        "sums": gc.sum(y, 0),
        "counts": gc.sum(gc.cast(y > 1, "i32"), 0),
        "given": x,
    }
    run = gc.function([x], outputs)
    rows = RNG.standard_normal((12, 3))
    for options in ({}, {"gathers": True}):
        order = RNG.permutation(12) if options else np.arange(12)
        made = run.row_loop([rows], 4, **options).run(0, 3, order if options else None)
        for step in range(3):
            wanted = run(rows[order[4 * step : 4 * step + 4]])
            for name, value in wanted.items():
                np.testing.assert_array_equal(made[name][step], value)


def test_loops_that_cannot_be():
    run, graph = counting()
    x = np.zeros(6, "f4")
    with pytest.raises(ValueError, match="batches of 0 rows"):
        run.row_loop([x], 0)
    with pytest.raises(ValueError, match="rows 2 to 8 of 6"):
        run.row_loop([x], 2).run(2, 3)
    loop = run.row_loop([x], 2, gathers=True)
    for order in (None, np.zeros(5, "i8"), np.zeros(6, "i4")):
        with pytest.raises(ValueError, match="an order of 6 rows expected"):
            loop.run(0, 1, order)
    with pytest.raises(IndexError, match="row 6"):
        loop.run(0, 1, np.array([0, 1, 2, 3, 4, 6]))
    y = graph.input("y", ("batch",))
    with pytest.raises(ValueError, match="mode 'reference'"):
        gc.function([y], gc.sum(y), mode="reference").row_loop([x], 2)
