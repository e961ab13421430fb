"""One thread or all: which of the two walks a table faster is found out while it is walked.

What threads gain depends on what nobody knows ahead: how far apart the processors are that they
run on (the same small kernels take 8 us where two cores share a cache and 23 us where they do not,
and a virtual machine may move from the one to the other), what else runs there, and whether the
workers sleep between calls. Where other processes keep the threads from running at the same time
one thread goes on at once (graphc.kernels.run.congestion). Results do not depend on the choice.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from graphc.kernels.run.congestion import Congestion
from graphc.kernels.run.instruction_table import InstructionTable, KernelStopped

# Walks of this length are shared without a question: what threads say to each other is nothing
# beside it.
SURELY_SHARED_NANOSECONDS = 1_000_000
# One thread goes on alone when the calling thread has waited for threads without processors for so
# long, and for this share of the time besides. A long walk takes one thread about twice as long: so
# much of its time may be lost, and two threads are still quicker.
HELD_UP_NANOSECONDS = 1_000_000
HELD_UP_SHARE = 0.1
HELD_UP_SHARE_OF_LONG = 0.3
# After such a time the other way is tried for the first time, then each time after twice as long,
# until trials take no more than this share of the time.
FIRST_TRIAL_NANOSECONDS = 1_000_000
TRIAL_SHARE = 0.01
# A trial compares so many measurements, each of at least this time if there are enough walks.
TRIAL_MEASUREMENTS = 3
MEASUREMENT_NANOSECONDS = 50_000
# Of calls that make a single walk one in so many is measured, unless they take longer together than
# a portion: clocks and sums take a microsecond.
CALLS_A_MEASUREMENT = 16
# Otherwise walks are measured in such portions, and made in such ones where they are long.
PORTION_NANOSECONDS = 5_000_000
LONG_PORTION_NANOSECONDS = 50_000_000
# The other way is taken when it needs less than this share of the time, and its trial is given up
# when the first measurement takes more than that.
WORTHWHILE = 0.95
HOPELESS = 1.3


class ThreadChoice:
    """Whether the next walks are shared, by how long walks of both kinds have taken.

    Use: ask `next_walks`, make them, `report` how long they took, or that threads were `held_up`.
    """

    def __init__(self, congestion: Congestion | None = None) -> None:
        self.alone = False
        self._congestion = Congestion() if congestion is None else congestion
        # Nanoseconds of a walk on one thread, where nothing else is chosen for the time being.
        self._congested: float | None = None
        # The very first walk finds nothing in its caches, and does not count.
        self._is_warm = False
        # Nanoseconds a walk, the latest.
        self._usual: deque[float] = deque(maxlen=TRIAL_MEASUREMENTS)
        # What the trial under way has measured; its first walk, which wakes threads and brings
        # memory to their caches, does not count. None: no trial.
        self._trial: list[float] | None = None
        self._is_first_of_trial = False
        self._trial_nanoseconds = 0.0
        # From one trial to the next.
        self._pause: float = FIRST_TRIAL_NANOSECONDS
        self._nanoseconds_since = 0.0

    def next_walks(self, left: int) -> tuple[bool, int]:
        """Whether one thread shall make the next walks alone, and how many, of `left` at most."""
        if self._congestion.lasts():
            if self._congested is None:
                self._congested = PORTION_NANOSECONDS
            return True, min(left, _fitting(PORTION_NANOSECONDS, self._congested))
        self._congested = None
        if not self._usual:
            return self.alone, 1
        usual = _median(self._usual)
        if not self._is_known():
            return self.alone, min(left, _fitting(MEASUREMENT_NANOSECONDS, usual))
        if self._is_surely_shared(usual):
            return False, min(left, _fitting(LONG_PORTION_NANOSECONDS, usual))
        if self._trial is None and self._nanoseconds_since >= self._pause:
            self._trial, self._is_first_of_trial = [], True
            self._trial_nanoseconds = 0.0
        if self._trial is None:
            return self.alone, min(left, _fitting(PORTION_NANOSECONDS, usual))
        walks = 1 if self._is_first_of_trial else _fitting(MEASUREMENT_NANOSECONDS, usual)
        return not self.alone, min(left, walks)

    @property
    def is_settled(self) -> bool:
        """Whether walks go on as they are until the next trial."""
        return self._congested is not None or (self._trial is None and self._is_known())

    def bearable(self, walks: int) -> int:
        """Nanoseconds for which the calling thread may be held up by the end of so many walks."""
        usual = _median(self._usual) if self._usual else 0.0
        return HELD_UP_NANOSECONDS + self.forgivable(walks * usual)

    def forgivable(self, nanoseconds: float) -> int:
        """How much of so much time threads may lose and still be quicker than one."""
        is_long = bool(self._usual) and self._is_surely_shared(_median(self._usual))
        return int((HELD_UP_SHARE_OF_LONG if is_long else HELD_UP_SHARE) * nanoseconds)

    def held_up(self, nanoseconds: int) -> None:
        """The calling thread has been held up for so long, which is more than it bears."""
        self._congestion.note_loss(nanoseconds)
        if self._trial is not None:
            self._end_trial(is_better=False)

    def report(self, walks: int, nanoseconds: float, stands_for: int = 1) -> None:
        """How long the walks took that were asked for last.

        stands_for: how many such runs are made between one that is measured and the next.
        """
        if self._congested is not None:
            self._congested = nanoseconds / walks
            return
        is_shared = self.alone == (self._trial is not None)
        if is_shared:
            self._congestion.note_shared(nanoseconds * stands_for)
        if self._trial is None:
            if self._is_warm:
                self._usual.append(nanoseconds / walks)
            self._is_warm = True
            self._nanoseconds_since += nanoseconds * stands_for
            return
        self._trial_nanoseconds += nanoseconds
        if self._is_first_of_trial:
            self._is_first_of_trial = False
            return
        self._trial.append(nanoseconds / walks)
        usual = _median(self._usual)
        if self._trial[0] > HOPELESS * usual:
            self._end_trial(is_better=False)
        elif len(self._trial) == TRIAL_MEASUREMENTS:
            is_better = _median(self._trial) < WORTHWHILE * usual
            if is_better:
                self.alone = not self.alone
                self._usual = deque(self._trial, TRIAL_MEASUREMENTS)
            self._end_trial(is_better)

    def _is_surely_shared(self, usual: float) -> bool:
        """Whether walks of such a time are shared without a question."""
        return usual >= SURELY_SHARED_NANOSECONDS and not self.alone

    def _is_known(self) -> bool:
        """Whether there are measurements enough to compare with."""
        return len(self._usual) == TRIAL_MEASUREMENTS

    def _end_trial(self, is_better: bool) -> None:
        self._trial = None
        self._nanoseconds_since = 0.0
        if is_better:
            # Soon asked again: a single trial may err, and what disturbed it may be over.
            self._pause = FIRST_TRIAL_NANOSECONDS
        else:
            self._pause = min(2 * self._pause, self._trial_nanoseconds / TRIAL_SHARE)
            self._pause = max(self._pause, FIRST_TRIAL_NANOSECONDS)


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _fitting(nanoseconds: float, one: float) -> int:
    """How many walks fit, at least one."""
    return max(1, int(nanoseconds / max(one, 1.0)))


class Choice(Protocol):
    """What `ThreadChoice` is to those who run walks."""

    @property
    def is_settled(self) -> bool: ...

    def next_walks(self, left: int) -> tuple[bool, int]: ...

    def bearable(self, walks: int) -> int: ...

    def forgivable(self, nanoseconds: float) -> int: ...

    def held_up(self, nanoseconds: int) -> None: ...

    def report(self, walks: int, nanoseconds: float, stands_for: int = 1) -> None: ...


class TableRunner:
    """Runs a table on the threads that are faster at it, or that `choice` says.

    Serves one run at a time.
    """

    def __init__(self, table: InstructionTable, choice: Choice | None = None) -> None:
        self.table = table
        if choice is None and table.threads > 1:
            choice = ThreadChoice(table.congestion)
        self._choice = choice
        # Calls of a single walk that go as the last one did, and are not measured.
        self._unmeasured = 0
        self._alone = False
        self._bearable = 0

    def run(
        self, externals: Sequence[int] = (), repeats: int = 1, steps: Sequence[int] | None = None
    ) -> None:
        """As `InstructionTable.run`, and raises as that does."""
        choice = self._choice
        if choice is None or repeats < 1:
            self.table.run(externals, repeats, steps)
            return
        if repeats == 1:
            self._run_once(choice, externals)
            return
        made = 0
        while made < repeats:
            alone, walks = choice.next_walks(repeats - made)
            starts = _advanced(externals, steps, made) if made and steps else externals
            begin = time.perf_counter_ns()
            bearable = choice.bearable(walks)
            held = self.table.held
            try:
                is_held_up = self.table.run(starts, walks, steps, alone=alone, bearable=bearable)
            except KernelStopped as stopped:
                stopped.walk += made
                raise
            nanoseconds = time.perf_counter_ns() - begin
            completed = self.table.completed
            made += completed
            if is_held_up:
                self._held_up(choice)
                continue
            self._forgive(choice.forgivable(nanoseconds))
            choice.report(walks, max(nanoseconds - (self.table.held - held), 1))
            if completed < walks:
                return

    def _run_once(self, choice: Choice, externals: Sequence[int]) -> None:
        if self._unmeasured:
            self._unmeasured -= 1
            if self.table.run(externals, alone=self._alone, bearable=self._bearable):
                self._held_up(choice)
            return
        self._alone, _ = choice.next_walks(1)
        self._bearable = choice.bearable(1)
        held = self.table.held
        begin = time.perf_counter_ns()
        if self.table.run(externals, alone=self._alone, bearable=self._bearable):
            self._held_up(choice)
            return
        nanoseconds = time.perf_counter_ns() - begin
        most = min(CALLS_A_MEASUREMENT, _fitting(PORTION_NANOSECONDS, nanoseconds))
        stands_for = most if choice.is_settled else 1
        self._forgive(choice.forgivable(stands_for * nanoseconds))
        choice.report(1, max(nanoseconds - (self.table.held - held), 1), stands_for)
        self._unmeasured = stands_for - 1

    def _held_up(self, choice: Choice) -> None:
        choice.held_up(self.table.held)
        self.table.held = 0
        self._unmeasured = 0

    def _forgive(self, nanoseconds: int) -> None:
        """So much may be lost without a consequence."""
        if self.table.held:
            self.table.held = max(0, self.table.held - nanoseconds)


def _advanced(addresses: Sequence[int], steps: Sequence[int], walks: int) -> list[int]:
    """The addresses after so many walks."""
    return [address + walks * step for address, step in zip(addresses, steps, strict=True)]
