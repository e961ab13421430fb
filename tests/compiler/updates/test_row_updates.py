"""A table of which a step reads a few rows: SGD changes these in place, other optimizers all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.plan.planning import bytes_moved, operations
from graphc.ir.nodes.op import Array
from graphc.testing.tolerance import assert_close

ROWS, WIDTH, BATCH, LENGTH = 300, 17, 16, 9
STEPS = 4

IN_PLACE = {
    "constant": {"rate": 0.1},
    "variable": {"rate": None},
    "schedule": {"rate": "schedule"},
}
DENSE = {
    "momentum": gc.optim.SGD(0.1, momentum=0.9),
    "weight_decay": gc.optim.SGD(0.1, weight_decay=0.01),
    "clip_norm": gc.optim.SGD(0.1, clip_norm=0.5),
    "clip_value": gc.optim.SGD(0.1, clip_value=0.01),
    "adam": gc.optim.Adam(0.1),
}


def _step(optimizer: gc.optim.Optimizer, dtype: str, rate: Any = None, **options: Any) -> Any:
    """A step of a mean of rows and a layer; rows are read by an input and by computed indices."""
    graph = gc.Graph(seed=3)
    words = graph.input("words", (BATCH, LENGTH), "i32")
    labels = graph.input("labels", (BATCH,), "i32")
    table = graph.parameter("table", (ROWS, WIDTH), gc.init.normal(), dtype=dtype)
    kernel = graph.parameter("kernel", (WIDTH, 5), gc.init.normal(), dtype=dtype)
    scores = gc.mean(gc.take(table, words), 1) @ kernel
    loss = gc.losses.softmax_cross_entropy(scores, labels)
    if rate == "schedule":
        steps = graph.variable("steps", 0)
        updates = optimizer.updates(loss, rate=0.1 / (1 + gc.cast(steps, dtype)))
        updates[steps] = steps + 1
    else:
        given = None if rate is None else graph.constant(rate, dtype)
        updates = optimizer.updates(loss, rate=given)
    return gc.function([words, labels], loss, updates, **options), graph


def _batch(step: int) -> tuple[Array, Array]:
    """Some words many times, as in texts."""
    rng = np.random.default_rng(step)
    words = np.minimum(rng.geometric(0.05, (BATCH, LENGTH)) - 1, ROWS - 1)
    return words.astype(np.int32), rng.integers(0, 5, BATCH).astype(np.int32)


def _trained(*arguments: Any, **options: Any) -> tuple[Any, dict[str, Array]]:
    step, graph = _step(*arguments, **options)
    for number in range(STEPS):
        step(*_batch(number))
    return step, {name: value.copy() for name, value in graph.variables.items()}


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", IN_PLACE)
def test_rows_are_updated_in_place(name: str, dtype: str) -> None:
    optimizer = gc.optim.SGD(0.1)
    given = (optimizer, dtype, IN_PLACE[name]["rate"])
    step, results = _trained(*given, threads=2)
    plan = step.loaded().plan
    (row,) = [row for row in plan.instructions if "index_add" in row.name]
    assert [storage.size for storage in row.source.writes] == [ROWS * WIDTH]
    assert row.group is not None
    added, itemsize = BATCH * LENGTH * WIDTH, results["table"].itemsize
    assert operations(row.group) == added
    rows_of_means = BATCH * WIDTH * itemsize
    assert bytes_moved(row.group) == 2 * added * itemsize + rows_of_means + BATCH * LENGTH * 4
    assert not any(storage.size >= ROWS * WIDTH for storage in plan.arena.offsets)
    _, alone = _trained(*given, threads=1)
    for key, value in results.items():
        np.testing.assert_array_equal(value, alone[key])
    _, unfused = _trained(*given, fuse=False)
    _, reference = _trained(*given, mode="reference")
    for key, value in reference.items():
        for found in (results, unfused):
            assert_close(found[key], value, value.dtype, reduction_length=BATCH * LENGTH * STEPS)


@pytest.mark.parametrize("name", DENSE)
def test_all_rows_are_updated(name: str) -> None:
    step, results = _trained(DENSE[name], "f64")
    assert not any("index_add" in row.name for row in step.loaded().plan.instructions)
    _, reference = _trained(DENSE[name], "f64", mode="reference")
    for key, value in reference.items():
        if value.dtype.kind == "f":
            assert_close(results[key], value, value.dtype, reduction_length=ROWS * WIDTH * STEPS)
