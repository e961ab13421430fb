"""The losses of `benchmarks.peers.problem` in torch, with its own fused ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.peers.in_torch.attention import attention, gpt
from benchmarks.peers.in_torch.images import dscnn, lenet, lenet5, resnet8
from benchmarks.peers.in_torch.layers import Layer, Loss, layers
from benchmarks.peers.in_torch.recurrent import gru, lstm
from benchmarks.peers.problem import (
    BURGERS_VISCOSITY,
    CLIP,
    DISCOUNT,
    ENTROPY_WEIGHT,
    VARIANCE_EPSILON,
)


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


def mexp(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, t = arrays
    return functional.mse_loss(layers(x, parameters, layer, torch.tanh), t)


def vae(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, noise = arrays
    hidden = torch.relu(layer(x, *parameters[:2]))
    mean, log_variance = layer(hidden, *parameters[2:4]), layer(hidden, *parameters[4:6])
    code = mean + torch.exp(0.5 * log_variance) * noise
    logits = layers(code, parameters[6:], layer, torch.relu)
    pixels = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = -0.5 * torch.sum(1 + log_variance - mean.square() - log_variance.exp())
    return (pixels + divergence) / len(x)


def bn(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, t = arrays
    *hidden, kernel, bias = parameters
    for start in range(0, len(hidden), 4):
        hidden_kernel, hidden_bias, scale, shift = hidden[start : start + 4]
        x = layer(x, hidden_kernel, hidden_bias)
        x = functional.batch_norm(x, None, None, scale, shift, training=True, eps=VARIANCE_EPSILON)
        x = torch.relu(x)
    return functional.cross_entropy(layer(x, kernel, bias), t)


def dqn(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, following, actions, rewards, goes_on, *target = arrays
    chosen = layers(x, parameters, layer, torch.relu).gather(1, actions[:, None])[:, 0]
    with torch.no_grad():
        best = layers(following, target, layer_as_given, torch.relu).amax(1)
        wanted = rewards + DISCOUNT * goes_on * best
    return functional.smooth_l1_loss(chosen, wanted)


def layer_as_given(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Of arrays, which stand as they do everywhere."""
    return torch.addmm(bias, x, kernel)


def embed(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    words, t = arrays
    table, *rest = parameters
    mean = functional.embedding_bag(words, table, mode="mean")
    return functional.cross_entropy(layers(mean, rest, layer, torch.relu), t)


def pinn(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    points, starts, values = arrays

    def u(x: Tensor) -> Tensor:
        return layers(x, parameters, layer, torch.tanh)[:, 0]

    points = points.detach().requires_grad_()
    inside = u(points)
    (slopes,) = torch.autograd.grad(inside.sum(), points, create_graph=True)
    (second,) = torch.autograd.grad(slopes[:, 0].sum(), points, create_graph=True)
    residual = slopes[:, 1] + inside * slopes[:, 0] - BURGERS_VISCOSITY * second[:, 0]
    return residual.square().mean() + functional.mse_loss(u(starts), values)


# Losses whose first parameter is read by rows, so that none is stored transposed.
READ_BY_ROWS = frozenset({"embed", "gpt"})

LOSSES: Mapping[str, Loss] = {
    "elementwise": elementwise,
    "classifier": classifier,
    "policy": policy,
    "critic": critic,
    "mexp": mexp,
    "vae": vae,
    "bn": bn,
    "dqn": dqn,
    "embed": embed,
    "pinn": pinn,
    "lenet": lenet,
    "lenet5": lenet5,
    "resnet8": resnet8,
    "dscnn": dscnn,
    "lstm": lstm,
    "gru": gru,
    "attention": attention,
    "gpt": gpt,
}
