"""Weights of PyTorch's recurrent layers in the layout of graphc's, which is Keras's."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.declare.nn.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from graphc.errors import ShapeError
from graphc.ir.given import as_array, shown
from graphc.ir.location import callers_location, located
from graphc.ir.op import Array
from graphc.ir.types import shape_text

# For each gate of ours the number of torch's: both have i, f, g, o, and torch r, z, n for z, r, n.
_ORDERS: dict[type[Recurrent], tuple[int, ...]] = {
    SimpleRNN: (0,),
    LSTM: (0, 1, 2, 3),
    GRU: (1, 0, 2),
}


def weights_from_torch(
    layer: Recurrent,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
) -> dict[str, Array]:
    """The values of a recurrent layer's parameters, by name, of those of PyTorch's layer.

    weight_ih [gates * units, features], weight_hh [gates * units, units] and the biases
    [gates * units] are arrays of `torch.nn.RNN`, `LSTM` or `GRU`: `weight_ih_l0` and so on. The
    layer has been called, so it has names; a GRU is one with `reset_after`. Weights of Keras need
    no change.

        weights = [value.numpy() for value in torch_lstm.state_dict().values()]
        values = gc.nn.weights_from_torch(layer, *weights)

    Raises TypeError for another layer, ShapeError where the shapes differ from the layer's.
    """
    if not isinstance(layer, SimpleRNN | LSTM | GRU):
        problem = f"a recurrent layer expected, not {shown(layer)}"
        raise TypeError(located(f"weights_from_torch: {problem}", callers_location()))
    values = {
        layer.kernel: _ours(layer, weight_ih).T,
        layer.recurrent_kernel: _ours(layer, weight_hh).T,
    }
    if layer.bias is not None:
        columns = layer.gates * layer.units
        zeros = np.zeros(columns, layer.bias.dtype.numpy)
        biases = [zeros if bias is None else _ours(layer, bias) for bias in (bias_ih, bias_hh)]
        keeps_both = isinstance(layer, GRU) and layer.reset_after
        values[layer.bias] = np.stack(biases) if keeps_both else biases[0] + biases[1]
    for node, value in values.items():
        if node.shape != value.shape:
            problem = f"{node.name}: {shape_text(node.shape)} expected, not {value.shape}"
            raise ShapeError(located(f"weights_from_torch: {problem}", callers_location()))
    return {node.name: np.ascontiguousarray(value) for node, value in values.items()}


def _ours(layer: Recurrent, rows: Any) -> Array:
    """The rows of torch's gates in the order of ours."""
    array = as_array(rows)
    gates = np.reshape(array, (layer.gates, -1, *array.shape[1:]))
    return np.concatenate([gates[number] for number in _ORDERS[type(layer)]])
