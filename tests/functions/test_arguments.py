"""Wrong arguments of every public function: each is refused by a sentence of graphc's own."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc

PACKAGE = {Path(gc.__file__).parent, *(Path(p) for p in gc.ir.__path__)}


class DlpackOnly:
    def __dlpack__(self) -> None:
        raise AssertionError("not asked for")


class Frame:
    """As a table of another library: an array on request."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array([["a", None]], object)


WRONG: dict[str, Any] = {
    "None": None,
    "text": "seven",
    "fraction": 1.5,
    "negative": -7,
    "huge": 10**30,
    "nan": float("nan"),
    "complex": 1j,
    "True": True,
    "empty list": [],
    "list of None": [None],
    "list of text": ["x"],
    "mapping": {"a": 1},
    "object": object(),
    "objects": np.array([None, "a"], object),
    "structured": np.zeros(2, [("a", "f4")]),
    "dates": np.zeros(2, "M8[s]"),
    "masked": np.ma.masked_array([1.0, 2.0], [0, 1]),
    "list of masked": [np.ma.masked_array([1.0, 2.0], [0, 1])],
    "vector": np.ones(7, np.float32),
    "1e300": np.full((4, 3), 1e300),
    "dlpack": DlpackOnly(),
    "frame": Frame(),
    "ragged": [[1.0], [1.0, 2.0]],
}


ROWS = np.ones((4, 3), np.float32)
CLASSES = np.array([0, 1, 2, 0])


class World:
    """A graph with what calls need."""

    def __init__(self) -> None:
        self.graph = gc.Graph(seed=0)
        self.x = self.graph.input("x", (4, 3))
        self.flags = self.graph.input("flags", (4, 3), "bool")
        self.labels = self.graph.input("labels", (4,), "i32")
        self.w = self.graph.parameter("w", (3, 3), np.eye(3))
        self.loss = gc.mean(self.x @ self.w)
        self.logits = self.x @ self.w
        self.yes = self.graph.input("yes", (4,))
        self.rows = self.graph.input("rows", ("batch", 3))
        self.classes = self.graph.input("classes", ("batch",), "i32")
        self.scores = self.rows @ self.w
        self.error = gc.losses.softmax_cross_entropy(self.scores, self.classes)

    def model(self) -> gc.Model:
        model = gc.Model(self.rows, self.scores, self.classes, self.error)
        model.compile(gc.optim.SGD(0.1), mode="reference")
        return model


# What is right; each argument in turn is replaced by what is wrong.
CALLS: dict[str, Callable[[World], tuple[Callable[..., Any], list[Any]]]] = {
    "add": lambda a: (gc.add, [a.x, a.x]),
    "power": lambda a: (gc.power, [a.x, 2]),
    "maximum": lambda a: (gc.maximum, [a.x, 0.0]),
    "tanh": lambda a: (gc.tanh, [a.x]),
    "leaky_relu": lambda a: (gc.leaky_relu, [a.x, 0.1]),
    "elu": lambda a: (gc.elu, [a.x, 1.0]),
    "maxout": lambda a: (gc.maxout, [a.x, 3, 1]),
    "equal": lambda a: (gc.equal, [a.x, 1.0]),
    "logical_and": lambda a: (gc.logical_and, [a.flags, a.flags]),
    "logical_not": lambda a: (gc.logical_not, [a.flags]),
    "where": lambda a: (gc.where, [a.flags, a.x, 0.0]),
    "cast": lambda a: (gc.cast, [a.x, "f64"]),
    "sum": lambda a: (gc.sum, [a.x, 1]),
    "mean": lambda a: (gc.mean, [a.x, (0, 1)]),
    "max": lambda a: (gc.max, [a.x, 0]),
    "min": lambda a: (gc.min, [a.x, 0]),
    "argmax": lambda a: (gc.argmax, [a.x, 1]),
    "logsumexp": lambda a: (gc.logsumexp, [a.x, 1]),
    "softmax": lambda a: (gc.softmax, [a.x, 1]),
    "log_softmax": lambda a: (gc.log_softmax, [a.x, 1]),
    "reshape": lambda a: (gc.reshape, [a.x, (3, 4)]),
    "squeeze": lambda a: (gc.squeeze, [a.x[:1], 0]),
    "expand_dims": lambda a: (gc.expand_dims, [a.x, 0]),
    "transpose": lambda a: (gc.transpose, [a.x, (1, 0)]),
    "broadcast_to": lambda a: (gc.broadcast_to, [a.x, (2, 4, 3)]),
    "concatenate": lambda a: (gc.concatenate, [[a.x, a.x], 0]),
    "take": lambda a: (gc.take, [a.x, [0, 1], 0]),
    "pick": lambda a: (gc.pick, [a.x, a.labels]),
    "gather": lambda a: (gc.gather, [a.x, a.labels, 1]),
    "one_hot": lambda a: (gc.one_hot, [a.labels, 3, "f32"]),
    "matmul": lambda a: (gc.matmul, [a.x, a.w]),
    "index": lambda a: (a.x.__getitem__, [0]),
    "indices": lambda a: (lambda one, two: a.x[one, two], [0, 1]),
    "slice": lambda a: (lambda start, step: a.x[start:3:step], [0, 1]),
    "grad": lambda a: (gc.grad, [a.loss, a.w]),
    "jacobian": lambda a: (gc.jacobian, [a.x * a.x, a.x]),
    "inference": lambda a: (gc.inference, [a.loss]),
    "input": lambda a: (lambda *given: a.graph.input("new", *given), [(3,), "f32"]),
    "state": lambda a: (lambda *given: a.graph.state("new", *given), [(3,), "f32"]),
    "parameter": lambda a: (lambda *given: a.graph.parameter("p", *given), [(3,), 0.0, "f32"]),
    "variable": lambda a: (lambda *given: a.graph.variable("v", *given), [0.0, (3,), "f32"]),
    "constant": lambda a: (a.graph.constant, [1.0, "f32"]),
    "scan": lambda a: (gc.scan, [lambda h, x: (h + x, h), a.x[0], a.x, 4]),
    "fori_loop": lambda a: (gc.fori_loop, [0, 3, lambda i, h: h * 2, a.x]),
    "while_loop": lambda a: (
        gc.while_loop, [lambda h: gc.sum(h) < 9, lambda h: h * 2, a.x, 3]
    ),
    "sort": lambda a: (gc.sort, [a.x, 1]),
    "top_k": lambda a: (gc.top_k, [a.x, 2, 1]),
    "cumsum": lambda a: (gc.cumsum, [a.x, 1]),
    "pad": lambda a: (gc.pad, [a.x, ((1, 1), (0, 0))]),
    "roll": lambda a: (gc.roll, [a.x, 1, 0]),
    "pad_sequences": lambda a: (gc.data.pad_sequences, [[[1, 2], [3]], 4]),
    "timeseries_windows": lambda a: (gc.data.timeseries_windows, [np.arange(9.0), 3, 1, 1]),
    "read": lambda a: (a.graph.variables.read, [["w"]]),
    "initialize": lambda a: (a.graph.variables.initialize, [1, ["w"]]),
    "graph": lambda a: (gc.Graph, [1]),
    "function": lambda a: (gc.function, [[a.x], a.loss, {a.w: a.w * 2}]),
    "threads": lambda a: (lambda n: gc.function([a.x], a.x, threads=n), [1]),
    "call": lambda a: (gc.function([a.x], a.loss, mode="reference"), [np.ones((4, 3))]),
    "assignment": lambda a: (lambda value: a.graph.variables.__setitem__("w", value), [np.eye(3)]),
    "dense": lambda a: (gc.nn.dense, [a.x, 2]),
    "softmax_cross_entropy": lambda a: (gc.losses.softmax_cross_entropy, [a.x, a.labels]),
    "accuracy": lambda a: (gc.metrics.accuracy, [a.x, a.labels]),
    "maxout layer": lambda a: (gc.nn.maxout, [a.x, 2, 2]),
    "dropout": lambda a: (gc.nn.dropout, [a.x, 0.5]),
    "flatten": lambda a: (gc.nn.flatten, [a.x]),
    "sequential": lambda a: (gc.nn.sequential, [a.x, [gc.tanh]]),
    "activation": lambda a: (lambda f: gc.nn.dense(a.x, 2, f), [gc.tanh]),
    "sigmoid_cross_entropy": lambda a: (gc.losses.sigmoid_cross_entropy, [a.x, a.x, "sum"]),
    "mean_squared_error": lambda a: (gc.losses.mean_squared_error, [a.x, a.x, "sum"]),
    "multiclass_hinge": lambda a: (gc.losses.multiclass_hinge, [a.x, a.labels, 1.0]),
    "huber": lambda a: (gc.losses.huber, [a.x, a.x, 1.0, "sum"]),
    "gaussian_nll": lambda a: (gc.losses.gaussian_nll, [a.x, a.x, a.x]),
    "kl_divergence": lambda a: (gc.losses.kl_divergence, [a.x, a.x]),
    "negative_log_likelihood": lambda a: (gc.losses.negative_log_likelihood, [a.x, a.labels]),
    "sigmoid_focal": lambda a: (gc.losses.sigmoid_focal_cross_entropy, [a.x, a.x, 2.0, 0.5]),
    "softmax_focal": lambda a: (gc.losses.softmax_focal_cross_entropy, [a.x, a.labels, 2.0]),
    "cosine_embedding": lambda a: (gc.losses.cosine_embedding, [a.x, a.x, a.yes, 0.1]),
    "triplet_margin": lambda a: (gc.losses.triplet_margin, [a.x, a.x, a.x, 1.0, 2.0, 1e-6]),
    "info_nce": lambda a: (gc.losses.info_nce, [a.x, a.x, 0.1]),
    "options of a loss": lambda a: (
        lambda weights, share, label: gc.losses.softmax_cross_entropy(
            a.x, a.labels, class_weight=weights, label_smoothing=share, ignore_index=label),
        [[1.0, 2.0, 3.0], 0.1, -1],
    ),
    "pos_weight": lambda a: (
        lambda weight: gc.losses.sigmoid_cross_entropy(a.x, a.x, pos_weight=weight), [2.0]),
    "l1": lambda a: (gc.losses.l1, [a.w, 0.1]),
    "l2": lambda a: (gc.losses.l2, [[a.w], 0.1]),
    "binary_accuracy": lambda a: (gc.metrics.binary_accuracy, [a.yes, a.yes]),
    "top_k_accuracy": lambda a: (gc.metrics.top_k_accuracy, [a.x, a.labels, 2]),
    "mean_absolute_error": lambda a: (gc.metrics.mean_absolute_error, [a.x, a.x]),
    "confusion_matrix": lambda a: (gc.metrics.confusion_matrix, [[0, 1], [1, 1], 2]),
    "updates": lambda a: (gc.optim.Adam(0.1).updates, [a.loss, [a.w]]),
    "SGD": lambda a: (gc.optim.SGD, [0.1, 0.9]),
    "Adam": lambda a: (gc.optim.Adam, [0.1, (0.9, 0.99)]),
    "Lion": lambda a: (gc.optim.Lion, [0.1, (0.9, 0.99), 0.1]),
    "Muon": lambda a: (gc.optim.Muon, [0.1, 0.1, 0.9]),
    "coefficients": lambda a: (
        lambda c, steps, f: gc.optim.Muon(ns_coefficients=c, ns_steps=steps, adjust_lr_fn=f),
        [(1.0, 2.0, 3.0), 5, "original"],
    ),
    "Adafactor": lambda a: (gc.optim.Adafactor, [0.1, -0.8, (1e-8, 1e-3), 1.0]),
    "Lookahead": lambda a: (gc.optim.Lookahead, [gc.optim.SGD(), 6, 0.5]),
    "multi_step": lambda a: (gc.schedules.multi_step, [0.1, [3, 5], 0.1]),
    "cosine_restarts": lambda a: (gc.schedules.cosine_restarts, [0.1, 3, 2, 0.0]),
    "polynomial": lambda a: (gc.schedules.polynomial, [0.1, 3, 2.0, 0.0]),
    "one_cycle": lambda a: (gc.schedules.one_cycle, [0.1, 3, 0.3, "cos", 25.0, 1e4]),
    "cyclic": lambda a: (gc.schedules.cyclic, [0.1, 1.0, 3, 3, "triangular", 1.0]),
    "step": lambda a: (gc.schedules.step, [0.1, 0.1, 10]),
    "cosine": lambda a: (gc.schedules.cosine, [0.1, 10]),
    "chain": lambda a: (gc.schedules.chain, [(gc.schedules.constant(0.1), 3), lambda t: 0.1]),
    "warm_up": lambda a: (gc.schedules.warm_up, [3, gc.schedules.constant(0.1)]),
    "init.normal": lambda a: (gc.init.normal, [0.0, 1.0]),
    "init.uniform": lambda a: (gc.init.uniform, [0.0, 1.0]),
    "init.constant": lambda a: (gc.init.constant, [1.0]),
    "init.orthogonal": lambda a: (gc.init.orthogonal, [1.0]),
    "CSVLogger": lambda a: (gc.loggers.CSVLogger, ["log.csv"]),
    "random.uniform": lambda a: (gc.random.uniform, [a.graph, (3,), "f32"]),
    "Model": lambda a: (gc.Model, [a.rows, a.scores, a.classes, a.error, {"m": a.error}]),
    "compile": lambda a: (a.model().compile, [gc.optim.SGD(0.1)]),
    "evaluate": lambda a: (a.model().evaluate, [ROWS, CLASSES, 2]),
    "predict": lambda a: (a.model().predict, [ROWS, 2]),
    "predict_classes": lambda a: (a.model().predict_classes, [ROWS, 2]),
    "learning_rate": lambda a: (lambda rate: setattr(a.model(), "learning_rate", rate), [0.1]),
    "EarlyStopping": lambda a: (gc.callbacks.EarlyStopping, ["loss", 1, "min", 0.0]),
    "LearningRateSchedule": lambda a: (gc.callbacks.LearningRateSchedule, [lambda t: 0.1, "epoch"]),
    "ModelCheckpoint": lambda a: (gc.callbacks.ModelCheckpoint, ["w.safetensors", "loss", "min"]),
}  # fmt: skip
# No epoch is left to train, however many are asked for.
FIT = {"x": ROWS, "y": CLASSES, "verbose": 0, "initial_epoch": 10**30}
CALLS |= {
    f"fit {name}": lambda a, name=name, value=value: (  # type: ignore[misc]
        lambda given: a.model().fit(**{**FIT, name: given}),
        [value],
    )
    for name, value in {
        "x": ROWS, "y": CLASSES, "epochs": 1, "batch_size": 2, "initial_epoch": 10**30, "seed": 0,
        "validation_data": (ROWS, CLASSES), "validation_split": 0.5, "callbacks": (),
        "verbose": 0, "record": 1, "debug": None,
    }.items()
}  # fmt: skip


def assert_own_refusal(error: Exception) -> None:
    """The error was raised by a line of graphc that says so, with a sentence."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    inside = any(folder in Path(frame.filename).parents for folder in PACKAGE)
    text = "".join(traceback.format_exception(error))
    assert inside and line.startswith("raise "), text
    assert isinstance(error, TypeError | ValueError | IndexError), text
    assert len(str(error).split()) >= 3, text


@pytest.mark.filterwarnings("ignore:.* threads asked for")
@pytest.mark.parametrize("name", CALLS)
def test_wrong_arguments_are_refused_by_a_sentence(name: str) -> None:
    """Some are right, such as -7 for an axis's place or None for all axes; they do no harm."""
    world = World()
    call, right = CALLS[name](world)
    call(*right)
    for position in range(len(right)):
        for value in WRONG.values():
            world = World()
            call, given = CALLS[name](world)
            given[position] = value
            try:
                call(*given)
            except Exception as error:
                assert_own_refusal(error)
