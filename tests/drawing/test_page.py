"""The page in a browser: what is in it, and that it answers."""

import re

import pytest

from graphc.drawing.diagram import Box, Boxing, Diagram, DrawnEdge, DrawnNode, NodeKind
from graphc.drawing.page import page_text
from graphc.inspect.stage import Stage
from tests.drawing.conftest import CLASSIFIER, EXAMPLES, draw


@pytest.fixture(scope="module")
def fused_html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fused")
    script, html = folder / "net.py", folder / "net.html"
    script.write_text(CLASSIFIER)
    draw(script, "--stage", "fused", "--html", html)
    return html


@pytest.fixture
def fused(open_page, fused_html):
    """The page of the classifier at the stage of fusion, all boxes open."""
    page = open_page(fused_html)
    page.click("text=Expand")
    return page


def view(page, number):
    return page.locator(".graph-view").nth(number)


def test_nodes_groups_and_titles(fused):
    assert re.match(r"before fusion: \d+ kernels", view(fused, 0).inner_text())
    assert re.match(r"after fusion: \d+ kernels", view(fused, 1).inner_text())
    headers = view(fused, 1).locator(".header").all_text_contents()
    assert {"matmul_tanh_multiply", "matmul_tanh_multiply_2"} <= set(headers)
    assert view(fused, 1).locator(".box.group").count() == len(headers)
    assert view(fused, 0).locator(".box.group").count() == 0
    assert view(fused, 1).locator(".node.op .label", has_text=re.compile("^tanh$")).count() == 2


def test_a_large_graph_opens_as_its_kernels(open_page, fused_html):
    page = open_page(fused_html)
    shown = view(page, 1).locator(".node.box .label").all_text_contents()
    assert {"matmul_tanh_multiply", "matmul_tanh_multiply_2"} <= set(shown)
    assert view(page, 1).locator(".node.op").count() == 0
    canvas = view(page, 1).locator(".graph-canvas").bounding_box()
    drawn = view(page, 1).locator(".moving").bounding_box()
    assert drawn["height"] <= canvas["height"] + 1 and drawn["width"] <= canvas["width"] + 1


def test_hover_shows_type_line_and_source(fused):
    card = fused.locator(".graph-card")
    assert not card.is_visible()
    view(fused, 1).locator(".node.op", has_text="tanh").first.hover(force=True)
    text = card.inner_text()
    assert "f32[32,5]" in text and "net.py:8" in text
    assert "hidden = gc.nn.dense(hidden, 5, activation=gc.tanh)" in text
    assert re.search(r"def matmul_tanh\w*\(arguments, thread, threads\):", text)
    assert "net.py:8" in card.locator("mark").first.inner_text()
    # The same value is marked before fusion.
    linked = view(fused, 0).locator(".node.linked .label").all_text_contents()
    assert linked == ["tanh"]


def test_hover_on_a_group_shows_why(fused):
    view(fused, 1).locator(".header", has_text="matmul_tanh").first.hover(force=True)
    text = fused.locator(".graph-card").inner_text()
    assert re.search(r"matmul \+ add: .*; saves [\d,]+ bytes", text)


def test_a_click_keeps_the_card_and_tells_the_page(fused):
    fused.evaluate(
        "document.addEventListener('graphc:select', (e) => { window.selected = e.detail; })"
    )
    view(fused, 1).locator(".node.op", has_text="tanh").first.click(force=True)
    fused.mouse.move(5, 5)
    assert fused.locator(".graph-card.pinned").is_visible()
    assert fused.evaluate("selected.kernel").startswith("matmul_tanh")
    fused.keyboard.press("Escape")
    assert not fused.locator(".graph-card").is_visible()


def test_boxes_collapse_and_open(fused):
    nodes = view(fused, 1).locator(".node")
    before = nodes.count()
    view(fused, 1).locator(".header", has_text="matmul_tanh").first.click(force=True)
    shut = view(fused, 1).locator(".node.box")
    assert shut.count() == 1 and nodes.count() < before
    shut.click(force=True)
    assert nodes.count() == before
    fused.click("text=Collapse")
    labels = view(fused, 1).locator(".node.box .label").all_text_contents()
    assert "matmul_tanh_multiply" in labels
    assert view(fused, 1).locator(".node.op").count() == 0
    fused.select_option(".graph-toolbar select", "layer")
    fused.click("text=Collapse")
    for number in (0, 1):
        shown = view(fused, number).locator(".node.box .label").all_text_contents()
        assert {"dense", "dense_1", "dense_2"} <= set(shown)
    fused.click("text=Expand")
    assert view(fused, 1).locator(".box.layer").count() >= 3


def test_a_view_that_shows_a_part_shows_the_first_node(open_page, classifier, page_of):
    """Values make a graph large, and the two of fusion stand one above the other."""
    page = open_page(page_of(classifier, "--stage", "fused", "--values"), width=700, height=800)
    page.click("text=Expand")
    for number in (0, 1):
        canvas = view(page, number).locator(".graph-canvas").bounding_box()
        drawn = view(page, number).locator("svg").evaluate("svg => svg.getBBox().height")
        nodes = view(page, number).locator(".node").all()
        first = min((node.bounding_box() for node in nodes), key=lambda box: box["x"])
        assert canvas["y"] < first["y"] < canvas["y"] + canvas["height"] - first["height"]
        assert drawn > canvas["height"], "all of it fits"


def test_pan_zoom_and_fit(fused):
    canvas = view(fused, 1).locator(".graph-canvas")
    moving = canvas.locator(".moving")
    first = moving.get_attribute("transform")
    area = canvas.bounding_box()
    fused.mouse.move(area["x"] + 40, area["y"] + 40)
    fused.mouse.wheel(0, -300)
    zoomed = moving.get_attribute("transform")
    assert zoomed != first
    fused.mouse.down()
    fused.mouse.move(area["x"] + 90, area["y"] + 70)
    fused.mouse.up()
    assert moving.get_attribute("transform") != zoomed
    fused.click("text=Fit")
    drawn = moving.bounding_box()
    assert drawn["height"] <= area["height"] + 1 and drawn["width"] <= area["width"] + 1


def test_search_marks_what_it_finds(fused):
    fused.fill("input[type=search]", "dense_1.kernel")
    found = fused.locator(".node.hit .label").all_text_contents()
    assert found and all(text.startswith("dense_1.kernel") for text in found)
    assert f"{len(found)} found" in fused.locator(".graph-found").inner_text()
    fused.fill("input[type=search]", "")
    assert fused.locator(".node.hit").count() == 0


def test_kernels_are_found_from_outside(fused):
    assert fused.evaluate(
        "document.getElementById('fused').graphPanel.focusKernel('matmul_tanh_multiply')"
    )
    assert not fused.evaluate("document.getElementById('fused').graphPanel.focusKernel('none')")


def test_every_stage_has_a_tab(page_of, open_page, classifier):
    page = open_page(page_of(classifier), "plan")
    tabs = page.locator("nav button")
    stages = ["declared", "backward", "simplified", "fused", "plan"]
    assert tabs.all_text_contents() == stages
    assert page.locator("#plan .node.kernel").count() > 5
    for stage in stages:
        tabs.filter(has_text=stage).click()
        shown = page.locator(f"#{stage}")
        assert shown.is_visible()
        assert shown.locator(".node").first.is_visible()
    # Kernels that stages share stand in the page once.
    assert page.content().count("def matmul_tanh_multiply(") == 1
    page.locator("nav button", has_text="declared").click()
    page.locator("#declared .node.op", has_text="tanh").first.hover(force=True)
    assert "def matmul_tanh_multiply(" in page.locator("#declared .graph-card").inner_text()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_values_in_two_colours_at_any_width(page_of, open_page, dark):
    html = page_of(EXAMPLES / "sigmoid_neuron.py", "--values", "--decimals", "2")
    colours = set()
    for width, height in ((1400, 900), (390, 800)):
        page = open_page(html, "declared", width, height, dark)
        values = page.locator("#declared text.value")
        gradients = page.locator("#declared text.gradient")
        assert {"2.00", "0.37", "1.37", "0.73"} <= set(values.all_text_contents())
        assert {"0.20", "-0.20", "0.39", "-0.39", "-0.59", "-0.53"} <= set(
            gradients.all_text_contents()
        )
        fill = "element => getComputedStyle(element).fill"
        shown = (values.first.evaluate(fill), gradients.first.evaluate(fill))
        assert shown[0] != shown[1]
        colours.add(shown)
        above, below = values.first.bounding_box(), gradients.first.bounding_box()
        assert above["y"] + above["height"] <= below["y"] + 1
        # Nothing is wider than the window.
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")
    assert len(colours) == 1


def test_names_and_lines_are_shown_as_they_are(page_of, open_page, tmp_path):
    script = tmp_path / "markup.py"
    line = "model = gc.Model(x, {'<!-- <script>': gc.tanh(x)})  # </script> $title <b>&amp;\"\f"
    script.write_text(
        "import graphc as gc\ngraph = gc.Graph()\n"
        f"x = graph.input('<b>&\"\\x07', ('batch', 2))\n{line}\n"
    )
    page = open_page(page_of(script, "--stage", "declared"))
    labels = view(page, 0).locator(".node .label").all_text_contents()
    assert {'<b>&"\ufffd', "tanh", "<!-- <script>"} <= set(labels)
    view(page, 0).locator(".node.op").first.hover(force=True)
    assert '</script> $title <b>&amp;"' in page.locator(".graph-card").inner_text()


def test_two_thousand_nodes(open_page, tmp_path):
    """Collapsed at first; all of them are laid out when they are asked for."""
    count, layers = 2000, 50
    size = count // layers
    nodes = tuple(
        DrawnNode(
            f"n{i}",
            f"op {i}",
            NodeKind.OP,
            ("f32[32,16]",),
            key=f"v{i}",
            text="tanh",
            type="f32[32,16]",
            line="net.py:1",
            source_line="y = gc.tanh(y)",
            boxes={Boxing.LAYER: f"layer {i // size}"},
        )
        for i in range(count)
    )
    edges = [DrawnEdge(f"n{i - 1}", f"n{i}") for i in range(1, count)]
    edges += [DrawnEdge(f"n{i - 7}", f"n{i}") for i in range(7, count, 3)]
    boxes = tuple(Box(f"layer {i}", Boxing.LAYER, f"dense_{i}") for i in range(layers))
    shut = tuple(box.id for box in boxes)
    diagram = Diagram("large", nodes, tuple(edges), boxes, Boxing.LAYER, shut)
    path = tmp_path / "large.html"
    path.write_text(page_text("large", {Stage.DECLARED: [diagram]}))
    page = open_page(path)
    assert page.locator(".node.box").count() == layers
    # So many take the browser seconds, and longer on a busy machine.
    page.set_default_timeout(60_000)
    page.click("text=Expand")
    page.locator(".node.op").first.wait_for()
    assert page.locator(".node.op").count() == count
    assert page.locator(".box.layer").count() == layers
