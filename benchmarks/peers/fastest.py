"""The faster of several forms that a peer has of one and the same work."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol, TypeVar

TRIALS = 7
TRIAL_SECONDS = 0.02


class Repeated(Protocol):
    """Work that is done as often as it is told."""

    def run(self, count: int) -> object: ...


Form = TypeVar("Form", bound=Repeated)


def fastest(forms: Sequence[Form]) -> Form:
    """The form with the shortest of its trials, which take turns."""
    if len(forms) == 1:
        return forms[0]
    shortest = [float("inf")] * len(forms)
    counts = [max(1, round(TRIAL_SECONDS / seconds(form, 1))) for form in forms]
    for _ in range(TRIALS):
        for number, form in enumerate(forms):
            shortest[number] = min(shortest[number], seconds(form, counts[number]))
    return forms[shortest.index(min(shortest))]


def seconds(form: Repeated, count: int) -> float:
    """Of one of `count` times."""
    start = time.perf_counter()
    form.run(count)
    return (time.perf_counter() - start) / count
