"""Dropout in training and in inference, and the random streams that it draws from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.callbacks import Callback
from graphc.ir.ops import random
from graphc.ir.ops.random import bits_i32, bits_i64, fraction
from graphc.ir.text.parsing import parse_program, print_program

ROWS, BATCH, UNITS = 60, 20, 24
RNG = np.random.default_rng(8)
X = RNG.standard_normal((ROWS, 5)).astype("f4")
T = RNG.integers(0, 3, ROWS).astype("i4")


class EachBatch(Callback):
    """Has every step called from Python."""

    def on_batch_end(self, epoch: int, batch: int, logs: Any) -> None:
        pass


def network(rate: float = 0.4, seed: int = 2, **options: Any) -> gc.Model:
    """Two layers with dropout after each, sigmoid and relu, trained by Adam."""
    graph = gc.Graph(seed)
    x, t = graph.input("x", ("batch", 5)), graph.input("t", ("batch",), "i32")
    first = gc.dropout(gc.nn.dense(x, UNITS, gc.sigmoid), rate)
    second = gc.nn.dropout(gc.nn.dense(first, UNITS, gc.relu), rate, name="last")
    scores = gc.nn.dense(second, 3)
    metrics = {"accuracy": gc.metrics.accuracy(scores, t)}
    loss = gc.losses.softmax_cross_entropy(scores, t)
    model = gc.Model(x, scores, t, loss, metrics)
    model.compile(gc.optim.Adam(0.02), BATCH, **options)
    return model


def fitted(model: gc.Model, epochs: int = 2, **options: Any) -> dict[str, Any]:
    model.fit(X, T, epochs=epochs, verbose=0, **options)
    return model.values()


def assert_equal_values(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], name)


def assert_close_values(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Equal but for rounding, to which Adam's quotients add; one other mask changes far more."""
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-3, atol=1e-4, err_msg=name)


# --- the mask ------------------------------------------------------------------------------------


def mask_of(model: gc.Model, name: str = "dropout.key", rate: float = 0.4) -> Any:
    """Which elements of a batch's layer are kept, from the definition."""
    index = np.arange(BATCH * UNITS, dtype=np.int32).reshape(BATCH, UNITS)
    numbers = bits_i32(model.variables[name], index).astype(np.int64)
    return numbers + 2**31 >= round(rate * 2**32)


@pytest.mark.parametrize("mode", ["compiled", "reference"])
def test_what_is_kept_is_scaled(mode: Any) -> None:
    model = network()
    hidden = next(node for node in model.graph.nodes if node.op.name == "dropout")
    outputs = {"before": hidden.operands[0], "after": hidden}
    found = gc.function(model.inputs, outputs, mode=mode)(X[:BATCH])
    expected = np.where(mask_of(model), found["before"] * np.float32(1 / 0.6), np.float32(0))
    np.testing.assert_array_equal(found["after"], expected)


@pytest.mark.parametrize("mode", ["compiled", "reference"])
def test_numbers_from_the_threshold_on_are_kept(mode: Any) -> None:
    """Rates whose threshold is a number that is drawn: of all below, and of none above."""
    graph = gc.Graph(seed=2)
    x = graph.input("x", (UNITS,))
    key = graph.random_stream("key")
    numbers = bits_i32(graph.variables["key"], np.arange(UNITS, dtype=np.int32)).astype(np.int64)
    for place in (0, UNITS // 2, UNITS - 1):
        threshold = np.sort(numbers)[place]
        dropped = random.dropout(x, key, rate=float(threshold + 2**31) / 2**32)
        found = gc.function([x], dropped, mode=mode)(np.ones(UNITS, "f4"))
        np.testing.assert_array_equal(found != 0, numbers >= threshold)


def test_compiled_training_is_the_references() -> None:
    assert_close_values(fitted(network()), fitted(network(mode="reference")))


def test_each_step_and_layer_has_a_mask_of_its_own() -> None:
    model = network()
    masks = [mask_of(model), mask_of(model, "last.key"), mask_of(network(seed=3))]
    for _ in range(2):
        model.train_function(X[:BATCH], T[:BATCH])
        masks.append(mask_of(model))
    for number, mask in enumerate(masks):
        for other in masks[:number]:
            # Independent masks agree in 0.6^2 + 0.4^2 of their elements.
            agreeing = np.count_nonzero(mask == other)
            assert abs(agreeing - 0.52 * mask.size) < 5 * np.sqrt(0.52 * 0.48 * mask.size)


def test_seeds_and_names_fix_the_masks() -> None:
    assert_equal_values(fitted(network()), fitted(network()))
    assert network().variables["last.key"] != network(seed=3).variables["last.key"]


# --- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"nan_watch": True}, {"record": 2}], ids=str)
def test_an_epoch_is_its_steps(options: dict[str, Any]) -> None:
    natively = fitted(network(), **options)
    assert_equal_values(natively, fitted(network(), callbacks=[EachBatch()], **options))
    assert_close_values(natively, fitted(network()))
    first = network().variables["dropout.key"]
    assert natively["dropout.key"] == first + 2 * (ROWS // BATCH)


def test_training_continues_from_a_file(tmp_path: Any) -> None:
    whole = fitted(network(), 4)
    model = network()
    fitted(model, 2)
    model.save(tmp_path / "all")
    model.save(tmp_path / "weights", weights_only=True)
    other = network(seed=9)
    other.load(tmp_path / "all")
    assert_equal_values(whole, fitted(other, 4, initial_epoch=2))
    # Weights are for networks without dropout too.
    plain = network(rate=0.0)
    plain.load(tmp_path / "weights", weights_only=True)
    np.testing.assert_array_equal(plain.predict(X), model.predict(X))


def test_a_replayed_step_has_the_mask_of_the_step() -> None:
    graph = gc.Graph(seed=4)
    x, t = graph.input("x", ("batch", UNITS)), graph.input("t", ("batch", UNITS))
    kept = gc.dropout(gc.abs(x * graph.parameter("w", (UNITS,), 1.0)) + 1, 0.4)
    model = gc.Model(x, kept, t, gc.losses.mean_squared_error(gc.log(kept), t))
    model.compile(gc.optim.SGD(0.01))
    ones = np.ones((BATCH, UNITS), "f4")
    mask = mask_of(model)
    with pytest.raises(gc.NotFiniteError) as raised:
        model.fit(ones, ones, batch_size=BATCH, shuffle=False, debug="nan", verbose=0)
    report = raised.value.report
    assert report is not None and report.first.op == "log"
    assert report.first.bad == np.count_nonzero(~mask)
    assert report.first.index == tuple(np.argwhere(~mask)[0])
    np.testing.assert_array_equal(mask, mask_of(model))


# --- inference -----------------------------------------------------------------------------------


def test_inference_has_no_dropout() -> None:
    model, plain = network(), network(rate=0.0)
    assert "dropout.key" in model.values() and "dropout.key" not in plain.values()
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    np.testing.assert_array_equal(model.predict_classes(X), plain.predict_classes(X))
    assert model.evaluate(X, T) == plain.evaluate(X, T) == model.evaluate(X, T)
    for function in (model.predict_function, model.test_function, model.classify_function):
        assert all(node.op.name != "dropout" for node in function.program.nodes)
    assert model.weights == [s for s in model.states if s.name in plain.graph.states][:6]
    batch = X[:BATCH], T[:BATCH]
    assert model.declared_function(*batch)["loss"] != model.test_function(*batch)["loss"]


@pytest.mark.parametrize("callbacks", [[], [EachBatch()]], ids=["natively", "batch by batch"])
@pytest.mark.parametrize("mode", ["compiled", "reference"])
def test_validation_has_no_dropout(mode: Any, callbacks: Any) -> None:
    model = network(mode=mode)
    validation = (X[: 2 * BATCH], T[: 2 * BATCH])
    model.fit(X, T, epochs=2, validation_data=validation, callbacks=callbacks, verbose=0)
    for name, value in model.evaluate(*validation).items():
        assert model.history.history[f"val_{name}"][-1] == value


def test_inference_keeps_form_and_nodes() -> None:
    graph = gc.Graph()
    x = graph.input("x", (4,))
    dropped = gc.dropout(x, 0.5)
    doubled, halved = dropped * 2, x / 2
    assert gc.inference(doubled) is x * 2
    assert gc.inference([doubled, halved]) == [x * 2, halved]
    assert gc.inference({"y": dropped}) == {"y": x}


def test_a_function_draws_as_its_streams_stand() -> None:
    graph = gc.Graph(seed=5)
    x = graph.input("x", (50,))
    dropped = gc.dropout(x, 0.5)
    still = gc.function([x], dropped)
    moving = gc.function([x], dropped, gc.random.advanced([dropped]))
    ones = np.ones(50, "f4")
    first = still(ones)
    np.testing.assert_array_equal(first, still(ones))
    np.testing.assert_array_equal(first, moving(ones))
    assert not np.array_equal(first, moving(ones))


@pytest.mark.parametrize(("dtype", "bits"), [("f32", bits_i32), ("f64", bits_i64)])
def test_uniform(dtype: str, bits: Any) -> None:
    graph = gc.Graph(seed=6)
    x = graph.input("x", ("rows", 7), dtype)
    noise = gc.random.uniform(graph, x.shape, dtype)
    found = gc.function([x], x + noise)(np.zeros((3, 7)))
    index = np.arange(21, dtype=np.int32).reshape(3, 7)
    np.testing.assert_array_equal(found, fraction(bits(graph.variables["uniform.key"], index)))
    with pytest.raises(gc.DTypeError, match="uniform: f32 or f64 expected, not i32"):
        gc.random.uniform(graph, (3,), "i32")


# --- declaring -----------------------------------------------------------------------------------


def test_no_rate_is_no_dropout() -> None:
    graph = gc.Graph()
    x = graph.input("x", (3,))
    assert gc.dropout(x, 0) is x and not graph.states


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, float("nan"), "half"])
def test_a_wrong_rate_is_refused(rate: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", (3,))
    with pytest.raises(gc.GraphError, match=r"^dropout: rate: (?s:.*)test_dropout.py"):
        gc.dropout(x, rate)
    assert not graph.states and gc.dropout(x, 0.5) is not x


def test_dropout_of_integers_is_refused() -> None:
    x = gc.Graph().input("x", (3,), "i32")
    with pytest.raises(gc.DTypeError, match=r"^dropout\(i32\[3\]\): f32 or f64 expected"):
        gc.dropout(x, 0.5)


def test_text_reads_back() -> None:
    text = print_program(network().train_function.program)
    assert "dropout[rate=0.4](%" in text and "update last.key = " in text
    assert print_program(parse_program(text)) == text
