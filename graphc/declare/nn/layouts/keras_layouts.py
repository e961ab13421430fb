"""Weights of layers in Keras's layout and order, in both directions, as arrays of numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.declare.graphs.variables import Variables
from graphc.declare.nn.affine import Dense
from graphc.declare.nn.batch_norm import BatchNorm
from graphc.declare.nn.embedding import Embedding
from graphc.declare.nn.images.convolution import Conv, ConvTranspose, DepthwiseConv, SeparableConv
from graphc.declare.nn.layer import Layer
from graphc.declare.nn.layouts.layouts import (
    Layout,
    as_it_is,
    check_called,
    fixed_shape,
    read_weights,
    refusal,
    reshaped,
    written_weights,
)
from graphc.declare.nn.normalization import Normalization
from graphc.declare.nn.sequences.attention import MultiHeadAttention
from graphc.declare.nn.sequences.bidirectional import Bidirectional
from graphc.declare.nn.sequences.layer_norm_lstm import LayerNormLSTM
from graphc.declare.nn.sequences.recurrent import Recurrent
from graphc.errors import VariableError
from graphc.ir.arguments.given import shown
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.op import Array


def weights_from_keras(layer: Layer, weights: Sequence[Any]) -> dict[str, Array]:
    """The values of a layer's states, by name, of what `get_weights` of Keras's layer gives.

    layer: one that has been called, so that its states have names. weights: arrays in Keras's
    order; Keras need not be installed. Layers and most layouts are Keras's: `Dense`, `Embedding`,
    convolutions, normalisations, recurrent layers and `Bidirectional` are taken as they are, with
    either form of a GRU's bias. Kernels and biases of `MultiHeadAttention` have an axis of heads
    there, and none here; with `num_kv_heads` it is GroupQueryAttention.

        graph.variables.update(gc.nn.weights_from_keras(dense, keras_dense.get_weights()))

    Raises TypeError for another layer, VariableError for another number of arrays and for a layer
    that was not called, ShapeError for arrays of other shapes.
    """
    function = "weights_from_keras"
    check_called(function, layer)
    layouts = _layouts(function, layer)
    names = [name for layout in layouts for name in layout.names]
    if not isinstance(weights, list | tuple):
        problem = f"{function}: {layer.name}: a list of arrays expected, not {shown(weights)}"
        raise TypeError(located(problem, callers_location()))
    if len(weights) != len(names):
        problem = f"{len(names)} arrays expected, {', '.join(names)}, not {len(weights)}"
        raise VariableError(located(f"{function}: {layer.name}: {problem}", callers_location()))
    return read_weights(function, layer.name, layouts, dict(zip(names, weights, strict=True)))


def weights_to_keras(layer: Layer, variables: Variables) -> list[Array]:
    """What `set_weights` of Keras's layer takes, of the values of a layer's states.

    The inverse of `weights_from_keras`, which says what layers there are.

        keras_dense.set_weights(gc.nn.weights_to_keras(dense, graph.variables))

    Raises as `weights_from_keras` does, and TypeError for what are no variables.
    """
    function = "weights_to_keras"
    check_called(function, layer)
    return list(
        written_weights(function, layer.name, _layouts(function, layer), variables).values()
    )


def _layouts(function: str, layer: Layer) -> list[Layout]:
    match layer:
        case LayerNormLSTM():
            raise refusal(function, layer, "Keras has no LSTM with layer normalisation")
        case Recurrent():
            return _named(kernel=layer.kernel, recurrent_kernel=layer.recurrent_kernel) + _named(
                bias=layer.bias
            )
        case Bidirectional():
            both = {"forward": layer.forward, "backward": layer.backward}
            return _inside(function, both)
        case Dense() | Conv() | ConvTranspose() | DepthwiseConv():
            return _named(kernel=layer.kernel, bias=layer.bias)
        case SeparableConv():
            return _named(
                depthwise_kernel=layer.depthwise_kernel,
                pointwise_kernel=layer.pointwise_kernel,
                bias=layer.bias,
            )
        case Embedding():
            return _named(embeddings=layer.table)
        case BatchNorm():
            moving = {"moving_mean": layer.moving_mean, "moving_variance": layer.moving_variance}
            return _named(gamma=layer.gamma, beta=layer.beta, **moving)
        case Normalization():
            return _named(gamma=layer.gamma, beta=layer.beta)
        case MultiHeadAttention():
            return _attention(layer)
        case _:
            raise refusal(function, layer, f"{type(layer).__name__} has no counterpart in Keras")


def _named(**states: Node | None) -> list[Layout]:
    """States in the order of Keras, by its names, without those that the layer has not."""
    return [as_it_is(state, name) for name, state in states.items() if state is not None]


def _inside(function: str, parts: dict[str, Recurrent]) -> list[Layout]:
    return [
        layout.inside(name) for name, part in parts.items() for layout in _layouts(function, part)
    ]


def _attention(layer: MultiHeadAttention) -> list[Layout]:
    assert layer.output is not None  # made by the call
    made = []
    for name, part, heads in (
        ("query", layer.query, layer.num_heads),
        ("key", layer.key, layer.num_kv_heads),
        ("value", layer.value, layer.num_kv_heads),
    ):
        by_head = (heads, part.units // heads)
        features, _ = fixed_shape(part.kernel)
        made.append(reshaped(part.kernel, f"{name}.kernel", (features, *by_head)))
        if part.bias is not None:
            made.append(reshaped(part.bias, f"{name}.bias", by_head))
    output = layer.output
    shape = (layer.num_heads, layer.value_dim, output.units)
    made.append(reshaped(output.kernel, "attention_output.kernel", shape))
    return made + _named(**{"attention_output.bias": output.bias})
