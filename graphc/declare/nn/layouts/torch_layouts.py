"""Weights of layers in PyTorch's layout, in both directions, as arrays of numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.declare.graphs.variables import Variables
from graphc.declare.nn.affine import Dense
from graphc.declare.nn.batch_norm import BatchNorm
from graphc.declare.nn.embedding import Embedding
from graphc.declare.nn.images.convolution import Conv, ConvTranspose, DepthwiseConv
from graphc.declare.nn.layer import Layer
from graphc.declare.nn.layouts.layouts import (
    Arrays,
    Layout,
    as_it_is,
    check_called,
    fixed_shape,
    read_weights,
    refusal,
    transposed,
    written_weights,
)
from graphc.declare.nn.normalization import Normalization
from graphc.declare.nn.sequences.attention import MultiHeadAttention
from graphc.declare.nn.sequences.bidirectional import Bidirectional
from graphc.declare.nn.sequences.gru import GRU
from graphc.declare.nn.sequences.lstm import LSTM
from graphc.declare.nn.sequences.recurrent import Recurrent, SimpleRNN
from graphc.declare.nn.sequences.transformer import TransformerDecoderBlock, TransformerEncoderBlock
from graphc.ir.arguments.given import shown
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.op import Array

# A number of batches that torch counts, and no layer here.
COUNTER = "num_batches_tracked"
# For each gate of ours the number of torch's: both have i, f, g, o, and torch r, z, n for z, r, n.
_GATES: dict[type[Recurrent], tuple[int, ...]] = {
    SimpleRNN: (0,),
    LSTM: (0, 1, 2, 3),
    GRU: (1, 0, 2),
}


def weights_from_torch(
    layer: Layer | Sequence[Layer], state_dict: Mapping[str, Any]
) -> dict[str, Array]:
    """The values of a layer's states, by name, of the `state_dict` of PyTorch's layer.

    layer: one of those below, which has been called, so that its states have names; or a list of
    recurrent ones, a stack as torch's `num_layers` makes it. state_dict: arrays, or what numpy
    makes arrays of, such as torch's tensors, by torch's names; torch need not be installed. In
    torch

    - `Dense` is Linear, and `Embedding` Embedding;
    - `Conv1D`, ... and `DepthwiseConv1D`, ... are Conv1d, ..., those by channel with as many groups
      as channels; `Conv1DTranspose`, ... are ConvTranspose1d, ...;
    - `LayerNorm`, `GroupNorm`, `RMSNorm` have the same names, `BatchNorm` is BatchNorm1d, ...;
    - `SimpleRNN` is RNN, `LSTM` and `GRU` have the same names, `Bidirectional` is
      bidirectional=True; where gates add torch's two biases, their sum is one here;
    - `MultiHeadAttention` is MultiheadAttention, `TransformerEncoderBlock` is
      TransformerEncoderLayer, `TransformerDecoderBlock` is TransformerDecoderLayer.

    Weights are all that is read: epsilons and momenta have other defaults in torch.

        graph.variables.update(gc.nn.weights_from_torch(dense, linear.state_dict()))

    Raises TypeError for another layer, VariableError for names that are missing or not known and
    for a layer that was not called, ShapeError for arrays of other shapes.
    """
    function = "weights_from_torch"
    if not isinstance(state_dict, Mapping):
        problem = f"{function}: arrays by name expected, not {shown(state_dict)}"
        raise TypeError(located(problem, callers_location()))
    given = {name: x for name, x in state_dict.items() if name.split(".")[-1] != COUNTER}
    return read_weights(function, *_named_layouts(function, layer), given)


def weights_to_torch(layer: Layer | Sequence[Layer], variables: Variables) -> dict[str, Array]:
    """The arrays of PyTorch's layer, by its names, of the values of a layer's states.

    The inverse of `weights_from_torch`, which says what layers there are. Of two biases that gates
    add, the second one is 0.

        arrays = gc.nn.weights_to_torch(dense, graph.variables)
        linear.load_state_dict({name: torch.from_numpy(x) for name, x in arrays.items()})

    Raises as `weights_from_torch` does, and TypeError for what are no variables.
    """
    function = "weights_to_torch"
    return written_weights(function, *_named_layouts(function, layer), variables)


def _named_layouts(function: str, layer: Any) -> tuple[str, list[Layout]]:
    """What a layer, or a stack of them, is called, and its layouts."""
    if isinstance(layer, list | tuple) and layer:
        made = []
        for number, each in enumerate(layer):
            check_called(function, each)
            if not isinstance(each, Recurrent | Bidirectional):
                raise refusal(function, each, "a stack has recurrent layers alone")
            made += _recurrent(function, each, number)
        return layer[0].name, made
    check_called(function, layer)
    return layer.name, _layouts(function, layer)


def _layouts(function: str, layer: Layer) -> list[Layout]:
    match layer:
        case Dense():
            return _with_bias(transposed(layer.kernel, "weight", (1, 0)), layer.bias)
        case Embedding():
            return [as_it_is(layer.table, "weight")]
        case Conv() | ConvTranspose():
            return _with_bias(_kernel(layer.kernel), layer.bias)
        case DepthwiseConv():
            return _with_bias(_kernel_by_channel(layer.kernel), layer.bias)
        case Normalization():
            return _normalization(layer)
        case Bidirectional() | Recurrent():
            return _recurrent(function, layer, 0)
        case MultiHeadAttention():
            return _attention(function, layer)
        case TransformerEncoderBlock() | TransformerDecoderBlock():
            return _transformer(function, layer)
        case _:
            raise _without(function, layer)


def _without(function: str, layer: Layer) -> TypeError:
    return refusal(function, layer, f"{type(layer).__name__} has no counterpart in torch")


def _with_bias(kernel: Layout, bias: Node | None) -> list[Layout]:
    return [kernel] if bias is None else [kernel, as_it_is(bias, "bias")]


def _kernel(kernel: Node) -> Layout:
    """[*window, a, b] here, [b, a, *window] there."""
    window = range(kernel.rank - 2)
    return transposed(kernel, "weight", (kernel.rank - 1, kernel.rank - 2, *window))


def _kernel_by_channel(kernel: Node) -> Layout:
    """[*window, channels, multiplier] here, [channels * multiplier, 1, *window] there."""
    *window, channels, multiplier = fixed_shape(kernel)

    def write(values: Arrays) -> Arrays:
        by_channel = np.moveaxis(values[0], (-2, -1), (0, 1))
        return [np.reshape(by_channel, (channels * multiplier, 1, *window))]

    def read(arrays: Arrays) -> Arrays:
        by_channel = np.reshape(arrays[0], (channels, multiplier, *window))
        return [np.moveaxis(by_channel, (0, 1), (-2, -1))]

    return Layout((kernel,), ("weight",), write, read)


def _normalization(layer: Normalization) -> list[Layout]:
    named = [(layer.gamma, "weight"), (layer.beta, "bias")]
    if isinstance(layer, BatchNorm):
        named += [(layer.moving_mean, "running_mean"), (layer.moving_variance, "running_var")]
    return [as_it_is(state, name) for state, name in named if state is not None]


# --- recurrent layers ----------------------------------------------------------------------------


def _recurrent(function: str, layer: Recurrent | Bidirectional, number: int) -> list[Layout]:
    """A layer of a stack, its first one number 0."""
    if isinstance(layer, Bidirectional):
        both = (layer.forward, f"_l{number}"), (layer.backward, f"_l{number}_reverse")
        return [each for one, end in both for each in _one_direction(function, one, end)]
    if layer.go_backwards:
        raise refusal(function, layer, "torch reads steps backwards beside forwards alone")
    return _one_direction(function, layer, f"_l{number}")


def _one_direction(function: str, layer: Recurrent, end: str) -> list[Layout]:
    """The weights of a layer in torch, whose names end with `end`."""
    order = _GATES.get(type(layer))
    if order is None:
        raise _without(function, layer)
    if isinstance(layer, GRU) and not layer.reset_after:
        raise refusal(function, layer, "torch's GRU is that with reset_after=True")
    made = [
        _gates(layer.kernel, f"weight_ih{end}", order),
        _gates(layer.recurrent_kernel, f"weight_hh{end}", order),
    ]
    if layer.bias is not None:
        made.append(_biases(layer.bias, (f"bias_ih{end}", f"bias_hh{end}"), order))
    return made


def _gates(kernel: Node, name: str, order: Sequence[int]) -> Layout:
    """Columns of gates here, rows of them in torch's order there."""
    back = np.argsort(order)
    return Layout(
        (kernel,),
        (name,),
        lambda values: [_in_order(values[0].T, back)],
        lambda arrays: [_in_order(arrays[0], order).T],
    )


def _biases(bias: Node, names: tuple[str, str], order: Sequence[int]) -> Layout:
    """Rows for x and for h, or their sum, here; two vectors there."""
    back = np.argsort(order)

    def write(values: Arrays) -> Arrays:
        (value,) = values
        both = value if bias.rank == 2 else (value, np.zeros_like(value))
        return [_in_order(each, back) for each in both]

    def read(arrays: Arrays) -> Arrays:
        of_x, of_h = (_in_order(each, order) for each in arrays)
        return [np.stack([of_x, of_h]) if bias.rank == 2 else of_x + of_h]

    return Layout((bias,), names, write, read)


def _in_order(rows: Array, order: Sequence[int] | Array) -> Array:
    """The rows of each gate of `order`, one gate after the other."""
    gates = np.reshape(rows, (len(order), -1, *rows.shape[1:]))
    return np.concatenate([gates[number] for number in order])


# --- attention -----------------------------------------------------------------------------------


def _attention(function: str, layer: MultiHeadAttention) -> list[Layout]:
    parts = (layer.query, layer.key, layer.value)
    features = layer.num_heads * layer.key_dim
    output = layer.output
    assert output is not None  # made by the call
    if any(part.units != features for part in parts) or output.units != features:
        problem = "in torch queries, keys, values and results have as many features"
        raise refusal(function, layer, problem)
    names = tuple(f"{name}_proj_weight" for name in "qkv")
    if all(part.kernel.shape[0] == features for part in parts):
        made = [_stacked([part.kernel for part in parts], "in_proj_weight")]
    else:
        made = [
            transposed(part.kernel, name, (1, 0)) for part, name in zip(parts, names, strict=True)
        ]
    if layer.use_bias:
        made.append(_stacked([part.bias for part in parts], "in_proj_bias"))
    return [*made, *(each.inside("out_proj") for each in _layouts(function, output))]


def _stacked(states: Sequence[Node | None], name: str) -> Layout:
    """Several states here, one below the other, transposed, there."""
    found = tuple(state for state in states if state is not None)
    return Layout(
        found,
        (name,),
        lambda values: [np.concatenate([value.T for value in values])],
        lambda arrays: [rows.T for rows in np.split(arrays[0], len(found))],
    )


def _transformer(
    function: str, layer: TransformerEncoderBlock | TransformerDecoderBlock
) -> list[Layout]:
    assert layer.attention is not None and layer.feed_forward is not None  # made by the call
    parts: list[tuple[str, Layer]] = [("self_attn", layer.attention)]
    norms: list[Layer] = [layer.attention_norm]
    if isinstance(layer, TransformerDecoderBlock):
        if layer.cross_attention is None:
            problem = "torch's decoder attends to what an encoder made; call it with `encoded`"
            raise refusal(function, layer, problem)
        parts.append(("multihead_attn", layer.cross_attention))
        norms.append(layer.cross_attention_norm)
    first, second = layer.feed_forward
    norms.append(layer.feed_forward_norm)
    parts += [("linear1", first), ("linear2", second)]
    parts += [(f"norm{number}", norm) for number, norm in enumerate(norms, 1)]
    return [layout.inside(name) for name, part in parts for layout in _layouts(function, part)]
