"""Rows of a table by index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphc.declare.init import Array, Extents, Initializer, Uniform, as_initializer
from graphc.declare.nn.layer import Layer
from graphc.errors import DTypeError, ShapeError
from graphc.ir.arguments.given import as_integer
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import indexed
from graphc.ir.types import DType, as_dtype

# That of keras.layers.Embedding.
uniform = Uniform(-0.05, 0.05)


class Embedding(Layer):
    """The row of a table for each index: integers [...] -> [..., features], of `dtype`.

    Declares the parameter `table` [vocabulary, features]. `padding_index` stands for no symbol:
    its row begins as zeros, what is looked up there is zero, and gives no gradient. An index out of
    range is an IndexError of the run. The table may be read elsewhere too, as scores of the words
    that follow:

        embed = gc.nn.Embedding(10_000, 64, padding_index=0)
        scores = gc.nn.dense(embed(words), 64) @ gc.transpose(embed.table)
    """

    table: Node

    def __init__(
        self,
        vocabulary: int,
        features: int,
        padding_index: int | None = None,
        table_init: object = uniform,
        dtype: object = "f32",
        name: str | None = None,
    ) -> None:
        """Raises ShapeError for fewer than 1 row or feature and for a padding index that is no row,
        TypeError for what is no initialiser, DTypeError for a dtype that is none of floats. Calls
        raise DTypeError unless x is of integers."""
        super().__init__(name)
        self.vocabulary = self._count(vocabulary, "row")
        self.features = self._count(features, "feature")
        self.padding_index = self._row(padding_index)
        self.dtype = self._float(dtype)
        self.table_init = table_init
        if self.padding_index is not None:
            try:
                self.table_init = ZeroRow(as_initializer(table_init), self.padding_index)
            except (TypeError, ValueError) as error:
                problem = f"{self.kind}: table_init: {error}"
                raise TypeError(located(problem, callers_location())) from None

    def call(self, x: Node) -> Node:
        if not x.dtype.is_integer:
            raise DTypeError(self._message(x, "integers expected"))
        shape = (self.vocabulary, self.features)
        rows = indexed.take(self.parameter("table", shape, self.table_init, self.dtype), x, axis=0)
        if self.padding_index is None:
            return rows
        is_padding = build.expand_dims(ops.equal(x, self.padding_index), x.rank)
        return ops.where(is_padding, 0, rows)

    def _float(self, dtype: object) -> DType:
        """The dtype of the table. Raises DTypeError for what is none of floats."""
        wanted = as_dtype(dtype)
        if not wanted.is_float:
            problem = f"{self.kind}: dtype: f32 or f64 expected, not {wanted}"
            raise DTypeError(located(problem, callers_location()))
        return wanted

    def _row(self, index: int | None) -> int | None:
        if index is None:
            return None
        problem = f"{self.kind}: padding_index: "
        try:
            row = as_integer(index)
        except TypeError as error:
            raise ShapeError(located(f"{problem}{error}", callers_location())) from None
        if not 0 <= row < self.vocabulary:
            problem += f"a row from 0 to {self.vocabulary - 1} expected, not {row}"
            raise ShapeError(located(problem, callers_location()))
        return row


@dataclass(frozen=True)
class ZeroRow:
    """What another initialiser makes, with zeros in one row."""

    init: Initializer
    row: int

    def __call__(self, rng: np.random.Generator, shape: Extents, dtype: DType) -> Array:
        values = np.array(self.init(rng, shape, dtype))
        values[self.row] = 0
        return values


def embedding(
    x: Node,
    vocabulary: int,
    features: int,
    padding_index: int | None = None,
    table_init: object = uniform,
    dtype: object = "f32",
    name: str | None = None,
) -> Node:
    """The row of a table for each index: `Embedding(vocabulary, features, ...)(x)`.

    Declares the parameter `<name>.table`.
    """
    return Embedding(vocabulary, features, padding_index, table_init, dtype, name)(x)
