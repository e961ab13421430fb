"""Hyperparameters or optimizers of some parameters, which patterns of names choose."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.declare.graphs.selection import (
    Selector,
    check_selector,
    check_selects,
    label_of,
    selects,
)
from graphc.errors import GraphError
from graphc.files.value_files import escaped
from graphc.ir.arguments.given import is_tensor, shown
from graphc.ir.graph import Node
from graphc.ir.types import is_several

# Hyperparameters by name, or an optimizer.
Groups = Mapping[Selector, Any]

# What PyTorch calls them.
TORCH_NAMES = {
    "lr": "learning_rate", "eps": "epsilon", "lr_decay": "rate_decay", "d": "clip_threshold",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Settings:
    """What groups say of one parameter: values of hyperparameters, and the pattern of each.

    other: the optimizer that trains it, where that is one of a group; label: the pattern of it.
    """

    values: dict[str, Any]
    patterns: dict[str, str]
    other: object | None = None
    label: str = ""


def checked_groups(
    optimizer: str, groups: object, known: Collection[str], kind: type
) -> dict[Selector, Any]:
    """A copy of what is given as `groups`. known: the hyperparameters that a group may have. kind:
    the class of optimizers, which a group may have in their place.

    Raises TypeError for what is no mapping of patterns to mappings, and for hyperparameters that
    are unknown.
    """
    expected = "patterns of names and their hyperparameters expected, such as "
    expected += '{"*.bias": {"weight_decay": 0.0}}'
    if not isinstance(groups, Mapping):
        raise TypeError(f"{optimizer}: groups: {expected}, not {shown(groups)}")
    for selector, settings in groups.items():
        check_selector(f"{optimizer}: groups", selector)
        where = f"{optimizer}: groups: {escaped(label_of(selector))!r}"
        if isinstance(settings, kind):
            continue
        if not isinstance(settings, Mapping):
            raise TypeError(f"{where}: {expected}, not {shown(settings)}")
        for name in settings:
            if name not in known:
                raise TypeError(f"{where}: {_unknown(name, known)}")
    return {
        selector: dict(settings) if isinstance(settings, Mapping) else settings
        for selector, settings in groups.items()
    }


def _unknown(name: object, known: Collection[str]) -> str:
    problem = f"there is no hyperparameter {shown(name)}"
    here = TORCH_NAMES.get(name) if isinstance(name, str) else None
    if here in known:
        problem += f", it is {here!r} here"
    return f"{problem}; there are: {', '.join(known)}"


def settings_of(groups: Groups, parameter: Node) -> Settings:
    """A hyperparameter is that of the first group which has the parameter and sets it; an
    optimizer sets all of them."""
    found = Settings({}, {})
    for selector, settings in groups.items():
        if not selects(selector, parameter):
            continue
        if not isinstance(settings, Mapping):
            return replace(found, other=settings, label=label_of(selector))
        for name, value in settings.items():
            found.values.setdefault(name, value)
            found.patterns.setdefault(name, label_of(selector))
    return found


def check_groups(
    optimizer: str, groups: Groups, parameters: Sequence[Node], known: Sequence[Node]
) -> None:
    """Raises GraphError for a group that has none of `known`, the parameters of the network, and
    for one that says nothing since groups before it say all of it."""
    for selector, settings in groups.items():
        check_selects(f"{optimizer}: groups", selector, known, "the parameters")
        chosen = [parameter for parameter in parameters if selects(selector, parameter)]
        label = label_of(selector)
        names = settings if isinstance(settings, Mapping) else ["the optimizer"]
        found = [settings_of(groups, each) for each in chosen]
        for name in names:
            winners = {each.patterns.get(name, each.label) for each in found}
            if chosen and label not in winners:
                before = ", ".join(repr(winner) for winner in sorted(winners))
                problem = f"{name} of {label!r} is that of no parameter, since {before} comes first"
                raise GraphError(f"{optimizer}: groups: {problem}; put what is special first")


def check_is_rate(optimizer: str, rate: object) -> None:
    """Raises TypeError for what other libraries have in the place of the learning rate."""
    where = f"{optimizer}: learning_rate: a number expected, not"
    if callable(rate) and not is_tensor(rate):
        made = "gc.callbacks.LearningRateSchedule(schedule) sets the rate while a model is trained"
        raise TypeError(f"{where} {shown(rate)}; {made}")
    if isinstance(rate, Mapping) or (is_several(rate) and not isinstance(rate, str)):
        first = next(iter(rate), None) if not isinstance(rate, Mapping) else rate  # type: ignore[call-overload]
        if isinstance(first, Mapping):
            problem = "parameter groups; they are named by patterns of names here: "
            problem += f'{optimizer}(1e-3, groups={{"*.bias": {{"learning_rate": 1e-4}}}})'
            raise TypeError(f"{where} {problem}")
        rate = first
    if is_tensor(rate):
        problem = "parameters; a model trains its own, and `updates(loss, parameters)` takes those"
        raise TypeError(f"{where} {problem} of a step of your own")
