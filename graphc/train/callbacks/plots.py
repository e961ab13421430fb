"""Curves of what was logged, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from graphc.errors import missing_extra
from graphc.kernels.host.imports import whole_imports
from graphc.train.callbacks.logged import EPOCH, NORMS, VALIDATION, layer_and_kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOT_WIDTH_INCHES = 7.0
PLOT_ROW_INCHES = 2.6


def plot_curves(epochs: Sequence[int], curves: Mapping[str, Sequence[float]]) -> Figure:
    """A figure with a plot for each quantity, below each other, over the number of the epoch.

    A quantity and its `val_...` share a plot, as do the layers' values of one kind. Norms have a
    logarithmic axis. Raises MissingExtraError without the extra `plot`.

        figure = gc.loggers.plot_curves(history.epoch, history.history)
    """
    try:
        with whole_imports():
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise missing_extra("a plot", "plot") from error
    groups = _grouped(curves)
    size = (PLOT_WIDTH_INCHES, PLOT_ROW_INCHES * max(len(groups), 1))
    figure = Figure(figsize=size, layout="constrained")
    for position, (title, names) in enumerate(groups.items(), 1):
        axes = figure.add_subplot(len(groups), 1, position)
        for name in names:
            label = layer_and_kind(name)[0] or name
            axes.plot(epochs, curves[name], label=label, marker="." if len(epochs) == 1 else "")
        if _is_norm(names[0]):
            axes.set_yscale("log")
        axes.set_ylabel(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(fontsize="small")
    if groups:
        axes.set_xlabel(EPOCH)
    return figure


def _grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """The names that share a plot, by what stands beside its axis."""
    groups: dict[str, list[str]] = {}
    for name in names:
        layer, kind = layer_and_kind(name)
        groups.setdefault(kind if layer else name.removeprefix(VALIDATION), []).append(name)
    return groups


def _is_norm(name: str) -> bool:
    layer, kind = layer_and_kind(name)
    return bool(layer) and kind in NORMS
