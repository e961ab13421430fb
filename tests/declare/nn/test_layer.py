"""Layers as objects: shared parameters, names, scopes, attributes, layers of one's own, errors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphc as gc


class Gate(gc.nn.Layer):
    """A layer of a user's with another one inside."""

    def __init__(self, units: int, name: str | None = None) -> None:
        super().__init__(name)
        self.dense = gc.nn.Dense(units, "sigmoid")

    def call(self, x: gc.Node, scale: float = 1.0) -> gc.Node:
        size = self.variable("size", 2.0)
        return self.dense(x) * self.parameter("scale", x.shape[-1:], init=1.0) * size * scale


def two_inputs(dtype: str = "f32") -> tuple[gc.Graph, gc.Node, gc.Node]:
    graph = gc.Graph()
    return graph, graph.input("x", ("batch", 3), dtype), graph.input("y", ("batch", 3), dtype)


def scope_of(node: gc.Node) -> tuple[str, ...]:
    assert node.location is not None
    return node.location.scope


# --- sharing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_calls_share_parameters_and_their_gradients(dtype: str) -> None:
    graph, x, y = two_inputs(dtype)
    encode = gc.nn.Dense(2, "tanh")
    distance = gc.sum(gc.square(encode(x) - encode(y)))
    assert list(graph.states) == ["dense.kernel", "dense.bias"]
    assert encode.parameters == list(graph.states.values())
    step = gc.function([x, y], distance, gc.optim.SGD(0.05).updates(distance))
    one, other = np.random.default_rng(0).normal(size=(2, 4, 3))
    before = step(one, other)
    for _ in range(20):
        after = step(one, other)
    assert after < before / 2 and step(one, one) == 0


def test_a_kernel_is_tied_to_a_decoder() -> None:
    graph, x, _ = two_inputs("f64")
    encode = gc.nn.Dense(2, use_bias=False)
    decoded = encode(x) @ gc.transpose(encode.kernel)
    slope = gc.grad(gc.sum(decoded), encode.kernel)
    values = np.random.default_rng(1).normal(size=(4, 3))
    w = graph.variables["dense.kernel"]
    ones = np.ones((4, 3))
    expected = values.T @ ones @ w + ones.T @ values @ w
    np.testing.assert_allclose(gc.function([x], slope)(values), expected)
    assert encode.bias is None


FORMS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "Activation": ("activation", ("tanh",)),
    "AlphaDropout": ("alpha_dropout", (0.5,)),
    "BatchNorm": ("batch_norm", ()),
    "Dense": ("dense", (4, "relu")),
    "Dropout": ("dropout", (0.5,)),
    "GRU": ("gru", (2,)),
    "LSTM": ("lstm", (2,)),
    "LayerNormLSTM": ("layer_norm_lstm", (2,)),
    "MultiHeadAttention": ("multi_head_attention", (2, 3)),
    "SimpleRNN": ("simple_rnn", (2,)),
    "TransformerDecoderBlock": ("transformer_decoder_block", (4, 1)),
    "TransformerEncoderBlock": ("transformer_encoder_block", (4, 1)),
    "Embedding": ("embedding", (5, 2)),
    "Flatten": ("flatten", ()),
    "GaussianDropout": ("gaussian_dropout", (0.5,)),
    "GaussianNoise": ("gaussian_noise", (0.5,)),
    "GroupNorm": ("group_norm", (3,)),
    "LayerNorm": ("layer_norm", ()),
    "MaskedDense": ("masked_dense", (np.tri(3),)),
    "Maxout": ("maxout", (2, 3)),
    "RMSNorm": ("rms_norm", ()),
    "RandomBrightness": ("random_brightness", (0.1,)),
    "RandomContrast": ("random_contrast", (0.1,)),
    "RandomCrop": ("random_crop", (1, 1, 1)),
    "RandomErasing": ("random_erasing", (0.5,)),
    "RandomFlip": ("random_flip", ("horizontal",)),
    "RandomTranslation": ("random_translation", (0.1, 0.1)),
    "Residual": ("residual", ([gc.tanh],)),
    "Sequential": ("sequential", ([gc.tanh],)),
    "SpatialDropout1D": ("spatial_dropout1d", (0.5,)),
    "SpatialDropout2D": ("spatial_dropout2d", (0.5,)),
    "Permute": ("permute", ((1,),)),
    "Reshape": ("reshape", ((3, 1),)),
    **{f"SeparableConv{n}D": (f"separable_conv{n}d", (2, 1)) for n in (1, 2)},
    **{f"DepthwiseConv{n}D": (f"depthwise_conv{n}d", (1,)) for n in (1, 2)},
    **{
        kind.format(n): (short.format(n), arguments)
        for n in (1, 2, 3)
        for kind, short, arguments in (
            ("AdaptiveAveragePooling{}D", "adaptive_average_pooling{}d", (1,)),
            ("AdaptiveMaxPooling{}D", "adaptive_max_pooling{}d", (1,)),
            ("AveragePooling{}D", "average_pooling{}d", (1,)),
            ("Conv{}D", "conv{}d", (2, 1)),
            ("Conv{}DTranspose", "conv{}d_transpose", (2, 1)),
            ("GlobalAveragePooling{}D", "global_average_pooling{}d", ()),
            ("GlobalMaxPool{}D", "global_max_pool{}d", ()),
            ("MaxPool{}D", "max_pool{}d", (1,)),
            ("UpSampling{}D", "up_sampling{}d", ()),
            ("ZeroPadding{}D", "zero_padding{}d", ()),
        )
    },
}


# Their input is a sequence for each row of the batch.
OF_SEQUENCES = (
    "GRU", "LSTM", "LayerNormLSTM", "MultiHeadAttention", "SimpleRNN",
    "TransformerDecoderBlock", "TransformerEncoderBlock",
)  # fmt: skip
# A layer around one that is given, so that both forms cannot be made of the same arguments.
AROUND_ANOTHER = {"Bidirectional", "bidirectional"}
# What is called more than once, or with two tensors, is an object alone; and functions of tensors.
OBJECTS_ALONE = {"KeyValueCache", "PositionEmbedding", "RotaryEmbedding", "SinePositionEncoding"}
FUNCTIONS = {
    "alibi_bias", "attention", "attention_weights", "generate", "weights_from_keras",
    "weights_from_torch", "weights_to_keras", "weights_to_torch",
}  # fmt: skip


def _rank(kind: str) -> int:
    """The axes of a layer's input: a batch, features, and those that its name counts, or that
    images and sequences have."""
    if kind in OF_SEQUENCES:
        return 3
    counted = re.search(r"([123])D", kind)
    if kind.startswith("Random"):
        return 4
    return 2 if counted is None else 2 + int(counted[1])


@pytest.mark.parametrize("kind", FORMS)
def test_short_forms_declare_what_layers_declare(kind: str) -> None:
    short, arguments = FORMS[kind]
    declared = []
    for is_short in (True, False):
        graph, x, _ = two_inputs()
        x = gc.cast(x, "i32") if kind == "Embedding" else x
        x = gc.reshape(x, (x.shape[0], *(1,) * (_rank(kind) - 2), x.shape[1]))
        if is_short:
            getattr(gc.nn, short)(x, *arguments)
        else:
            layer = getattr(gc.nn, kind)(*arguments)
            layer(x)
            assert layer.kind == short
        declared.append([(str(node), scope_of(node)) for node in graph.nodes])
    assert declared[0] == declared[1]


def test_every_layer_has_a_short_form() -> None:
    formed = {*FORMS, *(short for short, _ in FORMS.values()), *AROUND_ANOTHER}
    assert set(gc.nn.__all__) == {"Layer", *formed, *OBJECTS_ALONE, *FUNCTIONS}


# --- names ---------------------------------------------------------------------------------------


def test_names_are_given_at_the_first_call() -> None:
    graph, x, _ = two_inputs()
    first, second = gc.nn.Dense(3), gc.nn.Dense(3)
    h = second(first(x))
    assert (first.name, second.name) == ("dense", "dense_1")
    gc.nn.RMSNorm(name="last")(h)
    norms = [gc.nn.layer_norm(h) for _ in range(3)]
    assert list(graph.states)[4:] == [
        "last.gamma", "layer_norm.gamma", "layer_norm.beta", "layer_norm_1.gamma",
        "layer_norm_1.beta", "layer_norm_2.gamma", "layer_norm_2.beta",
    ]  # fmt: skip
    assert [scope_of(n) for n in norms] == [("layer_norm",), ("layer_norm_1",), ("layer_norm_2",)]
    with pytest.raises(gc.GraphError, match="'last' is taken"):
        gc.nn.Dense(2, name="last")(h)


def test_inner_layers_are_named_inside_and_calls_are_numbered() -> None:
    graph, x, y = two_inputs()
    gate = Gate(3, name="gate")
    calls = [gate(x), gate(y, scale=2.0), gate(x)]
    assert list(graph.states) == ["gate.size", "gate.dense.kernel", "gate.dense.bias", "gate.scale"]
    assert [p.name for p in gate.parameters] == list(graph.states)[1:]
    assert [scope_of(node) for node in calls[:2]] == [("gate",), ("gate (call 2)",)]
    inner = {scope_of(node) for node in graph.nodes if len(scope_of(node)) > 1}
    assert inner == {("gate", "dense"), ("gate (call 2)", "dense (call 2)")}
    ones = np.ones((2, 3))
    one, other = gc.function([x, y], calls[:2], mode="reference")(ones, ones)
    np.testing.assert_allclose(2 * one, other)


def test_layers_in_a_sequence_are_named_as_alone_unless_it_has_a_name() -> None:
    graph, x, _ = two_inputs()
    plain = gc.nn.Sequential([gc.nn.Dense(2), gc.tanh])
    named = gc.nn.Sequential([gc.nn.Dense(2), lambda h: gc.nn.dense(h, 3)], name="encoder")
    assert scope_of(plain(x)) == ()
    assert scope_of(named(x)) == ("encoder", "dense_1")
    gc.nn.residual(x, [gc.nn.Dense(3)])
    assert [name for name in graph.states if name.endswith("kernel")] == [
        "dense.kernel", "encoder.dense.kernel", "encoder.dense_1.kernel", "residual.dense.kernel",
    ]  # fmt: skip
    assert len(plain.parameters) == 2 and len(named.parameters) == 4


def test_each_call_of_a_dropout_has_a_mask_of_its_own() -> None:
    graph, x, _ = two_inputs()
    layer = gc.nn.Dropout(0.5)
    one, other = layer(x), layer(x)
    assert list(graph.states) == ["dropout.key", "dropout.key_1"] and layer.parameters == []
    found = gc.function([x], [one, other], mode="reference")(np.ones((20, 3)))
    assert not np.array_equal(*found)
    assert set(gc.training_updates([one, other])) == set(graph.states.values())


# --- attributes ----------------------------------------------------------------------------------


def test_what_is_declared_is_an_attribute_from_the_first_call_on() -> None:
    graph, x, _ = two_inputs()
    layer = gc.nn.Dense(2)
    assert repr(layer) == "<Dense>"
    for name in ("kernel", "bias", "name", "parameters", "graph"):
        with pytest.raises(AttributeError, match=rf"^Dense has no '{name}' yet: .* first call$"):
            getattr(layer, name)
    layer(x)
    assert layer.kernel is graph.states["dense.kernel"] and repr(layer) == "<Dense dense>"
    with pytest.raises(AttributeError, match=r"^Dense has no 'kernal'$"):
        _ = layer.kernal


def test_a_layer_must_call_what_it_is_made_of() -> None:
    class Hasty(gc.nn.Layer):
        def __init__(self) -> None:
            pass

    class Idle(gc.nn.Layer):
        pass

    _, x, _ = two_inputs()
    with pytest.raises(AttributeError, match=r"does it call super\(\).__init__\(\)\?"):
        Hasty()(x)
    with pytest.raises(NotImplementedError, match="Idle has no method `call`"):
        Idle()(x)


# --- errors --------------------------------------------------------------------------------------


def test_other_features_dtypes_and_graphs_are_refused() -> None:
    graph, x, _ = two_inputs()
    layer = gc.nn.Dense(2)
    layer(x)
    problem = r"its kernel is f32\[3,2\], declared for f32\[batch,3\]; "
    with pytest.raises(gc.ShapeError, match=rf"^dense\(f32\[7,4\]\): {problem}f32\[4,2\](?s:.*)\n"):
        layer(graph.input("wide", (7, 4)))
    with pytest.raises(gc.DTypeError, match=rf"^dense\(f64\[7,3\]\): {problem}f64\[3,2\] would"):
        layer(graph.input("double", (7, 3), "f64"))
    with pytest.raises(gc.ForeignTensorError, match=r"are of another graph, .*\n  at test_layer"):
        layer(gc.Graph().input("x", ("batch", 3)))
    assert layer(graph.input("rows", (7, 2, 3))).shape == (7, 2, 2)
    flatten = gc.nn.Flatten()
    assert flatten(x).graph is not flatten(gc.Graph().input("x", (2, 3, 4))).graph


def test_states_in_scopes_inside_of_a_call_are_apart() -> None:
    class Pair(gc.nn.Layer):
        def call(self, x: gc.Node) -> gc.Node:
            with gc.scope("left"):
                left = self.parameter("w", (3,), init=1.0)
            return x * left * self.parameter("w", (3,), init=2.0)

    graph, x, y = two_inputs()
    pair = Pair()
    pair(x)
    pair(y)
    assert list(graph.states) == ["pair.left.w", "pair.w"]
    assert pair.w is graph.states["pair.w"]


def test_a_call_that_fails_is_none() -> None:
    graph, x, _ = two_inputs()
    layer = gc.nn.Sequential([lambda h: gc.nn.dense(h, 3), gc.nn.MaskedDense(np.tri(3))], "net")
    with pytest.raises(gc.ShapeError, match="a last axis of fixed extent"):
        layer(graph.input("wide", ("batch", "features")))
    assert scope_of(layer(x)) == ("net", "masked_dense")

    class Noisy(gc.nn.Layer):
        def call(self, x: gc.Node) -> gc.Node:
            return gc.cast(self.random_stream(), "f32") + gc.nn.flatten(x)

    noisy = Noisy()
    with pytest.raises(gc.ShapeError):
        noisy(gc.sum(x))
    assert scope_of(noisy(x)) == ("noisy",) and noisy.parameters == []


def test_layers_that_further_calls_would_make_anew_are_refused() -> None:
    _, x, y = two_inputs()
    careless = gc.nn.Sequential([lambda h: gc.nn.dense(h, 3)])
    careless(x)
    with pytest.raises(gc.GraphError, match=r"^dense: call 2 of sequential makes the layer anew"):
        careless(y)
    noisy = gc.nn.Sequential([lambda h: gc.dropout(h, 0.5)])
    assert noisy(x) is not noisy(x)


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda x: gc.nn.Dense(0), gc.ShapeError, "dense: at least 1 unit expected, not 0"),
    (lambda x: gc.nn.Dense(2.5), gc.ShapeError, "dense: units: an integer expected, not 2.5"),
    (
        lambda x: gc.nn.Dense(2, "rleu"), ValueError,
        "dense: activation: 'rleu' is not known; there are elu, exponential, ",
    ),
    (lambda x: gc.nn.Dense(2, 3), TypeError, "a function of a tensor or its name expected, not 3"),
    (lambda x: gc.nn.Dense(2, name=""), ValueError, "dense: a name that is not empty expected"),
    (lambda x: gc.nn.Dense(2, name=3), TypeError, "dense: a name expected, not 3"),
    (lambda x: gc.nn.Dense(2)([1.0]), TypeError, "dense: a tensor of a graph expected, not"),
    (lambda x: gc.nn.MaskedDense(np.ones(3)), gc.ShapeError, r"\[features, units\] expected"),
    (lambda x: gc.nn.MaskedDense([[2]]), ValueError, "masked_dense: mask: 0 and 1 alone"),
    (lambda x: gc.nn.MaskedDense("m"), TypeError, "masked_dense: mask: bools, integers or floats"),
    (lambda x: gc.nn.masked_dense(x, np.tri(2)), gc.ShapeError, "2 features expected, since"),
    (lambda x: gc.nn.Embedding(0, 3), gc.ShapeError, "embedding: at least 1 row expected"),
    (
        lambda x: gc.nn.Embedding(4, 3, padding_index=4), gc.ShapeError,
        "padding_index: a row from 0 to 3 expected, not 4",
    ),
    (lambda x: gc.nn.Embedding(4, 3, dtype="i32"), gc.DTypeError, "f32 or f64 expected, not i32"),
    (lambda x: gc.nn.Embedding(4, 3)(x), gc.DTypeError, r"embedding\(f32\[.*integers expected"),
    (lambda x: gc.nn.layer_norm(x, axis=2), gc.ShapeError, "axis: axis 2 is outside rank 2"),
    (lambda x: gc.nn.layer_norm(x, axis=0), gc.ShapeError, "axis 0 of fixed extent expected"),
    (lambda x: gc.nn.group_norm(x, 2), gc.ShapeError, "2 groups do not divide the extent 3"),
    (lambda x: gc.nn.group_norm(x, 1, axis=0), gc.ShapeError, "one behind the batch expected"),
    (lambda x: gc.nn.GroupNorm(0), gc.ShapeError, "group_norm: at least 1 group expected"),
    (lambda x: gc.nn.batch_norm(gc.sum(x, 0)), gc.ShapeError, "and another one expected"),
    (lambda x: gc.nn.Flatten()(gc.sum(x)), gc.ShapeError, r"flatten\(f32\[\]\): a batch axis"),
    (lambda x: gc.nn.Sequential([3]), TypeError, "a layer, .* expected, not 3"),
    (lambda x: gc.nn.sequential(x, [lambda h: 3]), TypeError, "gave 3, which is no tensor"),
    (
        lambda x: gc.nn.residual(x, [gc.nn.Dense(1)]), gc.ShapeError,
        r"residual\(f32\[batch,3\]\): a result of its shape expected .* not f32\[batch,1\]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("build", "error", "match"), REFUSED, ids=[row[2] for row in REFUSED])
def test_errors_name_the_layer_and_the_line(build: Any, error: Any, match: str) -> None:
    _, x, _ = two_inputs()
    with pytest.raises(error, match=rf"{match}(?s:.*)\n  at test_layer.py:\d+: "):
        build(x)


@pytest.mark.parametrize(
    "build",
    [
        lambda: gc.nn.LayerNorm(epsilon=-1), lambda: gc.nn.BatchNorm(momentum=1.5),
        lambda: gc.nn.RMSNorm(epsilon=float("nan")),
    ],
)  # fmt: skip
def test_wrong_numbers_are_refused(build: Any) -> None:
    with pytest.raises(ValueError, match=r"^\w+_norm: (epsilon|momentum): "):
        build()


def test_parameters_are_asked_for_inside_of_a_call() -> None:
    gate = Gate(3)
    with pytest.raises(gc.GraphError, match="gate: w is asked for outside of `call`"):
        gate.parameter("w", (3,))


def test_what_trains_is_a_matter_of_the_model() -> None:
    layer = gc.nn.Dense(2)
    assert layer.trainable
    with pytest.raises(AttributeError, match=r"model\.freeze\(\*layer\.parameters\)"):
        layer.trainable = False
