"""What a model's summary prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphc.ir.graph import Node
from graphc.ir.types import shape_text

if TYPE_CHECKING:
    from rich.console import Console

    from graphc.compiler.load.plan_memory import PlanMemory


def print_summary(
    parameters: Sequence[Node], weights: Sequence[Node], console: Console | None = None
) -> None:
    """Prints one row for each of `weights`: layer, name, dtype and shape, number of elements.

    The name of the layer is what stands before the last dot. `parameters` are those that train; a
    column says which do where there are others. console: standard output unless given.
    """
    # Imported here: a process that prints nothing starts without rich.
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = console or Console()
    trained = sum(state.type.size for state in parameters)
    total = sum(state.type.size for state in weights)
    nbytes = sum(state.type.nbytes for state in weights)
    table = Table()
    table.add_column("layer")
    table.add_column("variable")
    table.add_column("type")
    table.add_column("elements", justify="right")
    trains = set(parameters)
    tells = any(state.attributes["trainable"] and state not in trains for state in weights)
    if tells:
        table.add_column("trains")
    previous = None
    for state in weights:
        layer, _, name = state.name.rpartition(".")
        shown = layer if layer != previous else ""
        cells = [shown, name, f"{state.dtype}{shape_text(state.shape)}", f"{state.type.size:,}"]
        if tells:
            cells.append("yes" if state in trains else "no")
        # A bracket opens markup in rich.
        table.add_row(*map(escape, cells))
        previous = layer
    console.print(table)
    console.print(f"{total:,} elements, {trained:,} trainable, {nbytes:,} bytes", highlight=False)


def print_memory(name: str, memory: PlanMemory, console: Console | None = None) -> None:
    """Prints in a line what a function takes. console: standard output unless given."""
    from rich.console import Console

    (console or Console()).print(f"{name}: {memory}", highlight=False, soft_wrap=True)
