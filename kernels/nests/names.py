"""Readable, unique names in generated source."""

from __future__ import annotations

import keyword
import re

from graphc.ir.graph import Node
from graphc.ir.ops import leaf


class Names:
    """Gives out identifiers; a name asked for twice gets a number the second time."""

    def __init__(self, reserved: frozenset[str] | set[str] = frozenset()) -> None:
        self._taken = set(reserved)
        # Of names that were wanted more than once, the last number.
        self._last: dict[str, int] = {}

    @property
    def taken(self) -> frozenset[str]:
        return frozenset(self._taken)

    def unique(self, wanted: str) -> str:
        """`wanted` made an identifier, with `_2`, `_3`, ... where it is taken."""
        base = re.sub(r"\W+", "_", wanted).strip("_") or "value"
        if base[0].isdigit() or keyword.iskeyword(base):
            base = f"_{base}"
        name, number = base, self._last.get(base, 1)
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._last[base] = number
        self._taken.add(name)
        return name


def label(node: Node) -> str:
    """What people call the value: its own name for inputs and states, else its op's."""
    if node.op is leaf.input_ or node.op is leaf.state:
        return node.name
    return node.op.name
