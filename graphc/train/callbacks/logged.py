"""The names under which training logs what it measures, which no metric may have."""

from __future__ import annotations

from graphc.errors import GraphError

EPOCH = "epoch"
LOSS = "loss"

# What a name is preceded by when it was measured on the rows kept for validation.
VALIDATION = "val_"

# The output of a watched step that says whether the loss and every update are finite.
IS_FINITE = "is_finite"

# What is recorded of each layer, as `dense/gradient`. Norms span decades.
NORMS = ("activation", "gradient", "update")
DEAD = "dead"


def part_name(metric: str, part: str) -> str:
    """The output of a step that holds a part of a metric of the whole set."""
    return f"{metric}[{part}]"


def recorded_name(layer: str, kind: str) -> str:
    """The name of what is recorded of a layer."""
    return f"{layer}/{kind}"


def layer_and_kind(name: str) -> tuple[str, str]:
    """The inverse of `recorded_name`; without a layer, the name itself is the kind."""
    layer, _, kind = name.rpartition("/")
    return layer, kind


def check_metric_name(name: object) -> None:
    """Raises GraphError unless a metric may have the name: a line of text, not logged already."""
    if not isinstance(name, str) or not name or not name.isprintable():
        raise GraphError(f"a metric is named by a line of text, not {name!r}")
    layer, kind = layer_and_kind(name)
    is_recorded = bool(layer) and kind in (*NORMS, DEAD)
    if name in (EPOCH, LOSS, IS_FINITE) or name.startswith(VALIDATION) or is_recorded:
        raise GraphError(
            f"a metric cannot be named {name!r}: training logs {EPOCH!r}, {LOSS!r}, {IS_FINITE!r}, "
            f"names that begin with {VALIDATION!r}, and of each layer "
            f"{', '.join(recorded_name('layer', kind) for kind in (*NORMS, DEAD))}"
        )
