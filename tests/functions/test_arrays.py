"""What a user hands over: matched, converted, checked."""

import numpy as np
import pytest

import graphc as gc
from graphc.functions import arrays


@pytest.fixture
def graph():
    return gc.Graph()


def test_conversions(graph):
    x = graph.input("x", ("batch", 2))
    t = graph.input("t", ("batch",), "i32")
    m = graph.input("m", ("batch",), "bool")
    for given in (np.uint8, np.float64, np.int64, np.bool_, np.float16):
        (array,) = arrays.matched([x], np.ones((3, 2), given), "x")
        assert array.dtype == np.float32 and (array == 1).all()
    for given in (np.uint8, np.int64, np.uint64):
        (array,) = arrays.matched([t], np.ones(3, given), "y")
        assert array.dtype == np.int32
    assert arrays.matched([m], [True, False], "x")[0].dtype == np.bool_
    for node, value in ((t, np.ones(3)), (t, np.ones(3, bool)), (m, np.ones(3, int))):
        with pytest.raises(gc.DataError, match="dtype"):
            arrays.matched([node], value, "x")
    with pytest.raises(gc.DataError, match="dtype"):
        arrays.matched([x], np.full((3, 2), "a"), "x")


def test_integers_that_do_not_fit(graph):
    t = graph.input("t", ("batch",), "i32")
    with pytest.raises(gc.DataError, match="beyond the range of i32"):
        arrays.matched([t], np.array([1, 2**31]), "y")


def test_bytes_are_used_as_they_are_and_floats_refused(graph):
    pixels = graph.input("pixels", ("batch", 2), "u8")
    given = np.array([[0, 255]], np.uint8)
    assert np.shares_memory(arrays.as_input(pixels, given), given)
    assert arrays.as_input(pixels, [[0, 255]]).tolist() == [[0, 255]]
    for beyond in ([[0, 256]], [[-1, 0]]):
        with pytest.raises(gc.DataError, match="beyond the range of u8"):
            arrays.as_input(pixels, beyond)
    refused = (
        r"^pixels : u8\[batch,2\]: an array of dtype float32 does not fit\n  at test_arrays.py"
    )
    with pytest.raises(gc.DataError, match=refused):
        arrays.as_input(pixels, given.astype("f4"))


def test_result_is_contiguous_and_without_needless_copies(graph):
    x = graph.input("x", ("batch", 2))
    given = np.ones((3, 2), np.float32)
    assert arrays.matched([x], given, "x")[0] is given or np.shares_memory(
        arrays.matched([x], given, "x")[0], given
    )
    assert arrays.matched([x], given.T.copy().T, "x")[0].flags.c_contiguous


@pytest.mark.parametrize("shape", [(3,), (3, 3), (3, 2, 1), ()])
def test_wrong_shapes_name_input_and_line(graph, shape):
    x = graph.input("x", ("batch", 2))
    with pytest.raises(gc.DataError, match=r"x : f32\[batch,2\].*shape(.|\n)*test_arrays.py"):
        arrays.matched([x], np.zeros(shape), "x")


def test_several_inputs(graph):
    nodes = [graph.input("a", ("batch",)), graph.input("b", ("batch", 2))]
    a, b = np.zeros(3, np.float32), np.ones((3, 2), np.float32)
    for given in ([a, b], (a, b), {"b": b, "a": a}):
        first, second = arrays.matched(nodes, given, "x")
        assert first.shape == (3,) and second.shape == (3, 2)
    for given, message in [
        ({"a": a}, "missing b"),
        ({"a": a, "b": b, "c": a}, "unknown c"),
        ([a], "2 arrays expected"),
        (b, "2 arrays expected"),
        (None, "missing a, b"),
    ]:
        with pytest.raises(gc.DataError, match=message):
            arrays.matched(nodes, given, "x")


def test_rows(graph):
    nodes = [graph.input("a", ("batch",)), graph.input("b", ("batch", "time"))]
    assert arrays.row_count(nodes, [np.zeros(3), np.zeros((3, 5))]) == 3
    with pytest.raises(gc.DataError, match="batch is 3 in a and 4 in b"):
        arrays.row_count(nodes, [np.zeros(3), np.zeros((4, 5))])
    with pytest.raises(gc.DataError, match="no data"):
        arrays.row_count(nodes, [np.zeros(0), np.zeros((0, 5))])


def test_batch_dimension(graph):
    a, b = graph.input("a", ("batch",)), graph.input("b", ("rows", 2))
    assert arrays.batch_dimension([a]) == "batch"
    for nodes in ([a, b], [graph.input("c", (3,))], [graph.input("d", ())]):
        with pytest.raises(gc.GraphError, match="batch"):
            arrays.batch_dimension(nodes)


def test_labels_out_of_range(graph):
    z = graph.input("z", ("batch", 3))
    t = graph.input("t", ("batch",), "i32")
    loss = gc.losses.softmax_cross_entropy(z, t)
    scores = np.zeros((4, 3), np.float32)
    arrays.check_labels([loss], [z, t], [scores, np.array([0, 1, 2, 0])])
    for labels, place in (([0, 3, 0, 0], r"t\[1\] is 3"), ([0, 0, 0, -1], r"t\[3\] is -1")):
        with pytest.raises(IndexError, match=rf"{place}, outside 0 to 2"):
            arrays.check_labels([loss], [z, t], [scores, np.array(labels)])


def test_labels_that_a_cast_changes_are_not_those_given(graph):
    z = graph.input("z", ("batch", 3))
    t = graph.input("t", ("batch",), "i32")
    loss = gc.losses.softmax_cross_entropy(z, gc.cast(t, "u8"))
    arrays.check_labels([loss], [z, t], [np.zeros((2, 3)), np.array([256, 2])])


def test_labels_that_are_reshaped_before_use(graph):
    z = graph.input("z", ("batch", 3))
    t = graph.input("t", ("batch", 1), "i32")
    flat = gc.cast(gc.reshape(t, ("batch",)), "i64")
    loss = gc.losses.softmax_cross_entropy(z, flat)
    with pytest.raises(IndexError, match=r"t\[1, 0\] is 7"):
        arrays.check_labels([loss], [z, t], [np.zeros((2, 3)), np.array([[0], [7]])])
