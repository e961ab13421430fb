"""Named dimensions in what is made of tensors."""

from typing import Any

import numpy as np
import pytest

from graphc.ir.dims import Dim
from graphc.ir.errors import ShapeError
from graphc.ir.functions import build
from graphc.ir.graph import Graph
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import as_shape
from tests.ir.evaluation import value_of


def test_named_dimensions_pass_through() -> None:
    graph = Graph()
    x, w = graph.input("x", ("batch", 4)), graph.state("w", (4, 3))
    y = ops.tanh(x @ w + graph.state("b", (3,)))
    assert y.shape == (Dim("batch"), 3)
    assert build.softmax(y).shape == y.shape
    assert build.sum(y, 1).shape == (Dim("batch"),)
    assert build.sum(y, 0).shape == (3,)
    assert build.transpose(y).shape == (3, Dim("batch"))
    assert not y.type.is_static
    with pytest.raises(ShapeError, match=r"dimension batch of \[batch,3\] has no extent yet"):
        _ = y.type.size


@pytest.mark.parametrize(
    ("shape", "wanted", "result"),
    [
        (("batch", 2, 4), (-1, 8), ("batch", 8)), (("batch", 2, 4), ("batch", -1), ("batch", 8)),
        (("batch", 4), (-1, 2, 2), ("batch", 2, 2)), (("batch",), (-1, 1), ("batch", 1)),
        (("batch", "time", 4), ("batch", -1, 4), ("batch", "time", 4)), ((0, 3), (-1, 3), (0, 3)),
        ((2, 6), (3, -1), (3, 4)), ((), (-1,), (1,)), (("batch", 3), (3, -1), (3, "batch")),
    ],
)  # fmt: skip
def test_reshape_completes_an_extent(shape: Any, wanted: Any, result: Any) -> None:
    x = Graph().input("x", shape)
    assert build.reshape(x, wanted).shape == as_shape(result)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [(("batch", 4), (-1, 3)), (("batch", 4), (-1, 8)), (("batch", "time"), (-1, 2)),
     ((0, 3), (0, -1)),
     (("batch",), ("time", -1)), ((4,), ("batch", -1)), ((4,), (-1, 3)), ((4,), (-1, -1))],
)  # fmt: skip
def test_reshape_that_nothing_completes(shape: Any, wanted: Any) -> None:
    x = Graph().input("x", shape)
    with pytest.raises(ShapeError, match=r"^reshape\(f32\[.*\n  at test_named_dimensions.py:"):
        build.reshape(x, wanted)


def test_two_names_do_not_fit() -> None:
    graph = Graph()
    x, y = graph.input("x", ("batch",)), graph.input("y", ("time",))
    with pytest.raises(
        ShapeError, match=r"add\(f32\[batch\], f32\[time\]\): extents batch and time"
    ):
        x + y
    with pytest.raises(ShapeError, match="extents batch and 3"):
        x + graph.input("z", (3,))
    assert (x + graph.input("one", (1,))).shape == (Dim("batch"),)


def test_one_name_may_stand_for_any_extent() -> None:
    x = Graph().input("x", ("batch", 2), "f64")
    y = build.sum(ops.square(x) - build.mean(x, 0))
    for rows in (0, 1, 2, 7):
        a = np.arange(rows * 2.0).reshape(rows, 2)
        with np.errstate(all="ignore"):
            expected = np.sum(a**2 - a.sum(0) / rows) if rows else 0.0
        np.testing.assert_allclose(value_of(y, x=a), expected)
