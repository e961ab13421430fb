"""What the diagrams of each stage hold."""

import graphlib
import re

import pytest

from graphc.drawing.diagram import Boxing, NodeKind
from graphc.inspect.stage import Stage


def boxes_of(diagram, boxing):
    """The labels of the nodes in each box, by the box's label."""
    labels = {box.id: box.label for box in diagram.boxes}
    found = {box.label: [] for box in diagram.boxes if box.boxing is boxing}
    for node in diagram.nodes:
        if boxing in node.boxes:
            found[labels[node.boxes[boxing]]].append(node.label)
    return found


def test_layers_are_named_as_parameters_even_on_one_line(diagrams, classifier):
    (diagram,) = diagrams(classifier, Stage.DECLARED)
    layers = boxes_of(diagram, Boxing.LAYER)
    first = ["dense.kernel", "points", "matmul", "dense.bias", "+", "tanh"]
    assert sorted(layers["dense"]) == sorted(first)
    assert "tanh" in layers["dense_1"] and "tanh" not in layers["dense_2"]
    assert set(layers) == {"dense", "dense_1", "dense_2", "net.py:10"}


def test_backward_values_and_updates_stand_in_their_layers(diagrams, classifier):
    (diagram,) = diagrams(classifier, Stage.BACKWARD)
    layers = boxes_of(diagram, Boxing.LAYER)
    for name in ("dense", "dense_1", "dense_2"):
        updates = [label for label in layers[f"{name} backward"] if label.endswith(" ←")]
        assert sorted(updates) == [f"{name}.bias ←", f"{name}.kernel ←"]
        assert layers[name].count("matmul") == 1
        # The product for the kernel, and but for the first layer that for x.
        assert layers[f"{name} backward"].count("matmul") == 1 + (name != "dense")
    assert "one_hot" in layers["net.py:10"]


def test_hover_text_names_type_line_and_kernels(diagrams, classifier):
    (diagram,) = diagrams(classifier, Stage.DECLARED)
    tanh = next(node for node in diagram.nodes if node.label == "tanh")
    assert (tanh.type, tanh.line) == ("f32[batch,5]", "net.py:8")
    assert tanh.source_line == "hidden = gc.nn.dense(hidden, 5, activation=gc.tanh)"
    assert tanh.kernels
    assert all(diagram.sources[name].startswith(f"def {name}(") for name in tanh.kernels)


def test_fusion_side_by_side(diagrams, classifier):
    before, after = diagrams(classifier, Stage.FUSED)
    groups = boxes_of(after, Boxing.GROUP)
    assert groups.keys() == set(after.sources) - {"check_labels"}
    assert boxes_of(before, Boxing.GROUP) == {}
    assert len(before.sources) > 3 * len(after.sources)
    fused = next(box for box in after.boxes if "matmul_tanh" in box.label)
    assert {"matmul", "+", "tanh"} <= set(groups[fused.label])
    assert any(re.match(r"matmul \+ add: .*; saves [\d,]+ bytes$", n) for n in fused.notes)
    # The same values have the same keys, and the tint of the group that they end up in.
    tints = {node.key: node.tint for node in after.nodes if node.kind is NodeKind.OP}
    shown = [node for node in before.nodes if node.kind is NodeKind.OP and node.tint is not None]
    assert len(shown) > 20
    assert all(tints[node.key] == node.tint for node in shown if node.label != "iota")


@pytest.mark.parametrize("stage", [Stage.DECLARED, Stage.BACKWARD, Stage.SIMPLIFIED, Stage.FUSED])
def test_edges_join_drawn_nodes_and_every_op_is_reached(diagrams, classifier, stage):
    for diagram in diagrams(classifier, stage):
        ids = {node.id for node in diagram.nodes}
        ends = {end for edge in diagram.edges for end in (edge.source, edge.target)}
        assert ends <= ids
        assert {node.id for node in diagram.nodes if node.kind is NodeKind.OP} <= ends


def test_plan_follows_stored_values(diagrams, classifier):
    (diagram,) = diagrams(classifier, Stage.PLAN)
    kernels = [node for node in diagram.nodes if node.kind is NodeKind.KERNEL]
    assert {node.label for node in kernels} == set(diagram.sources)
    labels = {node.id: node.label for node in diagram.nodes}
    stored = [(labels[e.source], labels[e.target], *e.value) for e in diagram.edges if e.value]
    assert ("matmul_tanh_multiply", "matmul_tanh_multiply_2", "tanh", "640 bytes") in stored
    assert any(d == "reads dense.kernel +1" for node in kernels for d in node.details)


def test_a_large_graph_is_first_drawn_by_layers(diagrams, tmp_path):
    script = tmp_path / "deep.py"
    script.write_text(
        "import graphc as gc\ngraph = gc.Graph()\nx = graph.input('x')\ny = x\n"
        "for _ in range(400):\n    y = gc.tanh(y)\nmodel = gc.function([x], y)\n"
    )
    (large,) = diagrams(script, Stage.DECLARED)
    assert [box.label for box in large.boxes] == ["deep.py:6"]
    assert large.collapsed == (large.boxes[0].id,)
    (small,) = diagrams(script, Stage.PLAN)
    assert small.collapsed == ()


NORMS = """\
import graphc as gc

graph = gc.Graph()
x = graph.input("x", ("batch", 8))
t = graph.input("t", ("batch",), "i32")


def normalized(x, name):
    centered = x - gc.mean(x, -1, keepdims=True)
    variance = gc.mean(gc.square(centered), -1, keepdims=True)
    scale = graph.parameter(f"{name}_scale", (8,), 1.0)
    return centered / gc.sqrt(variance + 1e-5) * scale


shared = gc.nn.Dense(8, "relu")
for number in range(5):
    with gc.scope(f"block{number // 2}"):
        x = x + gc.nn.dense(shared(normalized(x, f"n{number}")), 8)
loss = gc.losses.softmax_cross_entropy(gc.nn.dense(x, 3), t)
model = gc.Model([x.graph.inputs["x"]], x, t, loss)
model.compile(gc.optim.Adam())
"""


@pytest.fixture
def norms(tmp_path):
    script = tmp_path / "norms.py"
    script.write_text(NORMS)
    return script


def test_calls_and_scopes_are_boxes_of_their_own(diagrams, norms):
    (diagram,) = diagrams(norms, Stage.DECLARED)
    labels = [box.label for box in diagram.boxes]
    assert {"block0", "block1", "block2", "block0.dense_1", "block1.dense_1"} <= set(labels)
    assert {"block0.dense", "block0.dense (call 2)", "block2.block0.dense (call 5)"} <= set(labels)
    # Without scopes a function is told apart by its calls.
    norms.write_text(NORMS.replace('with gc.scope(f"block{number // 2}"):', "if True:"))
    (diagram,) = diagrams(norms, Stage.DECLARED)
    found = [box.label for box in diagram.boxes if box.label.startswith("normalized")]
    assert found == ["normalized", *(f"normalized ({number})" for number in range(2, 6))]


@pytest.mark.parametrize("stage", list(Stage)[:5])
def test_collapsed_boxes_have_no_circle(diagrams, norms, stage):
    for diagram in diagrams(norms, stage):
        assert bool(diagram.collapsed) == (len(diagram.nodes) > 60)
        place = {node.id: node.boxes.get(Boxing.LAYER, node.id) for node in diagram.nodes}
        edges = {(place[e.source], place[e.target]) for e in diagram.edges}
        sources = {box: set() for box in place.values()}
        for source, target in edges:
            if source != target:
                sources[target].add(source)
        assert list(graphlib.TopologicalSorter(sources).static_order())
        if diagram.collapsed:
            assert len(set(place.values())) < len(diagram.nodes) / 2


def test_an_output_that_is_a_constant_is_drawn(diagrams, tmp_path):
    script = tmp_path / "constant.py"
    script.write_text(
        "import graphc as gc\ngraph = gc.Graph()\nx = graph.input('x')\n"
        "model = gc.function([x], {'half': graph.constant(0.5), 'x': x})\n"
    )
    for stage in (Stage.DECLARED, Stage.FUSED, Stage.PLAN):
        for diagram in diagrams(script, stage):
            labels = {node.id: node.label for node in diagram.nodes}
            sources = {e.target: labels[e.source] for e in diagram.edges}
            assert {"output half", "output x"} <= sources.keys()
