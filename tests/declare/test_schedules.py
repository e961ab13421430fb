"""Learning-rate schedules."""

import math

import pytest

from graphc.declare import schedules


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


MAKERS = [
    schedules.constant,
    lambda number: schedules.step(number),
    lambda number: schedules.step(1.0, number),
    lambda number: schedules.step(1.0, 0.1, number),
    lambda number: schedules.exponential(number, 0.1),
    lambda number: schedules.exponential(1.0, number),
    lambda number: schedules.cosine(number, 3),
    lambda number: schedules.cosine(1.0, number),
    lambda number: schedules.cosine(1.0, 3, number),
    lambda number: schedules.linear(number, 0.0, 3),
    lambda number: schedules.linear(0.0, number, 3),
    lambda number: schedules.linear(0.0, 1.0, number),
    lambda number: schedules.warm_up(number, schedules.constant(1.0)),
    lambda number: schedules.warm_up(3, schedules.constant(1.0), number),
    lambda number: schedules.warm_up(3, lambda time: number),
    lambda number: schedules.chain((schedules.constant(1.0), number), schedules.constant(2.0)),
]


@pytest.mark.parametrize("make", MAKERS)
def test_numbers_of_schedules_are_finite(make):
    for number in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="a finite number expected"):
            make(number)
    for number in (True, "1"):
        with pytest.raises(TypeError, match="a number expected"):
            make(number)


def test_a_line_ends_where_it_says():
    """Without rounding below 0, which no rate may be."""
    for length in range(1, 50):
        line = schedules.linear(0.1, 0.0, length)
        assert line(length) == 0 and all(line(time) > 0 for time in range(length))


def test_bad_schedules():
    with pytest.raises(ValueError, match="length"):
        schedules.chain(schedules.constant(1.0), schedules.constant(2.0))
    with pytest.raises(ValueError, match="length"):
        schedules.chain((schedules.constant(1.0), 3))
    for wrong in ((schedules.constant(1.0), 3, 4), (1.0, 3), 3):
        with pytest.raises(ValueError, match="length"):
            schedules.chain(wrong, schedules.constant(1.0))
    with pytest.raises(ValueError, match="at least 1"):
        schedules.cosine(1.0, 0)
