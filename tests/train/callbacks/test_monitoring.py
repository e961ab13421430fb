"""Callbacks that watch what is logged: early stopping and checkpoints."""

import numpy as np
import pytest
import safetensors.numpy

import graphc as gc
from graphc.callbacks import Callback, EarlyStopping, LearningRateSchedule, ModelCheckpoint
from tests.train.straight_line import Recorder, X, Y, line_model

pytestmark = pytest.mark.usefixtures("interruptible")


@pytest.fixture
def model(mode):
    return line_model(mode)


class Scripted(Callback):
    """Sets the weights before each epoch, so that the losses are known; the rate is 0."""

    def __init__(self, kernels):
        self.kernels = kernels

    def on_epoch_begin(self, epoch):
        self.model.learning_rate = 0
        self.model.variables["dense.kernel"] = [[self.kernels[epoch]]]
        # A step makes NaN of it beside a kernel that is NaN, whatever the rate.
        self.model.variables["dense.bias"] = [0.0]


@pytest.mark.parametrize(
    ("patience", "stopped", "best"), [(0, 2, 1), (1, 2, 1), (2, 6, 4), (3, None, 4)]
)
def test_early_stopping(model, patience, stopped, best):
    # The slope is 3, so the loss falls in epochs 0, 1, 3 and 4.
    scripted = Scripted([0.0, 2.0, 1.0, 2.5, 2.9, 0.0, 0.0])
    stopping = EarlyStopping("loss", patience, restore_best_weights=True)
    model.fit(X, Y, epochs=7, callbacks=[scripted, stopping])
    assert (stopping.best_epoch, stopping.stopped_epoch) == (best, stopped)
    assert model.variables["dense.kernel"] == np.float32(scripted.kernels[best])


@pytest.mark.parametrize(("better", "sign"), [("min", 1), ("max", -1)])
def test_an_improvement_is_by_more_than_min_delta(model, better, sign):
    """Over the best so far, not over the epoch before."""
    stopping = EarlyStopping("loss", 10, better, min_delta=0.5)
    stopping.model = model
    model.logged_names = ["loss"]
    stopping.on_train_begin()
    best = []
    for epoch, value in enumerate([4.0, 3.5, 3.25, 2.875, 2.75, 2.5, 2.0]):
        stopping.on_epoch_end(epoch, {"loss": sign * value})
        best.append(stopping.best_epoch)
    assert best == [0, 0, 2, 2, 2, 5, 5]


def test_early_stopping_of_a_score_that_should_grow(model):
    stopping = EarlyStopping("loss", 1, mode="max")
    model.fit(X, Y, epochs=5, callbacks=[Scripted([0.0, -1.0, 2.0, 0, 0]), stopping])
    assert (stopping.best_epoch, stopping.stopped_epoch) == (1, 2)


NAN_FIRST = [np.nan, np.nan, 1.0, 2.0, np.nan, 2.5, np.nan, np.nan]


@pytest.mark.parametrize(
    ("patience", "stopped", "best"), [(1, 0, None), (2, 1, None), (3, None, 5)]
)
def test_nan_is_no_improvement_for_early_stopping(model, patience, stopped, best):
    stopping = EarlyStopping("loss", patience, restore_best_weights=True)
    history = model.fit(X, Y, epochs=8, callbacks=[Scripted(NAN_FIRST), stopping])
    assert (stopping.best_epoch, stopping.stopped_epoch) == (best, stopped)
    assert np.isnan(history.history["loss"][0])
    wanted = np.nan if best is None else NAN_FIRST[best]
    np.testing.assert_equal(model.variables["dense.kernel"].item(), wanted)


def test_nan_is_no_improvement_for_checkpoints(model, tmp_path):
    for mode in ("min", "max"):
        path = tmp_path / (mode + "-{epoch}")
        best = ModelCheckpoint(path, "loss", mode, save_best_only=True)
        model.fit(X, Y, epochs=8, callbacks=[Scripted(NAN_FIRST), best])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["max-2", "min-2", "min-3", "min-5"]


def test_infinity_is_no_improvement_over_nothing(model):
    stopping = EarlyStopping("loss", 2)
    model.fit(X, Y, epochs=4, callbacks=[Scripted([1e30, 1e30, 0.0, 0.0]), stopping])
    assert (stopping.best_epoch, stopping.stopped_epoch) == (None, 1)


def test_callbacks_begin_anew_in_each_training(model, tmp_path):
    """What was best, and how long there was nothing better, is of one training alone."""
    stopping = EarlyStopping("loss", 2, restore_best_weights=True)
    best = ModelCheckpoint(tmp_path / "{epoch}", "loss", save_best_only=True)
    runs = [([2.9, 0.0, 0.0, 0.0], 0, 2), ([1.0, 2.0, 0.0], 1, None), ([np.nan] * 2, None, 1)]
    for kernels, best_epoch, stopped in runs:
        callbacks = [Scripted(kernels), stopping, best]
        model.fit(X, Y, epochs=len(kernels), callbacks=callbacks)
        assert (stopping.best_epoch, stopping.stopped_epoch) == (best_epoch, stopped)
        wanted = kernels[-1] if best_epoch is None else kernels[best_epoch]
        np.testing.assert_equal(model.variables["dense.kernel"].item(), np.float32(wanted))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_what_did_not_begin_is_not_ended(model):
    """Least of all does it put back the weights of a training before."""

    class Fail(Callback):
        def on_train_begin(self):
            raise RuntimeError("mine")

    stopping = EarlyStopping("loss", restore_best_weights=True)
    model.fit(X, Y, callbacks=[stopping])
    model.variables["dense.kernel"] = [[7.0]]
    first, last = Recorder(), Recorder()
    for callbacks in ([first, Fail(), stopping, last], [stopping, Fail()]):
        with pytest.raises(RuntimeError, match="mine"):
            model.fit(X, Y, callbacks=callbacks)
        assert model.variables["dense.kernel"] == 7
    assert first.calls == ["train", "end"] and last.calls == []


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1, "1", True])
def test_numbers_of_early_stopping(wrong):
    for name in ("patience", "min_delta"):
        with pytest.raises((ValueError, TypeError), match=name):
            EarlyStopping("loss", **{name: wrong})
    with pytest.raises(TypeError, match="a schedule"):
        LearningRateSchedule(0.1)


def test_what_is_not_logged_is_known_before_training(model, tmp_path):
    before = model.values()
    for callback in (EarlyStopping(), ModelCheckpoint(tmp_path / "x", save_best_only=True)):
        with pytest.raises(ValueError, match="'val_loss' is not logged; there are: loss"):
            model.fit(X, Y, callbacks=[callback])
    assert all((model.variables[name] == value).all() for name, value in before.items())


def test_checkpoints(model, tmp_path):
    every = ModelCheckpoint(tmp_path / "all-{epoch:02d}")
    best = ModelCheckpoint(tmp_path / "best-{epoch}", "loss", save_best_only=True)
    model.fit(X, Y, epochs=3, callbacks=[Scripted([0.0, -1.0, 2.0]), every, best])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["all-00", "all-01", "all-02", "best-0", "best-2"]
    model.load(tmp_path / "all-01")
    assert model.variables["dense.kernel"] == -1


@pytest.mark.parametrize("weights_only", [False, True])
def test_a_checkpoint_holds_what_it_says(model, tmp_path, weights_only):
    """The values after its epoch, with what training needs besides, or without."""
    model.compile(gc.optim.SGD(0.1, momentum=0.9), mode=model.train_function.mode)
    path = tmp_path / "{epoch}"
    model.fit(X, Y, epochs=2, callbacks=[ModelCheckpoint(path, weights_only=weights_only)])
    weights = {node.name for node in model.weights}
    assert len(weights) == 2 and len(model.values()) > 4
    held = safetensors.numpy.load_file(tmp_path / "1")
    assert set(held) == (weights if weights_only else set(model.values()))
    assert all((value == model.variables[name]).all() for name, value in held.items())
    earlier = safetensors.numpy.load_file(tmp_path / "0")
    assert all((earlier[name] != held[name]).any() for name in weights)


def test_checkpoints_in_folders_of_their_own(model, tmp_path):
    model.fit(X, Y, epochs=2, callbacks=[ModelCheckpoint(tmp_path / "{epoch}-{loss:.0e}" / "m")])
    assert len(list(tmp_path.glob("?-*/m"))) == 2


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("m-{dense/gradient:.0f}", "m-0"),
        ("there{{}}/m", "there{}/m"),
        ("there{{}}/m{epoch}{{1}}", "there{}/m0{1}"),
        ("new{dense/dead:.0f}{{2}}/more/m", "new1{2}/more/m"),
    ],
)
def test_fields_and_braces_of_a_checkpoint(model, tmp_path, path, made):
    (tmp_path / "there{}").mkdir()
    model.learning_rate = 0
    model.fit(np.zeros_like(X), np.zeros_like(Y), record=True,
              callbacks=[ModelCheckpoint(f"{tmp_path}/{path}")])  # fmt: skip
    assert (tmp_path / made).is_file()


def test_what_stands_where_a_folder_is_to_be_made(model, tmp_path):
    (tmp_path / "0").write_text("a file")
    seen = model.values()
    with pytest.raises(NotADirectoryError):
        model.fit(X, Y, callbacks=[ModelCheckpoint(tmp_path / "{epoch}" / "m")])
    assert all((model.variables[name] == value).all() for name, value in seen.items())


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("missing/m", FileNotFoundError, "no such folder.*missing"),
        ("missing/{epoch}/m", FileNotFoundError, "no such folder.*missing"),
        ("", IsADirectoryError, "directory"),
        ("{epoch}/", IsADirectoryError, "directory"),
        ("m-{epoch:q}", ValueError, "cannot be filled in"),
        ("m-{nothing}", ValueError, "KeyError: 'nothing'.*there are: epoch, loss"),
        ("m-{}", ValueError, "cannot be filled in"),
        ("m-{epoch", ValueError, "cannot be filled in"),
        ("m" * 256, OSError, "name too long"),
        ("{epoch}/" + "m" * 256, OSError, "name too long"),
        ("{epoch}/" + "m" * 256 + "/m", OSError, "name too long"),
        ("{epoch}/" + "m" * 250 + "{loss:.3e}", OSError, "name too long"),
        ("{epoch}/" * 2500 + "m", OSError, "name too long"),
    ],
)
def test_a_bad_checkpoint_is_known_before_training(model, tmp_path, path, error, message):
    before = model.values()
    with pytest.raises(error, match=message):
        model.fit(X, Y, callbacks=[ModelCheckpoint(f"{tmp_path}/{path}")])
    assert all((model.variables[name] == value).all() for name, value in before.items())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [1.5, np.float32(2), True, "2", None])
def test_epochs_are_counted_in_whole_numbers(count):
    for make in (
        lambda: EarlyStopping(patience=count),
        lambda: gc.callbacks.ReduceLROnPlateau(patience=count),
        lambda: gc.callbacks.ReduceLROnPlateau(cooldown=count),
    ):
        with pytest.raises(TypeError, match=r"(patience|cooldown): (an integer|a number) expected"):
            make()
