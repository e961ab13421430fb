"""Results of convolutions that nothing reads: which are not computed, and which are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.ops import contract
from graphc.ir.programs.lower import expand_composites
from graphc.ir.programs.verify import verify
from graphc.ir.reference import run_program
from graphc.ir.rewriting.rewrite import Firing
from graphc.ir.rewriting.unread import drop_unread
from graphc.ir.types import DTYPES
from graphc.testing.tolerance import assert_close

# (result of a convolution [2,7,7,3], scale of the same shape) -> what is needed of it
Reader = Callable[[Node, Node], Any]


def _pooled(y: Node) -> Node:
    return gc.max_pool(y, 2)


LESS: dict[str, tuple[Reader, int]] = {
    "pooled": (lambda y, s: _pooled(y), 6 * 6),
    "behind_elementwise": (lambda y, s: _pooled(gc.relu(y * 2 + 1)), 6 * 6),
    "beside_another_operand": (lambda y, s: _pooled(y * s), 6 * 6),
    "beside_a_broadcast_operand": (lambda y, s: _pooled(y * s[:, :1]), 6 * 6),
    "a_slice": (lambda y, s: gc.tanh(y)[:, 1:5, 2:], 4 * 5),
    "every_second": (lambda y, s: gc.tanh(y)[:, 1::2, ::-2], 5 * 7),
    "two_slices": (lambda y, s: [y[:, 1:3, 2:4], gc.exp(y)[:, 2:6, 4:6]], 5 * 4),
    "a_slice_and_windows": (lambda y, s: [gc.exp(y)[:, 2:4, 1:3], _pooled(y * 2)], 6 * 6),
}
WHOLE: dict[str, Reader] = {
    "an_output": lambda y, s: [gc.relu(y), _pooled(gc.relu(y))],
    "a_sum": lambda y, s: [_pooled(y), gc.sum(y)],
    "all_elements": lambda y, s: [gc.tanh(y)[:, :4], gc.tanh(y)[:, 3:]],
    "channels": lambda y, s: gc.tanh(y)[..., :2],
    "windows_of_all": lambda y, s: gc.max_pool(y, 3, 2),
}


def _program(reader: Reader) -> Program:
    graph = Graph()
    x, k = graph.input("x", (2, 9, 9, 2), "f64"), graph.input("k", (3, 3, 2, 3), "f64")
    s = graph.input("s", (2, 7, 7, 3), "f64")
    results = reader(gc.conv(x, k), s)
    results = results if isinstance(results, list) else [results]
    outputs = tuple((f"y{number}", result) for number, result in enumerate(results))
    return expand_composites(Program("case", (x, k, s), outputs))


def _positions(program: Program) -> int:
    """For how many positions of an image the convolution is computed."""
    (product,) = (node for node in program.nodes if node.op is contract.matmul)
    return int(product.shape[0]) // 2  # type: ignore[call-overload, no-any-return]


def _assert_same_values(program: Program, less: Program) -> None:
    rng = np.random.default_rng(3)
    inputs = {node.name: rng.uniform(-1, 1, node.type.dims) for node in program.inputs}
    expected, found = (run_program(each, inputs, {})[0] for each in (program, less))
    for name, value in expected.items():
        assert_close(found[name], value, DTYPES["f64"], reduction_length=18)


@pytest.mark.parametrize("name", LESS)
def test_what_nothing_reads_is_not_computed(name: str) -> None:
    reader, positions = LESS[name]
    program = _program(reader)
    firings: list[Firing] = []
    less = drop_unread(program, firings.append)
    verify(less)
    assert [firing.rule for firing in firings] == ["slice_of_convolution"]
    assert _positions(program) == 7 * 7 and _positions(less) == positions
    _assert_same_values(program, less)


@pytest.mark.parametrize("name", WHOLE)
def test_what_somebody_reads_is(name: str) -> None:
    program = _program(WHOLE[name])
    assert drop_unread(program) is program
