"""Graph.parameter, Graph.variable and the values behind them."""

import json
import struct

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


def test_a_copy_begins_anew_with_the_same_seed():
    variables = small_graph(seed=5).variables
    copied = variables.copy()
    copied["kernel"] = np.ones((3, 2))
    copied.initialize()
    np.testing.assert_array_equal(copied["kernel"], variables["kernel"])
    for one in (copied, variables):
        one.initialize(7)
        one["kernel"] = np.ones((3, 2))
        one.initialize()
    other = small_graph(seed=7).variables
    np.testing.assert_array_equal(copied["kernel"], other["kernel"])
    np.testing.assert_array_equal(variables["kernel"], other["kernel"])


def test_chosen_states_begin_anew():
    graph = small_graph()
    variables = graph.variables
    first = variables["kernel"]
    variables.update({"kernel": np.ones((3, 2), "f4"), "rate": 2.0, "count": 7})
    variables.initialize(names=[graph.states["rate"], "count"])
    assert variables["rate"] == 0.5 and variables["count"] == 0
    assert (variables["kernel"] == 1).all()
    with pytest.raises(gc.VariableError, match="no state is named 'rates'"):
        variables.initialize(1, ["kernel", "rates"])
    variables.initialize(names=["kernel"])
    np.testing.assert_array_equal(variables["kernel"], first)


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


def test_states_are_saved_by_node_or_name(tmp_path):
    graph = small_graph()
    path = tmp_path / "values.safetensors"
    graph.variables.save(path, [graph.states["kernel"], "rate"])
    assert sorted(safetensors.numpy.load_file(path)) == ["kernel", "rate"]
    with pytest.raises(gc.VariableError, match="no state is named 'nothing'"):
        graph.variables.save(path, ["nothing"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("kernel"), "lacks kernel"),
        (lambda values: values.update(extra=np.zeros(1)), "extra"),
        (lambda values: values.update(kernel=np.zeros((2, 2), "f4")), "shape"),
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


# --- files of others -------------------------------------------------------------------------


def _file(tensors: dict[str, tuple[str, list[int], bytes]]) -> bytes:
    """A safetensors file of (dtype, shape, bytes) by name, made by hand: any dtype, any name."""
    header, start = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + len(data)]}
        start += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in tensors.values())


# Every dtype that a file may have, with the bytes of two elements.
STORED = {
    "F64": 16, "F32": 8, "F16": 4, "BF16": 4, "F8_E4M3": 2, "F8_E5M2": 2, "I64": 16, "I32": 8,
    "I16": 4, "I8": 2, "U64": 16, "U32": 8, "U16": 4, "U8": 2, "BOOL": 2,
}  # fmt: skip
NAMES = {"f32": "F32", "f64": "F64", "i32": "I32", "i64": "I64", "u8": "U8", "bool": "BOOL"}


@pytest.mark.parametrize("wanted", NAMES)
@pytest.mark.parametrize("stored", STORED)
def test_no_dtype_is_converted(tmp_path, stored, wanted):
    graph = gc.Graph()
    graph.variable("v", gc.init.zeros, (2,), wanted)
    before = graph.variables["v"]
    path = tmp_path / "values.safetensors"
    path.write_bytes(_file({"v": (stored, [2], bytes(STORED[stored]))}))
    if NAMES[wanted] == stored:
        graph.variables.load(path)
        return
    shown = next((name for name, given in NAMES.items() if given == stored), stored)
    with pytest.raises(gc.VariableError, match=f"v has dtype {shown}, and {wanted} is expected"):
        graph.variables.load(path)
    np.testing.assert_array_equal(graph.variables["v"], before)


def test_values_that_are_not_asked_for_may_have_any_dtype(tmp_path):
    variables = vectors("v")
    path = tmp_path / "values.safetensors"
    path.write_bytes(_file({"v": ("F32", [2], bytes(8)), "other": ("BF16", [1], bytes(2))}))
    variables.load(path, allow_others=True)


def vectors(*names):
    graph = gc.Graph()
    for name in names:
        graph.variable(name, gc.init.ones, (2,), "f32")
    return graph.variables


def test_nan_is_loaded_only_when_asked_for(tmp_path):
    variables = vectors("w", "v")
    variables["v"] = [np.nan, np.inf]
    variables["w"] = 2 * np.ones(2)
    path = tmp_path / "values.safetensors"
    variables.save(path)
    other = vectors("w", "v")
    with pytest.raises(gc.VariableError, match=r"v has NaN; allow_nan=True loads it"):
        other.load(path)
    assert (other["w"] == 1).all() and (other["v"] == 1).all()
    other.load(path, allow_nan=True)
    np.testing.assert_array_equal(other["v"], np.float32([np.nan, np.inf]))


def test_bytes_that_are_no_bools_are_refused(tmp_path):
    graph = gc.Graph()
    graph.variable("mask", np.array([True, False]))
    path = tmp_path / "values.safetensors"
    path.write_bytes(_file({"mask": ("BOOL", [2], b"\x01\x02")}))
    with pytest.raises(gc.VariableError, match="mask has bytes that are neither 0 nor 1"):
        graph.variables.load(path)


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "\u202e", "\x9b31m"])
def test_a_terminal_obeys_no_name(tmp_path, name):
    path = tmp_path / "values.safetensors"
    path.write_bytes(_file({name: ("F32", [2], bytes(8))}))
    with pytest.raises(gc.VariableError) as unknown:
        vectors("v").load(path)
    path.write_bytes(_file({name: ("BF16", [2], bytes(4))}))
    with pytest.raises(gc.VariableError) as mismatched:
        vectors(name).load(path)
    path.write_bytes(_file({name: ("F32", [3], bytes(12))}))
    with pytest.raises(gc.VariableError) as misshapen:
        vectors(name).load(path)
    for raised in (unknown, mismatched, misshapen):
        assert str(raised.value).isprintable()
        assert name.encode("unicode_escape").decode() in str(raised.value)


def test_of_many_names_a_message_has_a_few(tmp_path):
    path = tmp_path / "values.safetensors"
    path.write_bytes(_file({f"n{i}": ("F32", [1], bytes(4)) for i in range(1000)}))
    with pytest.raises(gc.VariableError, match="and 988 more"):
        vectors("v").load(path)


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


def test_trainable_states_are_one_vector() -> None:
    graph = gc.Graph()
    graph.parameter("w", (2, 3), init=np.arange(6.0).reshape(2, 3))
    graph.variable("count", 7)
    graph.parameter("b", (2,), init=np.array([8.0, 9.0]), dtype="f64")
    variables = graph.variables
    assert variables.flat.tolist() == [0, 1, 2, 3, 4, 5, 8, 9]
    assert variables.flat.dtype == np.float64
    variables.flat = 2 * variables.flat
    assert variables["w"].tolist() == [[0, 2, 4], [6, 8, 10]] and variables["b"].tolist() == [
        16,
        18,
    ]
    assert variables["count"] == 7
    variables.flat[:] = 0  # a copy
    assert variables.flat[-1] == 18
    for wrong in (np.zeros(7), np.zeros((8, 1)), ["a"] * 8, 1.0):
        with pytest.raises(gc.VariableError, match="flat: "):
            variables.flat = wrong
    assert variables.flat[-1] == 18


@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "i64", "u8", "bool"])
@pytest.mark.parametrize("number", [1, 1.0, np.float32(1), np.int8(1), np.array(1.0), True])
def test_any_number_fills_a_state(dtype, number):
    graph = gc.Graph(seed=0)
    graph.parameter("w", (2, 3), number, dtype)
    assert (graph.variables["w"] == np.ones((2, 3))).all()


@pytest.mark.parametrize(
    ("init", "dtype"),
    [
        (1.5, "i32"), (np.array([1.5, 2.0]), "i32"), (np.array([np.nan, 1.0]), "i64"),
        (2**40, "i32"), (np.array([1, 2**40]), "i32"), (2.0**63, "i64"), (-1, "u8"), (300, "u8"),
        (2, "bool"), (np.array([0.5, 1]), "bool"), (1e300, "f32"), (np.array([1.0, 1e300]), "f32"),
    ],
)  # fmt: skip
def test_an_initial_value_that_no_element_can_be(init, dtype):
    graph = gc.Graph(seed=0)
    with pytest.raises(gc.DTypeError, match=r"(?s)w: init: .*test_variables"):
        graph.parameter("w", (2,), init, dtype)
    assert not graph.states
    graph.parameter("w", (2,), 1, dtype)


@pytest.mark.parametrize("shape", [(3,), (1,), (2, 1), ()])
def test_an_initial_array_of_another_shape_is_refused_where_it_is_declared(shape):
    graph = gc.Graph(seed=0)
    with pytest.raises(gc.ShapeError, match=r"(?s)w: init: .*not.*test_variables"):
        graph.parameter("w", (2,) if shape else (2, 2), np.ones(shape or 3))
    assert not graph.states
