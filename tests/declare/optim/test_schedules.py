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
        (schedules.multi_step(1.0, [2, 5], 0.5), {0: 1, 1: 1, 2: 0.5, 4: 0.5, 5: 0.25}),
        (schedules.cosine_restarts(1.0, 4, floor=0.2), {0: 1, 2: 0.6, 4: 1, 6: 0.6, 40: 1}),
        (schedules.cosine_restarts(1.0, 2, 2), {0: 1, 1: 0.5, 2: 1, 4: 0.5, 6: 1, 10: 0.5}),
        (schedules.polynomial(1.0, 4, 2, 0.2), {0: 1, 2: 0.4, 4: 0.2, 9: 0.2}),
        (
            schedules.one_cycle(1.0, 11, 3 / 11, "linear", 10.0, 10.0),
            {0: 0.1, 1: 0.55, 2: 1, 6: 0.505, 10: 0.01, 20: 0.01},
        ),
        (schedules.one_cycle(1.0, 11, 3 / 11, "cos", 10.0), {0: 0.1, 1: 0.55, 2: 1, 10: 1e-5}),
        (
            schedules.one_cycle(1.0, 10, 0.3, "linear", 10.0, 10.0, three_phase=True),
            {0: 0.1, 1: 0.55, 2: 1, 3: 0.55, 4: 0.1, 9: 0.01},
        ),
        (schedules.cyclic(0.0, 1.0, 2, 4), {0: 0, 1: 0.5, 2: 1, 3: 0.75, 6: 0, 8: 1}),
        (schedules.cyclic(0.0, 1.0, 2, mode="triangular2"), {2: 1, 6: 0.5, 9: 0.125}),
        (schedules.cyclic(0.0, 1.0, 2, 2, "exp_range", 0.5), {2: 0.25, 6: 2**-6}),
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
    lambda number: schedules.multi_step(number, [3]),
    lambda number: schedules.multi_step(1.0, [number]),
    lambda number: schedules.multi_step(1.0, [3], number),
    lambda number: schedules.cosine_restarts(number, 3),
    lambda number: schedules.cosine_restarts(1.0, number),
    lambda number: schedules.cosine_restarts(1.0, 3, number),
    lambda number: schedules.cosine_restarts(1.0, 3, floor=number),
    lambda number: schedules.polynomial(number, 3),
    lambda number: schedules.polynomial(1.0, number),
    lambda number: schedules.polynomial(1.0, 3, number),
    lambda number: schedules.polynomial(1.0, 3, 1.0, number),
    lambda number: schedules.one_cycle(number, 3),
    lambda number: schedules.one_cycle(1.0, number),
    lambda number: schedules.one_cycle(1.0, 3, number),
    lambda number: schedules.one_cycle(1.0, 3, div_factor=number),
    lambda number: schedules.one_cycle(1.0, 3, final_div_factor=number),
    lambda number: schedules.cyclic(number, 1.0),
    lambda number: schedules.cyclic(0.1, number),
    lambda number: schedules.cyclic(0.1, 1.0, number),
    lambda number: schedules.cyclic(0.1, 1.0, 3, number),
    lambda number: schedules.cyclic(0.1, 1.0, 3, factor=number),
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
    for make, message in [
        (lambda: schedules.cosine(1.0, 0), "at least 1"),
        (lambda: schedules.cosine_restarts(1.0, 3, 0), "length_factor: at least 1"),
        (lambda: schedules.cyclic(0.1, 1.0, 0), "step_size_up: at least 1"),
        (lambda: schedules.cyclic(0.1, 1.0, 1, 0), "step_size_down: at least 1"),
        (lambda: schedules.cyclic(0.1, 1.0, mode="square"), "'triangular', 'triangular2' or"),
        (lambda: schedules.multi_step(0.1, [5, 3]), "ascending order"),
        (lambda: schedules.multi_step(0.1, [-1]), "milestones: at least 0"),
        (lambda: schedules.polynomial(0.1, 5, -1), "power: at least 0"),
        (lambda: schedules.one_cycle(0.1, 5, 1.5), "pct_start: at most 1"),
        (lambda: schedules.one_cycle(0.1, 5, div_factor=0), "div_factor: a number above 0"),
        (lambda: schedules.one_cycle(0.1, 5, final_div_factor=-1), "final_div_factor: a number"),
        (lambda: schedules.one_cycle(0.1, 5, anneal_strategy="exp"), "'cos' or 'linear'"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="an integer expected"):
        schedules.cosine_restarts(0.1, 2.5)
