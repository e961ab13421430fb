"""Which model or function of a script the commands look at, and how it is named."""

import json

import pytest

ONE = """\
import graphc as gc

graph = gc.Graph(seed=0)
x = graph.input("x", ("batch", 4))
w = graph.parameter("w", (4,), init=1.0)
loss = gc.mean(gc.square(gc.sum(x * w, axis=1)))
step = gc.function([x], loss, gc.optim.SGD(0.1).updates(loss), name="step")
"""
TWO = ONE + "forward = gc.function([x], gc.tanh(x), name='forward')\n"
ROWS = ["--batch-size", "6"]


def test_the_only_function_is_looked_at_by_every_command(graphc, write, tmp_path):
    script, drawing = write(ONE), tmp_path / "step.svg"
    for command in (
        ["inspect", script, "--stage", "backward", "--function", "test"],
        ["explain", script, *ROWS],
        ["cache", "explain", script, *ROWS],
        ["draw", script, "--svg", str(drawing), *ROWS],
        ["profile", script, "--rounds", "1", "--json", str(tmp_path / "step.json"), *ROWS],
    ):
        result = graphc(*command)
        assert result.exit_code == 0, result.output
        if command[0] in ("inspect", "explain"):
            assert result.stdout.removeprefix("program ").startswith("step")
    assert ">w</text>" in drawing.read_text()
    profiled = json.loads((tmp_path / "step.json").read_text())
    assert profiled["program"] == "step" and profiled["dimensions"] == {"batch": 6}


def test_a_name_chooses_and_a_second_name_of_one_function_is_no_other(graphc, write):
    for text, options in ((TWO, ["--model", "forward"]), (TWO + "model = forward\n", [])):
        result = graphc("inspect", write(text), "--stage", "declared", *options)
        assert result.stdout.startswith("program forward("), result.output
    result = graphc("inspect", write(ONE + "same = step\n"), "--stage", "declared")
    assert result.stdout.startswith("program step("), result.output


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (TWO, [], "defines no `model` at module level; --model chooses one of "),
        (ONE, ["--model", "net"], "defines no `net` at module level; --model chooses one of "),
        (ONE, ["--model", "x"], "is of type Node; --model chooses one of step (Function)"),
        (ONE + "model = loss\n", [], "is of type Node; --model chooses one of step (Function)"),
        ("x = 1\n", [], "defines no `model` at module level; a gc.Model is expected, or what"),
    ],
)
def test_what_there_is_is_listed(graphc, write, text, options, said):
    result = graphc("explain", write(text), *options)
    assert result.exit_code == 1
    assert said in result.stderr and len(result.stderr.splitlines()) == 1
    if text is TWO:
        assert "step (Function), forward (Function)" in result.stderr


@pytest.mark.parametrize(
    ("line", "options", "said"),
    [
        ("", [], "extents for the dimensions ['batch'] are missing; --dim gives one"),
        ("x = graph.input('s', (4,))", ROWS, "inputs, but there is none"),
        ("y = graph.input('y', ('n', 4))", ROWS, "but there is more than one: batch, n"),
    ],
)
def test_sizes_of_a_function(graphc, write, line, options, said):
    inputs = "x, y" if "y" in line else "x"
    text = f"{ONE}{line}\nmodel = gc.function([{inputs}], gc.tanh(x))\n"
    result = graphc("inspect", write(text), "--stage", "plan", *options)
    assert result.exit_code == 1
    assert said in result.stderr and len(result.stderr.splitlines()) == 1
