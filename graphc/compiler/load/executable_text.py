"""An executable as bytes, and back: JSON, and the constants' values behind each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from graphc.compiler.load.executable import (
    Buffer,
    BufferRole,
    Executable,
    Loop,
    Output,
    Row,
    SlicedBuffer,
)
from graphc.ir.nodes.attributes import Literal
from graphc.ir.types import DTYPES

# The parts of an entry on disk.
TEXT = "plan"
CONSTANTS = "constants"

Record = TypeVar("Record", Row, Output, Loop, SlicedBuffer)


def write_executable(executable: Executable) -> dict[str, bytes]:
    """The parts that `read_executable` reads."""
    values = [b.value.array for b in executable.buffers if b.value is not None]
    text = {
        "buffers": [_buffer_record(buffer) for buffer in executable.buffers],
        "rows": [_record(row) for row in executable.rows],
        "outputs": [_record(output) for output in executable.outputs],
        "loops": [_loop_record(loop) for loop in executable.loops],
        "arena_bytes": executable.arena_bytes,
        "threads": executable.threads,
    }
    return {
        TEXT: json.dumps(text, separators=(",", ":")).encode(),
        CONSTANTS: b"".join(value.tobytes() for value in values),
    }


def read_executable(parts: Mapping[str, bytes]) -> Executable:
    """The executable. Raises ValueError, TypeError or LookupError for parts that describe none."""
    text = json.loads(parts[TEXT])
    executable = Executable(
        buffers=_read_buffers(text["buffers"], parts[CONSTANTS]),
        rows=tuple(_read(Row, record) for record in text["rows"]),
        outputs=tuple(_read(Output, record) for record in text["outputs"]),
        loops=tuple(_read_loop(record) for record in text["loops"]),
        arena_bytes=int(text["arena_bytes"]),
        threads=int(text["threads"]),
    )
    _check(executable)
    return executable


def _loop_record(loop: Loop) -> dict[str, Any]:
    return {**_record(loop), "slices": [_record(each) for each in loop.slices]}


def _read_loop(record: Mapping[str, Any]) -> Loop:
    slices = [_read(SlicedBuffer, each) for each in record["slices"]]
    return _read(Loop, {**record, "slices": slices})


def _record(record: Row | Output | Loop | SlicedBuffer) -> dict[str, Any]:
    return {each.name: getattr(record, each.name) for each in fields(record)}


def _read(kind: Callable[..., Record], record: Mapping[str, Any]) -> Record:
    """Sequences are tuples."""
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in record.items()})


def _buffer_record(buffer: Buffer) -> dict[str, Any]:
    record: dict[str, Any] = {
        "role": buffer.role.value,
        "dtype": buffer.dtype.name,
        "size": buffer.size,
        "name": buffer.name,
        "offset": buffer.offset,
    }
    if buffer.value is not None:
        record["shape"] = buffer.value.array.shape
    return record


def _read_buffers(records: Sequence[Mapping[str, Any]], constants: bytes) -> tuple[Buffer, ...]:
    buffers, start = [], 0
    for record in records:
        given = dict(record)
        role, dtype = BufferRole(given.pop("role")), DTYPES[given.pop("dtype")]
        shape = given.pop("shape", None)
        value = None
        if shape is not None:
            flat = np.frombuffer(constants, dtype.numpy, given["size"], start)
            value = Literal(flat.reshape(shape))
            start += flat.nbytes
        buffers.append(Buffer(role, dtype, value=value, **given))
    if start != len(constants):
        raise ValueError(f"constants of {start} bytes, and {len(constants)} are there")
    return tuple(buffers)


def _check(executable: Executable) -> None:
    """Raises ValueError for what would read or write elsewhere than in its buffers."""
    buffers = executable.buffers
    if any(buffer.role is BufferRole.INPUT for buffer in buffers[executable.inputs :]):
        raise ValueError("an input behind other buffers")
    for buffer in buffers:
        if (buffer.role is BufferRole.CONSTANT) != (buffer.value is not None):
            raise ValueError(f"a {buffer.role.value} with or without a value")
        is_inside = 0 <= buffer.offset <= executable.arena_bytes - buffer.nbytes
        if buffer.size < 0 or (buffer.role is BufferRole.ARENA and not is_inside):
            raise ValueError("a buffer outside the arena")
    for row in executable.rows:
        if any(not 0 <= number < len(buffers) for number in row.arguments):
            raise ValueError(f"{row.name} has an argument that is no buffer")
        _check_starts(row, buffers)
    for loop in executable.loops:
        _check_loop(loop, executable)
    for output in executable.outputs:
        size = buffers[output.buffer].size
        ends = [
            stride * (extent - 1)
            for stride, extent in zip(output.strides, output.shape, strict=True)
        ]
        first = output.offset + sum(min(end, 0) for end in ends)
        last = output.offset + sum(max(end, 0) for end in ends)
        if 0 not in output.shape and not 0 <= first <= last < size:
            raise ValueError(f"output {output.name!r} is not in its buffer")


def _check_starts(row: Row, buffers: Sequence[Buffer]) -> None:
    """Raises ValueError for an argument that begins outside of its buffer."""
    if row.starts and len(row.starts) != len(row.arguments):
        raise ValueError(
            f"{row.name} has {len(row.starts)} starts of {len(row.arguments)} arguments"
        )
    for number, start in zip(row.arguments, row.starts, strict=False):
        if not 0 <= start < max(buffers[number].nbytes, 1):
            raise ValueError(f"{row.name} has an argument that begins outside of its buffer")


def _check_loop(loop: Loop, executable: Executable) -> None:
    """Raises ValueError for a loop whose steps would touch other memory than its buffers."""
    if not 0 <= loop.begin < loop.end < len(executable.rows):
        raise ValueError("a loop over other rows than there are")
    arguments = executable.rows[loop.begin].arguments
    if loop.condition is not None:
        if loop.slices or loop.length:
            raise ValueError("a loop that is counted and has a condition")
        buffer = loop.condition
        if buffer not in arguments or not executable.buffers[buffer].dtype.is_bool:
            raise ValueError("a condition that is no bool of the loop")
    elif loop.length < 1:
        raise ValueError("a loop of no step")
    for each in loop.slices:
        if not 0 <= each.buffer < len(executable.buffers) or each.whole not in arguments:
            raise ValueError("a slice of no buffer")
        last = each.first + each.stride * (loop.length - 1)
        room = executable.buffers[each.whole].nbytes - executable.buffers[each.buffer].nbytes
        if not 0 <= min(each.first, last) <= max(each.first, last) <= room:
            raise ValueError("a slice that is not in its buffer")
