"""NaN and infinity are traced to the op, or the array, that they come from."""

import inspect

import numpy as np
import pytest

import graphc as gc
from graphc.inspect.nan_search import find_nan

HUGE = 3e38

# An op a line: what is harmless to it, and what is not.
PLANTS = [
    ("log", lambda p: gc.log(p), 1.0, -1.0),
    ("sqrt", lambda p: gc.sqrt(p), 1.0, -1.0),
    ("reciprocal", lambda p: gc.reciprocal(p), 1.0, 0.0),
    ("divide", lambda p: p / p, 1.0, 0.0),
    ("exp", lambda p: gc.exp(p), 1.0, 100.0),
    ("expm1", lambda p: gc.expm1(p), 1.0, 100.0),
    ("log1p", lambda p: gc.log1p(p), 1.0, -2.0),
    ("square", lambda p: gc.square(p), 1.0, 1e30),
    ("multiply", lambda p: p * 1e30, 1.0, 1e30),
    ("add", lambda p: p + HUGE, 1.0, HUGE),
    ("subtract", lambda p: -1e38 - p, 1.0, HUGE),
    ("multiply", lambda p: p * (p + 1.0), 1.0, 1e30),
    ("sum", lambda p: gc.sum(p, 1, keepdims=True), 1.0, HUGE),
    ("sum", lambda p: gc.mean(p), 1.0, HUGE),
    ("matmul", lambda p: gc.sum(p @ gc.transpose(p), 1, keepdims=True), 1.0, 1e30),
    ("log", lambda p: gc.log(gc.tanh(p)), 1.0, -1.0),
    ("exp", lambda p: gc.exp(gc.exp(p)), 1.0, 6.0),
    ("divide", lambda p: p / (p - 2.0), 1.0, 2.0),
    ("square", lambda p: gc.square(p) - 1.0, 1.0, 1e30),
    ("log", lambda p: gc.max(gc.log(p), 1, keepdims=True), 1.0, -1.0),
]


def _line(function) -> int:
    return inspect.getsourcelines(function)[1]


@pytest.fixture(scope="module")
def net():
    """Twenty ops in a row, each on an input of its own, and SGD."""
    graph = gc.Graph()
    inputs = [graph.input(f"p{k}", ("batch", 4)) for k in range(len(PLANTS))]
    scale = graph.parameter("scale", (4,), 1.0)
    total = gc.tanh(inputs[0] * 0.0) * scale
    for given, (_, plant, _, _) in zip(inputs, PLANTS, strict=True):
        total = total * 0.5 + plant(given) * 1e-3
    model = gc.Model(inputs, total, loss=gc.mean(total))
    model.compile(gc.optim.SGD(0.1))
    return model


def _batch(planted: int | None) -> list[np.ndarray]:
    arrays = [np.full((4, 4), harmless, np.float32) for _, _, harmless, _ in PLANTS]
    if planted is not None:
        arrays[planted][2, :] = PLANTS[planted][3]
    return arrays


def _find(model, batch):
    states = {state.name: model.variables.storage(state.name) for state in model.states}
    return find_nan(model.train_function.program, states, batch)


def test_nothing_is_found_where_all_is_finite(net):
    assert _find(net, _batch(None)) is None


@pytest.mark.parametrize("planted", range(len(PLANTS)), ids=lambda k: f"{k}-{PLANTS[k][0]}")
def test_planted_op_is_named(net, planted):
    op, plant, _, _ = PLANTS[planted]
    report = _find(net, _batch(planted))
    assert (report.first.op, report.first.location.line) == (op, _line(plant))
    assert all(operand.nans == operand.infinities == 0 for operand in report.first.operands)


def test_bad_data_is_named_first(net):
    batch = _batch(None)
    batch[5][1, 3] = np.nan
    report = _find(net, batch)
    assert (report.first.op, report.first.name, report.first.index) == ("input", "p5", (1, 3))
    assert report.then.op == "expm1"


def test_bad_data_is_named_before_ops_that_come_first(net):
    batch = _batch(0)  # the first op of the step gives NaN too
    batch[5][1, 3] = np.nan
    report = _find(net, batch)
    assert (report.first.op, report.first.name, report.first.index) == ("input", "p5", (1, 3))


def test_operands_that_are_broadcast_are_shown_where_they_were_read():
    """A row, a column and a scalar beside a whole operand: each has its own place."""
    graph = gc.Graph()
    x, row = graph.input("x", ("batch", 3)), graph.input("row", (3,))
    column, one = graph.input("column", ("batch", 1)), graph.input("one", ())
    values = {"x": np.full((4, 3), 1.0), "row": [0.5, 1e20, 2.0], "column": [[2], [3], [1e20], [4]]}
    arrays = [np.array(value, np.float32) for value in (*values.values(), 5.0)]
    for other, index in ((row, (0, 1)), (column, (2, 0)), (one, (3, 2))):
        batch = [array.copy() for array in arrays]
        batch[0][index] = 1e20
        batch[3][...] = 1e20 if other is one else 5.0
        step = gc.function([x, row, column, one], gc.exp(x * other))
        report = find_nan(step.program, {}, batch)
        assert (report.first.op, report.first.index) == ("multiply", index)
        assert [operand.there for operand in report.first.operands] == [np.float32(1e20)] * 2


def test_infinity_is_followed_to_the_nan_that_it_makes():
    graph = gc.Graph()
    x = graph.input("x", ("batch",))
    w = graph.parameter("w", (), 1.0)
    model = gc.Model(x, x, loss=gc.mean(gc.sin(gc.exp(x * w))))
    model.compile(gc.optim.SGD(0.1))
    report = _find(model, [np.array([1.0, 200.0], np.float32)])
    assert (report.first.op, report.then.op) == ("exp", "sin")
    (operand,) = report.first.operands
    assert (operand.minimum, operand.maximum, operand.there) == (1.0, 200.0, 200.0)


def test_a_constant_is_what_somebody_wanted():
    graph = gc.Graph()
    x = graph.input("x", ("batch",))
    step = gc.function([x], gc.tanh(x) - gc.exp(x) * graph.constant(np.inf))
    report = find_nan(step.program, {}, [np.ones(3, np.float32)])
    assert report.first.op == "multiply"


def test_the_first_nan_is_one_where_infinities_stand_before_it():
    graph = gc.Graph()
    x, c = graph.input("x", ("batch",)), graph.input("c", ("batch",))
    w = graph.parameter("w", (), 1.0)
    model = gc.Model([x, c], x, loss=gc.mean(gc.exp(x * w) * c))
    model.compile(gc.optim.SGD(0.1))
    report = _find(model, [np.array([1, 200, 200], np.float32), np.array([1, -1, 0], np.float32)])
    assert (report.first.op, report.first.index) == ("exp", (1,))
    assert (report.then.op, report.then.index, report.then.bad) == ("multiply", (2,), 2)
    assert np.isnan(report.then.element)
    assert [operand.there for operand in report.then.operands] == [np.inf, 0.0]
    assert "2 of 3 elements, first nan at [2]" in str(report)


def test_infinity_that_a_mask_hides_is_no_fault():
    graph = gc.Graph()
    x = graph.input("x", ("batch",))
    w = graph.parameter("w", (), 1.0)
    model = gc.Model(x, x, loss=gc.mean(gc.where(x > 0, gc.log(x), x) + w))
    model.compile(gc.optim.SGD(0.1))
    assert _find(model, [np.array([1.0, 0.0], np.float32)]) is None


class _Listening(gc.callbacks.Callback):
    def on_batch_end(self, epoch, batch, logs):
        pass


@pytest.mark.parametrize("callbacks", [[], [_Listening()]], ids=["native", "step by step"])
@pytest.mark.parametrize("record", [False, 2])
def test_fit_names_the_op_and_keeps_the_variables(callbacks, record):
    graph = gc.Graph(seed=0)
    x, t = graph.input("x", ("batch", 3)), graph.input("t", ("batch", 1))
    root = gc.sqrt(gc.nn.dense(x, 1, kernel_init=1.0))
    model = gc.Model(x, root, t, gc.losses.mean_squared_error(root, t))
    model.compile(gc.optim.SGD(1e-3))
    data = np.full((40, 3), 2.0, np.float32)
    data[29] = [-4.0, 0.0, 1.0]
    with pytest.raises(gc.NotFiniteError, match=r"sqrt at test_nan_search\.py") as raised:
        model.fit(
            data,
            np.ones((40, 1), np.float32),
            batch_size=8,
            debug="nan",
            record=record,
            callbacks=callbacks,
            verbose=0,
        )
    report = raised.value.report
    assert report.first.op == "sqrt" and report.first.bad == 1
    (operand,) = report.first.operands
    assert operand.there == operand.minimum < 0 < operand.maximum
    assert all(np.isfinite(value).all() for value in model.values().values())


def test_unknown_kind_of_debugging_is_refused(net):
    with pytest.raises(ValueError, match="None or 'nan' expected"):
        net.fit(_batch(None), debug="inf")


def test_a_while_loop_names_the_step():
    """5, log 5, log log 5 = 0.48 and a negative number, of which there is no logarithm."""
    x = gc.Graph().input("x", (4,))

    def body(carry):
        count, value = carry
        return [count + 1, gc.log(value)]

    start = [x.graph.constant(0, "i32"), x]
    _, last = gc.while_loop(lambda carry: carry[0] < 8, body, start)
    function = gc.function(x, last)
    report = find_nan(function.program, {}, [np.full(4, 5, np.float32)])
    assert (report.first.op, report.first.steps) == ("log", (3,))
    assert report.first.location.line == _line(body) + 2
    assert "log in step 3 at test_nan_search.py" in str(report)


def test_a_loop_names_the_step():
    """Of a body the op, the user's line and the step, from 0, in either direction."""
    graph = gc.Graph()
    x = graph.input("x", (6, 3))

    def body(h, row):
        return gc.tanh(h + gc.log(row)), None

    last, _ = gc.scan(body, gc.zeros_like(x[0]), x)
    back, _ = gc.scan(body, gc.zeros_like(x[0]), x, reverse=True)
    data = np.ones((6, 3), np.float32)
    for output, step in (last, 2), (back, 4):
        function = gc.function(x, output)
        assert find_nan(function.program, {}, [data]) is None
        bad = data.copy()
        bad[2, 1] = bad[4, 0] = -1.0
        report = find_nan(function.program, {}, [bad])
        assert (report.first.op, report.first.steps) == ("log", (step,))
        assert report.first.location.line == _line(body) + 1
        assert f"log in step {step} at test_nan_search.py" in str(report)
        bad[0, 0] = np.nan
        assert find_nan(function.program, {}, [bad]).first.op == "input"
