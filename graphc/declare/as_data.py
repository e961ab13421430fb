"""Optimizers and initialisers as plain data, which JSON holds, and as objects again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from graphc.declare import init, optim
from graphc.declare.init import Extents, Given, Initializer
from graphc.declare.optim import Optimizer
from graphc.errors import VariableError
from graphc.files.plain_data import Part
from graphc.ir.arguments.given import is_tensor, shown
from graphc.ir.graph import Node
from graphc.ir.nodes.op import Array
from graphc.ir.types import DType

OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    name: each
    for name, each in vars(optim).items()
    if isinstance(each, type) and issubclass(each, Optimizer) and each is not Optimizer
}
INITIALIZERS: Mapping[str, type] = {
    name: each
    for name, each in vars(init).items()
    if isinstance(each, type) and is_dataclass(each) and each.__module__ == init.__name__
}

# How data of other kinds than JSON's are marked.
PAIRS, STATE, ARRAY = "pairs", "state", "array"
CLASS, FIELDS = "class", "fields"


@dataclass(frozen=True)
class Unsaved:
    """In the place of an initialiser that a file does not hold: a function of the user's."""

    def __call__(self, rng: np.random.Generator, shape: Extents, dtype: DType) -> Array:
        raise VariableError(
            "a file does not hold the function that was its initialiser; put one into "
            "graph.initializers under its name"
        )


def as_data(value: Any, where: str, arrays: list[Array]) -> Any:
    """Numbers, texts, and lists and mappings of them as JSON has them, and optimizers inside of
    others; arrays go to `arrays`.

    Raises TypeError, which begins with `where`, for anything else.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {ARRAY: len(arrays) - 1}
    if isinstance(value, Node):
        return {STATE: value.name}
    if isinstance(value, Optimizer):
        return object_data(value, where, arrays)
    if isinstance(value, tuple | list):
        return [as_data(each, where, arrays) for each in value]
    if isinstance(value, Mapping):
        pairs = [[as_data(k, where, arrays), as_data(v, where, arrays)] for k, v in value.items()]
        return {PAIRS: pairs}
    raise TypeError(
        f"{where}: a file holds numbers, texts and lists of them, not {shown(value)}; "
        "weights_only=True saves the weights"
    )


def from_data(
    part: Part,
    states: Mapping[str, Node],
    arrays: list[Array],
    kinds: Mapping[str, Any] = OPTIMIZERS,
) -> Any:
    """What `as_data` made the data of; lists become tuples. kinds: of optimizers, by name."""
    if isinstance(part.value, list):
        return tuple(from_data(each, states, arrays, kinds) for each in part.items())
    if not isinstance(part.value, dict):
        return part.value
    found = part.entries()
    if found.keys() == {ARRAY}:
        number = found[ARRAY].count()
        if number < len(arrays):
            return arrays[number]
    elif found.keys() == {STATE}:
        name = found[STATE].text()
        if name in states:
            return states[name]
    elif found.keys() == {PAIRS}:
        pairs = [from_data(each, states, arrays, kinds) for each in found[PAIRS].items()]
        if all(isinstance(p, tuple) and len(p) == 2 and _is_key(p[0]) for p in pairs):
            return dict(pairs)
    elif found.keys() == {CLASS, FIELDS}:
        return object_of(part, kinds, states, arrays)
    raise part.error(f"an array, a state or pairs of the file expected, not {shown(part.value)}")


def _is_key(value: Any) -> bool:
    return isinstance(value, str) or is_tensor(value)


def object_data(value: Any, where: str, arrays: list[Array]) -> dict[str, Any]:
    """A dataclass by the name of its class and its fields. Raises TypeError as `as_data` does."""
    made = {
        each.name: as_data(getattr(value, each.name), f"{where}.{each.name}", arrays)
        for each in fields(value)
        if each.init
    }
    return {CLASS: type(value).__name__, FIELDS: made}


def object_of(
    part: Part, kinds: Mapping[str, Any], states: Mapping[str, Node], arrays: list[Array]
) -> Any:
    """The object. Raises ModelFileError for a class that `kinds` lacks and for unfit fields."""
    found = part.has((CLASS, FIELDS))
    name = found[CLASS].text()
    if name not in kinds:
        known = ", ".join(kinds)
        problem = f"{shown(name)} is none of {known}; give one's own as custom_objects={{...}}"
        raise found[CLASS].error(problem)
    given = found[FIELDS].entries()
    try:
        values = {n: from_data(each, states, arrays, kinds) for n, each in given.items()}
        return kinds[name](**values)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise part.error(str(error)) from None


def initializer_data(initializer: Initializer, where: str, arrays: list[Array]) -> Any:
    """The initialiser as data; None for a function of the user's."""
    known = INITIALIZERS.get(type(initializer).__name__)
    return object_data(initializer, where, arrays) if type(initializer) is known else None


def initializer_of(part: Part, states: Mapping[str, Node], arrays: list[Array]) -> Initializer:
    """The initialiser. Raises ModelFileError as `object_of` does."""
    made: Initializer = Unsaved()
    if not part.is_null:
        made = object_of(part, INITIALIZERS, states, arrays)
    if isinstance(made, Given) and not isinstance(made.array, np.ndarray):
        raise part.error("an array expected")
    return made
