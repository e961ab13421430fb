"""What a measurement notices of other processes."""

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from graphc.profiling.measuring.measure import Measured
from graphc.profiling.results import MOST_LOST_SHARE

SECONDS = 0.02
# So short that a thread often keeps its processor meanwhile, whatever else the machine has to do.
SHORT_SECONDS = 0.0005
ATTEMPTS = 200


class Table:
    """Walks that sleep, that compute, or in which others hold the thread up."""

    def __init__(self, how: str) -> None:
        self._how = how
        self.held = 0

    def run(self, addresses: Any, repeats: int = 1) -> None:
        if self._how == "sleeps":
            time.sleep(SECONDS)
            return
        end = time.thread_time() + SHORT_SECONDS
        while time.thread_time() < end:
            pass
        if self._how == "held up":
            self.held += int(SHORT_SECONDS * 1e9)


@pytest.mark.parametrize("how", ["sleeps", "computes", "held up"])
def test_time_without_a_processor_is_lost(how: str) -> None:
    # A processor may be another's while the thread computes, but not each time.
    shares = []
    for _ in range(1 if how != "computes" else ATTEMPTS):
        measured = Measured(cast(Any, SimpleNamespace(table=Table(how))), ())
        measured.measure(1)
        shares.append(measured.lost_share)
    if how == "computes":
        assert min(shares) <= MOST_LOST_SHARE
    else:
        assert MOST_LOST_SHARE < shares[0] <= 1
