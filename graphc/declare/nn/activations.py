"""Activations by their names in Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from graphc.declare.nn.layer import Layer
from graphc.ir.arguments.given import shown
from graphc.ir.functions import activations, build
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops.elementwise import activations as gates
from graphc.ir.ops.elementwise import elementwise as ops

Function = Callable[[Node], Node]
# A function of a tensor, the name of one, or None for the tensor itself.
ActivationLike = Function | str | None

# With the defaults of graphc's functions: a slope of 0.01 for leaky_relu, alpha = 1 for elu.
ACTIVATIONS: Mapping[str, Function] = {
    "elu": build.elu,
    "exponential": ops.exp,
    "gelu": activations.gelu,
    "glu": activations.glu,
    "hard_sigmoid": activations.hard_sigmoid,
    "hard_tanh": activations.hard_tanh,
    "leaky_relu": build.leaky_relu,
    "linear": lambda x: x,
    "log_sigmoid": activations.log_sigmoid,
    "log_softmax": build.log_softmax,
    "mish": gates.mish,
    "relu": ops.relu,
    "selu": activations.selu,
    "sigmoid": ops.sigmoid,
    "silu": gates.silu,
    "softmax": build.softmax,
    "softplus": ops.softplus,
    "softsign": gates.softsign,
    "swish": gates.silu,
    "tanh": ops.tanh,
}


def as_activation(layer: str, activation: ActivationLike) -> Function | None:
    """The function that `activation` names or is; None for None.

    Raises ValueError for a name that is not known, TypeError for what cannot be called; both name
    the layer.
    """
    if activation is None or callable(activation):
        return activation
    if not isinstance(activation, str):
        problem = f"a function of a tensor or its name expected, not {shown(activation)}"
        raise TypeError(located(f"{layer}: activation: {problem}", callers_location()))
    if activation not in ACTIVATIONS:
        problem = f"{activation!r} is not known; there are {', '.join(ACTIVATIONS)}"
        raise ValueError(located(f"{layer}: activation: {problem}", callers_location()))
    return ACTIVATIONS[activation]


class Activation(Layer):
    """activation(x), of x's shape and dtype.

    `activation` is a function of a tensor, None for x itself, or a name as Keras has it: "elu",
    "exponential", "gelu", "glu", "hard_sigmoid", "hard_tanh", "leaky_relu", "linear",
    "log_sigmoid", "log_softmax", "mish", "relu", "selu", "sigmoid", "silu" or "swish", "softmax",
    "softplus", "softsign", "tanh". Softmax is taken along the last axis, of which glu leaves half.

        layer = gc.nn.Activation("softplus")
    """

    def __init__(self, activation: ActivationLike, name: str | None = None) -> None:
        """Raises ValueError for a name that is not known, TypeError for what cannot be called."""
        super().__init__(name)
        self.activation = as_activation(self.kind, activation)

    def call(self, x: Node) -> Node:
        return x if self.activation is None else self.activation(x)


def activation(x: Node, activation: ActivationLike, name: str | None = None) -> Node:
    """`Activation(activation, name)(x)`: `gc.nn.activation(x, "relu")`."""
    return Activation(activation, name)(x)
