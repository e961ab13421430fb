"""Values by name in files of the safetensors format, written whole and read without conversion."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from graphc.errors import VariableError
from graphc.files.whole_file import write_whole
from graphc.ir.types import DType, bool_, f32, f64, i32, i64, u8

Array = np.ndarray[Any, np.dtype[Any]]

# The dtypes of the format that graphc has. https://huggingface.co/docs/safetensors
DTYPES: Mapping[str, DType] = {
    "F32": f32, "F64": f64, "I32": i32, "I64": i64, "U8": u8, "BOOL": bool_,
}  # fmt: skip

# A message names so many values and counts the others.
MOST_NAMES_SHOWN = 12


@dataclass(frozen=True)
class StoredValue:
    """A tensor as the file has it: name, dtype in the format's own words, shape and bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def array(self, wanted: DType, allow_nan: bool) -> Array:
        """The elements, which must be of dtype `wanted`. Raises VariableError for another dtype,
        for bytes that are no bools, and for NaN unless `allow_nan`."""
        found = DTYPES.get(self.dtype)
        if found is not wanted:
            problem = f"has dtype {found or escaped(self.dtype)}, and {wanted} is expected"
            raise VariableError(f"{escaped(self.name)} {problem}")
        array = np.frombuffer(self.data, wanted.numpy).reshape(self.shape)
        if wanted.is_bool and (array.view(np.uint8) > 1).any():
            raise VariableError(f"{escaped(self.name)} has bytes that are neither 0 nor 1")
        if wanted.is_float and not allow_nan and np.isnan(array).any():
            raise VariableError(f"{escaped(self.name)} has NaN; allow_nan=True loads it")
        return array


def write_values(path: str | os.PathLike[str], values: Mapping[str, Array]) -> None:
    """Writes the arrays to `path`; the file appears whole or not at all. Raises OSError."""
    write_whole(path, safetensors.numpy.save(dict(values)))


def read_values(path: str | os.PathLike[str]) -> dict[str, StoredValue]:
    """What the file holds, by name. Raises OSError where it cannot be read, VariableError where it
    is no safetensors file."""
    data = Path(path).read_bytes()
    try:
        found = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        problem = f"{shown_path(path)} is no safetensors file: {escaped(str(error))}"
        raise VariableError(problem) from None
    return {
        name: StoredValue(name, str(each["dtype"]), tuple(each["shape"]), each["data"])
        for name, each in found
    }


def escaped(text: str) -> str:
    """The text with what a terminal would obey, or not show, as escape sequences."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown_path(path: str | os.PathLike[str]) -> str:
    return escaped(os.fsdecode(path))


def listed_names(names: Iterable[str]) -> str:
    """The names in order, as a message has them; of very many the first."""
    ordered = sorted(names)
    shown = ", ".join(map(escaped, ordered[:MOST_NAMES_SHOWN]))
    beyond = len(ordered) - MOST_NAMES_SHOWN
    return shown if beyond <= 0 else f"{shown} and {beyond} more"
