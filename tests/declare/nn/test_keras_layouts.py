"""Weights in Keras's layout: numbers that Keras 3.15 gave, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gc


def wave(shape: Sequence[int], phase: float) -> Any:
    """Numbers that Keras was given too."""
    return np.sin(phase + 1.3 * np.arange(np.prod(shape))).reshape(shape)


X = np.round(64 * wave((2, 4, 2), 0)) / 64
MASK = np.array([[0, 1, 0, 1], [1, 1, 0, 0]], bool)
H = np.array([[0.5, -0.25], [0.25, 0.5]])
ALL = {"return_sequences": True}
# Keras computes parts of what it is given in f64 in f32.
TOLERANCE = 5e-7
BY_HEAD = [(2, 2, 1), (2, 1), (2, 2, 1), (2, 1), (2, 2, 2), (2, 2), (2, 2, 2), (2,)]
GROUPED = [(2, 2, 1), (2, 1), (2, 1, 1), (1, 1), (2, 1, 1), (1, 1), (2, 1, 2), (2,)]

# The layer, the shapes of its weights in Keras, what it is called with besides x, and its results
# for weights that are waves, each of them of its number's phase.
CASES: dict[str, tuple[Callable[[], gc.nn.Layer], Any, tuple[str, ...], list[float]]] = {
    "SimpleRNN": (
        lambda: gc.nn.SimpleRNN(2, **ALL), [(2, 2), (2, 2), (2,)], (),
        [0.887215498, -0.677251467, 0.921842068, 0.972633192, 0.878088362, -0.892586564,
         0.975946698, 0.971739584, 0.473534486, -0.404586747, 0.963618901, 0.311621314,
         0.803009356, 0.759105278, 0.915940658, -0.864527762],
    ),
    "LSTM with a mask": (
        lambda: gc.nn.LSTM(2, **ALL), [(2, 8), (2, 8), (8,)], ("mask",),
        [0.0, 0.0, 0.132028607, 0.126532316, 0.132028607, 0.126532316, -0.010934029, 0.214022507,
         0.203918536, 0.051626442, 0.196894846, 0.097888149, 0.196894846, 0.097888149,
         0.196894846, 0.097888149],
    ),
    "GRU with a mask from a state on": (
        lambda: gc.nn.GRU(2, **ALL), [(2, 6), (2, 6), (2, 6)], ("mask", "initial_state"),
        [0.0, 0.0, 0.359265017, -0.028719544, 0.359265017, -0.028719544, 0.319272786, 0.366438363,
         0.523776159, -0.167670363, 0.549210673, 0.373092764, 0.549210673, 0.373092764,
         0.549210673, 0.373092764],
    ),
    "GRU backwards": (
        lambda: gc.nn.GRU(2, go_backwards=True, **ALL), [(2, 6), (2, 6), (2, 6)],
        ("mask", "initial_state"),
        [0.413356011, 0.182192944, 0.413356011, 0.182192944, 0.368671876, 0.175742384,
         0.368671876, 0.175742384, 0.0, 0.0, 0.0, 0.0, 0.306108305, 0.785352637, 0.525516439,
         -0.031634518],
    ),
    "GRU that resets before": (
        lambda: gc.nn.GRU(2, reset_after=False, zero_output_for_mask=True, **ALL),
        [(2, 6), (2, 6), (6,)], ("mask",),
        [0.0, 0.0, 0.021885025, 0.106705024, 0.0, 0.0, 0.030760152, 0.334731361, 0.387210375,
         -0.103243206, 0.416757152, 0.199798434, 0.0, 0.0, 0.0, 0.0],
    ),
    "Bidirectional": (
        lambda: gc.nn.Bidirectional(gc.nn.LSTM(1, **ALL)), [(2, 4), (1, 4), (4,)] * 2, ("mask",),
        [0.0, 0.0, -0.173780161, 0.117735826, 0.0, 0.0, -0.155862123, 0.008048633, -0.326460823,
         0.030346186, -0.143262766, -0.074753321, 0.0, 0.0, 0.0, 0.0],
    ),
    "Conv1D": (
        lambda: gc.nn.Conv1D(2, 2, padding="causal", dilation_rate=2), [(2, 2, 2), (2,)], (),
        [1.808809851, 1.054831751, -0.300558872, 0.637246332, 2.346121098, -0.042356727,
         -0.084346069, 2.030217362, 0.808572123, 0.323249288, 1.451704658, 1.150571408,
         -0.570369752, 0.203689501, 2.49576018, 0.538548331],
    ),
    "SeparableConv1D": (
        lambda: gc.nn.SeparableConv1D(2, 2, depth_multiplier=2), [(2, 2, 2), (1, 4, 2), (2,)], (),
        [-0.025591305, -0.228322548, 1.765011672, -0.33762699, 0.385487831, 0.245405416,
         1.351474223, 0.285409603, 0.103948996, -0.432698221, 1.847202936, -0.123907045],
    ),
    "MultiHeadAttention": (
        lambda: gc.nn.MultiHeadAttention(2, 1, 2), BY_HEAD, (),
        [0.756598795, 0.118954719, 0.381034538, 0.244659571, 0.757817219, 0.219170818, 0.48765727,
         0.102091364, 0.382022094, -0.017273486, 0.621841711, -0.287166512, 0.029318909,
         -0.107738095, 0.864638121, -0.136843806],
    ),
    "GroupQueryAttention": (
        lambda: gc.nn.MultiHeadAttention(2, 1, num_kv_heads=1), GROUPED, (),
        [0.139800341, 0.228388966, -0.076537125, 0.447239251, 0.186834745, 0.232132628,
         -0.037172389, 0.367163944, 0.268733602, 0.571979713, 0.306236879, 0.457576661,
         0.157464099, 0.650602544, 0.393611429, 0.42014748],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    make, shapes, given, expected = CASES[name]
    graph = gc.Graph()
    x = graph.input("x", X.shape, "f64")
    words = {
        "mask": (graph.input("mask", MASK.shape, "bool"), MASK),
        "initial_state": (graph.input("h", H.shape, "f64"), H),
    }
    layer = make()
    result = layer(x, **{word: words[word][0] for word in given})
    weights = [wave(shape, number) for number, shape in enumerate(shapes)]
    graph.variables.update(gc.nn.weights_from_keras(layer, weights))
    inputs = [x, *(words[word][0] for word in given)]
    found = gc.function(inputs, result, mode="reference")(X, *(words[word][1] for word in given))
    np.testing.assert_allclose(np.ravel(found), expected, rtol=0, atol=TOLERANCE)
    back = gc.nn.weights_to_keras(layer, graph.variables)
    for one, other in zip(back, weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("layer", "rank", "count"),
    [
        (gc.nn.Dense(2), 2, 2),
        (gc.nn.Dense(2, use_bias=False), 2, 1),
        (gc.nn.Conv2DTranspose(2, 3), 4, 2),
        (gc.nn.DepthwiseConv1D(3), 3, 2),
        (gc.nn.LayerNorm(), 2, 2),
        (gc.nn.RMSNorm(), 2, 1),
        (gc.nn.BatchNorm(), 2, 4),
        (gc.nn.GRU(2, use_bias=False), 3, 2),
    ],
)
def test_layouts_that_are_the_same(layer: gc.nn.Layer, rank: int, count: int) -> None:
    graph = gc.Graph(seed=0)
    layer(graph.input("x", (4,) * rank))
    arrays = gc.nn.weights_to_keras(layer, graph.variables)
    assert len(arrays) == count
    before = dict(graph.variables.items())
    found = gc.nn.weights_from_keras(layer, arrays)
    assert found.keys() == before.keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, before[name])


def called(layer: gc.nn.Layer) -> gc.nn.Layer:
    layer(gc.Graph().input("x", (3, 4, 2)))
    return layer


@pytest.mark.parametrize(
    ("layer", "weights", "error", "match"),
    [
        (called(gc.nn.Dense(3)), [np.ones((2, 3))], gc.VariableError, r"dense: 2 arrays expected"),
        (
            called(gc.nn.Dense(3)),
            [np.ones((3, 2)), np.ones(3)],
            gc.ShapeError,
            r"dense: kernel, of which dense.kernel is made: \[2,3\] expected, not \[3,2\]",
        ),
        (called(gc.nn.Dense(3)), [None, np.ones(3)], TypeError, "dense: kernel: "),
        (called(gc.nn.Dense(3)), {"kernel": 1}, TypeError, "dense: a list of arrays expected"),
        (gc.nn.Dense(3), [], gc.VariableError, "no weights before its first call"),
        (called(gc.nn.LayerNormLSTM(3)), [], TypeError, "no LSTM with layer normalisation"),
        (called(gc.nn.Flatten()), [], TypeError, "Flatten has no counterpart in Keras"),
        (3, [], TypeError, "a layer expected, not 3"),
    ],
)
def test_refusals(layer: Any, weights: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        gc.nn.weights_from_keras(layer, weights)


def test_values_are_read_from_variables() -> None:
    with pytest.raises(TypeError, match="variables expected"):
        gc.nn.weights_to_keras(called(gc.nn.Dense(3)), Mapping)  # type: ignore[arg-type]
