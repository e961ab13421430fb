"""`graphc explain`: decisions, rewrites, buffers, tiles and the cache of a small net."""

import json
import re

import pytest

from graphc.commands.script import load_subject
from graphc.inspect.explain import compiled_for_explaining, explain


@pytest.fixture
def made(script, tmp_path):
    model = load_subject(tmp_path / "net.py")
    return compiled_for_explaining(model.train_function, {"batch": 32})


@pytest.fixture
def compiled(script, tmp_path):
    """Leaves the machine code of the step on disk."""
    load_subject(tmp_path / "net.py").train_function.prepare({"batch": 32})


@pytest.fixture
def why(graphc, script, tmp_path):
    """The values of `--why NAME`, as written with --json."""

    def why(name):
        file = tmp_path / "why.json"
        result = graphc("explain", script, "--why", name, "--json", str(file))
        assert result.exit_code == 0, result.output
        return json.loads(file.read_text())["values"]

    return why


def test_decisions_add_up_and_name_their_cause(made):
    found = explain(made)
    assert all(decision.fused and len(decision.kernels) == 1 for decision in found.fusions)
    saved = sum(each.bytes_saved for each in (*found.fusions, *found.recomputed))
    assert saved == found.bytes_unfused - found.bytes_fused > 0
    (taken,) = (d for d in found.fusions if d.consumer == "tanh (net.py:8)")
    assert (taken.producer, taken.bytes_saved) == ("add (net.py:8)", 2 * 32 * 5 * 4)
    assert taken.reason == "add (net.py:8) is neither stored nor loaded"
    refused = {(d.producer, d.consumer, d.kernels): d.reason for d in found.refusals}
    assert len(refused) == len(found.refusals)
    kernels = ("matmul_tanh_multiply", "matmul_multiply_negate")
    assert "two matrix products" in refused["tanh (net.py:8)", "matmul (net.py:9)", kernels]


def test_rewrites_have_their_line(made):
    found = {rewrite.rule: rewrite for rewrite in explain(made).rewrites}
    backward = found["log_softmax_backward"]
    assert backward.line == "net.py:10" and backward.text.startswith("loss = ")
    assert backward.before.startswith("subtract(where(one_hot")


def test_buffers_live_as_the_arena_has_them(made):
    found = explain(made)
    buffers = {buffer.name: buffer for buffer in found.buffers}
    tanh = buffers["tanh"]
    assert (tanh.role, tanh.bytes) == ("temporary", 32 * 5 * 4)
    assert found.kernels[tanh.first] == "matmul_tanh_multiply" and tanh.last > tanh.first
    assert "made by matmul_tanh_multiply" in tanh.reason and "two matrix products" in tanh.reason
    assert "overwritten where it stands" in buffers["dense_kernel"].reason
    (loss,) = (buffer for buffer in found.buffers if "output loss" in buffer.reason)
    assert loss.last == len(found.kernels)
    in_arena = [buffer for buffer in found.buffers if buffer.offset is not None]
    assert sum(buffer.bytes for buffer in in_arena) == found.values_bytes
    assert max(b.offset + b.bytes for b in in_arena) <= found.arena_bytes


def test_tiles_and_cache(compiled, made, tmp_path):
    found = explain(made)
    tiles = {tile.kernel: tile for tile in found.tiles}
    assert tiles["matmul_tanh_multiply"].product == "f32[32,4] x f32[4,5] = f32[32,5]"
    assert "tile" in tiles["matmul_tanh_multiply"].reason
    others = tiles["matmul_tanh_multiply"].alternatives
    assert others and all(each.slower >= 0 for each in others)
    assert not any(tiles["matmul_tanh_multiply"].reason.startswith(each.tile) for each in others)
    names = [each.name for each in found.cache]
    assert names == [found.program, "executor", *found.kernels]
    assert all(each.on_disk for each in found.cache)
    other = compiled_for_explaining(load_subject(tmp_path / "net.py").train_function, {"batch": 31})
    assert any("no entry" in each.reason for each in explain(other).cache)


def test_text_has_headings_in_a_pipe(graphc, script):
    result = graphc("explain", script, "--all")
    assert result.exit_code == 0, result.output
    headings = re.findall(r"^(?!  )(\w[\w ]*):? ?", result.stdout, re.M)
    for heading in ("fused", "not fused", "rewrites", "buffers", "tiles of matrix products"):
        assert heading in headings
    assert "\x1b" not in result.stdout


def test_a_summary_is_a_screenful_that_tells_of_every_section(graphc, script):
    result = graphc("explain", script)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) <= 24 and "--all" in "".join(lines[-2:])
    headings = [line for line in graphc("explain", script, "--all").stdout.splitlines() if line]
    for heading in (line for line in headings if not line.startswith(" ")):
        assert heading in lines
    assert any(line.startswith("  ") and "would save" in line for line in lines)


@pytest.mark.parametrize("options", [["--all"], ["--why", "tanh"]])
@pytest.mark.parametrize("width", [60, 120])
def test_text_is_wrapped_below_what_it_belongs_to(graphc, script, monkeypatch, width, options):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = graphc("explain", script, *options).stdout.splitlines()
    assert lines[0] and width - 15 < max(map(len, lines)) <= width
    whole = next(n for n, line in enumerate(lines) if "two matrix" in line)
    following = [line for line in lines[whole + 1 :] if line.startswith("      ")]
    assert following or width == 120


def test_why_of_scratch_memory_says_whose_it_is(why):
    """Two kernels have sums over rows, of the gradients of two biases."""
    values = why("sum_over_rows")
    assert {(value["op"], value["line"]) for value in values} == {
        ("sum", "net.py:8"),
        ("sum", "net.py:9"),
    }
    for value in values:
        assert value["memory"].startswith("scratch memory alone")
        assert value["scratch"].startswith("sum_over_rows, ")
        assert f"sum ({value['line']}), which {value['kernels'][0]} makes" in value["scratch"]


def test_why_of_a_stored_value(why):
    (value,) = why("tanh")
    assert value["kernels"] == ["matmul_tanh_multiply"] and value["stored"]
    assert value["live"].startswith("from") and "matmul_tanh_multiply" in value["live"]
    (made_from,) = value["reads"]
    assert made_from["value"] == "add (net.py:8)" and made_from["fused"]
    apart = [reader for reader in value["read_by"] if not reader["fused"]]
    assert any("two matrix products" in reader["reason"] for reader in apart)


def test_why_of_a_value_in_registers_and_of_a_product(why):
    (value,) = why("matmul_tanh_multiply:add")
    assert not value["stored"] and value["memory"].startswith("never stored")
    (product,) = why("matmul_tanh_multiply:matmul")
    assert product["tile"]["product"] == "f32[32,4] x f32[4,5] = f32[32,5]"


def test_why_says_which_operands_are_given(why):
    (product,) = why("matmul_tanh_multiply:matmul")
    assert product["reads"] and product["read_by"]
    assert all(each["given"] == (not each["kernels"]) for each in product["reads"])
    assert any(each["given"] for each in product["reads"])
    assert not any(each["given"] for each in product["read_by"])


def test_why_of_a_rewritten_value(why):
    values = why("net.py:10")
    assert any("log_softmax_backward" in text for value in values for text in value["rewrites"])
    assert {value["line"] for value in values} == {"net.py:10"}


def test_why_of_what_is_unknown_lists_near_names(graphc, script):
    result = graphc("explain", script, "--why", "tanhh")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no value is named 'tanhh'; near it: tanh")
    result = graphc("explain", script, "--why", "net.py:1")
    assert result.exit_code == 1 and "net.py:8" in result.stderr
