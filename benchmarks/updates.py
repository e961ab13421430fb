"""What an update of weights takes behind the product that makes their gradient.

    python -m benchmarks.updates [--rows 784] [--columns 400] [--batch 128] [--threads 2]

The gradient x^T ct of weights [rows, columns] is an optimizer's, whose update is the product's
epilogue. Beside it, in turn: the product alone, which stores its result, and the update alone, of a
gradient that stands in memory. The last column is the time of the step over that of the two
together: 1 is what one kernel after the other would take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

import graphc as gc
from benchmarks.measure import Repeated, interleaved_medians, print_table, write_json

SECONDS_A_ROUND = 0.05
RATE = 1e-3
OPTIMIZERS: Mapping[str, gc.optim.Optimizer] = {
    "SGD": gc.optim.SGD(RATE),
    "momentum": gc.optim.SGD(RATE, momentum=0.9),
    "RMSprop": gc.optim.RMSprop(RATE),
    "Adam": gc.optim.Adam(RATE),
    "Adam, weight decay": gc.optim.Adam(RATE, weight_decay=0.01),
    "AdamW": gc.optim.AdamW(RATE),
    "NAdam": gc.optim.NAdam(RATE),
    "Adam, clip_value": gc.optim.Adam(RATE, clip_value=1.0),
    "Adam, clip_norm": gc.optim.Adam(RATE, clip_norm=1.0),
}


@dataclass(frozen=True)
class Row:
    """Microseconds of a step, and of its two parts alone."""

    optimizer: str
    step: float
    product: float
    update: float

    @property
    def ratio(self) -> float:
        return self.step / (self.product + self.update)


class Shape:
    """The weights, and the arrays that their gradient is made of."""

    def __init__(self, rows: int, columns: int, batch: int, threads: int) -> None:
        self.rows, self.columns, self.batch, self.threads = rows, columns, batch, threads
        random = np.random.default_rng(0)
        shapes = (batch, rows), (batch, columns)
        self.arrays = [random.standard_normal(shape).astype(np.float32) for shape in shapes]

    def step(self, optimizer: gc.optim.Optimizer) -> Repeated:
        """The product, and the update behind it."""
        graph, x, ct = self._inputs()
        weights = graph.parameter("weights", (self.rows, self.columns))
        gradient = gc.transpose(x) @ ct
        return self._repeated(x, ct, optimizer.updates(gradients={weights: gradient}))

    def product(self) -> Repeated:
        graph, x, ct = self._inputs()
        gradient = graph.variable("gradient", 0.0, (self.rows, self.columns))
        return self._repeated(x, ct, {gradient: gc.transpose(x) @ ct})

    def update(self, optimizer: gc.optim.Optimizer) -> Repeated:
        graph, x, ct = self._inputs()
        weights = graph.parameter("weights", (self.rows, self.columns))
        gradient = graph.variable("gradient", gc.init.normal(), (self.rows, self.columns))
        return self._repeated(x, ct, optimizer.updates(gradients={weights: gradient}))

    def _inputs(self) -> tuple[gc.Graph, gc.Node, gc.Node]:
        graph = gc.Graph(seed=0)
        x = graph.input("x", (self.batch, self.rows))
        return graph, x, graph.input("ct", (self.batch, self.columns))

    def _repeated(self, x: gc.Node, ct: gc.Node, updates: dict[gc.Node, gc.Node]) -> Repeated:
        function = gc.function([x, ct], ct[0, 0], updates, threads=self.threads)
        return lambda count: function.repeat(count, *self.arrays)


def measured(shape: Shape, name: str, optimizer: gc.optim.Optimizer) -> Row:
    actions = {
        "step": shape.step(optimizer),
        "product": shape.product(),
        "update": shape.update(optimizer),
    }
    medians = interleaved_medians(actions, seconds_a_round=SECONDS_A_ROUND)
    return Row(name, **{part: 1e6 * seconds for part, seconds in medians.items()})


@click.command()
@click.option("--rows", default=784, show_default=True, help="Of the weights.")
@click.option("--columns", default=400, show_default=True, help="Of the weights.")
@click.option("--batch", default=128, show_default=True, help="The depth of the product.")
@click.option("--threads", default=2, show_default=True, help="At most so many.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures here.")
def main(rows: int, columns: int, batch: int, threads: int, path: Path | None) -> None:
    """Measure every optimizer behind a product, beside the product and the update alone."""
    shape = Shape(rows, columns, batch, threads)
    found = [measured(shape, name, optimizer) for name, optimizer in OPTIMIZERS.items()]
    print_table(
        f"Weights {rows}x{columns}, batch {batch}, at most {threads} threads: microseconds",
        ("optimizer", "step", "product", "update", "step over both"),
        [
            (row.optimizer, *(f"{us:,.0f}" for us in (row.step, row.product, row.update)),
             f"{row.ratio:.2f}x")
            for row in found
        ],
    )  # fmt: skip
    write_json(path, {"rows": [asdict(row) | {"ratio": row.ratio} for row in found]})


if __name__ == "__main__":
    main()
