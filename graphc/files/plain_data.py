"""JSON that somebody else may have written: every part is asked for what it should be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphc.errors import ModelFileError
from graphc.ir.arguments.given import shown


@dataclass(frozen=True)
class Part:
    """A value of JSON and where it stands, such as `model.loss`. What it is asked for and is not
    raises ModelFileError."""

    value: Any
    where: str

    @property
    def is_null(self) -> bool:
        return self.value is None

    def text(self) -> str:
        return str(self._checked(isinstance(self.value, str), "a text"))

    def flag(self) -> bool:
        return bool(self._checked(isinstance(self.value, bool), "true or false"))

    def count(self) -> int:
        """A whole number of at least 0."""
        is_count = isinstance(self.value, int) and not isinstance(self.value, bool)
        return int(self._checked(is_count and self.value >= 0, "a count"))

    def items(self) -> list[Part]:
        self._checked(isinstance(self.value, list), "a list")
        return [Part(each, f"{self.where}[{n}]") for n, each in enumerate(self.value)]

    def texts(self) -> list[str]:
        return [each.text() for each in self.items()]

    def entries(self) -> dict[str, Part]:
        self._checked(isinstance(self.value, dict), "names and values")
        return {name: Part(each, f"{self.where}.{name}") for name, each in self.value.items()}

    def has(self, names: Mapping[str, Any] | tuple[str, ...]) -> dict[str, Part]:
        """The entries, which are those named and no others."""
        found = self.entries()
        self._checked(found.keys() == set(names), f"{', '.join(names)}, each once,")
        return found

    def error(self, problem: str) -> ModelFileError:
        return ModelFileError(f"{shown(self.where)}: {problem}")

    def _checked(self, is_right: bool, expected: str) -> Any:
        if not is_right:
            raise self.error(f"{expected} expected, not {shown(self.value)}")
        return self.value


def read_json(text: str, where: str, most: int) -> Part:
    """The text as data. Raises ModelFileError for what is no JSON, and beyond `most` characters."""
    if len(text) > most:
        raise ModelFileError(f"{where}: at most {most} characters expected, not {len(text)}")
    try:
        return Part(json.loads(text), where)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{where}: JSON expected: {shown(str(error))}") from None
