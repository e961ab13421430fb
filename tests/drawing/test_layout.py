"""Where things are drawn: nothing overlaps, and boxes hold what is theirs."""

import itertools
import xml.etree.ElementTree as ElementTree

import pytest

from graphc.drawing.diagram import Boxing
from graphc.drawing.engine import place_all, svg_text
from graphc.inspect.stage import Stage
from tests.drawing.conftest import EXAMPLES

SVG = "{http://www.w3.org/2000/svg}"
# Pixels; positions are rounded to a tenth.
SLACK = 0.2


def sides(thing):
    half_width, half_height = thing["width"] / 2, thing["height"] / 2
    return (
        thing["x"] - half_width, thing["y"] - half_height,
        thing["x"] + half_width, thing["y"] + half_height,
    )  # fmt: skip


def overlap(one, other):
    left, top, right, bottom = sides(one)
    left2, top2, right2, bottom2 = sides(other)
    return (
        min(right, right2) - max(left, left2) > SLACK
        and min(bottom, bottom2) - max(top, top2) > SLACK
    )


def holds(box, node):
    left, top, right, bottom = sides(box)
    left2, top2, right2, bottom2 = sides(node)
    return (
        left - SLACK <= left2
        and top - SLACK <= top2
        and right2 <= right + SLACK
        and bottom2 <= bottom + SLACK
    )


@pytest.mark.parametrize("stage", [Stage.DECLARED, Stage.BACKWARD, Stage.FUSED, Stage.PLAN])
def test_nothing_overlaps(diagrams, classifier, stage):
    for placed in place_all(diagrams(classifier, stage)):
        layout = placed.layout
        boxes = {box["id"]: box for box in layout["boxes"]}
        assert not any(itertools.starmap(overlap, itertools.combinations(layout["nodes"], 2)))
        assert not any(itertools.starmap(overlap, itertools.combinations(boxes.values(), 2)))
        for node in layout["nodes"]:
            for name, box in boxes.items():
                assert holds(box, node) if node.get("box") == name else not overlap(box, node)
        whole = {
            "x": layout["width"] / 2, "y": layout["height"] / 2,
            "width": layout["width"], "height": layout["height"],
        }  # fmt: skip
        assert all(holds(whole, thing) for thing in (*layout["nodes"], *boxes.values()))


@pytest.mark.parametrize(
    "name", ["apples", "apples_and_oranges", "sigmoid_neuron", "two_layer_net"]
)
def test_values_lie_on_their_edges_and_beside_all_else(diagrams, name):
    (placed,) = place_all(diagrams(EXAMPLES / f"{name}.py", Stage.DECLARED, with_values=True))
    labels = [edge["label"] for edge in placed.layout["edges"]]
    things = [*labels, *placed.layout["nodes"]]
    assert not any(itertools.starmap(overlap, itertools.combinations(things, 2)))
    for edge in placed.layout["edges"]:
        place = {"x": edge["label"]["x"], "y": edge["label"]["y"]}
        assert place in edge["points"]
        # From left to right.
        assert edge["points"][0]["x"] < place["x"] < edge["points"][-1]["x"]


def test_svg_stands_alone(diagrams):
    (diagram,) = diagrams(EXAMPLES / "apples_and_oranges.py", Stage.DECLARED, with_values=True)
    text = svg_text(diagram)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    above = {each.text: float(each.get("y")) for each in root.iter(f"{SVG}text")}
    assert above["715"] < above["1"]
    classes = {each.text: each.get("class") for each in root.iter(f"{SVG}text")}
    assert (classes["150"], classes["165"]) == ("value", "gradient")
    titles = [each.text for each in root.iter(f"{SVG}title")]
    assert any("apple : f32[]" in t or "input" in t for t in titles)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme: dark" in text


def test_collapsed_boxes_are_one_node(diagrams, classifier):
    from dataclasses import replace

    (diagram,) = diagrams(classifier, Stage.BACKWARD)
    shut = replace(diagram, collapsed=("layer dense_1",))
    (placed,) = place_all([shut])
    (box,) = (node for node in placed.layout["nodes"] if node["id"] == "layer dense_1")
    inside = [n for n in diagram.nodes if n.boxes.get(Boxing.LAYER) == "layer dense_1"]
    assert box["details"] == [f"{len(inside)} nodes"]
    assert len(placed.layout["nodes"]) == len(diagram.nodes) - len(inside) + 1
    ends = {edge["source"] for edge in placed.layout["edges"]}
    assert "layer dense_1" in ends and not ends & {node.id for node in inside}
