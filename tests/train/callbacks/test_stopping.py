"""What sets `model.stop_training`, and when: steps in native code and steps that are called."""

import threading

import numpy as np
import pytest

import graphc as gc
from graphc.callbacks import Callback
from graphc.train import fitting
from graphc.train.callbacks import progress
from graphc.train.epochs import native_epochs

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(24, 1)
Y = 3 * X + 1
BATCH = 6
BATCHES = [(X[k : k + BATCH], Y[k : k + BATCH]) for k in range(0, 24, BATCH)]
STEPS = len(BATCHES)


def counting_model(mode="compiled"):
    """A straight line, whose steps are counted by `adam.steps`."""
    graph = gc.Graph()
    x, t = graph.input("x", ("batch", 1)), graph.input("t", ("batch", 1))
    y = gc.nn.dense(x, 1)
    model = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    model.compile(gc.optim.Adam(0.1), batch_size=BATCH, mode=mode)
    return model


class Begins(Callback):
    def on_batch_begin(self, epoch, batch):
        pass


class Ends(Callback):
    def on_batch_end(self, epoch, batch, logs):
        pass


# How a fit makes its steps: what it is given, how it is compiled, who wants to hear of batches.
KINDS = {
    "native": (X, "compiled", [], {}),
    "recorded": (X, "compiled", [], {"record": 2}),
    "watched": (X, "compiled", [], {"nan_watch": True}),
    "begins": (X, "compiled", [Begins()], {}),
    "ends": (X, "compiled", [Ends()], {}),
    "reference": (X, "reference", [], {}),
    "stream": (BATCHES, "compiled", [], {}),
    "stream that is heard": (BATCHES, "compiled", [Begins(), Ends()], {}),
}


def fit(kind, callbacks, epochs=5):
    """Epochs in the history and steps made, by the fit of a kind."""
    given, mode, listeners, options = KINDS[kind]
    model = counting_model(mode)
    labels = () if isinstance(given, list) else (Y,)
    history = model.fit(
        given, *labels, epochs=epochs, callbacks=[*listeners, *callbacks], **options
    )
    return len(history.epoch), int(model.variables["adam.steps"])


class StopAt(Callback):
    """Stops in the given hook of an epoch."""

    def __init__(self, hook, epoch=0):
        def stop(at=0, logs=None):
            if at == epoch:
                self.model.stop_training = True

        self.__dict__[hook] = stop


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("hook", "epoch", "completed"),
    [
        ("on_train_begin", 0, 1),
        ("on_epoch_begin", 0, 1),
        ("on_epoch_begin", 1, 2),
        ("on_epoch_end", 1, 2),
    ],
)
def test_hooks_of_epochs_end_training_after_whole_epochs(kind, hook, epoch, completed):
    assert fit(kind, [StopAt(hook, epoch)]) == (completed, completed * STEPS)


class StopAtBatch(Callback):
    def on_batch_begin(self, epoch, batch):
        if (epoch, batch) == (1, 1):
            self.model.stop_training = True


class StopAfterBatch(Callback):
    def on_batch_end(self, epoch, batch, logs):
        if (epoch, batch) == (1, 1):
            self.model.stop_training = True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stop", [StopAtBatch(), StopAfterBatch()])
def test_hooks_of_batches_end_training_after_the_running_batch(kind, stop):
    assert fit(kind, [stop]) == (2, STEPS + 2)


@pytest.mark.parametrize("kind", KINDS)
def test_what_others_say_while_steps_run_counts_at_the_next_pause(kind, monkeypatch):
    """As another thread says it, while the first step of the second epoch is reported."""
    given, mode, listeners, options = KINDS[kind]
    model = counting_model(mode)

    class Stopping(progress.Silent):
        def advance(self, rows):
            if int(model.variables["adam.steps"]) > STEPS:
                other = threading.Thread(target=setattr, args=(model, "stop_training", True))
                other.start()
                other.join()

    monkeypatch.setattr(fitting, "make_reporter", lambda *_: Stopping())
    # A pause behind each step.
    monkeypatch.setattr(native_epochs, "SECONDS_BETWEEN_PAUSES", 0)
    labels = () if isinstance(given, list) else (Y,)
    history = model.fit(given, *labels, epochs=5, callbacks=listeners, **options)
    assert len(history.epoch) == 2
    # Steps are recorded two at a time.
    most = STEPS + (2 if kind == "recorded" else 1)
    assert STEPS < int(model.variables["adam.steps"]) <= most


def test_a_stop_is_forgotten_by_the_next_fit():
    model = counting_model()
    assert len(model.fit(X, Y, epochs=3, callbacks=[StopAt("on_epoch_begin")]).epoch) == 1
    assert len(model.fit(X, Y, epochs=3).epoch) == 3
