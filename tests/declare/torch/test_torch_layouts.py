"""Weights in PyTorch's layout: the layers' results where the peers are installed, and errors."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from benchmarks.peer_process import PEERS_PYTHON

SCRIPT = Path(__file__).parent / "torch_layouts.py"
TOLERANCE = 1e-12
EPSILON = 1e-5
RNG = np.random.default_rng(9)
Make = Callable[[], Any]
SAME = {"epsilon": EPSILON}


def case_of(kind: str, shape: tuple[int, ...], *arguments: Any, **words: Any) -> dict[str, Any]:
    x = RNG.integers(0, 5, shape) if kind == "Embedding" else RNG.standard_normal(shape)
    channels_first = kind.startswith(("Conv", "GroupNorm")) or (
        kind.startswith("BatchNorm") and len(shape) > 2
    )
    return {
        "kind": kind, "arguments": arguments, "words": words, "channels_first": channels_first,
        "x": x.tolist(),
    }  # fmt: skip


def stack() -> list[gc.nn.Layer]:
    return [gc.nn.LSTM(3, return_sequences=True) for _ in range(3)]


def stack_of_both() -> list[gc.nn.Layer]:
    return [gc.nn.Bidirectional(gc.nn.GRU(3, return_sequences=True)) for _ in range(2)]


BATCHES = {"batch_first": True}
SEQUENCE, IMAGE = (2, 7, 4), (2, 7, 6, 4)
# The layer of graphc, or several one after the other, and torch's.
CASES: list[tuple[Make, dict[str, Any]]] = [
    (lambda: gc.nn.Dense(3), case_of("Linear", (2, 4), 4, 3)),
    (lambda: gc.nn.Dense(3, use_bias=False), case_of("Linear", (2, 4), 4, 3, bias=False)),
    (lambda: gc.nn.Embedding(5, 3), case_of("Embedding", (2, 4), 5, 3)),
    (
        lambda: gc.nn.Conv1D(6, 3, groups=2, dilation_rate=2),
        case_of("Conv1d", SEQUENCE, 4, 6, 3, groups=2, dilation=2),
    ),
    (lambda: gc.nn.Conv2D(5, (3, 2), 2), case_of("Conv2d", IMAGE, 4, 5, (3, 2), 2)),
    (lambda: gc.nn.Conv3D(2, 2), case_of("Conv3d", (1, 3, 4, 3, 2), 2, 2, 2)),
    (
        lambda: gc.nn.DepthwiseConv2D((3, 2), depth_multiplier=2),
        case_of("Conv2d", IMAGE, 4, 8, (3, 2), groups=4),
    ),
    (
        lambda: gc.nn.Conv2DTranspose(6, (3, 2), 2, groups=2),
        case_of("ConvTranspose2d", IMAGE, 4, 6, (3, 2), 2, groups=2),
    ),
    (lambda: gc.nn.LayerNorm(**SAME), case_of("LayerNorm", SEQUENCE, 4)),
    (lambda: gc.nn.GroupNorm(2, **SAME), case_of("GroupNorm", IMAGE, 2, 4)),
    (lambda: gc.nn.RMSNorm(**SAME), case_of("RMSNorm", SEQUENCE, 4, eps=EPSILON)),
    (lambda: gc.nn.BatchNorm(**SAME), case_of("BatchNorm1d", (3, 4), 4)),
    (lambda: gc.nn.BatchNorm(**SAME), case_of("BatchNorm2d", IMAGE, 4)),
    (
        lambda: gc.nn.SimpleRNN(3, return_sequences=True),
        case_of("RNN", SEQUENCE, 4, 3, **BATCHES),
    ),
    (stack, case_of("LSTM", SEQUENCE, 4, 3, num_layers=3, **BATCHES)),
    (stack_of_both, case_of("GRU", SEQUENCE, 4, 3, num_layers=2, bidirectional=True, **BATCHES)),
    (
        lambda: gc.nn.MultiHeadAttention(2, 2),
        case_of("MultiheadAttention", SEQUENCE, 4, 2, **BATCHES),
    ),
]
IDS = [case["kind"] for _, case in CASES]


@pytest.fixture(scope="module")
def of_torch() -> list[Any]:
    if not PEERS_PYTHON.exists():
        pytest.skip("no peers are installed: make peers")
    given = json.dumps([case for _, case in CASES])
    run = subprocess.run(
        [PEERS_PYTHON, SCRIPT], input=given, capture_output=True, text=True, check=True
    )
    found: list[Any] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_results_of_torch(of_torch: list[Any], number: int) -> None:
    (make, case), expected = CASES[number], of_torch[number]
    graph = gc.Graph()
    given = np.array(case["x"])
    x = graph.input("x", given.shape, "i32" if given.dtype.kind == "i" else "f64")
    layers, result = make(), x
    for layer in layers if isinstance(layers, list) else [layers]:
        result = layer(result)
    graph.variables.update(gc.nn.weights_from_torch(layers, expected["weights"]))
    step = gc.function(x, gc.inference(result), mode="reference")
    tolerance = 1e-6 if result.dtype == gc.f32 else TOLERANCE
    np.testing.assert_allclose(step(given), expected["result"], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_round_trips(number: int) -> None:
    make, case = CASES[number]
    graph = gc.Graph(seed=0)
    given = np.array(case["x"])
    layers = make()
    result = graph.input("x", given.shape, "i32" if given.dtype.kind == "i" else "f64")
    for layer in layers if isinstance(layers, list) else [layers]:
        result = layer(result)
    before = {name: RNG.standard_normal(value.shape) for name, value in graph.variables.items()}
    graph.variables.update(before)
    before = dict(graph.variables.items())
    arrays = gc.nn.weights_to_torch(layers, graph.variables)
    after = gc.nn.weights_from_torch(layers, arrays)
    assert after.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


def test_gates_stand_in_the_order_of_torch() -> None:
    """Numbers of torch, which need no torch: r, z, n there, z, r, n here."""
    graph = gc.Graph()
    layer = gc.nn.GRU(1)
    layer(graph.input("x", (1, 1, 2), "f64"))
    given = {
        "weight_ih_l0": [[1, 2], [3, 4], [5, 6]], "weight_hh_l0": [[7], [8], [9]],
        "bias_ih_l0": [10, 11, 12], "bias_hh_l0": [13, 14, 15],
    }  # fmt: skip
    found = gc.nn.weights_from_torch(layer, given)
    assert found["gru.kernel"].tolist() == [[3, 1, 5], [4, 2, 6]]
    assert found["gru.recurrent_kernel"].tolist() == [[8, 7, 9]]
    assert found["gru.bias"].tolist() == [[11, 10, 12], [14, 13, 15]]


def test_one_bias_stands_for_two() -> None:
    graph = gc.Graph()
    layer = gc.nn.SimpleRNN(1)
    layer(graph.input("x", (1, 1, 1), "f64"))
    given = {"weight_ih_l0": [[1]], "weight_hh_l0": [[2]], "bias_ih_l0": [3], "bias_hh_l0": [4]}
    found = gc.nn.weights_from_torch(layer, given)
    assert found["simple_rnn.bias"].tolist() == [7]
    graph.variables.update(found)
    back = gc.nn.weights_to_torch(layer, graph.variables)
    assert back["bias_ih_l0"].tolist() == [7] and back["bias_hh_l0"].tolist() == [0]


def called(layer: gc.nn.Layer, *shape: int) -> gc.nn.Layer:
    layer(gc.Graph().input("x", shape or (3, 4, 2)))
    return layer


KERNEL, BIAS = np.ones((3, 2)), np.ones(3)


@pytest.mark.parametrize(
    ("layer", "state_dict", "error", "match"),
    [
        (
            called(gc.nn.Dense(3)),
            {"weight": KERNEL},
            gc.VariableError,
            "dense: missing: bias; the layer has weight, bias",
        ),
        (
            called(gc.nn.Dense(3, use_bias=False)),
            {"weight": KERNEL, "bias": BIAS},
            gc.VariableError,
            "dense: not known: bias",
        ),
        (
            called(gc.nn.Dense(3)),
            {"weight": KERNEL.T, "bias": BIAS},
            gc.ShapeError,
            r"dense: weight, of which dense.kernel is made: \[3,2\] expected, not \[2,3\]",
        ),
        (called(gc.nn.Dense(3)), {"weight": "x", "bias": BIAS}, TypeError, "dense: weight: "),
        (called(gc.nn.Dense(3)), [KERNEL, BIAS], TypeError, "arrays by name expected"),
        (called(gc.nn.GRU(3, reset_after=False)), {}, TypeError, "reset_after=True"),
        (called(gc.nn.LSTM(3, go_backwards=True)), {}, TypeError, "backwards"),
        (called(gc.nn.LayerNormLSTM(3)), {}, TypeError, "no counterpart in torch"),
        (called(gc.nn.SeparableConv1D(3, 2)), {}, TypeError, "no counterpart in torch"),
        (called(gc.nn.MultiHeadAttention(2, 3)), {}, TypeError, "as many features"),
        (called(gc.nn.TransformerDecoderBlock(3, 2)), {}, TypeError, "call it with `encoded`"),
        ([called(gc.nn.Dense(3))], {}, TypeError, "a stack has recurrent layers alone"),
        (gc.nn.Dense(3), {}, gc.VariableError, "no weights before its first call"),
    ],
)
def test_refusals(layer: Any, state_dict: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        gc.nn.weights_from_torch(layer, state_dict)
