"""Two processes print the same of one script: nothing follows from the order of a set."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

NET = """\
import graphc as gc

graph = gc.Graph(seed=0)
words, labels = graph.input("words", (64,), "i32"), graph.input("labels", (64,), "i32")
more_words = graph.input("more_words", (32,), "i32")
table = graph.parameter("table", (100, 256))
x = gc.take(table, words)
hidden, layers = x, []
for activation in (gc.sigmoid, gc.tanh, gc.sigmoid):
    hidden = gc.nn.dense(hidden, 64, activation)
    if activation is gc.sigmoid:
        centered = hidden - gc.mean(hidden, -1, keepdims=True)
        variance = gc.mean(gc.square(centered), -1, keepdims=True)
        hidden = centered / gc.sqrt(variance + 1e-5)
    hidden = hidden + sum(layers) if layers else hidden
    layers.append(hidden)
loss = gc.losses.softmax_cross_entropy(gc.nn.dense(layers[-1], 10), labels)
loss = loss + sum(gc.mean(gc.square(each)) for each in layers)
loss = loss + gc.mean(gc.tanh(gc.take(table, more_words)))
low = x / (x * x + 1) / (x - 3) / (x + 5)
lower = low / (x + 7)
rows = [gc.tanh(lower) + gc.exp(x), low * gc.exp(x), lower * gc.tanh(x)]
step = gc.function([words, labels, more_words], [loss, *rows], gc.optim.Adam(0.1).updates(loss))
"""

# What compares by identity is hashed by its address. Here it goes by PYTHONHASHSEED, as names do.
PRINT = """\
import sys

from graphc.cli import main
from graphc.ir.graph import Node
from graphc.kernels.groups import group
from graphc.kernels.loops.language import source

Node.__hash__ = lambda node: hash(f"node {node.number}")
for kind in (group.LoopGroup, group.ContractionGroup, group.MovementGroup):
    kind.__hash__ = lambda made: hash(tuple(made.nodes))
source.Storage.__hash__ = lambda storage: hash(storage.name)
for arguments in (["explain"], ["inspect", "--stage", "source"]):
    main([*arguments, sys.argv[1]], standalone_mode=False)
"""


def test_explanations_and_kernels_are_the_same_in_any_process(write: Callable[[str], str]) -> None:
    script = write(NET)
    texts = [_printed(script, seed) for seed in "23"]
    assert len(texts[0].splitlines()) > 1000
    assert texts[0] == texts[1]


def _printed(script: str, seed: str) -> str:
    variables = {"PYTHONHASHSEED": seed, "GRAPHC_CACHE": "off", "GRAPHC_VECTOR_BITS": "256"}
    command = [sys.executable, "-c", PRINT, script]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
