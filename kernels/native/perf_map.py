"""Kernels by name in `perf`: the map of a process' generated code that perf looks for.

With GRAPHC_PERF=1 every kernel that is loaded is added to /tmp/perf-PID.map, a line
`start size name` in hexadecimal a function. perf reads the file after the process has ended, so
nothing removes it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import llvmlite.binding as llvm

from graphc.kernels.host.settings import SettingError
from graphc.kernels.native.llvm import NativeModule

VARIABLE = "GRAPHC_PERF"
# Where perf looks, whatever TMPDIR says.
DIRECTORY = Path("/tmp")
ELF_MAGIC = b"\x7fELF"

# A symbol of a 64-bit ELF file: name, info, other, section, value, size; and its type.
_SYMBOL = struct.Struct("<IBBHQQ")
_TYPE_BITS = 0xF
_FUNCTION = 2


@dataclass(frozen=True)
class CodeSymbol:
    """A function of an object file: its section, and where it is there, in bytes."""

    name: str
    section: int
    offset: int
    size: int


def is_wanted(environment: Mapping[str, str] | None = None) -> bool:
    """Whether GRAPHC_PERF asks for the map. Raises SettingError for a value other than 0 and 1."""
    value = (os.environ if environment is None else environment).get(VARIABLE, "0")
    if value not in ("0", "1"):
        raise SettingError(VARIABLE, value, "'0' or '1'")
    return value == "1"


def functions_of(object_code: bytes) -> tuple[CodeSymbol, ...]:
    """The functions that an ELF object file defines. Raises ValueError for another format."""
    if not object_code.startswith(ELF_MAGIC):
        raise ValueError(f"{VARIABLE}=1: perf's map needs object code in ELF, as Linux has it")
    sections = {
        section.name(): section.data()
        for section in llvm.ObjectFileRef.from_data(object_code).sections()
        if section.name() in (b".symtab", b".strtab")
    }
    return tuple(_functions(sections[b".symtab"], sections[b".strtab"]))


def _functions(symbols: bytes, names: bytes) -> Iterator[CodeSymbol]:
    for name, info, _, section, offset, size in _SYMBOL.iter_unpack(symbols):
        if info & _TYPE_BITS == _FUNCTION and size:
            text = names[name : names.index(b"\0", name)].decode()
            yield CodeSymbol(text, section, offset, size)


def map_lines(name: str, symbol: str, module: NativeModule) -> list[str]:
    """A line for each function of a module whose function `symbol` is the kernel `name`.

    Functions beside it are shown as `kernel:function`.
    """
    functions = functions_of(module.object_code)
    (entry,) = (each for each in functions if each.name == symbol)
    start = module.address(symbol) - entry.offset
    return [
        f"{start + each.offset:x} {each.size:x} {name if each is entry else f'{name}:{each.name}'}"
        for each in functions
        if each.section == entry.section
    ]


def append_to_map(
    name: str, symbol: str, module: NativeModule, directory: Path = DIRECTORY
) -> None:
    """Adds a module to this process' map, in one write. Raises OSError where the file is a link or
    cannot be written."""
    path = directory / f"perf-{os.getpid()}.map"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        lines = map_lines(name, symbol, module)
        os.write(descriptor, "".join(f"{line}\n" for line in lines).encode())
    finally:
        os.close(descriptor)
