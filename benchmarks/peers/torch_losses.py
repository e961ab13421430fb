"""The losses of `benchmarks.peers.problem` in torch, with its own fused ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.peers.problem import CLIP, ENTROPY_WEIGHT

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


def elementwise(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    a, b, c, d = parameters
    x, t = arrays
    return functional.mse_loss(
        torch.tanh(torch.addcmul(b, a, x)) * torch.sigmoid(torch.addcmul(d, c, x)), t
    )


def classifier(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, t = arrays
    return functional.cross_entropy(layers(x, parameters, layer, torch.sigmoid), t)


def policy(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, actions, old, advantages = arrays
    logs = functional.log_softmax(layers(x, parameters, layer, torch.tanh), 1)
    ratio = torch.exp(logs.gather(1, actions[:, None])[:, 0] - old)
    clipped = torch.clamp(ratio, 1 - CLIP, 1 + CLIP)
    gain = torch.minimum(ratio * advantages, clipped * advantages).mean()
    entropy = -(torch.exp(logs) * logs).sum(1).mean()
    return -gain - ENTROPY_WEIGHT * entropy


def critic(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, t = arrays
    return functional.mse_loss(layers(x, parameters, layer, torch.relu)[:, 0], t)


LOSSES: Mapping[str, Loss] = {
    "elementwise": elementwise,
    "classifier": classifier,
    "policy": policy,
    "critic": critic,
}
