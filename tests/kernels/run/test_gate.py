"""Gates: one thread inside at a time, nobody waits for ever."""

from __future__ import annotations

import os
import threading

import pytest

from graphc.kernels.host import forks
from graphc.kernels.host.forks import IMPORTS, Awaited, RenewedLock, await_before_fork
from graphc.kernels.run.gate import Gate, InterruptedCallError, Rank, Use

SECONDS = 60.0


class Inside:
    """A thread that stays inside of a gate until it is told to leave."""

    def __init__(self, gate: Gate) -> None:
        self._entered, self._leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._stay, args=(gate,), daemon=True)

    def __enter__(self) -> Inside:
        self._thread.start()
        assert self._entered.wait(SECONDS)
        return self

    def leave(self) -> None:
        self._leave.set()

    def __exit__(self, *error: object) -> None:
        self.leave()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def _stay(self, gate: Gate) -> None:
        with gate.entered(Use.READ, "other"):
            self._entered.set()
            assert self._leave.wait(SECONDS)


def _begun(gate: Gate) -> tuple[threading.Thread, threading.Event]:
    """A thread that waits at the gate, and what it sets inside."""
    was_inside = threading.Event()

    def enter() -> None:
        with gate.entered(Use.READ, "waiting"):
            was_inside.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    return thread, was_inside


def test_one_thread_is_inside_at_a_time() -> None:
    gate = Gate()
    with Inside(gate):
        thread, was_inside = _begun(gate)
        assert not was_inside.wait(0.05)
    assert was_inside.wait(SECONDS)
    thread.join(SECONDS)
    assert gate.inside == () and not gate.waiting


def test_who_waits_goes_before_who_comes_again() -> None:
    gate = Gate()
    with gate.entered(Use.READ, "first"):
        thread, was_inside = _begun(gate)
        while not gate.waiting:
            thread.join(0.001)
    with gate.entered(Use.READ, "again"):
        assert was_inside.is_set()


def _check_refused(gate: Gate, use: object, problem: str) -> None:
    with pytest.raises(InterruptedCallError, match=f"^f: .*{problem}"), gate.entered(use, "f"):
        pass


def test_what_an_interruption_may_do() -> None:
    gate, program, other = Gate(), object(), object()
    with gate.entered(program, "f"):
        _check_refused(gate, program, "called in the middle of a call of itself")
        with gate.entered(other, "g"), gate.entered(Use.READ, "variables"):
            _check_refused(gate, program, "called in the middle of a call of itself")
        assert gate.inside == (program,)
        with gate.entered(Use.WRITE, "variables"):
            for use in (other, Use.READ, Use.WRITE):
                _check_refused(gate, use, "are being written")
    with gate.entered(Use.READ, "variables"), gate.entered(Use.READ, "variables"):
        for use in (other, Use.WRITE):
            _check_refused(gate, use, "are being read")
    assert gate.inside == ()


def test_a_thread_inside_waits_for_no_gate_of_its_rank_or_below() -> None:
    """Else two threads could each be inside of what the other waits for."""
    one, other, later = Gate(), Gate(), Gate(Rank.COMPILE)
    with Inside(other), one.entered(Use.READ, "g"):
        _check_refused(other, Use.READ, "wait for each other")
    with Inside(one), later.entered(Use.READ, "g"):
        _check_refused(one, Use.READ, "wait for each other")
    # Who compiles waits for no run.
    others = Inside(later)
    with one.entered(Use.READ, "g"):
        with others:
            timer = threading.Timer(0.05, others.leave)
            timer.start()
            with later.entered(Use.READ, "f"):
                pass
        timer.join()


def _status_of_child(pid: int) -> int:
    """The child's exit status; kills one that hangs."""
    killer = threading.Timer(SECONDS, os.kill, (pid, 9))
    killer.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        killer.cancel()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_finds_gates_and_locks_free() -> None:
    gate, held, lock = Gate(), Gate(), RenewedLock()
    kept = RenewedLock()
    with Inside(gate), held.entered(Use.READ, "f"), kept.lock:
        thread, _ = _begun(gate)
        while not gate.waiting:
            thread.join(0.001)
        taken, give_back = threading.Event(), threading.Event()

        def take() -> None:
            with lock.lock:
                taken.set()
                give_back.wait(SECONDS)

        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        assert taken.wait(SECONDS)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with gate.entered(Use.WRITE, "child"), lock.lock, kept.lock, IMPORTS:
                    # What the thread that forked is inside of it is inside of still.
                    code = 0 if held.inside == (Use.READ,) and held.lock is not None else 2
            finally:
                os._exit(code)
        give_back.set()
        assert _status_of_child(pid) == 0
        taker.join(SECONDS)
    thread.join(SECONDS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_waits_for_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    importing, go_on, forked = threading.Event(), threading.Event(), threading.Event()
    status: list[int] = []

    monkeypatch.setattr(forks, "_awaited", dict(forks._awaited))

    def hold() -> None:
        with IMPORTS:
            importing.set()
            assert go_on.wait(SECONDS)
            # A module that is imported may bring a lock.
            await_before_fork(Awaited.NUMBA, threading.RLock())
            assert not forked.is_set()

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        forked.set()
        status.append(_status_of_child(pid))

    threads = [threading.Thread(target=each, daemon=True) for each in (hold, fork)]
    threads[0].start()
    assert importing.wait(SECONDS)
    threads[1].start()
    assert not forked.wait(0.05)
    go_on.set()
    for each in threads:
        each.join(SECONDS)
    assert status == [0]
    assert IMPORTS.acquire(timeout=SECONDS)
    IMPORTS.release()
