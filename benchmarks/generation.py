"""Texts that a GPT writes, token after token, in graphc and in PyTorch with caches.

    python -m benchmarks.generation [--tokens N] [--peers-python PYTHON] [--json FILE]

The model is that of the workload gpt: 2 layers of 128 features and 4 heads over 96 tokens. Each
token is drawn by a temperature from the 20 most probable. PyTorch's keys and values stand in memory
that is allocated once; it runs on one thread and on all, and the faster counts. In a round every
system writes for the same time, since threads of the one before go on for a while. Every figure is
a median.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import click
import numpy as np

import graphc as gc
from benchmarks.measure import print_table, write_json
from benchmarks.peers.problem import (
    GENERATED_HEADS,
    GENERATED_LAYERS,
    GENERATED_TOP_K,
    GENERATED_VOCABULARY,
    GENERATED_WIDTH,
    TEMPERATURE,
)

THREADS = 2
# The turn of a system in a round, of whole texts.
SECONDS_A_TURN = 0.8
# How many times as many tokens a second the project asks for.
WANTED = 10


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    tokens_a_second: float
    milliseconds_a_text: float
    compared: float | None = None


def writer(tokens: int) -> Callable[[], Any]:
    """A compiled function that writes a text of so many tokens in one call."""
    graph = gc.Graph(seed=1)
    embed = gc.nn.Embedding(GENERATED_VOCABULARY, GENERATED_WIDTH)
    places = gc.nn.PositionEmbedding(tokens)
    blocks = [
        gc.nn.TransformerDecoderBlock(
            4 * GENERATED_WIDTH, GENERATED_HEADS, activation="gelu", normalize_first=True
        )
        for _ in range(GENERATED_LAYERS)
    ]
    norm, head = gc.nn.LayerNorm(epsilon=1e-5), gc.nn.Dense(GENERATED_VOCABULARY)

    def scores_of(token: gc.Node, cache: gc.nn.KeyValueCache) -> gc.Node:
        x = embed(token)
        x = x + places(x, cache.position)
        for block in blocks:
            x = block(x, cache=cache)
        return head(norm(x))

    prompt = graph.input("prompt", (1, 1), "i32")
    text = gc.nn.generate(scores_of, prompt, tokens, TEMPERATURE, GENERATED_TOP_K)
    write = gc.function(prompt, text, gc.random.advanced([text]))
    return lambda: write(np.zeros((1, 1), np.int32))


class TorchWriter:
    """A process that writes when it is asked to."""

    def __init__(self, python: str, tokens: int, threads: int) -> None:
        command = [python, "-m", "benchmarks.peers.in_torch.generation", str(tokens), str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def seconds(self) -> float:
        """Of one text."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def measured(tokens: int, rounds: int, python: str | None) -> list[Row]:
    """graphc's row, and those of PyTorch where there is a Python that has it."""
    write = writer(tokens)

    def ours() -> float:
        begin = time.perf_counter()
        write()
        return time.perf_counter() - begin

    found: dict[str, Callable[[], float]] = {"graphc": ours}
    peers = []
    for threads in (1, THREADS) if python else ():
        peers.append(TorchWriter(python or sys.executable, tokens, threads))
        found[f"torch, threads: {threads}"] = peers[-1].seconds
    seconds: dict[str, list[float]] = {name: [] for name in found}
    # The first text compiles, or allocates.
    for once in found.values():
        once()
    texts = {name: ceil(SECONDS_A_TURN / once()) for name, once in found.items()}
    for _ in range(rounds):
        for name, once in found.items():
            seconds[name].append(statistics.mean(once() for _ in range(texts[name])))
    for peer in peers:
        peer.close()
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    fastest = min((value for name, value in medians.items() if name != "graphc"), default=None)
    return [
        Row(
            name,
            tokens / value,
            1e3 * value,
            fastest / value if name == "graphc" and fastest is not None else None,
        )
        for name, value in medians.items()
    ]


@click.command()
@click.option("--tokens", type=click.IntRange(min=2), default=1000, help="Of a text.")
@click.option("--rounds", type=click.IntRange(min=1), default=7)
@click.option("--peers-python", help="A Python that has torch.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the rows here.")
def main(tokens: int, rounds: int, peers_python: str | None, json_file: Path | None) -> None:
    """Tokens a second that a small GPT writes."""
    rows = measured(tokens, rounds, peers_python)
    print_table(
        f"texts of {tokens:,} tokens",
        ("what", "tokens/s", "ms a text", "times as fast"),
        [
            (
                row.what,
                f"{row.tokens_a_second:,.0f}",
                f"{row.milliseconds_a_text:.1f}",
                "" if row.compared is None else f"{row.compared:.1f} (asked: {WANTED})",
            )
            for row in rows
        ],
    )
    write_json(json_file, {"tokens": tokens, "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
