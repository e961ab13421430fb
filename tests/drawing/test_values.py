"""Values above the edges and gradients below them: the figures that textbooks print."""

import numpy as np
import pytest

from graphc.drawing.engine import place_all
from graphc.drawing.labels import number_text, value_lines
from graphc.drawing.values import run_batch
from graphc.inspect.stage import Stage
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Program
from graphc.ir.ops.elementwise import elementwise as ops
from tests.drawing.conftest import EXAMPLES


def figures(diagram):
    """(source's label, target's label) -> (value, gradient) of each edge."""
    labels = {node.id: node.label for node in diagram.nodes}
    return {
        (labels[edge.source], labels[edge.target]): (" ".join(edge.value), " ".join(edge.gradient))
        for edge in diagram.edges
    }


def test_apples(diagrams):
    (diagram,) = diagrams(EXAMPLES / "apples.py", Stage.DECLARED, with_values=True)
    found = figures(diagram)
    times = "\N{MULTIPLICATION SIGN}"
    assert found["apple", times] == ("100", "2.2")
    assert found["apples", times] == ("2", "110")
    assert found[times, times] == ("200", "1.1")
    assert found["tax", times] == ("1.1", "200")
    assert found[times, "total"] == ("220", "1")


def test_apples_and_oranges(diagrams):
    (diagram,) = diagrams(EXAMPLES / "apples_and_oranges.py", Stage.DECLARED, with_values=True)
    found = figures(diagram)
    times = "\N{MULTIPLICATION SIGN}"
    assert found["apple", times] == ("100", "2.2")
    assert found["apples", times] == ("2", "110")
    assert found["orange", times] == ("150", "3.3")
    assert found["oranges", times] == ("3", "165")
    assert found["tax", times] == ("1.1", "650")
    assert found["+", times] == ("650", "1.1")
    assert found[times, "total"] == ("715", "1")
    assert {edge.value for edge in diagram.edges} >= {("200",), ("450",)}


def test_sigmoid_neuron(diagrams):
    """All the figures of CS231n's drawing, edge by edge."""
    script = EXAMPLES / "sigmoid_neuron.py"
    (diagram,) = diagrams(script, Stage.DECLARED, with_values=True, decimals=2)
    times, minus = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"
    found = figures(diagram)
    assert found["w0", times] == ("2.00", "-0.20")
    assert found["x0", times] == ("-1.00", "0.39")
    assert found["w1", times] == ("-3.00", "-0.39")
    assert found["x1", times] == ("-2.00", "-0.59")
    assert found["w2", "+"] == ("-3.00", "0.20")
    assert found["+", minus] == ("1.00", "0.20")
    assert found[minus, "exp"] == ("-1.00", "-0.20")
    assert found["exp", "+ 1"] == ("0.37", "-0.53")
    assert found["+ 1", "1 ÷"] == ("1.37", "-0.53")
    assert found["1 ÷", "f"] == ("0.73", "1.00")


def test_two_layer_net(diagrams):
    """Mazur's error, outputs and gradients of the weights."""
    (diagram,) = diagrams(EXAMPLES / "two_layer_net.py", Stage.DECLARED, with_values=True)
    found = figures(diagram)
    assert found["reshape", "loss"] == ("0.2984", "1")
    assert found["sigmoid", "matmul"] == ("[0.5933 0.5969]", "[0.03635 0.04137]")
    kernels = {
        node.label: edge.gradient
        for node in diagram.nodes
        for edge in diagram.edges
        if node.id == edge.source and node.label.endswith(".kernel")
    }
    assert kernels["output.kernel"] == ("[0.08217 -0.0226]", "[0.08267 -0.02274]")
    assert kernels["hidden.kernel"] == ("[0.0004386 0.0004977]", "[0.0008771 0.0009954]")


@pytest.mark.parametrize("stage", [Stage.BACKWARD, Stage.SIMPLIFIED, Stage.FUSED])
def test_every_stage_computes_the_same_loss(diagrams, stage):
    drawn = diagrams(EXAMPLES / "two_layer_net.py", stage, with_values=True)
    for diagram in drawn:
        (shown,) = (e.value for e in diagram.edges if e.target == "output loss")
        assert shown == ("0.2984",)
        updated = {e.target: e.value for e in diagram.edges if e.target.startswith("update ")}
        # w5 to w8 after the step, which the text gives as 0.35891648, 0.408666186, ...
        assert updated["update output.kernel"] == ("[0.3589 0.5113]", "[0.4087 0.5614]")


def test_gradients_of_several_uses_add_up():
    graph = Graph()
    x = graph.input("x")
    product = x * x
    loss = product + ops.sin(x)
    program = Program("test", (x,), (("loss", loss),))
    values = run_batch(program, {"x": np.float32(3)}, loss)
    first, second = (values.gradients[product, position] for position in (0, 1))
    assert (first, second) == (3, 3)
    assert values.total[x] == pytest.approx(6 + np.cos(3), rel=1e-6)


def test_both_uses_of_one_value_by_one_node_are_drawn(diagrams, tmp_path):
    script = tmp_path / "square.py"
    script.write_text(
        "import graphc as gc\ngraph = gc.Graph()\nx = graph.input('x')\n"
        "model = gc.function([x], {'y': x * x})\nsample_batch = {'x': 3}\n"
    )
    drawn = diagrams(script, Stage.DECLARED, with_values=True)
    (placed,) = place_all(drawn)
    uses = [edge for edge in placed.layout["edges"] if edge["value"] == ["3"]]
    assert [edge["gradient"] for edge in uses] == [["3"], ["3"]]
    assert uses[0]["points"] != uses[1]["points"]


def test_uses_without_a_derivative_have_no_gradient():
    graph = Graph()
    x = graph.input("x", (2,))
    mask = x > 0
    loss = build.sum(ops.where(mask, x, 0))
    program = Program("test", (x,), (("loss", loss),))
    values = run_batch(program, {"x": np.array([1, -1], "f4")}, loss)
    assert (mask, 0) not in values.gradients
    assert values.total[x].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (715.0, None, "715"), (0.19661193, None, "0.1966"), (1e-9, None, "1e-9"),
        (123456.0, None, "1.235e5"), (3, None, "3"), (True, None, "true"),
        (0.19661193, 2, "0.20"), (-0.001, 2, "0.00"), (float("nan"), None, "nan"),
        (float("inf"), 2, "inf"),
    ],
)  # fmt: skip
def test_numbers(value, decimals, text):
    assert number_text(value, decimals) == text


def test_large_tensors_are_summed_up():
    array = np.arange(20, dtype="f4").reshape(4, 5)
    assert value_lines(array) == ("4\N{MULTIPLICATION SIGN}5", "mean 9.5, norm 49.7")
    assert value_lines(np.arange(20)) == ("20", "0 to 19")
    assert value_lines(np.arange(236, 256, dtype="u1")) == ("20", "236 to 255")
    assert value_lines(np.arange(20) > 4) == ("20", "0.75 true")
    assert value_lines(np.zeros((0, 3), "f4")) == ("0\N{MULTIPLICATION SIGN}3, empty",)
