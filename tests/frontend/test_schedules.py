"""Learning-rate schedules."""

import pytest

from graphc import schedules


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (schedules.constant(0.3), {0: 0.3, 100: 0.3}),
        (schedules.step(1.0, 0.5, 3), {0: 1, 2: 1, 3: 0.5, 6: 0.25}),
        (schedules.exponential(2.0, 0.5), {0: 2, 1: 1, 3: 0.25}),
        (schedules.cosine(1.0, 4, 0.2), {0: 1, 2: 0.6, 4: 0.2, 9: 0.2}),
        (schedules.linear(0.0, 1.0, 4), {0: 0, 1: 0.25, 4: 1, 7: 1}),
        (
            schedules.warm_up(2, schedules.step(1.0, 0.1, 3)),
            {0: 0, 1: 0.5, 2: 1, 4: 1, 5: 0.1},
        ),
        (
            schedules.chain(
                (schedules.constant(1.0), 2),
                (schedules.constant(2.0), 3),
                schedules.exponential(3.0, 0.1),
            ),
            {0: 1, 1: 1, 2: 2, 4: 2, 5: 3, 6: 0.3},
        ),
    ],
)
def test_rates(schedule, expected):
    assert {time: schedule(time) for time in expected} == pytest.approx(expected)


def test_bad_schedules():
    with pytest.raises(ValueError, match="length"):
        schedules.chain(schedules.constant(1.0), schedules.constant(2.0))
    with pytest.raises(ValueError, match="length"):
        schedules.chain((schedules.constant(1.0), 3))
    with pytest.raises(ValueError, match="at least 1"):
        schedules.cosine(1.0, 0)
