"""Products with a kernel, and a bias: dense, masked and maxout layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.declare.init import glorot_uniform, zeros
from graphc.declare.nn.activations import ActivationLike, as_activation
from graphc.declare.nn.layer import Layer
from graphc.errors import ShapeError
from graphc.ir.arguments.given import as_array, check_flag
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.types import shape_text


class _Affine(Layer):
    """x @ kernel + bias for a layer that says what it makes of it."""

    kernel: Node
    bias: Node | None

    def __init__(
        self, use_bias: bool, kernel_init: object, bias_init: object, name: str | None
    ) -> None:
        super().__init__(name)
        check_flag(f"{self.kind}: use_bias", use_bias)
        self.use_bias = use_bias
        self.kernel_init = kernel_init
        self.bias_init = bias_init
        if not use_bias:
            self.bias = None

    def _product(self, x: Node, units: int, mask: np.ndarray[Any, Any] | None = None) -> Node:
        kernel = self.parameter("kernel", (self._fixed_extent(x), units), self.kernel_init)
        product = build.matmul(x, kernel if mask is None else kernel * mask)
        if not self.use_bias:
            return product
        return product + self.parameter("bias", (units,), self.bias_init)


class Dense(_Affine):
    """activation(x @ kernel + bias): [..., features] -> [..., units], in x's dtype.

    Declares the parameters `kernel` [features, units] and `bias` [units] (None without
    `use_bias`). `activation` is a function of a tensor or a name, such as "relu". The kernel may
    be read elsewhere too, as the transposed one of a decoder:

        encode = gc.nn.Dense(16, "tanh")
        decoded = encode(x) @ gc.transpose(encode.kernel)
    """

    def __init__(
        self,
        units: int,
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_init: object = glorot_uniform,
        bias_init: object = zeros,
        name: str | None = None,
    ) -> None:
        """Raises ShapeError for fewer than 1 unit, ValueError and TypeError for an activation that
        is not known. Calls raise ShapeError when the number of features is open, or another one
        than before."""
        super().__init__(use_bias, kernel_init, bias_init, name)
        self.units = self._count(units, "unit")
        self.activation = as_activation(self.kind, activation)

    def call(self, x: Node) -> Node:
        value = self._product(x, self.units)
        return value if self.activation is None else self.activation(value)


class MaskedDense(_Affine):
    """activation(x @ (mask * kernel) + bias): [..., features] -> [..., units], in x's dtype.

    `mask` [features, units] is an array of 0 and 1, or of bools, and stays as it is: what it masks
    never counts and never changes. So masked autoregressive networks are made, and layers whose
    units see parts of the input. Source: Germain et al., MADE, 2015. Parameters as `Dense`.

        causal = gc.nn.MaskedDense(np.triu(np.ones((8, 8))))
    """

    def __init__(
        self,
        mask: Any,
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_init: object = glorot_uniform,
        bias_init: object = zeros,
        name: str | None = None,
    ) -> None:
        """Raises ShapeError for a mask that is no matrix, ValueError for one of other numbers.
        Calls raise ShapeError for another number of features than the mask has."""
        super().__init__(use_bias, kernel_init, bias_init, name)
        try:
            self.mask = np.array(as_array(mask))
        except (TypeError, ValueError) as error:
            problem = f"{self.kind}: mask: {error}"
            raise TypeError(located(problem, callers_location())) from None
        if self.mask.ndim != 2:
            problem = f"mask: [features, units] expected, not {shape_text(self.mask.shape)}"
            raise ShapeError(located(f"{self.kind}: {problem}", callers_location()))
        if not np.isin(self.mask, (0, 1)).all():
            problem = f"{self.kind}: mask: 0 and 1 alone expected"
            raise ValueError(located(problem, callers_location()))
        self.activation = as_activation(self.kind, activation)

    def call(self, x: Node) -> Node:
        features, units = self.mask.shape
        if self._fixed_extent(x) != features:
            problem = f"{features} features expected, since its mask is"
            raise ShapeError(self._message(x, f"{problem} {shape_text(self.mask.shape)}"))
        value = self._product(x, units, self.mask.astype(x.dtype.numpy))
        return value if self.activation is None else self.activation(value)


class Maxout(_Affine):
    """The greatest of `pieces` affine functions for each unit: [..., features] -> [..., units].

    Declares the parameters of a dense layer of units * pieces. Source: Goodfellow et al., Maxout
    Networks, 2013.
    """

    def __init__(
        self,
        units: int,
        pieces: int = 2,
        use_bias: bool = True,
        kernel_init: object = glorot_uniform,
        bias_init: object = zeros,
        name: str | None = None,
    ) -> None:
        """Raises ShapeError for fewer than 1 unit or piece. Calls raise as those of `Dense`."""
        super().__init__(use_bias, kernel_init, bias_init, name)
        self.units, self.pieces = self._count(units, "unit"), self._count(pieces, "piece")

    def call(self, x: Node) -> Node:
        return build.maxout(self._product(x, self.units * self.pieces), self.pieces)


def dense(
    x: Node,
    units: int,
    activation: ActivationLike = None,
    use_bias: bool = True,
    kernel_init: object = glorot_uniform,
    bias_init: object = zeros,
    name: str | None = None,
) -> Node:
    """activation(x @ kernel + bias): [..., features] -> [..., units], in x's dtype.

    Declares the parameters `<name>.kernel` [features, units] and `<name>.bias` [units]; the name
    is "dense", "dense_1", ... unless given. `activation` is a function of a tensor or a name:
    `gc.nn.dense(x, 64, "relu")`. `Dense` is the layer for several calls. Raises ShapeError when the
    number of features is open or `units` is less than 1, GraphError when the name is taken,
    ValueError for the name of no activation.
    """
    return Dense(units, activation, use_bias, kernel_init, bias_init, name)(x)


def masked_dense(
    x: Node,
    mask: Any,
    activation: ActivationLike = None,
    use_bias: bool = True,
    kernel_init: object = glorot_uniform,
    bias_init: object = zeros,
    name: str | None = None,
) -> Node:
    """A dense layer whose kernel is multiplied by a fixed mask: `MaskedDense(mask, ...)(x)`."""
    return MaskedDense(mask, activation, use_bias, kernel_init, bias_init, name)(x)


def maxout(
    x: Node,
    units: int,
    pieces: int = 2,
    use_bias: bool = True,
    kernel_init: object = glorot_uniform,
    bias_init: object = zeros,
    name: str | None = None,
) -> Node:
    """The greatest of `pieces` affine functions for each unit: [..., features] -> [..., units].

    `Maxout(units, pieces, ...)(x)`. Raises as `dense` does, and ShapeError for fewer than 1 piece.
    """
    return Maxout(units, pieces, use_bias, kernel_init, bias_init, name)(x)
