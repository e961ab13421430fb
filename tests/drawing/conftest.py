"""Scripts and their diagrams."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphc.cli import main
from graphc.commands.script import load_names
from graphc.commands.script_diagrams import Request, script_diagrams
from graphc.drawing.diagram import Diagram
from graphc.inspect.stage import Stage

EXAMPLES = Path(__file__).parents[2] / "examples" / "textbook"

CLASSIFIER = """\
import graphc as gc

graph = gc.Graph(seed=0)
points = graph.input("points", ("batch", 4))
labels = graph.input("labels", ("batch",), "i32")
hidden = points
for _ in range(2):
    hidden = gc.nn.dense(hidden, 5, activation=gc.tanh)
scores = gc.nn.dense(hidden, 3)
loss = gc.losses.softmax_cross_entropy(scores, labels)
model = gc.Model(points, gc.softmax(scores), labels, loss)
model.compile(gc.optim.SGD(0.1))
"""

Diagrams = Callable[..., tuple[Diagram, ...]]


def draw(*arguments: object) -> None:
    """Runs `graphc draw` with the given arguments, which must succeed."""
    done = CliRunner().invoke(main, ["draw", *map(str, arguments)])
    assert done.exit_code == 0, done.output


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """A script with three layers, two of them declared on one line."""
    path = tmp_path / "net.py"
    path.write_text(CLASSIFIER)
    return path


@pytest.fixture
def diagrams() -> Diagrams:
    """The diagrams of a script at a stage; further arguments are those of Request."""

    def diagrams(script: Path, stage: Stage, **request: object) -> tuple[Diagram, ...]:
        made = script_diagrams(load_names(script), script, Request(**request), [stage])
        return made[stage]

    return diagrams


@pytest.fixture
def page_of(tmp_path: Path) -> Callable[..., Path]:
    """Runs `graphc draw SCRIPT --html` and returns the page's path."""

    def page_of(script: Path, *options: str) -> Path:
        page = tmp_path / f"{script.stem}.html"
        draw(script, "--html", page, *options)
        return page

    return page_of
