"""Curves as CSV, TensorBoard events and plots."""

import contextlib
import csv
import os
import struct
import sys
import warnings

import numpy as np
import pytest

import graphc as gc
from graphc.errors import MissingExtraError
from graphc.loggers import CSVLogger, TensorBoard, plot_curves

X = np.random.default_rng(0).standard_normal((64, 6)).astype("f4")
Y = (X.sum(1) > 0).astype("i4")


@pytest.fixture
def model():
    graph = gc.Graph(seed=0)
    x, y = graph.input("x", ("batch", 6)), graph.input("y", ("batch",), "i32")
    scores = gc.nn.dense(gc.nn.dense(x, 5, gc.relu), 2)
    made = gc.Model(x, scores, y, gc.losses.softmax_cross_entropy(scores, y))
    made.compile(gc.optim.SGD(0.1), batch_size=16)
    return made


def test_csv_has_a_row_an_epoch_and_goes_on(model, tmp_path):
    path = tmp_path / "log.csv"
    first = model.fit(X, Y, epochs=2, validation_split=0.25, callbacks=[CSVLogger(path)], verbose=0)
    more = CSVLogger(path, append=True)
    model.fit(X, Y, epochs=3, initial_epoch=2, validation_split=0.25, callbacks=[more], verbose=0)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [float(row["val_loss"]) for row in rows[:2]] == first.history["val_loss"]
    with pytest.raises(ValueError, match="has the columns"):
        model.fit(X, Y, epochs=1, callbacks=[CSVLogger(path, append=True)], verbose=0)


@pytest.mark.parametrize("torn", ["2,0.1", "2", '2,"0.', "2,0.25\r", "\0\0\0"])
def test_csv_goes_on_after_a_torn_line(model, tmp_path, torn):
    path = tmp_path / "log.csv"
    model.fit(X, Y, epochs=2, callbacks=[CSVLogger(path)])
    whole = path.read_bytes()
    path.write_bytes(whole + torn.encode())
    with pytest.warns(UserWarning, match="its last line, .* has no end and is removed"):
        model.fit(X, Y, epochs=4, initial_epoch=2, callbacks=[CSVLogger(path, append=True)])
    assert path.read_bytes().startswith(whole)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert all(float(row["loss"]) > 0 for row in rows)


@pytest.mark.parametrize("content", ["", "epo"])
def test_csv_without_a_whole_line_begins_anew(model, tmp_path, content):
    path = tmp_path / "log.csv"
    path.write_text(content)
    with pytest.warns(UserWarning, match="removed") if content else contextlib.nullcontext():
        model.fit(X, Y, epochs=1, callbacks=[CSVLogger(path, append=True)])
    assert path.read_text().splitlines()[0] == "epoch,loss"


def test_other_columns_are_known_before_training(model, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,accuracy\r\n")
    before = model.values()
    with pytest.raises(ValueError, match="has the columns"):
        model.fit(X, Y, callbacks=[CSVLogger(path, append=True)])
    assert path.read_text() == "epoch,accuracy\n"
    assert all((model.variables[name] == value).all() for name, value in before.items())


@pytest.mark.parametrize("content", [b"my notes", b"my notes\nmore", b"epoch,loss,x", b"\xe9\nt"])
def test_a_file_of_another_kind_stays_as_it_was(model, tmp_path, content):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="has the columns"):
        model.fit(X, Y, callbacks=[CSVLogger(path, append=True)])
    assert path.read_bytes() == content


def test_rows_have_the_order_of_the_files_columns(model, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("val_loss,epoch,loss\n")
    logger = CSVLogger(path, append=True)
    fitted = model.fit(X, Y, epochs=2, validation_split=0.25, callbacks=[logger], verbose=0)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    for name in ("loss", "val_loss"):
        assert [float(row[name]) for row in rows] == fitted.history[name]


def test_a_logger_serves_two_trainings(model, tmp_path):
    going_on = CSVLogger(tmp_path / "on.csv", append=True)
    anew = CSVLogger(tmp_path / "anew.csv")
    model.fit(X, Y, epochs=2, callbacks=[going_on, anew])
    model.fit(X, Y, epochs=3, initial_epoch=2, callbacks=[going_on, anew])
    model.fit(X, Y, epochs=1, validation_split=0.5, record=True, callbacks=[anew])
    for name, epochs in [("on.csv", "012"), ("anew.csv", "0")]:
        with open(tmp_path / name, newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["epoch"] for row in rows] == list(epochs)
        assert None not in rows[0].values() and ("val_loss" in rows[0]) is (name == "anew.csv")


def _records(path):
    """The payloads of a TFRecord file: length, its checksum, payload, its checksum."""
    data, start = path.read_bytes(), 0
    while start < len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        yield data[start + 12 : start + 12 + length]
        start += 12 + length + 4


def test_tensorboard_gets_every_scalar(model, tmp_path):
    pb = pytest.importorskip("tensorboardX.proto.event_pb2")
    history = model.fit(X, Y, epochs=2, callbacks=[TensorBoard(tmp_path / "run")], verbose=0)
    (file,) = (tmp_path / "run").iterdir()
    events = [pb.Event.FromString(record) for record in _records(file)]
    values = {(v.tag, event.step): v.simple_value for event in events for v in event.summary.value}
    expected = {("loss", epoch): loss for epoch, loss in enumerate(history.history["loss"])}
    assert values == pytest.approx(expected)


def test_event_files_of_two_short_trainings(model, tmp_path):
    pytest.importorskip("tensorboardX")
    logger = TensorBoard(tmp_path)
    for _ in range(2):
        model.fit(X, Y, callbacks=[logger])
    assert len(list(tmp_path.iterdir())) == 2


def test_plot_puts_together_what_belongs_together():
    curves = {
        "loss": [2.0, 1.0],
        "val_loss": [2.1, 1.5],
        "dense/gradient": [0.1, 0.01],
        "dense_1/gradient": [0.2, 0.02],
        "dense/dead": [0.0, 0.5],
        "top/5": [-1.0, 0.5],
    }
    figure = plot_curves([0, 1], curves)
    loss, gradient, dead, _ = figure.axes
    assert [line.get_label() for line in loss.lines] == ["loss", "val_loss"]
    assert [line.get_label() for line in gradient.lines] == ["dense", "dense_1"]
    assert list(loss.lines[1].get_ydata()) == [2.1, 1.5]
    scales = [axes.get_yscale() for axes in figure.axes]
    assert scales == ["linear", "log", "linear", "linear"] and dead.get_ylabel() == "dead"


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("matplotlib.figure", lambda path: plot_curves([0], {"loss": [1.0]})),
        ("tensorboardX", lambda path: TensorBoard(path).on_train_begin()),
    ],
)
def test_missing_library_names_the_extra(monkeypatch, tmp_path, module, use):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[(plot|tensorboard)\]'"):
        use(tmp_path)


class _Refusal(gc.callbacks.Callback):
    def on_train_begin(self):
        raise OSError("refused")


@pytest.mark.parametrize("append", [False, True])
def test_csv_stays_as_it_was_when_training_is_refused(model, tmp_path, append):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,1.0\n1,")
    logger = CSVLogger(path, append=append)
    with pytest.raises(OSError, match="refused"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y, callbacks=[logger, _Refusal()])
    assert path.read_text() == "epoch,loss\n0,1.0\n1,"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_csv_goes_to_a_pipe_that_somebody_reads(model, tmp_path):
    pipe = tmp_path / "log.csv"
    os.mkfifo(pipe)
    for append in (False, True):
        with pytest.raises(OSError, match="log"):
            model.fit(X, Y, callbacks=[CSVLogger(pipe, append=append)])
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    model.fit(X, Y, epochs=2, callbacks=[CSVLogger(pipe)])
    assert os.read(reader, 1000).decode().splitlines()[0] == "epoch,loss"
    os.close(reader)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_csv_on_a_full_disk_is_given_up_once(model, capsys):
    logger = CSVLogger("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        model.fit(X, Y, callbacks=[logger], verbose=0)
    assert not getattr(caught.value, "__notes__", [])
    assert logger._file is None
