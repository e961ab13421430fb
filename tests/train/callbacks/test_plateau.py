"""Callbacks that lower the rate on a plateau, and that call functions."""

import numpy as np
import pytest

import graphc as gc

X = np.ones((4, 1))


def line():
    graph = gc.Graph(0)
    x, t = graph.input("x", ("batch", 1), "f64"), graph.input("t", ("batch", 1), "f64")
    y = gc.nn.dense(x, 1)
    model = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    model.compile(gc.optim.SGD(0.4), mode="reference")
    return model


def rates(callback, values, **fit):
    """The rate after each epoch whose logged loss is said to be `values`."""
    model, seen = line(), []

    class Said(gc.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            callback.on_epoch_end(epoch, {"loss": values[epoch]})
            seen.append(model.learning_rate)

    callback.model = model
    model.logged_names = ["loss"]
    callback.on_train_begin()
    model.fit(X, X, epochs=len(values), callbacks=[Said()], **fit)
    return seen


def test_the_rate_is_lowered_after_patience_epochs():
    plateau = gc.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=2)
    values = [1.0, 1.0, 1.0, 0.9, 0.9, np.nan, 0.9]
    wanted = [0.4, 0.4, 0.2, 0.2, 0.2, 0.1, 0.1]
    assert rates(plateau, values) == pytest.approx(wanted)
    assert rates(plateau, values) == pytest.approx(wanted), "it begins each training anew"


def test_cooldown_least_rate_and_least_improvement():
    plateau = gc.callbacks.ReduceLROnPlateau("loss", 0.5, 1, cooldown=2)
    # As Keras has it, the second epoch of the cooldown counts again.
    assert rates(plateau, [1.0] * 6) == pytest.approx([0.4, 0.2, 0.2, 0.1, 0.1, 0.05])
    plateau = gc.callbacks.ReduceLROnPlateau("loss", 0.1, 1, min_lr=0.1)
    assert rates(plateau, [1.0] * 4) == pytest.approx([0.4, 0.1, 0.1, 0.1])
    plateau = gc.callbacks.ReduceLROnPlateau("loss", 0.5, 1, min_delta=0.1)
    assert rates(plateau, [1.0, 0.95, 0.8]) == pytest.approx([0.4, 0.2, 0.2])
    plateau = gc.callbacks.ReduceLROnPlateau("loss", 0.5, 1, mode="max")
    assert rates(plateau, [1.0, 2.0, 1.5]) == pytest.approx([0.4, 0.4, 0.2])


def test_it_hears_what_fit_logs():
    model = line()
    plateau = gc.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100)
    model.fit(X, X, epochs=3, callbacks=[plateau])
    assert model.learning_rate == pytest.approx(0.1)
    with pytest.raises(ValueError, match="'val_loss' is not logged"):
        model.fit(X, X, callbacks=[gc.callbacks.ReduceLROnPlateau()])


@pytest.mark.parametrize(
    "options", [{"factor": 1.0}, {"factor": -0.1}, {"patience": -1}, {"mode": "auto"},
                {"cooldown": np.nan}, {"min_lr": -1.0}, {"min_delta": -1.0}],
)  # fmt: skip
def test_a_plateau_that_cannot_be(options):
    with pytest.raises(ValueError, match="expected"):
        gc.callbacks.ReduceLROnPlateau("loss", **options)


def test_functions_are_called_as_hooks():
    called = []

    def note(name):
        return lambda *arguments: called.append((name, *arguments[:2]))

    hooks = ("on_train_begin", "on_epoch_begin", "on_batch_begin", "on_batch_end", "on_train_end")
    callback = gc.callbacks.LambdaCallback(**{name: note(name) for name in hooks})
    model = line()
    model.fit(X, X, batch_size=2, callbacks=[callback])
    assert called == [
        ("on_train_begin",),
        ("on_epoch_begin", 0),
        ("on_batch_begin", 0, 0), ("on_batch_end", 0, 0),
        ("on_batch_begin", 0, 1), ("on_batch_end", 0, 1),
        ("on_train_end",),
    ]  # fmt: skip
    assert callback.wants_batches()
    losses = []
    ends = gc.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
    assert not ends.wants_batches()
    assert model.fit(X, X, epochs=2, callbacks=[ends]).history["loss"] == losses
    with pytest.raises(TypeError, match="on_epoch_end: a function expected"):
        gc.callbacks.LambdaCallback(on_epoch_end=3)


def test_each_hook_is_called_where_it_is_the_only_one():
    """Two epochs of two batches; a hook of batches alone asks for them."""
    for what, count in (("train", 1), ("epoch", 2), ("batch", 4)):
        for name in (f"on_{what}_begin", f"on_{what}_end"):
            called = []
            callback = gc.callbacks.LambdaCallback(**{name: lambda *x, into=called: into.append(x)})
            line().fit(X, X, batch_size=2, epochs=2, callbacks=[callback])
            assert len(called) == count, name
            # Where steps are compiled, a hook of batches is called because it says so.
            assert callback.wants_batches() == (what == "batch"), name
