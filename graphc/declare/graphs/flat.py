"""Values of several states as one vector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.ir.graph import Node

Array = np.ndarray[Any, np.dtype[Any]]


def joined(values: Sequence[Array]) -> Array:
    """The elements of all values as one vector, in the widest of their dtypes."""
    return np.concatenate([value.ravel() for value in values]) if values else np.empty(0)


def parted(vector: Array, states: Sequence[Node]) -> Mapping[str, Array]:
    """The parts of a vector that are the values of states, by name. Raises ValueError for one of
    another length."""
    sizes = [math.prod(state.type.dims) for state in states]
    if vector.shape != (sum(sizes),):
        raise ValueError(f"a vector of {sum(sizes)} numbers expected, not of shape {vector.shape}")
    ends = np.cumsum(sizes)
    return {
        state.name: vector[end - size : end].reshape(state.type.dims)
        for state, size, end in zip(states, sizes, ends, strict=True)
    }
