"""fit's habits: callbacks, watching for NaN, interrupts, progress."""

import io
import os
import signal

import numpy as np
import pytest
from rich.console import Console

import graphc as gc
from graphc.callbacks import Callback, EarlyStopping, LearningRateSchedule
from graphc.declare import schedules
from graphc.train.callbacks import progress
from tests.train.straight_line import Recorder, X, Y, line_model

pytestmark = pytest.mark.usefixtures("interruptible")


@pytest.fixture
def model(mode):
    return line_model(mode)


def test_hooks_in_order(model):
    recorder = Recorder()
    model.fit(X[:8], Y[:8], epochs=2, callbacks=[recorder], validation_data=(X, Y))
    expected = ["train"]
    for epoch in (0, 1):
        expected.append(("epoch", epoch))
        for batch in (0, 1):
            expected += [("batch", epoch, batch), ("batch end", epoch, batch, ["loss"])]
        expected.append(("epoch end", epoch, ["loss", "val_loss"]))
    assert recorder.calls == [*expected, "end"]


@pytest.mark.parametrize("wrong", [[EarlyStopping], [lambda: None], EarlyStopping("loss")])
def test_what_is_no_list_of_callbacks(model, wrong):
    with pytest.raises(TypeError, match=r"^callbacks: "):
        model.fit(X, Y, callbacks=wrong)


def test_stop_from_a_batch(model):
    class Stop(Callback):
        def on_batch_end(self, epoch, batch, logs):
            self.model.stop_training = (epoch, batch) == (1, 1)

    history = model.fit(X, Y, epochs=5, callbacks=[Stop()])
    assert history.epoch == [0, 1]
    assert model.fit(X, Y, epochs=1).epoch == [0]


@pytest.mark.parametrize("per", ["epoch", "step"])
def test_schedule(model, per):
    rates = []

    class Watch(Callback):
        def on_batch_end(self, epoch, batch, logs):
            rates.append(self.model.learning_rate)

    schedule = LearningRateSchedule(schedules.linear(0, 1, 8), per)
    model.fit(X, Y, epochs=2, callbacks=[schedule, Watch()], initial_epoch=1)
    assert rates == ([1 / 8] * 4 if per == "epoch" else [4 / 8, 5 / 8, 6 / 8, 7 / 8])


def test_a_schedule_counts_updates_of_several_batches():
    """Gradients go on being added up from epoch to epoch, and so do updates."""
    model = line_model("reference")
    model.compile(gc.optim.SGD(0.1, gradient_accumulation_steps=3), mode="reference")
    asked = []

    def rate(update):
        asked.append(update)
        return 0.1

    model.fit(X, Y, epochs=3, batch_size=6, callbacks=[LearningRateSchedule(rate, "step")])
    assert asked == [batch // 3 for batch in range(3 * 4)]


def test_nan_is_named_and_nothing_is_updated(model):
    x = X.copy()
    x[8] = np.nan
    reached = {}

    class Keep(Callback):
        def on_batch_end(self, epoch, batch, logs):
            reached.update(self.model.values())

    with pytest.raises(gc.NotFiniteError, match="epoch 1, step 2 of 4: the loss is nan"):
        model.fit(x, Y, shuffle=False, nan_watch=True, callbacks=[Keep()])
    assert len(reached) == 3
    for name, value in model.values().items():
        assert np.isfinite(value).all()
        np.testing.assert_array_equal(value, reached[name])


def test_update_that_is_not_finite_though_the_loss_is(mode):
    graph = gc.Graph()
    x = graph.input("x", ("batch",))
    w = graph.parameter("w", (), 1.0)
    # The derivative of sqrt at 0 is infinite, and times x = 0 it is NaN.
    loss = gc.mean(gc.sqrt(w * x))
    model = gc.Model(x, w * x, loss=loss)
    model.compile(gc.optim.SGD(0.1), mode=mode)
    with pytest.raises(FloatingPointError, match="the loss is 0, but an update"):
        model.fit(np.zeros(4, np.float32), nan_watch=True)
    assert model.variables["w"] == 1


def test_watching_changes_no_result(model):
    before = model.values()
    model.fit(X, Y, epochs=2)
    plain = model.values()
    model.variables.update(before)
    model.fit(X, Y, epochs=2, nan_watch=True)
    for name, value in model.values().items():
        np.testing.assert_allclose(value, plain[name], rtol=1e-6)


def test_terminate_on_nan(model):
    x = X.copy()
    x[3] = np.nan
    history = model.fit(x, Y, epochs=5, callbacks=[gc.callbacks.TerminateOnNaN()])
    assert history.epoch == [0]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_training_ends_with_the_batch_whose_loss_is_not_finite(model, wrong):
    class Watch(Callback):
        def on_batch_begin(self, epoch, batch):
            begun.append((epoch, batch))

    begun: list[tuple[int, int]] = []
    x = X.copy()
    x[8] = wrong
    model.learning_rate = 0
    model.fit(x, Y, epochs=3, shuffle=False, callbacks=[Watch(), gc.callbacks.TerminateOnNaN()])
    assert begun == [(0, 0), (0, 1)]


def test_interrupt_takes_effect_after_a_whole_step(model):
    class Interrupt(Callback):
        ended = False

        def on_batch_begin(self, epoch, batch):
            if (epoch, batch) == (1, 2):
                os.kill(os.getpid(), signal.SIGINT)

        def on_train_end(self):
            self.ended = True

    before = model.values()
    callback = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=5, shuffle=False, callbacks=[callback])
    assert callback.ended and model.history.epoch == [0]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    interrupted = model.values()
    model.variables.update(before)
    model.fit(X, Y, shuffle=False)
    for start in (0, 6, 12):
        model.train_function(X[start : start + 6], Y[start : start + 6])
    for name, value in model.values().items():
        np.testing.assert_array_equal(value, interrupted[name])


def test_every_callback_ends_whatever_others_raise(model):
    class Fail(Callback):
        def __init__(self, word):
            self.word = word

        def on_train_end(self):
            raise RuntimeError(self.word)

    recorder = Recorder()
    with pytest.raises(RuntimeError, match=r"^first") as raised:
        model.fit(X, Y, callbacks=[Fail("first"), Fail("second"), recorder])
    assert recorder.calls[-1] == "end"
    assert raised.value.__notes__ == ["on_train_end of Fail raised RuntimeError('second')"]


def test_error_in_a_callback_ends_training_cleanly(model):
    class Fail(Callback):
        def on_batch_end(self, epoch, batch, logs):
            raise RuntimeError("mine")

    recorder = Recorder()
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, Y, callbacks=[Fail(), recorder])
    assert recorder.calls[-1] == "end"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_quiet_without_a_terminal(model, capsys):
    model.fit(X, Y)
    assert capsys.readouterr() == ("", "")
    model.fit(X, Y, epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2/2") and "loss" in lines[1]
    with pytest.raises(ValueError, match="verbosity"):
        model.fit(X, Y, verbose=3)


@pytest.mark.parametrize("rows_per_epoch", [1, 40])
def test_rate_of_the_bar_when_epochs_take_milliseconds(monkeypatch, rows_per_epoch):
    """A clock that goes 1 ms a row, and a second between two epochs, which does not count."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    bar = progress.make_reporter(1, 0, 400, rows_per_epoch, console)
    rates = []
    for epoch in range(400):
        bar.begin_epoch(epoch)
        for _ in range(rows_per_epoch):
            now[0] += 1e-3
            bar.advance(1)
        now[0] += 1.0  # validation
        bar.end_epoch(epoch, {})
        now[0] += 1.0  # callbacks
        (task,) = bar._progress.tasks
        rates.append(task.fields["rate"])
        assert task.completed == (epoch + 1) * rows_per_epoch
    bar.close()
    assert rates[0] == 0 and rates[1:] == pytest.approx([1000] * 399)


def test_bar_on_a_terminal():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    bar = progress.make_reporter("auto", 0, 2, 10, console)
    assert isinstance(bar, progress.Bar)
    for epoch in range(2):
        bar.begin_epoch(epoch)
        bar.advance(10)
        bar.end_epoch(epoch, {"loss": 0.5})
    bar.close()
    text = stream.getvalue()
    assert "epoch 2/2" in text and "20/20" in text and "loss 0.5" in text
