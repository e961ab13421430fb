"""`graphc profile` and what it measures; no figure of time is tested."""

import json
import re
import runpy
import sys

import numpy as np
import pytest

import graphc as gc
from graphc.functions.random_inputs import random_inputs
from graphc.profiling.results import KernelProfile


@pytest.fixture
def model(script):
    return runpy.run_path(script)["model"]


def test_table(graphc, script):
    result = graphc("profile", script, "--rounds", "2", "--repeats", "2", "--batch-size", "8")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "batch 8" in lines[0] and "median of 2 rounds of 2 steps" in lines[0]
    row = next(line for line in lines if line.startswith("matmul_tanh_multiply"))
    assert row.rstrip().endswith("matmul add tanh tanh_tail subtract multiply · net.py:8")
    for title in ("fused: ", "unfused: ", "what each fusion saves: "):
        assert sum(line.startswith(title) for line in lines) == 1
    assert re.fullmatch(r"fused over unfused: \d+\.\d\dx", lines[-1])


def test_json(graphc, script, tmp_path):
    file = tmp_path / "profile.json"
    result = graphc("profile", script, "--rounds", "1", "--repeats", "1", "--json", str(file))
    assert result.exit_code == 0, result.output
    found = json.loads(file.read_text())
    assert found["script"] == script
    assert found["dimensions"] == {"batch": 32}
    assert found["ratio"] > 0
    for which in ("fused", "unfused"):
        step = found[which]
        assert step["ops"] > 0 and step["arena_bytes"] > 0 and step["step_nanoseconds"] > 0
        assert sum(kernel["share"] for kernel in step["kernels"]) == pytest.approx(1)
        for kernel in step["kernels"]:
            assert kernel.keys() == set(KernelProfile.__dataclass_fields__)
            assert kernel["calls"] == 1 and kernel["threads"] == 1
    assert found["fused"]["ops"] == found["unfused"]["ops"]
    (row,) = [k for k in found["fused"]["kernels"] if k["name"] == "matmul_tanh_multiply"]
    assert row["kind"] == "contraction"
    assert row["ops"] == ["matmul", "add", "tanh", "tanh_tail", "subtract", "multiply"]
    assert [line["line"] for line in row["lines"]] == [8]
    # points and the layer's kernel and bias are read, the hidden values and slopes written, all
    # f32.
    assert row["bytes"] == 4 * (32 * 4 + 4 * 5 + 5 + 2 * 32 * 5)
    assert row["flops"] == 32 * 5 * (2 * 4) + 5 * 32 * 5


def test_trace_and_page(graphc, script, tmp_path):
    trace, page = tmp_path / "trace.json", tmp_path / "page.html"
    few = ("--rounds", "1", "--repeats", "1", "--threads", "2")
    result = graphc("profile", script, *few, "--trace", str(trace), "--html", str(page))
    assert result.exit_code == 0, result.output
    assert "at most 2 threads" in result.stdout.splitlines()[0]
    events = json.loads(trace.read_text())["traceEvents"]
    assert "matmul_tanh_multiply" in {event["name"] for event in events}
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "<title>net.py: profile</title>" in text and "def matmul_tanh_multiply(" in text


def test_unfused_times_are_those_of_the_same_ops(model):
    measured = model.profile(8, rounds=1, repeats=1)
    time_of = {}
    for kernel in measured.unfused.kernels:
        time_of.setdefault(kernel.ops, []).append(kernel.nanoseconds)
    (row,) = [k for k in measured.fused.kernels if k.name == "matmul_tanh_multiply"]
    ops = [(op,) for op in row.ops]
    least, most = (sum(choose(time_of[op]) for op in ops) for choose in (min, max))
    # Sums of three floats in another order.
    assert least * (1 - 1e-12) <= row.saving.unfused_nanoseconds <= most * (1 + 1e-12)


def test_a_model_profiles_itself(model):
    measured = model.profile(8, threads=2, rounds=1, repeats=1)
    assert (measured.dimensions, measured.threads, measured.rounds) == ({"batch": 8}, 2, 1)
    assert [k.name for k in measured.fused.kernels][1] == "matmul_tanh_multiply"


def test_variables_are_put_back(model):
    before = model.values()
    model.profile(8, rounds=2, repeats=3)
    after = model.values()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


def test_random_inputs_are_in_range(model):
    step = model.train_function
    points, labels = random_inputs(step.loaded({"batch": 500}).compilation.program)
    assert points.shape == (500, 4) and points.dtype == np.float32
    assert labels.dtype == np.int32
    assert set(labels.tolist()) == {0, 1, 2}
    step(points, labels)


def test_a_model_without_optimizer(graphc, write):
    path = write(
        "import graphc as gc\n"
        "x = gc.Graph().input('x', ('batch', 2))\n"
        "model = gc.Model(x, gc.exp(x))\n"
    )
    result = graphc("profile", path)
    assert result.exit_code == 1
    assert result.stderr == "Error: compile the model with an optimizer first\n"


def test_a_model_compiled_unfused_is_measured_both_ways(model):
    model.compile(gc.optim.SGD(0.1), fuse=False)
    measured = model.profile(8, rounds=1, repeats=1)
    assert len(measured.fused.kernels) < len(measured.unfused.kernels)


def test_a_page_without_its_graph_says_so_in_the_terminal(graphc, script, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "py_mini_racer", None)
    page = tmp_path / "page.html"
    result = graphc("profile", script, "--html", str(page), "--rounds", "1", "--repeats", "1")
    assert result.exit_code == 0, result.output
    said = f"{page} is written without the graph: drawing needs the extra 'draw'"
    assert said in result.stderr
    assert page.exists()
