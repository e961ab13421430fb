"""A straight line that is fitted, and a callback that notes when it is called."""

import numpy as np

import graphc as gc
from graphc.callbacks import Callback

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(24, 1)
Y = 3 * X + 1


def line_model(mode):
    """A straight line, fitted with batches of 6."""
    graph = gc.Graph()
    x, t = graph.input("x", ("batch", 1)), graph.input("t", ("batch", 1))
    y = gc.nn.dense(x, 1)
    model = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    model.compile(gc.optim.SGD(0.1), batch_size=6, mode=mode)
    return model


class Recorder(Callback):
    def __init__(self):
        self.calls = []

    def on_train_begin(self):
        self.calls.append("train")

    def on_train_end(self):
        self.calls.append("end")

    def on_epoch_begin(self, epoch):
        self.calls.append(("epoch", epoch))

    def on_epoch_end(self, epoch, logs):
        self.calls.append(("epoch end", epoch, sorted(logs)))

    def on_batch_begin(self, epoch, batch):
        self.calls.append(("batch", epoch, batch))

    def on_batch_end(self, epoch, batch, logs):
        self.calls.append(("batch end", epoch, batch, sorted(logs)))
