"""Flags among the arguments of a function: True or False, and nothing that counts as one of them.

A 1 for `keepdims` is mostly an axis in the wrong place, and the text "no" would mean yes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

from graphc.ir.given import check_flag

P = ParamSpec("P")
R = TypeVar("R")


def checks_flags(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which raises TypeError where a parameter whose default is True or False is
    given anything else."""
    parameters = signature(function).parameters.values()
    flags = [(n, each.name) for n, each in enumerate(parameters) if isinstance(each.default, bool)]
    called = function.__qualname__.removesuffix(".__init__")

    @wraps(function)
    def checked(*arguments: P.args, **named: P.kwargs) -> R:
        for number, name in flags:
            value = named.get(name, arguments[number] if number < len(arguments) else True)
            if not isinstance(value, bool):
                check_flag(f"{called}: {name}", value)
        return function(*arguments, **named)

    return checked
