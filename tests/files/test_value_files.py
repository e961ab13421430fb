"""Files of values: what stands in their place, and headers that promise more than there is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphc as gc
from graphc.files.value_files import read_values, write_values

VALUES = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}


def with_header(length: int, header: bytes, data: bytes = b"") -> bytes:
    return length.to_bytes(8, "little") + header + data


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("read", [read_values, gc.load_model, gc.data.read_idx])
def test_a_pipe_is_not_waited_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    pipe = tmp_path / "values"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="no regular file"):
        read(pipe)


@pytest.mark.parametrize("read", [read_values, gc.load_model, gc.data.read_idx])
def test_a_folder_is_no_file(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        read(tmp_path)


@pytest.mark.parametrize(
    "start",
    [
        with_header(0, b""),
        with_header(2**40, b"{}"),
        with_header(2, b"{}"),
        with_header(2, b"[]"),
        with_header(8, b'{"a":{}}'),
        b"0123",
    ],
)
def test_an_oversized_file_is_refused_unread(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "values"
    path.write_bytes(start)
    os.truncate(path, 2**42)  # more than there is memory
    with pytest.raises(gc.VariableError, match="is no safetensors file"):
        read_values(path)


def test_a_header_may_promise_less_or_more(tmp_path: Path) -> None:
    path = tmp_path / "values"
    write_values(path, VALUES)
    whole = path.read_bytes()
    for other in (whole[:-1], whole + b"\0", b"", whole[:8], whole[:20]):
        path.write_bytes(other)
        with pytest.raises(gc.VariableError, match="is no safetensors file"):
            read_values(path)


@pytest.mark.parametrize("end", [-1, 1.5, True, "24", None, 2**70])
def test_an_end_that_is_none_is_refused(tmp_path: Path, end: object) -> None:
    path = tmp_path / "values"
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, end]}
    header = json.dumps({"w": entry}).encode()
    path.write_bytes(with_header(len(header), header, VALUES["w"].tobytes()))
    with pytest.raises(gc.VariableError, match="is no safetensors file"):
        read_values(path)


@pytest.mark.parametrize("given", [str, os.fsencode, Path])
def test_paths_of_each_kind(tmp_path: Path, given: Callable[[str], str]) -> None:
    path = given(str(tmp_path / "values"))
    write_values(path, VALUES)
    assert (read_values(path)["w"].own_array() == VALUES["w"]).all()


@pytest.mark.parametrize(
    ("path", "error"), [(3, TypeError), (None, TypeError), (True, TypeError), ("a\0b", ValueError)]
)
def test_what_is_no_path_is_refused(path: str, error: type[Exception]) -> None:
    for use in (read_values, lambda each: write_values(each, VALUES)):
        with pytest.raises(error, match="a path"):
            use(path)
