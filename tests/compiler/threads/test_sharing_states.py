"""Functions, reads and writes of the same states in several threads, handlers and children."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.native import native
from graphc.errors import InterruptedCallError
from graphc.functions.function import Function

SECONDS = 60.0
MODES: Any = pytest.mark.parametrize("mode", ["compiled", "reference"])


def _counting(mode: Any = "compiled", states: int = 3) -> tuple[gc.Graph, gc.Function]:
    """A function that adds one to each of several states, which are always equal."""
    graph = gc.Graph()
    x = graph.input("x", ())
    found = [graph.variable(f"s{n}", 0.0) for n in range(states)]
    return graph, gc.function(x, found[0] + x, {s: s + x for s in found}, mode=mode)


class _Held:
    """Runs of one function that stop in the middle until they are told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, function: Function) -> None:
        self.is_inside, self.go_on = threading.Event(), threading.Event()
        name = "_run" if function.mode == "compiled" else "_evaluated"
        run = getattr(function, name)

        def held(*arguments: Any) -> Any:
            result = run(*arguments)
            self.is_inside.set()
            assert self.go_on.wait(SECONDS)
            return result

        monkeypatch.setattr(function, name, held)


@contextmanager
def _thread(work: Callable[[], object]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield thread
    thread.join(SECONDS)
    assert not thread.is_alive()


@MODES
@pytest.mark.parametrize("use", ["read", "item", "items", "copy", "save", "write", "update", "run"])
def test_states_are_used_between_runs(
    mode: Any, use: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    graph, step = _counting(mode)
    step(0.0)
    variables = graph.variables
    other = gc.function([], {name: node + 0 for name, node in graph.states.items()}, mode=mode)
    other()
    uses: dict[str, Callable[[], object]] = {
        "read": lambda: variables.read(["s0", "s1"]),
        "item": lambda: variables["s0"],
        "items": lambda: dict(variables.items()),
        "copy": variables.copy,
        "save": lambda: variables.save(tmp_path / "saved"),
        "write": lambda: variables.__setitem__("s0", 7.0),
        "update": lambda: variables.update({"s0": 7.0, "s1": 7.0}),
        "run": lambda: other(),
    }
    held, done = _Held(monkeypatch, step), threading.Event()
    with _thread(lambda: step(1.0)):
        assert held.is_inside.wait(SECONDS)
        with _thread(lambda: (uses[use](), done.set())):
            assert not done.wait(0.05)
            held.go_on.set()
        assert done.is_set()


@MODES
def test_calls_that_share_no_state_go_on_meanwhile(
    mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, step = _counting(mode)
    x = graph.input("y", ())
    others = [gc.function(x, x + 1, mode=mode), _counting(mode)[1]]
    copy = gc.function(x, graph.states["s0"] + x, variables=graph.variables.copy(), mode=mode)
    step(0.0)
    held = _Held(monkeypatch, step)
    with _thread(lambda: step(1.0)):
        assert held.is_inside.wait(SECONDS)
        for other in (*others, copy):
            other(1.0)
        held.go_on.set()


def test_threads_that_call_first_make_a_state_once() -> None:
    """Both compute the initial value at once; neither undoes what the other one has added."""
    graph = gc.Graph()
    both = threading.Barrier(2, timeout=SECONDS)

    def initial(generator: Any, shape: Any, dtype: Any) -> Any:
        both.wait()
        return np.zeros(shape, dtype.numpy)

    state = graph.variable("s", initial, ())
    steps = [gc.function([], state + 0, {state: state + 1}) for _ in range(2)]
    with _thread(steps[0]), _thread(steps[1]):
        pass
    assert graph.variables["s"] == 2


def test_threads_that_call_first_compile_once() -> None:
    _, step = _counting()
    start, found = threading.Barrier(4, timeout=SECONDS), []

    def call() -> None:
        start.wait()
        found.append(step.loaded())

    threads = [threading.Thread(target=call, daemon=True) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(SECONDS)
    assert len(found) == 4 and len(set(found)) == 1


def test_saves_while_a_model_is_trained_are_of_whole_steps(tmp_path: Any) -> None:
    """Each step adds the same to both parameters."""
    graph = gc.Graph()
    x = graph.input("x", ("batch", 64))
    a, b = graph.parameter("a", (64,), 0.0), graph.parameter("b", (64,), 0.0)
    model = gc.Model(x, x + a + b, loss=gc.mean(x * a) + gc.mean(x * b))
    model.compile(gc.optim.SGD(0.5))
    rows = np.ones((4096, 64), "f4")
    done, mixed = threading.Event(), []

    def save() -> None:
        while not done.is_set():
            model.save(tmp_path / "saved")
            found = model.values()
            if not np.array_equal(found["a"], found["b"]):
                mixed.append(found)
            outputs = model.predict(rows[:64], batch_size=8)
            if not (outputs == outputs[0]).all():
                mixed.append(outputs)

    with _thread(save):
        model.fit(rows, epochs=20, batch_size=16, verbose=0)
        done.set()
    assert not mixed


# --- interruptions ---------------------------------------------------------------------------


@MODES
def test_a_call_in_the_middle_of_itself_is_an_error(
    mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a signal's handler makes it, which runs when native code has returned."""
    graph, step = _counting(mode)
    step(1.0)
    raised: list[BaseException] = []

    def handler(number: int, frame: object) -> None:
        assert graph.variables["s0"] in (1.0, 2.0)
        try:
            step(1.0)
        except InterruptedCallError as error:
            raised.append(error)

    name = "_run" if mode == "compiled" else "_evaluated"
    run = getattr(step, name)

    def interrupted(*arguments: Any) -> Any:
        result = run(*arguments)
        signal.raise_signal(signal.SIGUSR1)
        return result

    monkeypatch.setattr(step, name, interrupted)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        assert step(1.0) == 2.0
    finally:
        signal.signal(signal.SIGUSR1, before)
    (error,) = raised
    assert str(error).startswith("function: called in the middle of a call of itself")
    assert all(value == 2.0 for _, value in graph.variables.items())


def test_a_call_while_it_is_compiled_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _, step = _counting()
    compiled = step._compiled
    raised: list[str] = []

    def interrupted(*arguments: Any) -> Any:
        with pytest.raises(InterruptedCallError) as error:
            step(1.0)
        raised.append(str(error.value))
        return compiled(*arguments)

    monkeypatch.setattr(step, "_compiled", interrupted)
    assert step(1.0) == 1.0
    assert len(raised) == 1


# --- children --------------------------------------------------------------------------------


def _exits_well(work: Callable[[], object]) -> bool:
    """Whether a forked child does the work and ends; one that hangs is killed."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    killer = threading.Timer(SECONDS, os.kill, (pid, signal.SIGKILL))
    killer.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        killer.cancel()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@MODES
def test_a_child_forked_in_the_middle_of_a_run_goes_on(
    mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, step = _counting(mode)
    step(0.0)
    held = _Held(monkeypatch, step)

    def work() -> None:
        held.go_on.set()
        step(1.0)
        graph.variables["s0"] = 1.0
        assert dict(graph.variables.items())["s0"] == 1.0

    with _thread(lambda: step(1.0)):
        assert held.is_inside.wait(SECONDS)
        assert _exits_well(work)
        held.go_on.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_forked_while_a_thread_compiles_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native(), "cache", None)
    holding, go_on = threading.Event(), threading.Event()
    _, step = _counting()
    compiled = native()._compiled

    def held(*arguments: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            holding.set()
            assert go_on.wait(SECONDS)
        return compiled(*arguments)

    monkeypatch.setattr(native(), "_compiled", held)
    with _thread(lambda: step(1.0)):
        assert holding.wait(SECONDS)
        assert _exits_well(lambda: (step(1.0), _counting(states=2)[1](1.0)))
        go_on.set()
