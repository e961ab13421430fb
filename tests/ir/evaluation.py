"""Values of nodes in numpy, and slopes by differences."""

from typing import Any

import numpy as np

from graphc.ir.dims import Dim
from graphc.ir.graph import Node
from graphc.ir.reference import evaluate

EPS = float(np.finfo(np.float64).eps)
STEP = EPS ** (1 / 3)  # where truncation and rounding of a central difference are both least
DIFFERENCE_TOLERANCE = 100 * EPS ** (2 / 3)


def value_of(node: Node, **given: Any) -> np.ndarray:
    """The node's value in numpy; a named dimension has the extent that the inputs show."""
    graph = node.graph
    values = {graph.inputs[name]: np.asarray(array) for name, array in given.items()}
    bindings = {
        extent.name: length
        for tensor, array in values.items()
        for extent, length in zip(tensor.shape, array.shape, strict=True)
        if isinstance(extent, Dim)
    }
    return evaluate((node,), values, bindings)[node]


def value_at(node: Node, values: dict[Node, np.ndarray], **bindings: int) -> np.ndarray:
    """The node's value on `values`, with extents for its named dimensions."""
    return evaluate((node,), values, bindings)[node]


def differences(y: Node, x: Node, values: dict[Node, np.ndarray]) -> np.ndarray:
    """dy/dx of shape y.shape + x.shape by central differences."""
    columns = []
    for place in np.ndindex(*values[x].shape):
        step = np.zeros(values[x].shape)
        step[place] = STEP
        ahead = value_at(y, {**values, x: values[x] + step})
        behind = value_at(y, {**values, x: values[x] - step})
        columns.append((ahead - behind) / (2 * STEP))
    shape = (*values[x].shape, *value_at(y, values).shape)
    stacked = np.reshape(columns, shape)
    return np.moveaxis(stacked, range(values[x].ndim), range(-values[x].ndim, 0))


def assert_slope(actual: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(
        actual, expected, rtol=DIFFERENCE_TOLERANCE, atol=DIFFERENCE_TOLERANCE
    )
