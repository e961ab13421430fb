"""What the losses in torch have in common: layers of a kernel and a bias."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

# x, kernel, bias -> the layer's result.
Layer = Callable[[Tensor, Tensor, Tensor], Tensor]
# The parameters, what makes a layer of them, and the problem's arrays.
Loss = Callable[[Sequence[Tensor], Layer, Sequence[Tensor]], Tensor]


def layers(
    x: Tensor,
    parameters: Sequence[Tensor],
    layer: Layer,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    *hidden, kernel, bias = parameters
    for hidden_kernel, hidden_bias in zip(hidden[::2], hidden[1::2], strict=True):
        x = activation(layer(x, hidden_kernel, hidden_bias))
    return layer(x, kernel, bias)
