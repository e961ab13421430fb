"""States chosen from several: by themselves, or by patterns of their names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from graphc.errors import GraphError
from graphc.files.value_files import escaped
from graphc.ir.arguments.given import is_tensor, shown
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.types import each_of

# A name, a pattern of names as `fnmatch` has them, or the state itself.
Selector = str | Node


def selects(selector: Selector, state: Node) -> bool:
    """Whether `selector` means this state. Case counts, and `*` stands for dots too."""
    if isinstance(selector, Node):
        return selector is state
    return selector == state.name or fnmatchcase(state.name, selector)


def selected(name: str, selectors: Any, states: Sequence[Node], what: str) -> list[Node]:
    """Those of `states`, in their order, that one of `selectors` means.

    name: of the argument, and what: of the states, for errors. Raises TypeError for what is neither
    a state nor a text, GraphError for a selector that means none of `states`.
    """
    given = [selectors] if isinstance(selectors, str) else each_of(selectors)
    for selector in given:
        check_selector(name, selector)
        check_selects(name, selector, states, what)
    return [state for state in states if any(selects(each, state) for each in given)]


def check_selector(name: str, selector: object) -> None:
    """Raises TypeError for what is neither a state nor a text."""
    if not isinstance(selector, str) and not is_tensor(selector):
        problem = f"{name}: a parameter or a pattern of names expected, not {shown(selector)}"
        raise TypeError(located(problem, callers_location()))


def check_selects(name: str, selector: Selector, states: Sequence[Node], what: str) -> None:
    """Raises GraphError, which lists the names, where `selector` means none of `states`."""
    if any(selects(selector, state) for state in states):
        return
    known = ", ".join(escaped(state.name) for state in states) or "none"
    given = f"{selector!r} is none of" if is_tensor(selector) else f"{selector!r} matches none of"
    problem = f"{name}: {given} {what}; there are: {known}"
    raise GraphError(located(problem, callers_location()))


def label_of(selector: Selector) -> str:
    """The pattern, or the name of the state."""
    return selector if isinstance(selector, str) else selector.name
