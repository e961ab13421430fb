"""Graph.parameter, Graph.variable and the values behind them."""

import numpy as np
import pytest
import safetensors.numpy

import graphc as gc


def small_graph(seed=0):
    graph = gc.Graph(seed)
    graph.parameter("kernel", (3, 2))
    graph.variable("rate", 0.5)
    graph.variable("count", 0)
    graph.variable("palette", np.array([0, 255], np.uint8))
    return graph


def test_kinds_of_states():
    graph = small_graph()
    assert [node.name for node in graph.parameters] == ["kernel"]
    assert str(graph.states["rate"].type) == "f32[]"
    assert str(graph.states["count"].type) == "i64[]"
    assert str(graph.states["palette"].type) == "u8[2]"
    assert str(graph.variable("table", np.zeros((2, 3))).type) == "f32[2,3]"
    assert str(graph.variable("slot", gc.init.zeros, (4,), "f64").type) == "f64[4]"


def test_values_keep_their_address_and_alignment():
    variables = small_graph().variables
    storage = variables.storage("kernel")
    address = storage.ctypes.data
    assert address % 64 == 0 and storage.flags.c_contiguous
    variables["kernel"] = np.ones((3, 2))
    variables.initialize(7)
    assert variables.storage("kernel").ctypes.data == address


def test_reading_gives_a_copy():
    variables = small_graph().variables
    variables["kernel"][...] = 9
    assert not (variables["kernel"] == 9).any()


def test_adding_a_variable_does_not_change_others():
    first, second = gc.Graph(), gc.Graph()
    second.parameter("before", (5, 5))
    for graph in (first, second):
        graph.parameter("kernel", (3, 2))
    np.testing.assert_array_equal(first.variables["kernel"], second.variables["kernel"])


def test_seeds_and_names_give_different_streams():
    graph, other = gc.Graph(0), gc.Graph(1)
    graph.parameter("a", (3, 2))
    graph.parameter("b", (3, 2))
    other.parameter("a", (3, 2))
    assert (graph.variables["a"] != graph.variables["b"]).all()
    assert (graph.variables["a"] != other.variables["a"]).all()


def test_copy_is_independent():
    variables = small_graph().variables
    other = variables.copy()
    other["rate"] = 2.0
    assert variables["rate"] == 0.5 and other["rate"] == 2.0


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("kernel", np.zeros((2, 3)), "shape"),
        ("count", 1.5, "dtype"),
        ("palette", [0, 256], "0 to 256 is beyond the range of u8"),
        ("kernel", np.zeros((3, 2), complex), "dtype"),
        ("nothing", 0, "no state is named 'nothing'"),
    ],
)
def test_unfitting_values(key, value, message):
    with pytest.raises(gc.VariableError, match=message):
        small_graph().variables[key] = value


def test_state_of_another_graph():
    graph, other = small_graph(), small_graph()
    with pytest.raises(gc.VariableError, match="no state of this graph"):
        graph.variables[other.states["rate"]]


def test_state_without_initialiser_needs_a_value():
    graph = gc.Graph()
    state = graph.state("memory", (2,))
    with pytest.raises(gc.VariableError, match="no initialiser"):
        graph.variables[state]
    graph.variables[state] = [1, 2]
    assert graph.variables[state].tolist() == [1, 2]


def test_save_and_load(tmp_path):
    variables = small_graph().variables
    path = tmp_path / "values.safetensors"
    variables.save(path)
    other = small_graph(5).variables
    assert (other["kernel"] != variables["kernel"]).any()
    other.load(path)
    for name, value in variables.items():
        np.testing.assert_array_equal(other[name], value)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("kernel"), "lacks kernel"),
        (lambda values: values.update(extra=np.zeros(1)), "extra"),
        (lambda values: values.update(kernel=np.zeros((2, 2))), "shape"),
        (lambda values: values.update(count=np.float32(1)), "dtype"),
    ],
)
def test_load_refuses_and_changes_nothing(tmp_path, change, message):
    variables = small_graph().variables
    # "rate" comes before what is wrong in some cases and must stay as it was.
    values = {name: value + value.dtype.type(1) for name, value in variables.items()}
    change(values)
    path = tmp_path / "values.safetensors"
    safetensors.numpy.save_file({k: np.asarray(v) for k, v in values.items()}, path)
    before = dict(variables.items())
    with pytest.raises(gc.VariableError, match=message):
        variables.load(path)
    for name, value in variables.items():
        np.testing.assert_array_equal(value, before[name])


def test_load_of_something_else(tmp_path):
    path = tmp_path / "values.safetensors"
    path.write_bytes(b"not at all")
    with pytest.raises(gc.VariableError, match="no safetensors file"):
        small_graph().variables.load(path)


def test_names_are_unique():
    graph = gc.Graph()
    assert [graph.unique_name("dense") for _ in range(3)] == ["dense", "dense_1", "dense_2"]
    with pytest.raises(gc.GraphError, match="taken"):
        graph.reserve_name("dense_1")
    graph.input("x", (2,))
    with pytest.raises(gc.GraphError, match="taken"):
        graph.parameter("x", (2,))
