"""Two profiles: of a small net's training step, and of elementwise work that two threads share."""

import pytest

import graphc as gc
from graphc.profiling.measuring.profile import profile
from graphc.profiling.results import Profile

ROWS, COLUMNS = 4096, 128


@pytest.fixture(scope="session")
def net() -> Profile:
    """4 inputs, 5 tanh units, 3 outputs, mean squared error, SGD; 8 rows, one thread."""
    graph = gc.Graph(seed=0)
    x, t = graph.input("x", ("batch", 4)), graph.input("t", ("batch", 3))
    y = gc.nn.dense(gc.nn.dense(x, 5, activation=gc.tanh), 3)
    model = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    model.compile(gc.optim.SGD(0.1))
    return model.profile(8, threads=1, rounds=2, repeats=3)


@pytest.fixture(scope="session")
def shared() -> Profile:
    """sum(tanh(x) * c) on two threads; c, which becomes its square, is computed by one."""
    graph = gc.Graph()
    x = graph.input("x", (ROWS, COLUMNS))
    c = graph.variable("c", 1.5)
    step = gc.function([x], gc.sum(gc.tanh(x) * c), {c: gc.square(c)}, threads=2)
    return profile(step, rounds=3, repeats=2)
