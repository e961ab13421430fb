"""Scopes that users name: of names, and of what drawings group."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.ir.nodes.location import Location
from graphc.ir.text.parsing import print_program


def block(x: gc.Node) -> gc.Node:
    return gc.nn.layer_norm(gc.nn.dense(x, 3))


def test_names_begin_with_those_of_scopes() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 3))
    with gc.scope("a"):
        h = gc.nn.dense(x, 3)
        with gc.scope("b"):
            gc.nn.dense(h, 3)
            graph.parameter("w", (3,))
            graph.variable("count", 0)
            graph.random_stream("key")
            gc.random.uniform(graph, (3,))
            graph.input("inner", ())
    gc.nn.dense(x, 3)
    with gc.scope("a"):
        gc.nn.dense(h, 3)
    assert list(graph.states) == [
        "a.dense.kernel", "a.dense.bias", "a.b.dense.kernel", "a.b.dense.bias", "a.b.w",
        "a.b.count", "a.b.key", "a.b.uniform.key", "dense.kernel", "dense.bias",
        "a.dense_1.kernel", "a.dense_1.bias",
    ]  # fmt: skip
    assert list(graph.inputs) == ["x", "inner"]
    assert graph.streams == {"a.b.key", "a.b.uniform.key"}


def test_a_name_that_is_taken_is_told_in_full() -> None:
    graph = gc.Graph()
    with gc.scope("a"):
        graph.parameter("w", ())
        with pytest.raises(gc.GraphError, match=r"^the name 'a.w' is taken, first declared\n"):
            graph.variable("w", 0)


@pytest.mark.parametrize("name", ["", 3])
def test_a_wrong_name_is_refused(name: Any) -> None:
    with (
        pytest.raises((TypeError, ValueError), match=r"scope: a name (?s:.*)test_scopes.py"),
        gc.scope(name),
    ):
        pass


def test_a_scope_ends_where_an_error_leaves_it_and_is_a_threads_own() -> None:
    graph = gc.Graph()
    with pytest.raises(RuntimeError), gc.scope("a"):
        thread = threading.Thread(target=lambda: graph.parameter("of_thread", ()))
        thread.start()
        thread.join()
        raise RuntimeError
    graph.parameter("after", ())
    assert list(graph.states) == ["of_thread", "after"]


def test_nodes_keep_the_scopes_and_calls_that_they_were_made_in() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 3))
    with gc.scope("net"):
        y = block(block(x)) + 1
    t = graph.input("t", ("batch", 3))
    loss = gc.losses.mean_squared_error(y, t)
    scopes = [n.location.scope for n in graph.nodes if n.location]
    groups = list(dict.fromkeys(scopes))
    assert groups == [
        (), ("net", "dense"), ("net", "layer_norm"), ("net", "dense_1"), ("net", "layer_norm_1"),
        ("net",),
    ]  # fmt: skip
    step = gc.function([x, t], loss, gc.optim.SGD(0.1).updates(loss))
    made = {n.location.scope for n in step.program.nodes if n.location}
    assert made == set(groups)
    kernel = graph.states["net.dense.kernel"]
    (following,) = (value for state, value in step.program.updates if state is kernel)
    gradient = following.operands[1].operands[1]
    assert gradient.location is not None and gradient.location.scope == ("net", "dense")


def test_passes_carry_scopes_along() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 3))
    with gc.scope("net"):
        y = block(x)
    program = gc.function([x], y).program
    compiled = compile_program(program, Options({"batch": 4}, True, 512, 1, ()))
    scopes = {n.location.scope for n in compiled.program.nodes if n.operands and n.location}
    assert scopes == {("net", "dense"), ("net", "layer_norm")}


def test_scopes_change_neither_text_nor_locations() -> None:
    def text(name: str | None) -> str:
        graph = gc.Graph()
        x = graph.input("x", ("batch", 3))
        if name is None:
            y = gc.exp(x)
        else:
            with gc.scope(name):
                y = gc.exp(x)
        return print_program(gc.function([x], y).program)

    assert text(None) == text("a")
    inside, outside = Location("f.py", 3, ("a",)), Location("f.py", 3)
    assert inside == outside and hash(inside) == hash(outside) and str(inside) == "f.py:3"


def test_a_model_in_scopes_trains_and_is_saved(tmp_path: Any) -> None:
    def model() -> gc.Model:
        graph = gc.Graph(seed=1)
        x, t = graph.input("x", ("batch", 3)), graph.input("t", ("batch", 1))
        with gc.scope("encoder"):
            h = gc.dropout(gc.nn.dense(x, 4, "tanh"), 0.1)
        y = gc.nn.dense(h, 1, name="head")
        made = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
        made.compile(gc.optim.Adam(0.05), 4)
        return made

    first, second = model(), model()
    x = np.random.default_rng(0).normal(size=(8, 3))
    history = first.fit(x, x[:, :1], epochs=20, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    first.save(tmp_path / "w")
    second.load(tmp_path / "w")
    assert "adam.mean.encoder.dense.kernel" in second.values()
    np.testing.assert_array_equal(first.predict(x), second.predict(x))
