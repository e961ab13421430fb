"""Whatever is public takes True or False for a flag, and nothing that counts as one of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.arguments.flags import is_flag

MODULES = (
    gc,
    gc.nn,
    gc.losses,
    gc.metrics,
    gc.optim,
    gc.schedules,
    gc.callbacks,
    gc.data,
    gc.random,
)
CLASSES = (gc.Model, gc.Function, gc.Variables)


def _callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    for module in MODULES:
        for name in module.__all__:
            found = getattr(module, name)
            if callable(found) and found is not gc.Op and not inspect.isabstract(found):
                yield f"{module.__name__}.{name}", found
    for each in CLASSES:
        for name, found in vars(each).items():
            if not name.startswith("_") and inspect.isfunction(found):
                yield f"{each.__name__}.{name}", found


def _flags() -> Iterator[tuple[str, Callable[..., Any], str]]:
    for name, found in _callables():
        try:
            parameters = inspect.signature(found).parameters.values()
        except (TypeError, ValueError):
            continue
        for each in parameters:
            if is_flag(each):
                yield name, found, each.name


# What a function asks for before it looks at a flag.
NEEDED = {
    "x": gc.Graph().input("x", (2, 3)), "units": 2, "filters": 2, "kernel_size": 2,
    "num_heads": 2, "key_dim": 2, "pieces": 2,
    "intermediate_dim": 4, "path": "never_written", "mask": np.ones((1, 1), bool),
}  # fmt: skip


@pytest.mark.parametrize("given", [1, "no", None])
def test_flags_are_true_or_false(given: object) -> None:
    flags = list(_flags())
    assert len({name for name, *_ in flags}) > 60
    taken = []
    for name, found, flag in flags:
        parameters = inspect.signature(found).parameters.values()
        needed = {
            each.name: NEEDED.get(each.name)
            for each in parameters
            if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
        }
        try:
            found(**{**needed, flag: given})
        except TypeError as error:
            if f"{flag}: True or False expected, not {given!r}" in str(error):
                continue
            taken.append((name, flag, str(error)))
        except Exception as error:
            taken.append((name, flag, repr(error)))
        else:
            taken.append((name, flag, "taken"))
    assert not taken, taken


def test_bools_of_numpy_are_flags() -> None:
    x = gc.Graph().input("x", (2, 3))
    assert gc.sum(x, 1, keepdims=np.True_).shape == (2, 1)
    assert gc.sort(x, descending=np.False_).shape == (2, 3)
