"""`x[key]` for lists, arrays and tensors of indices, against numpy."""

from typing import Any

import numpy as np
import pytest

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.graph import Graph
from tests.ir.evaluation import value_of


@pytest.mark.parametrize(
    "key",
    [
        [1, 0], np.array([[2, 0], [1, 1]]), np.s_[:, [2, -1]], np.s_[..., np.array([0, 3])],
        np.s_[:, None, [1]], np.s_[::-1, ..., [-1, 0, 1]], [], np.s_[:, (0, 2)],
        np.array([0], np.uint8),
    ],
    ids=str,
)  # fmt: skip
def test_indexing_by_lists_and_arrays(key: Any) -> None:
    x = Graph().input("x", (3, 4, 4), "f64")
    a = np.arange(48.0).reshape(3, 4, 4)
    np.testing.assert_array_equal(value_of(x[key], x=a), a[key])


def test_indexing_by_a_tensor_along_any_axis() -> None:
    graph = Graph()
    x, i = graph.input("x", ("batch", 4), "f64"), graph.input("i", (3,), "i32")
    a, places = np.arange(8.0).reshape(2, 4), np.array([3, 0, 0], np.int32)
    np.testing.assert_array_equal(value_of(x[:, i], x=a, i=places), a[:, places])
    np.testing.assert_array_equal(value_of(x[:, i[0]], x=a, i=places), a[:, 3])


def test_what_is_out_of_range_and_masks_are_refused() -> None:
    graph = Graph()
    x, mask = graph.input("x", (4, 3)), graph.input("m", (4,), "bool")
    for key in ([4], [-5], np.array([0, 9])):
        with pytest.raises(IndexError, match=r"outside -4 to 3\n  at test_indexing"):
            x[key]
    for key in (mask, x > 0, np.True_, np.array(True)):
        with pytest.raises((DTypeError, ShapeError), match=r"a mask|no index"):
            x[key]
    with pytest.raises(ShapeError, match="bools of extent 3 for an extent of 4"):
        x[[True, False, True]]
    with pytest.raises(DTypeError, match="integer indices expected"):
        x[[0.5]]
    with pytest.raises(DTypeError, match="integers or floats expected"):
        x[["a"]]
