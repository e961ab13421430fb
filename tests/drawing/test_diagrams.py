"""What the diagrams of each stage hold."""

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
        updates = [label for label in layers[name] if label.endswith(" ←")]
        assert sorted(updates) == [f"{name}.bias ←", f"{name}.kernel ←"]
        # The product of the forward pass, that for the kernel, and but for the first for x.
        assert layers[name].count("matmul") >= 2
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
