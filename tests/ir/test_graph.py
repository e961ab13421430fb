"""Nodes, graphs and programs: identity, locations, names, depth; types."""

import inspect
from typing import Any

import numpy as np
import pytest

from graphc.ir.derive.autodiff import gradients
from graphc.ir.dims import Dim
from graphc.ir.errors import DTypeError, ForeignTensorError, GraphError, ShapeError
from graphc.ir.functions import build
from graphc.ir.graph import (
    Graph,
    Program,
    are_same,
    depends_on,
    is_among,
    rebuild,
    topological,
    users,
)
from graphc.ir.nodes.attributes import Literal
from graphc.ir.nodes.location import callers_location
from graphc.ir.nodes.lowering import Leaf
from graphc.ir.nodes.op import Op
from graphc.ir.ops import OPS, random
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.reference import evaluate, run_program
from graphc.ir.types import (
    DTYPES,
    TensorType,
    as_dtype,
    as_shape,
    bool_,
    broadcast_shapes,
    f32,
    f64,
    i32,
    i64,
    normalize_axes,
    u8,
)
from tests.ir.evaluation import value_of

DEEP = 20_000


def here() -> int:
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


# --- identity --------------------------------------------------------------------------------


def test_equal_applications_are_one_node() -> None:
    graph = Graph()
    x, y = graph.input("x", (3,)), graph.input("y", (3,))
    assert x + y is x + y
    assert x + y is not y + x
    assert x * 2 is x * 2.0
    assert x * 2 is not x * 3
    assert build.sum(x) is build.sum(x, 0)
    assert build.leaky_relu(x, 0.1) is not build.leaky_relu(x, 0.2)
    assert len({x + y, x + y, y + x}) == 2


def test_attributes_intern_by_their_bits() -> None:
    graph = Graph()
    x = graph.input("x", (3,))
    for op in (build.leaky_relu, build.elu):
        assert op(x, 0.0) is not op(x, -0.0)
        assert op(x, np.nan) is op(x, float("nan"))
        assert op(x, 1) is op(x, 1.0)
    key = graph.state("key", (), "i64")
    assert random.dropout(x, key, rate=0.0) is not random.dropout(x, key, rate=-0.0)


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_programs_are_equal_by_the_bits_of_attributes(slope: float) -> None:
    def program(slope: float) -> Program:
        x = Graph().input("x", (3,))
        return Program("net", (x,), (("y", build.leaky_relu(x, slope)),))

    assert program(slope) == program(float(np.float64(slope)))
    assert program(slope) != program(-0.0)


def test_equal_operands_in_two_graphs_are_two_nodes() -> None:
    first, second = Graph(), Graph()
    assert first.constant(1.0) is not second.constant(1.0)


def test_constants_intern_by_dtype_shape_and_bits() -> None:
    graph = Graph()
    assert graph.constant(1.0) is graph.constant(np.float32(1))
    assert graph.constant(1.0) is not graph.constant(1.0, "f64")
    assert graph.constant([1.0]) is not graph.constant(1.0)
    assert graph.constant(0.0) is not graph.constant(-0.0)
    assert graph.constant(np.nan) is graph.constant(np.nan)
    assert graph.constant(np.arange(6).reshape(2, 3).T) is graph.constant([[0, 3], [1, 4], [2, 5]])


def test_constants_do_not_change_with_their_array() -> None:
    array = np.ones(3, np.float32)
    graph = Graph()
    node = graph.constant(array)
    array[0] = 7
    np.testing.assert_array_equal(value_of(node), np.ones(3))
    with pytest.raises(ValueError, match="read-only"):
        value_of(node)[0] = 7


def test_constants_have_the_dtype_as_given() -> None:
    graph = Graph()
    given = [(1.5, f32), (1, i64), (True, bool_), (np.float32(1), f32), (np.int32(1), i32)]
    for value, dtype in given:
        assert graph.constant(value).dtype == dtype
    assert graph.constant(np.ones(2)).dtype == f32
    assert graph.constant(np.ones(2), "f64").dtype == f64


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(1.5, "i64"), (2**40, "i32"), (np.array([2**40]), "i32"), (-(2**70), "i64"), (1j, "f32"),
     ([None], "f32"), ("1", "i64"), (0.5, "bool")],
)  # fmt: skip
def test_constants_that_do_not_fit(value: Any, dtype: str) -> None:
    with pytest.raises(GraphError, match=r"^constant: .*\n  at test_graph.py:"):
        Graph().constant(value, dtype)


def test_nodes_hash_by_identity_and_do_not_change() -> None:
    graph = Graph()
    x = graph.input("x", (3,))
    y = x + 1
    found = {x: "x", y: "y"}
    assert found[x] == "x" and found[y] == "y" and {x, y, x + 1} == {y, x}
    assert is_among(y, [x, y]) and not is_among(y, [x])
    assert are_same([x, y], (x, x + 1))
    assert not are_same([x, y], [y, x]) and not are_same([x], [x, y])
    with pytest.raises(AttributeError):
        x.number = 3  # type: ignore[misc]


def test_nodes_are_kept_in_order() -> None:
    graph = Graph()
    x = graph.input("x", (3,))
    nodes = [x, ops.exp(x), ops.tanh(ops.exp(x))]
    assert graph.nodes == nodes
    assert [node.number for node in graph.nodes] == [0, 1, 2]


# --- locations -------------------------------------------------------------------------------


def test_a_node_has_the_users_line() -> None:
    graph = Graph()
    line = here()
    x = graph.input("x", (3, 4))
    mean = build.mean(x, 0)
    product = x @ x.T
    made = ((x, 1), (mean, 2), (mean.operands[0], 2), (product, 3), (product.operands[1], 3))
    for node, lines_below in made:
        assert node.location is not None
        assert (node.location.filename, node.location.line) == (__file__, line + lines_below)
    assert x.location is not None and x.location.text == 'x = graph.input("x", (3, 4))'
    assert str(x.location) == f"test_graph.py:{line + 1}"


def test_the_first_line_stays() -> None:
    graph = Graph()
    x = graph.input("x", ())
    first = x + 1
    location = first.location
    assert (x + 1).location is location


def test_a_pass_keeps_the_users_line() -> None:
    graph = Graph()
    x = graph.input("x", ())
    y = ops.exp(x)
    with graph.at(y.location):
        derived = ops.log(y)
    assert derived.location is y.location
    assert ops.sin(y).location != y.location


def test_a_derivative_has_the_line_of_what_it_derives() -> None:
    graph = Graph()
    x = graph.input("x", ())
    y = ops.tanh(x)
    z = y * 3
    (slope,) = gradients(z, [x])
    derived = [node for node in topological([slope]) if node.operands]
    assert {node.location for node in derived} == {y.location, z.location}


def test_there_is_a_location_in_a_test() -> None:
    location = callers_location()
    assert location is not None and location.line == here() - 1


# --- names, foreign tensors, misuse ----------------------------------------------------------


def test_names_are_unique() -> None:
    graph = Graph()
    graph.input("x", ())
    graph.state("w", ())
    for declare, name in (
        (graph.input, "x"),
        (graph.state, "x"),
        (graph.input, "w"),
        (graph.state, "w"),
    ):
        with pytest.raises(GraphError, match=f"the name '{name}' is taken, first declared"):
            declare(name, ())
    assert list(graph.inputs) == ["x"] and list(graph.states) == ["w"]


def test_a_refused_name_stays_free() -> None:
    graph = Graph()
    with pytest.raises(ShapeError):
        graph.input("x", (-1,))
    assert graph.input("x", (1,)).name == "x"


def test_only_inputs_and_states_have_names() -> None:
    graph = Graph()
    x, w = graph.input("x", ()), graph.state("w", ())
    assert (x.name, w.name) == ("x", "w")
    with pytest.raises(GraphError, match="a add has no name"):
        _ = (x + w).name


def test_foreign_tensors() -> None:
    x, y = Graph().input("x", (3,)), Graph().input("y", (3,))
    line = here() + 2
    with pytest.raises(ForeignTensorError) as raised:
        x * y
    message = str(raised.value)
    assert message.startswith("multiply(f32[3], f32[3]): <input y : f32[3]> is of another graph")
    assert f"at test_graph.py:{line}: x * y" in message
    with pytest.raises(ForeignTensorError, match="concatenate"):
        build.concatenate([x, y])
    with pytest.raises(ForeignTensorError, match="matmul"):
        build.matmul(x, y)


def test_unknown_attributes() -> None:
    x = Graph().input("x", (3,))
    with pytest.raises(
        GraphError, match=r"exp\(f32\[3\]\): attributes \[\] expected, not \['axis'\]"
    ):
        ops.exp(x, axis=0)


def test_what_a_repr_shows() -> None:
    graph = Graph()
    x = graph.input("x", ("batch", 4))
    assert repr(x) == "<input x : f32[batch,4]>"
    assert repr(ops.exp(x)) == "<exp %1 : f32[batch,4]>"
    assert repr(OPS["sum"]) == "Op(sum)"


def test_an_op_has_a_rule_for_every_operand() -> None:
    def make(arity: int | None, rules: int) -> Op:
        return Op(
            "half_derived", arity=arity, infer=lambda *types: types[0],
            reference=lambda result, *arrays: arrays[0],
            vjp=[lambda ct, *rest: ct] * rules, lowering=Leaf(),
        )  # fmt: skip

    for arity, rules in ((2, 1), (1, 0), (1, 2), (None, 0), (None, 2)):
        with pytest.raises(
            TypeError, match=f"op half_derived: .* VJP rules expected, {rules} given"
        ):
            make(arity, rules)
    for arity, rules in ((2, 2), (0, 0), (None, 1)):
        assert make(arity, rules).arity == arity


def test_ops_are_under_their_own_names() -> None:
    assert all(name == op.name for name, op in OPS.items())


# --- walks and depth -------------------------------------------------------------------------


def test_topological_order() -> None:
    graph = Graph()
    x, y = graph.input("x", ()), graph.input("y", ())
    a = x + y
    b = a * a
    c = b - x
    assert topological([c]) == (x, y, a, b, c)
    assert topological([a, c, a]) == (x, y, a, b, c)
    assert topological([]) == ()


def test_users_and_dependence() -> None:
    graph = Graph()
    x, y = graph.input("x", ()), graph.input("y", ())
    square, other = x * x, ops.exp(y)
    root = square + other
    nodes = topological([root])
    assert users(nodes)[x] == [square] and users(nodes)[root] == []
    assert depends_on([root], [x]) == {x, square, root}


def test_rebuild_into_another_graph() -> None:
    graph, other = Graph(), Graph()
    x = graph.input("x", ())
    root = ops.exp(x) * x + 1
    mapped = rebuild([root], lambda node, operands: other.apply(node.op, operands, node.attributes))
    assert mapped[root].graph is other and len(mapped) == len(topological([root]))
    program = Program("p", (x,), (("y", root),))
    assert program == Program("p", (mapped[x],), (("y", mapped[root]),))


def test_deep_graphs() -> None:
    """Nothing recurses: a chain deeper than Python's stack by far."""
    graph = Graph()
    x = graph.input("x", (), "f64")
    y = x
    for _ in range(DEEP // 2):
        y = y * 0.5 + x
    assert len(topological([y])) == DEEP + 2
    (slope,) = gradients(y, [x])
    results = evaluate((y, slope), {x: np.array(3.0)})
    assert results[y] == 6.0 and results[slope] == 2.0
    program = Program("deep", (x,), (("y", y), ("slope", slope)))
    assert program == Program("deep", (x,), (("y", y), ("slope", slope)))
    assert len(rebuild([y], lambda node, operands: node)) == DEEP + 2
    assert "f64[]" in repr(y)


# --- programs --------------------------------------------------------------------------------


def _network(scale: float = 2.0, name: str = "net", order: int = 1) -> Program:
    graph = Graph()
    x, y = graph.input("x", ("batch", 3)), graph.input("y", ())
    w = graph.state("w", (3,), trainable=True)
    loss = build.mean(ops.square(x * w)) * scale + y
    inputs = (x, y)[::order]
    return Program(name, inputs, (("loss", loss),), ((w, w - gradients(loss, [w])[0]),))


def test_equal_programs() -> None:
    assert _network() == _network() and hash(_network()) == hash(_network())
    for other in (_network(3.0), _network(name="other"), _network(order=-1)):
        assert _network() != other
    outputs = _network().outputs
    renamed = Program("net", _network().inputs, (("cost", outputs[0][1]),), _network().updates)
    assert renamed != _network()
    assert _network() != "net"


def test_a_program_knows_its_nodes() -> None:
    program = _network()
    w = program.graph.states["w"]
    assert program.states == (w,)
    assert program.roots == (program.outputs[0][1], program.updates[0][1])
    assert set(program.roots) <= set(program.nodes)
    assert program.map_roots(lambda node: node) == program


def test_a_written_state_counts_though_never_read() -> None:
    graph = Graph()
    x, last = graph.input("x", ()), graph.state("last", ())
    program = Program("remember", (x,), (("twice", x * 2),), ((last, x),))
    assert program.states == (last,)
    outputs, updates = run_program(program, {"x": np.float32(3)}, {"last": np.float32(0)})
    assert outputs["twice"] == 6 and updates["last"] == 3


def test_updates_are_simultaneous() -> None:
    graph = Graph()
    a, b = graph.state("a", ()), graph.state("b", ())
    program = Program("swap", (), (), ((a, b), (b, a)))
    _, updates = run_program(program, {}, {"a": np.float32(1), "b": np.float32(2)})
    assert updates == {"a": 2, "b": 1}


# --- types -----------------------------------------------------------------------------------


def test_dtypes_by_every_spelling() -> None:
    spelled = {
        "f32": f32,
        "float64": f64,
        np.int32: i32,
        np.dtype("i8"): i64,
        "u8": u8,
        np.uint8: u8,
        bool: bool_,
        f64: f64,
    }
    assert [as_dtype(spelling) for spelling in spelled] == list(spelled.values())
    assert {name: dtype.name for name, dtype in DTYPES.items()} == {n: n for n in DTYPES}


@pytest.mark.parametrize("spelling", ["nonsense", "f16", np.uint16, None, 3, object(), "complex64"])
def test_no_dtypes(spelling: Any) -> None:
    with pytest.raises(
        DTypeError, match="is no dtype of graphc; there are f32, f64, i32, i64, u8, bool"
    ):
        as_dtype(spelling)


@pytest.mark.parametrize("extent", [-1, 1.0, True, None, "two words", "", (3,)])
def test_no_extents(extent: Any) -> None:
    with pytest.raises(ShapeError):
        as_shape((2, extent))


def test_shapes() -> None:
    assert as_shape(("batch", np.int64(3))) == (Dim("batch"), 3)
    assert as_shape(3) == (3,) and as_shape("n") == (Dim("n"),) and as_shape(()) == ()
    assert repr(TensorType(f32, as_shape(("batch", 64)))) == "f32[batch,64]"
    assert TensorType(f64, (2, 3)).nbytes == 48
    assert normalize_axes((-1, 0), 3) == (0, 2) and normalize_axes(None, 2) == (0, 1)


@pytest.mark.parametrize(
    "shapes",
    [[(), ()], [(3,), ()], [(2, 1), (3,)], [(1,), (0,)], [(4, 1, 2), (3, 1)], [(1,), (1, 1)], []],
)
def test_broadcasting_is_numpys(shapes: Any) -> None:
    assert broadcast_shapes(shapes) == np.broadcast_shapes(*shapes)


def test_literals() -> None:
    first, second = Literal([1.0, 2.0], f32), Literal(np.array([1, 2]), f32)
    assert first == second and hash(first) == hash(second)
    assert first != Literal([1.0, 2.0], f64) and first != "literal"
