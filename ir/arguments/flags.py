"""Flags among the arguments of a function: True or False, and nothing that counts as one of them.

A 1 for `keepdims` is mostly an axis in the wrong place, and the text "no" would mean yes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import ParamSpec, TypeVar

from graphc.ir.arguments.given import check_flag

P = ParamSpec("P")
R = TypeVar("R")


def is_flag(parameter: Parameter) -> bool:
    """Whether True and False are all that is meant: it is one of them unless given, and no number
    may stand there too."""
    return isinstance(parameter.default, bool) and parameter.annotation in (bool, "bool")


def checks_flags(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which raises TypeError where a flag is given anything but True or False."""
    parameters = signature(function).parameters.values()
    flags = [(n, each.name) for n, each in enumerate(parameters) if is_flag(each)]
    called = function.__qualname__.removesuffix(".__init__")

    @wraps(function)
    def checked(*arguments: P.args, **named: P.kwargs) -> R:
        for number, name in flags:
            value = named.get(name, arguments[number] if number < len(arguments) else True)
            if not isinstance(value, bool):
                check_flag(f"{called}: {name}", value)
        return function(*arguments, **named)

    return checked
