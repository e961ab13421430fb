"""Values by name in files of the safetensors format, written whole and read without conversion."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from graphc.errors import VariableError
from graphc.files.whole_file import write_whole
from graphc.ir.arguments.given import as_integer, as_path
from graphc.ir.types import DType, bool_, f32, f64, i32, i64, u8
from graphc.kernels.host.regular_file import open_regular

Array = np.ndarray[Any, np.dtype[Any]]

# The dtypes of the format that graphc has. https://huggingface.co/docs/safetensors
DTYPES: Mapping[str, DType] = {
    "F32": f32, "F64": f64, "I32": i32, "I64": i64, "U8": u8, "BOOL": bool_,
}  # fmt: skip

# Under this name the metadata lists, as JSON, the tensors that are no values of states.
ARRAYS = "graphc.arrays"
# What the format has in every file: the length of its header, metadata in it, and the greatest
# header that is read.
_LENGTH_BYTES = 8
METADATA = "__metadata__"
MOST_HEADER_BYTES = 100_000_000

# A message names so many values and counts the others.
MOST_NAMES_SHOWN = 12


@dataclass(frozen=True)
class StoredValue:
    """A tensor as the file has it: name, dtype in the format's own words, shape and bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def own_array(self) -> Array:
        """The elements in the file's own dtype. Raises VariableError where graphc has none."""
        found = DTYPES.get(self.dtype)
        if found is None:
            raise VariableError(f"{escaped(self.name)} has dtype {escaped(self.dtype)}")
        return self.array(found, allow_nan=True)

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


@dataclass(frozen=True)
class StoredFile:
    """values: by name, but for `arrays`, which are those that the metadata lists under ARRAYS."""

    values: dict[str, StoredValue]
    arrays: list[StoredValue]
    metadata: dict[str, str]


def write_values(
    path: str | os.PathLike[str],
    values: Mapping[str, Array],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes the arrays to `path`; the file appears whole or not at all. Raises OSError."""
    write_whole(path, safetensors.numpy.save(dict(values), dict(metadata) if metadata else None))


def read_values(path: str | os.PathLike[str]) -> dict[str, StoredValue]:
    """The values of the file by name. Raises as `read_file` does."""
    return read_file(path).values


def read_file(path: str | os.PathLike[str]) -> StoredFile:
    """What the file holds. Raises OSError where it cannot be read, VariableError where it is no
    safetensors file, and where it lacks what its metadata lists."""
    data = _contents(path)
    try:
        found = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise _no_safetensors(path, escaped(str(error))) from None
    values = {
        name: StoredValue(name, str(each["dtype"]), tuple(each["shape"]), each["data"])
        for name, each in found
    }
    metadata = _metadata(data)
    try:
        listed = json.loads(metadata.get(ARRAYS, "[]"))
        arrays = [values.pop(name) for name in listed]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise VariableError(f"{shown_path(path)} lacks arrays that its metadata lists") from None
    return StoredFile(values, arrays, metadata)


def _contents(path: str | os.PathLike[str]) -> bytes:
    """All of the file, which is read only if it is as long as its header says."""
    with open_regular(as_path(path)) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(_LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        if length > min(size - _LENGTH_BYTES, MOST_HEADER_BYTES):
            raise _no_safetensors(path, f"a header of {length} bytes, and the file has {size}")
        header = file.read(length)
        end = _LENGTH_BYTES + length + _data_bytes(header)
        if end != size:
            raise _no_safetensors(path, f"{end} bytes expected by its header, and it has {size}")
        return start + header + file.read(size)


def _data_bytes(header: bytes) -> int:
    """How many bytes follow the header; 0 for one that cannot be read, which is refused later."""
    try:
        entries = json.loads(header)
        ends = [each["data_offsets"][1] for name, each in entries.items() if name != METADATA]
        return max(map(as_integer, ends), default=0)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return 0


def _no_safetensors(path: str | os.PathLike[str], problem: str) -> VariableError:
    return VariableError(f"{shown_path(path)} is no safetensors file: {problem}")


def _metadata(data: bytes) -> dict[str, str]:
    """That of a file which safetensors has read: texts by name. The header, which is JSON, begins
    with its length."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    return dict(header.get(METADATA) or {})


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
