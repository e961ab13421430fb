"""Layers one after the other, and around themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from graphc.declare.nn.layer import Layer
from graphc.errors import ShapeError
from graphc.ir.arguments.given import is_tensor, shown
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.types import is_several

AnyLayer = Callable[[Node], Node]
Layers = Iterable[AnyLayer] | AnyLayer


class _Chain(Layer):
    """Layers that are called one after the other."""

    def __init__(self, layers: Layers, name: str | None = None) -> None:
        super().__init__(name)
        self.layers: list[AnyLayer] = []
        for layer in layers if is_several(layers) else [layers]:  # type: ignore[union-attr]
            if not callable(layer):
                problem = "a layer, which is called with a tensor, expected, not"
                problem = f"{self.kind}: {problem} {shown(layer)}"
                raise TypeError(located(problem, callers_location()))
            self.layers.append(layer)

    def _through(self, x: Node) -> Node:
        value = x
        for layer in self.layers:
            value = layer(value)
            if not is_tensor(value):
                problem = f"{shown(layer)} gave {shown(value)}, which is no tensor"
                raise TypeError(self._message(x, problem))
        return value


class Sequential(_Chain):
    """Each layer applied to the result of the one before.

    A layer is whatever is called with one tensor: a `Layer`, a function, an activation. With a name
    its layers are named inside of it ("encoder.dense.kernel"), without one as if they were called
    one by one.

        encoder = gc.nn.Sequential([gc.nn.Dense(64, "relu"), gc.nn.Dense(8)], name="encoder")
    """

    def _has_name(self) -> bool:
        return self._given_name is not None

    def call(self, x: Node) -> Node:
        return self._through(x)


class Residual(_Chain):
    """x plus what layers, applied one after the other, make of it.

    Its layers are named inside of it: "residual.dense.kernel". Source: He et al., Deep residual
    learning for image recognition, 2016.

        block = gc.nn.Residual([gc.nn.LayerNorm(), gc.nn.Dense(64, "relu"), gc.nn.Dense(32)])

    Calls raise ShapeError unless the layers give what has x's shape.
    """

    def call(self, x: Node) -> Node:
        value = self._through(x)
        if value.shape != x.shape:
            problem = f"a result of its shape expected from its layers, not {value.type}"
            raise ShapeError(self._message(x, problem))
        return x + value


def sequential(x: Node, layers: Layers, name: str | None = None) -> Node:
    """Each layer applied to the result of the one before: `Sequential(layers, name)(x)`."""
    return Sequential(layers, name)(x)


def residual(x: Node, layers: Layers, name: str | None = None) -> Node:
    """x plus what the layers make of it: `Residual(layers, name)(x)`."""
    return Residual(layers, name)(x)
