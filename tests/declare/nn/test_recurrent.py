"""Recurrent layers against their formulas in numpy, with masks, lengths, states and dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc

BATCH, TIME, FEATURES, UNITS = 3, 6, 4, 5
LENGTHS = np.array([6, 3, 1], np.int32)
RNG = np.random.default_rng(8)
X = RNG.standard_normal((BATCH, TIME, FEATURES))
Values = dict[str, Any]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def seen_of(h: Any, v: Values) -> Any:
    """What recurrent kernels read of h: without the features that are dropped."""
    return h * v.get("kept", 1.0)


def rnn_step(x: Any, states: Any, v: Values) -> Any:
    h = seen_of(states[0], v)
    return (np.tanh(x @ v["kernel"] + h @ v["recurrent_kernel"] + v["bias"]),)


def lstm_step(x: Any, states: Any, v: Values) -> Any:
    h, c = states
    seen = seen_of(h, v)
    i, f, g, o = np.split(x @ v["kernel"] + seen @ v["recurrent_kernel"] + v["bias"], 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def normalized(x: Any, v: Values, name: str) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3)
    return centred / scale * v[f"{name}.gamma"] + v[f"{name}.beta"]


def layer_norm_lstm_step(x: Any, states: Any, v: Values) -> Any:
    h, c = states
    of_x = normalized(x @ v["kernel"], v, "kernel_norm")
    of_h = normalized(seen_of(h, v) @ v["recurrent_kernel"], v, "recurrent_norm")
    i, f, g, o = np.split(of_x + of_h + v["bias"], 4, -1)
    c = normalized(sigmoid(f) * c + sigmoid(i) * np.tanh(g), v, "state_norm")
    return sigmoid(o) * np.tanh(c), c


def gru_step(x: Any, states: Any, v: Values) -> Any:
    (h,) = states
    xz, xr, xn = np.split(x @ v["kernel"] + v["bias"][0], 3, -1)
    hz, hr, hn = np.split(seen_of(h, v) @ v["recurrent_kernel"] + v["bias"][1], 3, -1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    return (z * h + (1 - z) * np.tanh(xn + r * hn),)


def early_gru_step(x: Any, states: Any, v: Values) -> Any:
    (h,) = states
    xz, xr, xn = np.split(x @ v["kernel"] + v["bias"], 3, -1)
    uz, ur, un = np.split(v["recurrent_kernel"], 3, -1)
    seen = seen_of(h, v)
    z, r = sigmoid(xz + seen @ uz), sigmoid(xr + seen @ ur)
    return (z * h + (1 - z) * np.tanh(xn + (r * seen) @ un),)


def random_bias() -> Any:
    return gc.init.uniform(-1.0, 1.0)


def early_gru(units: int, **words: Any) -> gc.nn.Layer:
    return gc.nn.GRU(units, reset_after=False, **words)


def layer_norm_lstm(units: int, **words: Any) -> gc.nn.Layer:
    random = {"gamma_init": random_bias(), "beta_init": random_bias()}
    return gc.nn.LayerNormLSTM(units, **random, **words)


STEPS: dict[str, tuple[Callable[..., Any], Callable[..., Any], int]] = {
    "SimpleRNN": (gc.nn.SimpleRNN, rnn_step, 1),
    "LSTM": (gc.nn.LSTM, lstm_step, 2),
    "GRU": (gc.nn.GRU, gru_step, 1),
    "GRU that resets before": (early_gru, early_gru_step, 1),
    "LayerNormLSTM": (layer_norm_lstm, layer_norm_lstm_step, 2),
}
every_layer = pytest.mark.parametrize("kind", STEPS)


def gone_through(kind: str, values: Values, *, backwards: bool = False, lengths: Any = None) -> Any:
    """All outputs by the number of the step, and the last states, from zeros."""
    _, step, count = STEPS[kind]
    states: Any = tuple(np.zeros((BATCH, UNITS)) for _ in range(count))
    outputs = np.zeros((BATCH, TIME, UNITS))
    for t in reversed(range(TIME)) if backwards else range(TIME):
        after = step(X[:, t], states, values)
        if lengths is not None:
            after = [
                np.where((t < lengths)[:, None], a, b) for a, b in zip(after, states, strict=True)
            ]
        states = tuple(after)
        outputs[:, t] = states[0]
    return outputs, states


def values_of(layer: gc.nn.Layer, graph: gc.Graph) -> Values:
    return {x.name.removeprefix(f"{layer.name}."): graph.variables[x] for x in layer.parameters}


@every_layer
@pytest.mark.parametrize("mode", ["reference", "compiled"])
def test_values(kind: str, mode: Any) -> None:
    graph = gc.Graph(seed=1)
    x = graph.input("x", ("batch", TIME, FEATURES), "f64")
    layer = STEPS[kind][0](UNITS, return_sequences=True, return_state=True, bias_init=random_bias())
    results = layer(x)
    found = gc.function(x, list(results), mode=mode)(X)
    outputs, states = gone_through(kind, values_of(layer, graph))
    for actual, expected in zip(found, (outputs, *states), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


@every_layer
def test_lengths_and_masks(kind: str) -> None:
    """What is behind the end of a sequence changes nothing, in either direction."""
    graph = gc.Graph(seed=1)
    x = graph.input("x", (BATCH, TIME, FEATURES), "f64")
    lengths, mask = graph.input("n", (BATCH,), "i32"), graph.input("mask", (BATCH, TIME), "bool")
    make = STEPS[kind][0]
    layer = make(UNITS, return_sequences=True)
    backwards = make(UNITS, go_backwards=True)
    outputs = [layer(x, lengths=lengths), layer(x, mask=mask), backwards(x, lengths=lengths)]
    step = gc.function([x, lengths, mask], outputs, mode="reference")
    flags = np.arange(TIME) < LENGTHS[:, None]
    by_length, by_mask, last = step(X, LENGTHS, flags)
    expected, _ = gone_through(kind, values_of(layer, graph), lengths=LENGTHS)
    np.testing.assert_allclose(by_length, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(by_mask, by_length)
    values = values_of(backwards, graph)
    _, states = gone_through(kind, values, backwards=True, lengths=LENGTHS)
    np.testing.assert_allclose(last, states[0], rtol=1e-12, atol=1e-13)
    changed = np.where(flags[..., None], X, 7.0)
    np.testing.assert_array_equal(step(changed, LENGTHS, flags)[2], last)


@pytest.mark.parametrize("backwards", [False, True])
def test_outputs_where_steps_do_not_count(backwards: bool) -> None:
    """Those of the step before, zeros before the first that counts, or zeros if so wished."""
    graph = gc.Graph(seed=1)
    x, mask = graph.input("x", (BATCH, TIME, FEATURES)), graph.input("mask", (BATCH, TIME), "bool")
    h = graph.input("h", (BATCH, UNITS))
    flags = np.array([[0, 1, 0, 0, 1, 0], [0] * 6, [1, 0, 0, 0, 0, 1]], bool)
    words = {"return_sequences": True, "go_backwards": backwards}
    holding, zeroing = (
        gc.nn.GRU(UNITS, zero_output_for_mask=zeros, kernel_init=0.5, recurrent_init=0.1, **words)
        for zeros in (False, True)
    )
    results = [holding(x, mask=mask), holding(x, h, mask), zeroing(x, h, mask)]
    step = gc.function([x, mask, h], results, mode="reference")
    found = step(X, flags, np.ones((BATCH, UNITS)))
    in_order = flags[:, ::-1] if backwards else flags
    begun = np.maximum.accumulate(in_order, 1)
    for outputs in found[:2]:
        assert ((outputs != 0).all(2) == begun).all()
        repeats = (outputs[:, 1:] == outputs[:, :-1]).all(2)
        assert (repeats == ~in_order[:, 1:]).all()
    assert ((found[2] != 0).all(2) == in_order).all()
    np.testing.assert_array_equal(found[2][in_order], found[1][in_order])


def test_both_directions_give_zeros_where_steps_do_not_count() -> None:
    graph = gc.Graph(seed=1)
    x, lengths = graph.input("x", (BATCH, TIME, FEATURES)), graph.input("n", (BATCH,), "i32")
    layer = gc.nn.Bidirectional(gc.nn.LSTM(UNITS, return_sequences=True))
    found = gc.function([x, lengths], layer(x, lengths=lengths), mode="reference")(X, LENGTHS)
    assert ((found != 0).all(2) == (np.arange(TIME) < LENGTHS[:, None])).all()


def test_norms_of_both_directions_are_different_ones() -> None:
    graph = gc.Graph(seed=1)
    layer = gc.nn.Bidirectional(gc.nn.LayerNormLSTM(UNITS))
    layer(graph.input("x", (BATCH, TIME, FEATURES)))
    assert len(set(layer.parameters)) == 18
    assert layer.backward.state_norm.gamma.name == "bidirectional.backward.state_norm.gamma"


@every_layer
def test_states_go_on(kind: str) -> None:
    """Two halves, the second from the states of the first, are the whole."""
    graph = gc.Graph(seed=1)
    x = graph.input("x", (BATCH, TIME, FEATURES), "f64")
    layer = STEPS[kind][0](UNITS, return_state=True)
    whole, *_ = layer(x)
    _, *states = layer(x[:, :2])
    second, *_ = layer(x[:, 2:], initial_state=states)
    one, other = gc.function(x, [whole, second], mode="reference")(X)
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_both_directions() -> None:
    graph = gc.Graph(seed=1)
    x = graph.input("x", (BATCH, "time", FEATURES), "f64")
    layer = gc.nn.Bidirectional(gc.nn.LSTM(UNITS, return_sequences=True))
    found = gc.function(x, layer(x), mode="reference")(X)
    parts = [
        gone_through("LSTM", values_of(each, graph), backwards=each is layer.backward)[0]
        for each in (layer.forward, layer.backward)
    ]
    np.testing.assert_allclose(found, np.concatenate(parts, -1), rtol=1e-12)
    names = [x.name for x in layer.parameters]
    assert names[0] == "bidirectional.lstm.kernel"
    assert names[3] == "bidirectional.backward.kernel"


@pytest.mark.parametrize(
    ("merge", "expected"),
    [("sum", np.add), ("mul", np.multiply), ("ave", lambda a, b: (a + b) / 2)],
)
def test_merges(merge: str, expected: Any) -> None:
    graph = gc.Graph(seed=1)
    x = graph.input("x", (BATCH, TIME, FEATURES), "f64")
    layer = gc.nn.GRU(UNITS)
    both = gc.nn.Bidirectional(layer, merge)
    merged = both(x)
    found, one, other = gc.function(x, [merged, layer(x), both.backward(x)], mode="reference")(X)
    np.testing.assert_allclose(found, expected(one, other), rtol=1e-12)


def test_features_are_dropped_in_all_steps_alike() -> None:
    """While training; a rate of 0 and inference have all of them."""
    graph = gc.Graph(seed=1)
    x = graph.input("x", (BATCH, TIME, FEATURES), "f64")
    plain = gc.nn.SimpleRNN(UNITS, return_sequences=True)
    plain(x)
    layer = gc.nn.SimpleRNN(UNITS, dropout=0.5, return_sequences=True)
    trained = layer(x)
    ones = gc.function(x, trained, variables=graph.variables, mode="reference")
    graph.variables[layer.kernel] = np.eye(FEATURES, UNITS)
    graph.variables[layer.recurrent_kernel] = np.zeros((UNITS, UNITS))
    found = np.arctanh(ones(np.full_like(X, 0.25)))[..., :FEATURES]
    assert set(np.unique(found.round(6))) == {0.0, 0.5}
    assert (found == found[:, :1]).all()
    used = gc.function(x, gc.inference(trained), variables=graph.variables, mode="reference")
    np.testing.assert_allclose(np.arctanh(used(np.full_like(X, 0.25)))[..., :FEATURES], 0.25)


@every_layer
def test_dropped_states_are_hidden_from_recurrent_kernels_alone(kind: str) -> None:
    """The same ones of a sample in all steps: each sample is one of all that may be dropped."""
    graph = gc.Graph(seed=1)
    x = graph.input("x", (BATCH, TIME, FEATURES), "f64")
    layer = STEPS[kind][0](UNITS, recurrent_dropout=0.5, return_sequences=True)
    found = gc.function(x, layer(x), mode="reference")(X)
    values = values_of(layer, graph)
    dropped = []
    for sample in range(BATCH):
        for number in range(2**UNITS):
            kept = np.array([number >> unit & 1 for unit in range(UNITS)])
            outputs, _ = gone_through(kind, values | {"kept": 2.0 * kept})
            if np.allclose(found[sample], outputs[sample], rtol=1e-12, atol=1e-13):
                dropped.append(number)
    assert len(dropped) == BATCH and len(set(dropped)) > 1
    assert set(dropped) - {0, 2**UNITS - 1}


def test_a_forget_gate_begins_open() -> None:
    graph = gc.Graph(seed=1)
    layer = gc.nn.LSTM(2)
    layer(graph.input("x", (1, 1, 3)))
    assert graph.variables[layer.bias].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert graph.variables[gc_bias(graph)].tolist() == [0.0] * 8


def gc_bias(graph: gc.Graph) -> gc.Node:
    layer = gc.nn.LSTM(2, unit_forget_bias=False)
    layer(graph.inputs["x"])
    bias: gc.Node = layer.bias
    return bias


def test_layers_train_in_a_model() -> None:
    """The sign of a sum over the sequence is learned; layers are stacked."""
    graph = gc.Graph(seed=1)
    x, t = graph.input("x", ("batch", TIME, 1)), graph.input("t", ("batch", 1))
    hidden = gc.nn.GRU(8, return_sequences=True)(x)
    score = gc.nn.dense(gc.nn.LSTM(8)(hidden), 1)
    model = gc.Model(x, score, t, gc.losses.sigmoid_cross_entropy(score, t))
    model.compile(gc.optim.Adam(0.02))
    data = RNG.standard_normal((256, TIME, 1)).astype(np.float32)
    signs = (data.sum(1) > 0).astype(np.float32)
    history = model.fit(data, signs, epochs=15, batch_size=32, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    restored = model.predict(data)
    assert ((restored > 0) == (signs > 0)).mean() > 0.85


@pytest.mark.parametrize(
    ("use", "error", "match"),
    [
        (lambda x: gc.nn.LSTM(0), gc.ShapeError, "at least 1 unit"),
        (lambda x: gc.nn.GRU(3, dropout=1.0), gc.GraphError, "dropout"),
        (lambda x: gc.nn.GRU(3, reset_after=1), TypeError, "reset_after"),
        (lambda x: gc.nn.GRU(3, zero_output_for_mask=1), TypeError, "zero_output_for_mask"),
        (lambda x: gc.nn.LayerNormLSTM(3, layer_norm_epsilon=-1), ValueError, "epsilon"),
        (lambda x: gc.nn.LSTM(3)(x[0]), gc.ShapeError, r"\[batch, steps, features\] expected"),
        (lambda x: gc.nn.LSTM(3)(gc.cast(x, "i32")), gc.DTypeError, "f32 or f64"),
        (lambda x: gc.nn.LSTM(3)(x, initial_state=x[:, 0]), gc.ShapeError, "h and c expected"),
        (lambda x: gc.nn.GRU(3)(x, initial_state=x[:, 0]), gc.ShapeError, "initial_state: f32"),
        (lambda x: gc.nn.GRU(3)(x, mask=x > 0), gc.ShapeError, "mask: bools of shape"),
        (lambda x: gc.nn.GRU(3)(x, lengths=x[:, 0, 0]), gc.ShapeError, "lengths: integers"),
        (lambda x: gc.nn.Bidirectional(gc.nn.Dense(3)), TypeError, "a recurrent layer"),
        (lambda x: gc.nn.Bidirectional(gc.nn.GRU(3), "max"), ValueError, "concat, sum"),
        (
            lambda x: gc.nn.Bidirectional(gc.nn.GRU(3, return_state=True)),
            gc.GraphError,
            "returns no state",
        ),
    ],
)
def test_refusals(use: Callable[[gc.Node], Any], error: type[Exception], match: str) -> None:
    x = gc.Graph().input("x", (2, 3, 4))
    with pytest.raises(error, match=match):
        use(x)
