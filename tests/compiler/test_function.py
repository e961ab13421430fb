"""Functions as they are called: conventions, conversions, errors, batch sizes, threads."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.native import native
from graphc.kernels.loops.language.expressions import Element, Name, applied
from graphc.kernels.loops.language.source import KernelSource
from tests.small_kernels import kernel_of_each


@pytest.fixture(params=["compiled", "reference"])
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


def _affine(mode: Any = "compiled", dtype: str = "f32") -> gc.Function:
    graph = gc.Graph()
    x, scale = graph.input("x", ("n", 3), dtype), graph.input("scale", (), dtype)
    w = graph.parameter("w", (3, 2), 0.5, dtype=dtype)
    return gc.function([x, scale], x @ w * scale, mode=mode)


ONES = np.ones((4, 3), np.float32)


def test_positional_and_named(mode: Any) -> None:
    f = _affine(mode)
    expected = np.full((4, 2), 3.0)
    for result in (f(ONES, 2), f(ONES, scale=2), f(x=ONES, scale=2), f(scale=2, x=ONES)):
        np.testing.assert_array_equal(result, expected)
        assert result.dtype == np.float32


def test_forms_of_outputs(mode: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", (3,))
    single = gc.function([x], x * 2, mode=mode)
    several = gc.function([x], [x * 2, gc.sum(x)], mode=mode)
    one_in_a_list = gc.function([x], [x * 2], mode=mode)
    named = gc.function([x], {"double": x * 2, "total": gc.sum(x)}, mode=mode)
    given = np.array([1, 2, 3], np.float32)
    np.testing.assert_array_equal(single(given), [2, 4, 6])
    double, total = several(given)
    np.testing.assert_array_equal(double, [2, 4, 6])
    assert total.shape == () and total == 6
    assert isinstance(one_in_a_list(given), list) and len(one_in_a_list(given)) == 1
    results = named(given)
    assert list(results) == ["double", "total"] and results["total"] == 6


def test_one_input_needs_no_list(mode: Any) -> None:
    x = gc.Graph().input("x", (2,))
    assert gc.function(x, x * 2, mode=mode)([1, 2]).tolist() == [2, 4]


def test_function_without_inputs_and_without_outputs(mode: Any) -> None:
    graph = gc.Graph()
    count = graph.variable("count", 0)
    step = gc.function([], [], [(count, count + 1)], mode=mode)
    read = gc.function([], count, mode=mode)
    assert step() == []
    step()
    assert read() == 2


def test_unused_input_is_accepted(mode: Any) -> None:
    graph = gc.Graph()
    x, unused = graph.input("x", (2,)), graph.input("unused", ("k", 3))
    f = gc.function([x, unused], x + 1, mode=mode)
    np.testing.assert_array_equal(f(np.zeros(2, "f4"), np.zeros((7, 3), "f4")), [1, 1])


def test_output_that_is_an_input_is_a_copy(mode: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", (2, 3))
    same, turned, part = gc.function([x], [x, x.T, x[:, 1]], mode=mode)(given := ONES[:2].copy())
    given[...] = 7
    for result in (same, turned, part):
        np.testing.assert_array_equal(result, 1)


def test_same_node_under_two_names(mode: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", (2,))
    y = x + 1
    first, second = gc.function([x], [y, y], mode=mode)(np.zeros(2, "f4"))
    first[...] = 9
    np.testing.assert_array_equal(second, 1)


def test_later_calls_do_not_change_results(mode: Any) -> None:
    f = _affine(mode)
    first = f(ONES, 1)
    kept = first.copy()
    second = f(ONES * 5, 1)
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)
    assert first.flags.writeable


# --- dtypes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [np.float64, np.float16, np.int64, np.uint8, np.bool_])
def test_numbers_become_floats(mode: Any, given: Any) -> None:
    f = _affine(mode)
    np.testing.assert_array_equal(f(ONES.astype(given), 2), np.full((4, 2), 3.0))


def test_wider_integers_and_fractions(mode: Any) -> None:
    graph = gc.Graph()
    i = graph.input("i", (2,), "i32")
    f = gc.function([i], i + 1, mode=mode)
    for given in (np.int64, np.int8, np.uint16):
        assert f(np.array([1, 2], given)).dtype == np.int32
    for wrong in (np.array([2**31, 0]), np.array([1.0, 2.0]), np.array(["a", "b"])):
        with pytest.raises(gc.DataError, match=r"^i : i32"):
            f(wrong)


def test_mask_takes_bools_alone(mode: Any) -> None:
    graph = gc.Graph()
    mask = graph.input("mask", (3,), "bool")
    f = gc.function([mask], gc.cast(mask, "f32"), mode=mode)
    np.testing.assert_array_equal(f(np.array([True, False, True])), [1, 0, 1])
    with pytest.raises(gc.DataError, match=r"^mask : bool"):
        f(np.array([0.5, 0, 1]))


# --- errors ----------------------------------------------------------------------------------

WRONG_CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "rank": ((np.ones(3), 1), {}, r"^x : f32\[n,3\]: .*\(3,\)"),
    "extent": ((np.ones((4, 5)), 1), {}, r"^x : f32\[n,3\]: .*\(4, 5\)"),
    "scalar": ((np.ones((4, 3)), np.ones(2)), {}, r"^scale : f32\[\]: .*\(2,\)"),
    "missing": ((np.ones((4, 3)),), {}, "2 inputs.*1 given"),
    "missing name": ((), {"x": np.ones((4, 3))}, "scale"),
    "too many": ((np.ones((4, 3)), 1, 2), {}, "2 inputs.*3 given"),
    "unknown name": ((np.ones((4, 3)),), {"rate": 1}, "rate"),
    "given twice": ((np.ones((4, 3)), 1), {"x": np.ones((4, 3))}, "x"),
    "text": (("word", 1), {}, "^x : f32"),
    "nothing": ((None, 1), {}, "^x : f32"),
}


@pytest.mark.parametrize("call", WRONG_CALLS)
def test_wrong_calls_name_the_input(mode: Any, call: str) -> None:
    arrays, named, message = WRONG_CALLS[call]
    graph = gc.Graph()
    x, scale = graph.input("x", ("n", 3)), graph.input("scale", ())
    count = graph.variable("count", 0)
    f = gc.function([x, scale], x * scale, [(count, count + 1)], mode=mode)
    with pytest.raises(gc.DataError, match=message):
        f(*arrays, **named)
    assert graph.variables["count"] == 0


def test_named_dimension_must_agree(mode: Any) -> None:
    graph = gc.Graph()
    x, y = graph.input("x", ("n", 3)), graph.input("y", ("n",))
    f = gc.function([x, y], gc.sum(x, 1) * y, mode=mode)
    with pytest.raises(gc.DataError, match=r"'y'.*'n': 4.*\(5,\)"):
        f(np.ones((4, 3)), np.ones(5))


def test_wrong_declarations() -> None:
    graph, other = gc.Graph(), gc.Graph()
    x, y, foreign = graph.input("x", (2,)), graph.input("y", (2,)), other.input("z", (2,))
    w = graph.parameter("w", (2,))
    with pytest.raises(gc.GraphError, match="not listed"):
        gc.function([x], x + y)
    with pytest.raises(gc.GraphError, match="cannot be an input"):
        gc.function([x, graph.constant(1.0)], x + 1.0)
    with pytest.raises(gc.ForeignTensorError):
        gc.function([x], [x, foreign])
    with pytest.raises(gc.GraphError, match="no state"):
        gc.function([x], x, [(x, x + 1)])
    with pytest.raises(gc.GraphError, match="w"):
        gc.function([x], x, [(w, gc.sum(x))])
    with pytest.raises(gc.GraphError):
        gc.function([], [])
    with pytest.raises(gc.GraphError, match="not None"):
        gc.function([x], None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mode"):
        gc.function([x], x, mode="quick")  # type: ignore[arg-type]


def test_state_updated_twice() -> None:
    graph = gc.Graph()
    w = graph.parameter("w", (2,))
    with pytest.raises(gc.GraphError, match="w"):
        gc.function([], [], [(w, w + 1), (w, w + 2)])


def test_input_listed_twice() -> None:
    graph = gc.Graph()
    x = graph.input("x", (2,))
    with pytest.raises(gc.GraphError, match="x"):
        gc.function([x, x], x + 1)


# --- batch sizes -----------------------------------------------------------------------------


def test_new_batch_size_compiles_once() -> None:
    f = _affine()
    for rows in (4, 1, 4, 9, 1, 4):
        np.testing.assert_array_equal(f(np.ones((rows, 3)), 1), np.full((rows, 2), 1.5))
    loaded = [f.loaded({"n": rows}) for rows in (1, 4, 9)]
    assert len(set(map(id, loaded))) == 3
    f(np.ones((4, 3)), 1)
    assert f.loaded({"n": 4}) is loaded[1]


def test_empty_batch(mode: Any) -> None:
    assert _affine(mode)(np.ones((0, 3)), 1).shape == (0, 2)


def test_prepare_needs_every_dimension() -> None:
    with pytest.raises(gc.DataError, match="n"):
        _affine().prepare()


def test_setting_a_state_between_calls(mode: Any) -> None:
    graph = gc.Graph()
    w = graph.parameter("w", (2,), 1.0)
    f = gc.function([], w * 2, mode=mode)
    np.testing.assert_array_equal(f(), [2, 2])
    graph.variables["w"] = [5, 6]
    np.testing.assert_array_equal(f(), [10, 12])


def test_functions_share_states() -> None:
    graph = gc.Graph()
    w = graph.parameter("w", (2,), 1.0)
    step, read = gc.function([], [], [(w, w * 2)]), gc.function([], w)
    reference = gc.function([], w + 0, mode="reference")
    step()
    np.testing.assert_array_equal(read(), [2, 2])
    np.testing.assert_array_equal(reference(), [2, 2])


def test_repeat(mode: Any) -> None:
    graph = gc.Graph()
    x, w = graph.input("x", (3,)), graph.variable("w", np.zeros(3, "f4"))
    f = gc.function([x], w, [(w, w + x)], mode=mode)
    f.repeat(10, np.array([1, 2, 3], "f4"))
    np.testing.assert_array_equal(graph.variables["w"], [10, 20, 30])
    with pytest.raises(ValueError, match="repeat"):
        f.repeat(0, np.zeros(3, "f4"))


# --- threads and sharing ---------------------------------------------------------------------


def test_two_threads_call_one_function() -> None:
    """Each call sees its own input and returns its own result; no update is lost."""
    graph = gc.Graph()
    x, count = graph.input("x", ("n", 50)), graph.variable("count", 0)
    f = gc.function([x], gc.sum(gc.exp(x) * 0 + x, 1), [(count, count + 1)])
    calls, wrong = 200, []

    def work(value: float) -> None:
        for call in range(calls):
            rows = 3 + call % 2
            result = f(np.full((rows, 50), value, "f4"))
            if not np.array_equal(result, np.full(rows, 50 * value, "f4")):
                wrong.append(result)

    threads = [threading.Thread(target=work, args=(value,)) for value in (1.0, 2.0, 3.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert graph.variables["count"] == 3 * calls


def _kernel(name: str, buffer: str, comment: str, count: int = 8) -> KernelSource:
    value = applied("exp", Element(Name(buffer), Name("i")))
    return kernel_of_each(name, count, value, buffer, comment)


def test_equal_kernels_are_compiled_once() -> None:
    """Names and comments aside; what is shown is each kernel's own."""
    one = native().compile(_kernel("first", "x", "mine.py:1"))
    other = native().compile(_kernel("second", "weights", "yours.py:2"))
    assert one.address == other.address
    different = native().compile(_kernel("third", "x", "mine.py:1", count=9))
    assert different.address != one.address


def test_shared_kernels_show_their_own_source() -> None:
    functions = []
    for name in ("alpha", "beta"):
        graph = gc.Graph()
        x = graph.input(name, (17,))
        functions.append(gc.function([x], gc.sin(x) * 3))
    (first,), (second,) = (f.loaded().kernels for f in functions)
    assert first.address == second.address
    assert "alpha" in first.source and "beta" in second.source and "alpha" not in second.source
