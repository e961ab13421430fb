"""`graphc draw`: what it writes and what it says."""

import sys
import xml.etree.ElementTree as ElementTree

import pytest
from click.testing import CliRunner

from graphc.cli import main
from tests.drawing.conftest import EXAMPLES


def draw(*arguments):
    return CliRunner().invoke(main, ["draw", *map(str, arguments)])


def test_svg_and_page_at_once(classifier, tmp_path):
    svg, html = tmp_path / "net.svg", tmp_path / "net.html"
    done = draw(classifier, "--stage", "plan", "--svg", svg, "--html", html)
    assert (done.exit_code, done.output) == (0, "")
    assert "matmul_tanh" in "".join(ElementTree.parse(svg).getroot().itertext())
    text = html.read_text()
    assert text.startswith("<!doctype html>") and 'id="plan"' in text
    assert "Chris Pettitt" in text
    for reference in ("src=", 'href="http', "url(http", "@import", "fetch("):
        assert reference not in text.replace('href="data:,"', "")


def test_options_are_those_of_inspect(classifier, tmp_path):
    svg = tmp_path / "net.svg"
    text = []
    for options in (["--batch-size", "6"], ["--function", "predict"], ["--unfused"]):
        done = draw(classifier, "--stage", "plan", "--svg", svg, *options)
        assert done.exit_code == 0, done.output
        text.append(svg.read_text())
    assert "f32[6,4]" in text[0]
    assert 'data-node="output loss"' in text[0]
    assert 'data-node="output loss"' not in text[1]
    assert "matmul_tanh" not in text[2]


def test_random_inputs_without_a_sample(classifier, tmp_path):
    svg = tmp_path / "net.svg"
    done = draw(classifier, "--values", "--svg", svg)
    assert done.exit_code == 0, done.output
    times = "\N{MULTIPLICATION SIGN}"
    assert f"32{times}4" in svg.read_text() and "norm" in svg.read_text()


HEADER = "import graphc as gc\ngraph = gc.Graph()\nx = graph.input('x', ('batch', 2))\n"


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ("model = gc.Model(x, {'a': gc.tanh(x), 'b': gc.sum(x, 1)})\n", ["tanh", "sum"]),
        ("model = gc.Model(x, x)\n", ["x", "output"]),
        ("s = graph.input('s', (2,))\nmodel = gc.function([s], [])\n", []),
        ("model = gc.Model(x, gc.sin(x))\nsample_batch = {'x': [[1, 2]]}\n", ["sin"]),
        ("name = 'a\\x07b'\nmodel = gc.Model(x, {name: gc.sin(x)})  # \f\n", ["a\ufffdb"]),
    ],
    ids=["no loss", "no op", "nothing", "sample of other rows", "control characters"],
)
def test_odd_scripts_are_drawn(tmp_path, lines, shown):
    script, svg = tmp_path / "net.py", tmp_path / "net.svg"
    script.write_text(HEADER + lines)
    done = draw(script, "--svg", svg, "--html", tmp_path / "net.html")
    assert (done.exit_code, done.output) == (0, "")
    labels = [each.text for each in ElementTree.parse(svg).iter() if each.get("class") == "label"]
    assert set(shown) <= set(labels)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("model = 3\n", "is of type int; a gc.Model is expected"),
        (
            "import graphc as gc\ngraph = gc.Graph()\nx = graph.input('x', ('n', 2))\n"
            "model = gc.function([x], gc.sum(x))\n",
            "extents for the dimensions ['n'] are missing",
        ),
        (
            "import graphc as gc\ngraph = gc.Graph()\nx = graph.input('x', (2,))\n"
            "model = gc.function([x], gc.sum(x))\nsample_batch = {'y': [1, 2]}\n",
            "sample_batch: missing x; unknown y",
        ),
        (
            "import graphc as gc\ngraph = gc.Graph()\nx = graph.input('x', (3, 2))\n"
            "at = graph.input('at', (1,), 'i32')\n"
            "model = gc.function([x, at], gc.sum(gc.take(x, at, 0)))\n"
            "sample_batch = {'x': [[1, 2]] * 3, 'at': [7]}\n",
            "is outside -3 to 2",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path, script, said):
    path = tmp_path / "net.py"
    path.write_text(script)
    done = draw(path, "--values", "--svg", tmp_path / "net.svg")
    assert done.exit_code == 1
    assert said in done.output and "Traceback" not in done.output


def test_a_file_is_asked_for(classifier):
    done = draw(classifier)
    assert done.exit_code == 2 and "--svg FILE, --html FILE or both" in done.output


def test_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "py_mini_racer", None)
    done = draw(EXAMPLES / "apples.py", "--svg", tmp_path / "apples.svg")
    assert done.exit_code == 1 and "pip install '.[draw]'" in done.output
