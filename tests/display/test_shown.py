"""How graphs, models, functions, variables and histories look where they are printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphc as gc
from graphc.display.table import html_table
from graphc.ir.nodes.location import Location


def net() -> gc.Model:
    graph = gc.Graph(seed=0)
    x, t = graph.input("x", ("batch", 3)), graph.input("t", ("batch",), "i32")
    scores = gc.nn.dense(x, 4, name="head")
    return gc.Model(x, scores, t, gc.losses.softmax_cross_entropy(scores, t))


def test_each_is_a_line() -> None:
    model = net()
    assert repr(model.graph).startswith("<graph of 2 inputs, 2 parameters of 16 elements, ")
    assert repr(model.variables) == "<variables: 2 states of 16 elements>"
    text = "<model (x: f32[batch,3]) -> f32[batch,4]: 2 parameters of 16 elements, "
    assert repr(model) == f"{text}not compiled>"
    model.compile(gc.optim.SGD(0.1), mode="reference")
    assert repr(model) == f"{text}SGD>"
    history = model.fit(np.ones((4, 3)), np.zeros(4, "i4"), epochs=2, verbose=0)
    loss = history.history["loss"][-1]
    assert repr(history) == f"<history of 2 epochs, loss {loss:.4g}>"


def test_a_function_shows_what_it_takes_and_what_it_is_compiled_for() -> None:
    graph = gc.Graph()
    x, count = graph.input("x", ("batch", 2)), graph.variable("count", 0)
    double = gc.function(x, {"y": 2 * x}, {count: count + 1}, name="double")
    text = "<function double(x: f32[batch,2]) -> y: f32[batch,2], updates 1 state; "
    assert repr(double) == f"{text}not compiled>"
    double(np.ones((3, 2)))
    assert repr(double) == f"{text}compiled for batch 3>"
    assert repr(gc.function([], count)).endswith("-> output: i64[]; not compiled>")


def test_notebooks_show_tables() -> None:
    model = net()
    page = model._repr_html_()
    assert "<td>head.kernel</td><td>f32[3,4]</td><td>12</td>" in page and "-&gt;" in page
    page = model.graph._repr_html_()
    assert "<td>x</td><td>input</td><td>f32[batch,3]</td>" in page
    assert "<td>head.bias</td><td>state</td><td>f32[4]</td>" in page
    assert "<td>&lt;b&gt;</td>" in html_table("t", ["h"], [["<b>"]])


def test_a_name_that_is_taken_says_where_it_was_declared() -> None:
    graph = gc.Graph()
    x = graph.input("x", (3,))
    gc.nn.dense(x, 4, name="head")
    for again in (lambda: graph.input("x", (2,)), lambda: gc.nn.dense(x, 4, name="head")):
        with pytest.raises(gc.GraphError, match="taken, first declared\n  at test_s") as e:
            again()
        text = str(e.value)
        assert "to run a cell again, begin it with gc.Graph()" in text
        assert 'x = graph.input("x", (3,))' in text or 'gc.nn.dense(x, 4, name="head")' in text
        assert text.count("  at test_shown.py:") == 2


def test_a_line_of_a_cell_has_no_name_of_a_file() -> None:
    assert str(Location("/tmp/ipykernel_77/123456.py", 3)) == "cell:3"
    assert str(Location("/home/net.py", 3)) == "net.py:3"


def test_loading_before_compiling_says_what_to_do(tmp_path: Path) -> None:
    trained, path = net(), tmp_path / "net.safetensors"
    trained.compile(gc.optim.Adam(), mode="reference")
    trained.save(path)
    fresh = net()
    with pytest.raises(gc.VariableError, match="compile first, or load with weights_only=True"):
        fresh.load(path)
    fresh.load(path, weights_only=True)
    fresh.compile(gc.optim.Adam(), mode="reference")
    fresh.load(path)
