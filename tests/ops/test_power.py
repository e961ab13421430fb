"""Powers at the edges: the same however many elements an exponent serves."""

import math

import numpy as np
import pytest

import graphc as gc
from graphc.ir.types import as_dtype

# pow of IEEE 754, by exponent, of the bases in order.
BASES = [0.0, -0.0, math.inf, -math.inf, math.nan, -1.0, 4.0]
POWERS = {
    0.5: [0.0, 0.0, math.inf, math.inf, math.nan, math.nan, 2.0],
    -0.5: [math.inf, math.inf, 0.0, 0.0, math.nan, math.nan, 0.5],
    1.5: [0.0, 0.0, math.inf, math.inf, math.nan, math.nan, 8.0],
    -1.0: [math.inf, -math.inf, 0.0, -0.0, math.nan, -1.0, 0.25],
    0.0: [1.0] * 7,
}
FORMS = [(), (1, 1), (1, 7), (7, 1), (7, 7)]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("how", [{"mode": "reference"}, {"fuse": False}, {}], ids=str)
def test_an_exponent_of_any_form(how, form, dtype):
    graph = gc.Graph(seed=0)
    x, y = graph.input("x", (7, 7), dtype), graph.input("y", form, dtype)
    power = gc.function([x, y], x**y, **how)
    bases = np.tile(np.array(BASES, as_dtype(dtype).numpy)[:, None], (1, 7))
    for exponent, powers in POWERS.items():
        result = power(bases, np.full(form, exponent, as_dtype(dtype).numpy))
        expected = np.tile(np.array(powers)[:, None], (1, 7))
        np.testing.assert_allclose(result, expected, rtol=1e-6)
        assert (np.signbit(result) == np.signbit(expected))[expected == 0].all()
