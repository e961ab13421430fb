"""One batch at a time: iterables of batches, and a user's own loop."""

import warnings

import numpy as np
import pytest

import graphc as gc

RNG = np.random.default_rng(9)
X = RNG.standard_normal((23, 4)).astype("f4")
T = RNG.integers(0, 3, 23).astype("i4")
W = RNG.uniform(0, 2, 23)
BATCHES = [(X[k : k + 5], T[k : k + 5]) for k in range(0, 23, 5)]
WEIGHTED = [(X[k : k + 5], T[k : k + 5], W[k : k + 5]) for k in range(0, 23, 5)]


def classifier(**options):
    graph = gc.Graph(5)
    x = graph.input("x", ("batch", 4))
    t = graph.input("t", ("batch",), "i32")
    z = gc.nn.dense(gc.nn.dense(x, 6, gc.tanh), 3)
    metrics = {
        "accuracy": gc.metrics.accuracy(z, t),
        "matrix": gc.metrics.ConfusionMatrix(z, t),
        "f1": gc.metrics.F1(z, t, average="macro"),
    }
    model = gc.Model(x, z, t, gc.losses.softmax_cross_entropy(z, t), metrics)
    model.compile(gc.optim.Adam(0.02), batch_size=5, **options)
    return model


class Loader:
    """Goes through batches of lists anew each time, as loaders of other libraries do."""

    def __init__(self, batches, has_length=True):
        self.batches = [list(batch) for batch in batches]
        self.begun = 0
        if has_length:
            self.__class__ = type("Sized", (Loader,), {"__len__": lambda self: len(batches)})

    def __iter__(self):
        self.begun += 1
        return iter(self.batches)


def same(model, other, found=None, wanted=None):
    for name, value in other.values().items():
        np.testing.assert_array_equal(model.values()[name], value)
    if found is not None:
        assert found.epoch == wanted.epoch and found.history.keys() == wanted.history.keys()
        for name, values in wanted.history.items():
            np.testing.assert_allclose(found.history[name], values, rtol=1e-12)


@pytest.mark.parametrize("source", [BATCHES, Loader(BATCHES), Loader(BATCHES, False)])
def test_an_iterable_is_gone_through_in_each_epoch(mode, source):
    streamed, whole = classifier(mode=mode), classifier(mode=mode)
    found = streamed.fit(source, epochs=3, validation_data=BATCHES)
    wanted = whole.fit(X, T, 3, 5, shuffle=False, validation_data=(X, T), validation_batch_size=5)
    same(streamed, whole, found, wanted)
    assert streamed.steps_per_epoch == 5


def test_batches_with_weights():
    streamed, whole = classifier(), classifier()
    found = streamed.fit(WEIGHTED, epochs=2, class_weight={1: 3.0}, validation_data=WEIGHTED)
    wanted = whole.fit(
        X, T, 2, 5, shuffle=False, sample_weight=W, class_weight={1: 3.0},
        validation_data=(X, T, W),
    )  # fmt: skip
    same(streamed, whole, found, wanted)
    judged = streamed.evaluate(iter(WEIGHTED))
    assert judged["loss"] == pytest.approx(whole.evaluate(X, T, 5, sample_weight=W)["loss"])
    with pytest.raises(gc.DataError, match="a batch has a sample_weight, but the first has none"):
        streamed.fit([*BATCHES, *WEIGHTED])


def test_steps_per_epoch_goes_on_where_it_ended():
    """Four steps an epoch: a list of five begins again in the second, a generator has enough."""
    rounds, endless = classifier(), classifier()

    def generator():
        while True:
            yield from BATCHES

    epochs = []
    keep = gc.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    found = rounds.fit(BATCHES, epochs=3, steps_per_epoch=4)
    wanted = endless.fit(generator(), epochs=3, steps_per_epoch=4, callbacks=[keep])
    same(rounds, endless, found, wanted)
    assert epochs == [0, 1, 2] and endless.steps_per_epoch == 4
    assert rounds.variables["adam.steps"] == 12


def test_too_few_batches_end_training_with_a_warning():
    model = classifier()
    with pytest.warns(UserWarning, match=r"epoch 2: .* after 1 of 4 batches"):
        history = model.fit(iter(BATCHES), epochs=4, steps_per_epoch=4)
    assert history.epoch == [0, 1] and model.variables["adam.steps"] == 5
    with pytest.warns(UserWarning, match="epoch 2: .* after 0 batches") as found:
        history = model.fit(iter(BATCHES), epochs=4)
    assert found[0].filename == __file__
    assert history.epoch == [0] and model.variables["adam.steps"] == 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.fit(iter(BATCHES)).epoch == [0]


def test_validation_by_a_generator_takes_its_steps():
    model = classifier()
    history = model.fit(X, T, epochs=2, validation_data=iter(BATCHES), validation_steps=2)
    assert len(history.history["val_loss"]) == 2
    wanted = model.evaluate(X[10:20], T[10:20], 5)["loss"]
    assert history.history["val_loss"][1] == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(gc.DataError, match="no batches left"):
        model.fit(X, T, epochs=2, validation_data=iter(BATCHES))


def test_callbacks_watching_and_recording_of_streams(capsys):
    model, plain = classifier(), classifier()
    heard = []
    log = gc.callbacks.LambdaCallback(on_batch_end=lambda e, b, logs: heard.append((e, b, logs)))
    history = model.fit(
        BATCHES, epochs=2, callbacks=[log], nan_watch=True, record=1, verbose=2
    ).history
    plain.fit(BATCHES, epochs=2)
    same(model, plain)
    assert [(e, b) for e, b, _ in heard] == [(e, b) for e in range(2) for b in range(5)]
    assert set(heard[0][2]) == {"loss", "accuracy", "f1"} and "dense/update" in history
    assert "epoch 2/2" in capsys.readouterr().out
    bad = [BATCHES[0], (np.full((5, 4), np.inf, "f4"), T[:5])]
    with pytest.raises(gc.NotFiniteError, match=r"step 2 of 2(.|\n)*inf"):
        model.fit(bad, debug="nan")
    stop = gc.callbacks.LambdaCallback(
        on_batch_end=lambda e, b, logs: setattr(model, "stop_training", b == 1)
    )
    before = model.variables["adam.steps"]
    model.fit(BATCHES, epochs=3, callbacks=[stop])
    assert model.variables["adam.steps"] == before + 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": iter([])}, "no batches"),
        ({"x": iter([X])}, r"batches \(x, y\) expected"),
        ({"x": iter([(X, T, W, W)])}, "not one of 4 parts"),
        ({"x": iter([(X, T[:3])])}, "dimension batch|batch"),
        ({"x": iter([(X[:0], T[:0])])}, "no rows"),
        ({"x": BATCHES, "batch_size": 3}, "no batch_size"),
        ({"x": BATCHES, "sample_weight": W}, r"\(x, y, w\)"),
        ({"x": BATCHES, "validation_split": 0.5}, "validation_split: rows of arrays"),
        ({"x": BATCHES, "steps_per_epoch": 0}, "x: steps: at least 1"),
        ({"x": X, "y": T, "steps_per_epoch": 2}, "steps are counted of an iterable"),
        ({"x": X}, "y: missing t"),
        ({"x": X.tolist()}, "y: missing t"),
    ],
)
def test_batches_that_do_not_fit(given, message):
    with pytest.raises(gc.DataError, match=message):
        classifier(mode="reference").fit(**given)


def test_labels_out_of_range_end_before_their_step():
    model = classifier()
    before = model.variables["adam.steps"]
    with pytest.raises(IndexError, match="outside 0 to 2"):
        model.fit([BATCHES[0], (X[:5], T[:5] + 3)])
    assert model.variables["adam.steps"] == before + 1


# --- a loop of one's own ---------------------------------------------------------------------


def test_train_on_batch_is_a_step_of_fit(mode):
    own, fitted = classifier(mode=mode), classifier(mode=mode)
    first = own.test_on_batch(*BATCHES[0])
    losses = [own.train_on_batch(x, t) for x, t in BATCHES]
    history = fitted.fit(X, T, batch_size=5, shuffle=False).history
    same(own, fitted)
    assert losses[0]["loss"] == pytest.approx(first["loss"]) and type(losses[0]["loss"]) is float
    sizes = [len(x) for x, _ in BATCHES]
    for name in ("loss", "accuracy"):
        mean = np.average([each[name] for each in losses], weights=sizes)
        assert mean == pytest.approx(history[name][0])
    assert sum(each["matrix"] for each in losses).tolist() == history["matrix"][0].tolist()


def test_the_other_words_on_a_batch(mode):
    model = classifier(mode=mode)
    before = model.values()
    np.testing.assert_array_equal(model.predict_on_batch(X), model.predict(X, 23))
    found = model.test_on_batch(X, T, sample_weight=W, class_weight={0: 2.0})
    wanted = model.evaluate(X, T, 23, sample_weight=W, class_weight={0: 2.0})
    assert found["loss"] == pytest.approx(wanted["loss"]) and found["f1"] == wanted["f1"]
    for name, value in before.items():
        np.testing.assert_array_equal(model.values()[name], value)
    with pytest.raises(gc.DataError, match="no rows"):
        model.train_on_batch(X[:0], T[:0])
    with pytest.raises(gc.DataError, match="y: missing t"):
        model.train_on_batch(X)
    with pytest.raises(IndexError):
        model.train_on_batch(X, T + 3)
    for name, value in before.items():
        np.testing.assert_array_equal(model.values()[name], value)


def test_train_on_batch_needs_an_optimizer():
    model = classifier()
    model.compile()
    with pytest.raises(gc.NotCompiledError):
        model.train_on_batch(X, T)
