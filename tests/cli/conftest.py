"""A small model script, and the command run in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from graphc.cli import main

SCRIPT = """\
import sys

import graphc as gc

graph = gc.Graph(seed=0)
points = graph.input("points", ("batch", 4))
labels = graph.input("labels", ("batch",), "i32")
hidden = gc.nn.dense(points, 5, activation=gc.tanh)
scores = gc.nn.dense(hidden, 3)
loss = gc.losses.softmax_cross_entropy(scores, labels)
model = gc.Model(points, gc.softmax(scores), labels, loss)
model.compile(gc.optim.SGD(0.1))

if __name__ == "__main__":
    print("trained with", *sys.argv[1:])
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Writes a script and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "net.py"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def script(write: Callable[[str], str]) -> str:
    """The path of a script with a compiled classifier."""
    return write(SCRIPT)


@pytest.fixture
def graphc() -> Callable[..., Result]:
    """Runs the command with the given arguments."""
    return lambda *arguments: CliRunner().invoke(main, list(arguments))
