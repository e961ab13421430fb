"""What a model does with its variables is one step for other threads, and keeps none for ever."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.declare.graphs.variables import Variables
from graphc.profiling.measuring import profile as profiling
from tests.train.straight_line import X, Y, line_model

SECONDS = 60.0
A_MOMENT = 0.05
# More than a thread makes ahead.
BATCHES = 6


class Beside:
    """Work of another thread, which may have to wait; what it raised."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.raised: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.raised.append(error)

    def ends_within(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def check_ended(self) -> None:
        assert self.ends_within(SECONDS)
        assert not self.raised


def _model(**how: Any) -> gc.Model:
    model = line_model("compiled")
    model.compile(gc.optim.Adam(0.01), **how)
    return model


def test_a_profile_keeps_others_from_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model()
    before = model.values()
    others = []

    def measured(*arguments: object) -> None:
        others.append(Beside(model.values))
        assert not others[0].ends_within(A_MOMENT)
        model.variables.update({name: 0 * value for name, value in before.items()})

    monkeypatch.setattr(profiling, "measure", measured)
    model.profile(4)
    others[0].check_ended()
    for name, value in model.values().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("use", ["predict", "apply"])
def test_averages_are_begun_and_taken_in_one_step(
    use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _model(ema=0.9)
    others = []
    write = Variables._write_all

    def written(variables: Variables, values: Any) -> None:
        others.append(Beside(lambda: variables.read(())))
        assert not others[-1].ends_within(A_MOMENT)
        write(variables, values)

    monkeypatch.setattr(Variables, "_write_all", written)
    if use == "predict":
        model.predict(X, use_ema=True)
    else:
        model.apply_ema()
    assert len(others) == (1 if use == "predict" else 2)
    for other in others:
        other.check_ended()


CHANGES: dict[str, Callable[[gc.Model], object]] = {
    "compile": lambda model: model.compile(gc.optim.SGD(0.1, momentum=0.9)),
    "freeze": lambda model: model.freeze("*.bias"),
    "averages": lambda model: model.compile(model.optimizer, ema=None),
}
SAVES: dict[str, Callable[[gc.Model, Path], object]] = {
    "model": lambda model, path: model.save(path),
    "values": lambda model, path: model.values(),
    "variables": lambda model, path: model.variables.save(path),
    "copy": lambda model, path: model.variables.copy(),
    "items": lambda model, path: dict(model.variables.items()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_states_come_and_go_between_saves(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _model(ema=0.9)
    others = []
    forget = gc.Graph.forget

    def forgotten(graph: gc.Graph, names: Any) -> None:
        forget(graph, names)
        for name, save in SAVES.items():
            others.append(Beside(partial(save, model, tmp_path / name)))
            others[-1].ends_within(A_MOMENT)

    monkeypatch.setattr(gc.Graph, "forget", forgotten)
    CHANGES[change](model)
    assert others
    for other in others:
        other.check_ended()


def test_states_may_be_declared_while_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = gc.Graph()
    graph.parameter("first", (2,))
    for name in graph.variables:
        graph.parameter(f"{name}_again", (2,))
    others = []
    state = gc.Graph.state

    def declared(graph: gc.Graph, *arguments: Any, **named: Any) -> Any:
        made = state(graph, *arguments, **named)
        others.append(Beside(graph.variables.items))
        others[-1].ends_within(A_MOMENT)
        return made

    monkeypatch.setattr(gc.Graph, "state", declared)
    graph.parameter("second", (2,))
    graph.variable("third", 0.0)
    for other in others:
        other.check_ended()


def test_batches_may_be_made_by_a_thread_that_needs_the_variables() -> None:
    model = _model()
    (x,) = model.inputs
    calls = model.graph.variable("calls", 0.0)
    read = gc.function([x], x + 0.0 * calls, {calls: calls + 1})

    def batches() -> Iterator[tuple[Any, Any]]:
        made: queue.Queue[Any] = queue.Queue(1)

        def make() -> None:
            for _ in range(BATCHES):
                made.put((read(X), Y))
            made.put(None)

        Beside(make)
        yield from iter(lambda: made.get(timeout=SECONDS), None)

    results = []
    Beside(lambda: results.append(model.evaluate(batches()))).check_ended()
    assert results[0]["loss"] == pytest.approx(model.evaluate(X, Y)["loss"], rel=1e-6)
    assert model.variables["calls"] == BATCHES
