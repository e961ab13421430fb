"""Peers of the benchmarks: the protocol between the processes, and losses equal to graphc's."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import pytest

import benchmarks.peers.server as server_module
from benchmarks.measure import interleaved_timers
from benchmarks.peer_process import (
    PEERS,
    PEERS_PYTHON,
    PeerError,
    PeerMissingError,
    PeerProcess,
    started,
)
from benchmarks.peers.numpy_peer import LOSSES, numpy_step
from benchmarks.peers.problem import Array, Problem
from benchmarks.peers.server import Server, serve
from benchmarks.steps import TOLERANCE, check_agreement, chosen
from benchmarks.workloads.workloads import workload

STEPS = 20
RANDOM_SEED = 3


def small_elementwise() -> Problem:
    """A problem of workload E's form, in float32."""
    random = np.random.default_rng(RANDOM_SEED)
    arrays = tuple(random.standard_normal((24, 16)).astype(np.float32) for _ in range(2))
    parameters = tuple(random.standard_normal(16).astype(np.float32) for _ in range(4))
    return Problem("elementwise", arrays, parameters, "sgd", 0.1)


def small_layered() -> Problem:
    """A problem of workload S's form, in float32."""
    random = np.random.default_rng(RANDOM_SEED)
    arrays = (
        random.standard_normal((7, 6)).astype(np.float32),
        random.integers(0, 3, 7).astype(np.int32),
    )
    return Problem("classifier", arrays, _weights(random, 6, 5, 3), "sgd", 0.1)


def small_policy() -> Problem:
    """A problem of workload ppo's form; some ratios are beyond the clipping, on both sides."""
    random = np.random.default_rng(RANDOM_SEED)
    arrays = (
        random.standard_normal((9, 4)).astype(np.float32),
        random.integers(0, 2, 9).astype(np.int32),
        np.log(random.uniform(0.1, 0.9, 9)).astype(np.float32),
        random.standard_normal(9).astype(np.float32),
    )
    return Problem("policy", arrays, _weights(random, 4, 5, 2), "adam", 0.01)


def small_critic() -> Problem:
    """A problem of workload sac's form."""
    random = np.random.default_rng(RANDOM_SEED)
    arrays = tuple(random.standard_normal(shape).astype(np.float32) for shape in ((7, 6), 7))
    return Problem("critic", arrays, _weights(random, 6, 5, 1), "adam", 0.01)


def _weights(random: np.random.Generator, *units: int) -> tuple[Array, ...]:
    shapes = [shape for pair in pairwise(units) for shape in (pair, pair[1:])]
    return tuple(random.standard_normal(shape).astype(np.float32) for shape in shapes)


PROBLEMS = {
    "layered": small_layered,
    "elementwise": small_elementwise,
    "policy": small_policy,
    "critic": small_critic,
}


@pytest.fixture
def numpy_process() -> Iterator[PeerProcess]:
    with PeerProcess("numpy", sys.executable, threads=1) as peer:
        yield peer


@pytest.mark.parametrize("form", PROBLEMS)
def test_a_problem_survives_its_file(form: str, tmp_path: Path) -> None:
    problem = PROBLEMS[form]()
    problem.save(tmp_path / "problem.npz")
    loaded = Problem.load(tmp_path / "problem.npz")
    assert (loaded.loss, loaded.optimizer) == (problem.loss, problem.optimizer)
    assert loaded.learning_rate == problem.learning_rate
    before = [*problem.arrays, *problem.parameters]
    after = [*loaded.arrays, *loaded.parameters]
    assert [array.dtype for array in after] == [array.dtype for array in before]
    for stored, array in zip(after, before, strict=True):
        np.testing.assert_array_equal(stored, array)


@pytest.mark.parametrize("form", PROBLEMS)
def test_derivatives_by_hand_are_those_by_differences(form: str) -> None:
    problem = PROBLEMS[form]()
    derive = LOSSES[problem.loss]
    parameters = [array.astype(np.float64) for array in problem.parameters]
    arrays = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in problem.arrays]
    loss, gradients = derive(parameters, arrays)
    # The best step of a central difference, whose error is then its square.
    step = float(np.finfo(np.float64).eps) ** (1 / 3)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        for index in np.ndindex(parameter.shape):
            kept = parameter[index]
            parameter[index] = kept + step
            above, _ = derive(parameters, arrays)
            parameter[index] = kept - step
            below, _ = derive(parameters, arrays)
            parameter[index] = kept
            error = abs((above - below) / (2 * step) - gradient[index])
            assert error < 100 * step**2 * max(1, loss)


@pytest.mark.parametrize("name", ["S", "A", "ppo", "sac"])
def test_numpy_trains_as_the_graph_does(name: str) -> None:
    work = workload(name)
    by_graph = work.step(mode="reference")
    losses = [float(by_graph(*work.arrays)) for _ in range(STEPS)]
    by_hand = numpy_step(work.problem())
    assert abs(by_hand.run(STEPS) - losses[-1]) <= TOLERANCE * abs(losses[-1])
    assert losses[-1] < losses[0]


def test_a_process_goes_through_all_requests(numpy_process: PeerProcess) -> None:
    problem = small_layered()
    assert numpy_process.version == f"numpy {np.__version__}"
    assert numpy_process.prepare(problem) > 0
    expected = numpy_step(problem).run(STEPS)
    assert numpy_process.loss_after(STEPS) == pytest.approx(expected, rel=TOLERANCE)
    assert numpy_process.seconds_each(3) > 0
    # The rounds went on with training; a loss starts anew.
    assert numpy_process.loss_after(STEPS) == pytest.approx(expected, rel=TOLERANCE)
    assert numpy_process.loss_after(1) > numpy_process.loss_after(STEPS)
    numpy_process.prepare(small_elementwise())
    expected = numpy_step(small_elementwise()).run(STEPS)
    assert numpy_process.loss_after(STEPS) == pytest.approx(expected, rel=TOLERANCE)


def test_a_failed_request_is_reported_and_the_process_goes_on(numpy_process: PeerProcess) -> None:
    with pytest.raises(PeerError, match="numpy: ValueError: nothing has been prepared"):
        numpy_process.seconds_each(1)
    numpy_process.prepare(small_layered())
    assert numpy_process.loss_after(1) > 0


def test_a_process_that_ends_is_reported_with_what_it_printed() -> None:
    with pytest.raises(PeerError, match=r"(?s)ended with 1.*no system 'abacus'"):
        PeerProcess("abacus", sys.executable)


def test_a_process_that_has_gone_is_an_error(numpy_process: PeerProcess) -> None:
    numpy_process.close()
    with pytest.raises((PeerError, ValueError)):
        numpy_process.loss_after(1)


@pytest.fixture
def on_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lines that every child process runs when it first looks for a module."""

    def install(module: str, *lines: str) -> None:
        body = "".join(f"            {line}\n" for line in lines)
        (tmp_path / "sitecustomize.py").write_text(
            "import json, os, sys\n"
            "class Finder:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            f"        if name == {module!r}:\n{body}"
            "sys.meta_path.insert(0, Finder())\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return install


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_set_before_numpy_loads(
    threads: int, tmp_path: Path, on_import: Callable[..., None]
) -> None:
    note = tmp_path / "note.json"
    on_import(
        "numpy",
        f"with open({str(note)!r}, 'w') as file:",
        "    cores = len(os.sched_getaffinity(0))",
        "    json.dump([os.environ['OPENBLAS_NUM_THREADS'], cores], file)",
    )
    with PeerProcess("numpy", sys.executable, threads=threads):
        pass
    assert json.loads(note.read_text()) == [
        str(threads),
        min(threads, len(os.sched_getaffinity(0))),
    ]


def test_what_a_library_prints_does_not_reach_the_replies(on_import: Callable[..., None]) -> None:
    on_import("numpy", "print('numpy loads', flush=True)", "os.write(1, b'and more')")
    with PeerProcess("numpy", sys.executable) as peer:
        peer.prepare(small_layered())
        assert peer.loss_after(1) > 0


def test_a_package_that_is_not_installed_is_named(on_import: Callable[..., None]) -> None:
    on_import("torch", "raise ModuleNotFoundError('No module named torch')")
    with pytest.raises(PeerMissingError, match="torch-compile: No module named torch"):
        PeerProcess("torch-compile", sys.executable)


def test_a_round_of_a_new_count_runs_once_untimed(tmp_path: Path) -> None:
    runs: list[int] = []

    class Counting:
        def reset(self) -> None: ...

        def run(self, count: int) -> float:
            runs.append(count)
            return 0.0

    small_layered().save(tmp_path / "problem.npz")
    server = Server(lambda problem: Counting())
    for _ in range(2):
        server.answer({"do": "prepare", "problem": str(tmp_path / "problem.npz")})
        for steps in (5, 5, 2):
            assert server.answer({"do": "round", "steps": steps})["seconds"] > 0
        assert runs == [5, 5, 5, 2, 2]
        runs.clear()


def test_an_unknown_request_is_an_error_and_quit_ends() -> None:
    replies = StringIO()
    serve("numpy", 1, ['{"do": "dance"}\n', '{"do": "quit"}\n', '{"do": "dance"}\n'], replies)
    ready, answer = (json.loads(line) for line in replies.getvalue().splitlines())
    assert ready == {"ready": f"numpy {np.__version__}"}
    assert answer["error"].startswith("ValueError: no request")


class Clock:
    """Stands for the time module: a process whose threads spin until `busy_until`, in seconds."""

    def __init__(self, busy_until: float) -> None:
        self.busy_until = busy_until
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return min(self.now, self.busy_until)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_round_waits_until_threads_have_gone_to_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    for busy_until in (0.0, 0.1):
        clock = Clock(busy_until)
        monkeypatch.setattr(server_module, "time", clock)
        server_module.wait_until_quiet()
        waited = clock.now - busy_until
        assert 0 < waited <= 2 * server_module.QUIET_SECONDS
    monkeypatch.setattr(server_module, "time", Clock(float("inf")))
    with pytest.raises(server_module.NotQuietError, match="still busy"):
        server_module.wait_until_quiet()


def test_missing_peers_are_left_out_and_named(tmp_path: Path) -> None:
    with started(PEERS, tmp_path / "python") as peers:
        assert not peers.running
        assert list(peers.missing) == list(PEERS)
        assert all("make peers" in reason for reason in peers.missing.values())
        assert peers.prepare(small_layered(), STEPS) == {}
    with pytest.raises(PeerMissingError, match=r"torch: no .*python"):
        PeerProcess("torch", tmp_path / "python")


def test_a_peer_that_fails_is_left_out(tmp_path: Path) -> None:
    problem = small_layered()
    x, t = problem.arrays
    wrong = replace(problem, arrays=(x[:, 1:], t))
    with started(["numpy"], sys.executable) as peers:
        assert set(peers.prepare(problem, STEPS)) == {"numpy"}
        assert peers.described() == {"numpy": f"numpy {np.__version__}"}
        assert peers.prepare(wrong, STEPS) == {}
        assert "numpy: ValueError" in peers.missing["numpy"]


def test_rounds_take_turns() -> None:
    asked: list[tuple[str, int]] = []

    def timed(name: str, seconds: float) -> float:
        asked.append((name, 0))
        return seconds

    timers = {"fast": lambda count: timed("fast", 0.01), "slow": lambda count: timed("slow", 1.0)}
    found = interleaved_timers(timers, rounds=3, seconds_a_round=0.02)
    assert found == {"fast": [0.01] * 3, "slow": [1.0] * 3}
    assert [name for name, _ in asked[-6:]] == ["fast", "slow"] * 3


def test_other_losses_than_numpys_stop_the_benchmark() -> None:
    check_agreement("S", {"numpy": 1.0, "torch": 1.0 + TOLERANCE / 2})
    for other in (1.0 + 2 * TOLERANCE, float("nan")):
        with pytest.raises(click.ClickException, match="torch has another loss"):
            check_agreement("S", {"numpy": 1.0, "torch": other})


def test_unknown_peers_are_refused() -> None:
    command = click.Command("steps", params=[click.Option(["--against"], callback=chosen(PEERS))])
    with pytest.raises(click.BadParameter, match="no theano; there are torch"):
        command.make_context("steps", ["--against", "torch,theano"])


@pytest.mark.slow
@pytest.mark.parametrize("system", PEERS)
def test_a_peer_trains_as_numpy_does(system: str) -> None:
    if not PEERS_PYTHON.exists():
        pytest.skip(f"no {PEERS_PYTHON}; `make peers` builds it")
    with PeerProcess(system, threads=1) as peer:
        for problem in (workload("S").problem(), *(make() for make in PROBLEMS.values())):
            peer.prepare(problem)
            expected = numpy_step(problem).run(STEPS)
            for _ in range(2):
                assert peer.loss_after(STEPS) == pytest.approx(expected, rel=TOLERANCE)
                assert peer.seconds_each(2) > 0
