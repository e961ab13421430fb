"""Entries of the disk cache: what was compiled, what it came from, and the file that holds both.

A file's name is a hash of everything that its contents depend on, and it holds a hash of everything
in it, so it is either what would be made now or it is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

MAGIC = b"graphc cache 2\n"
DIGEST_BYTES = hashlib.sha256().digest_size
_PART = "part "


class RefusedError(Exception):
    """A file or directory of the cache that must not be used; the message says why."""


class DamagedError(RefusedError):
    """The file is no whole entry."""


@dataclass(frozen=True)
class Build:
    """What an entry depends on besides its source; all of it text.

    versions      of graphc and of what it compiles with, `name version` separated by commas
    generators    sha256 of the files that compile it
    platform      the operating system, as sys.platform
    cpu, features, vector_bits   as in `graphc.kernels.native.llvm.Target`
    """

    versions: str
    generators: str
    platform: str
    cpu: str
    features: str
    vector_bits: str

    def differences(self, other: Build) -> list[str]:
        """What the other build has otherwise, in words; empty when they are equal."""
        found = []
        if self.versions != other.versions:
            found.append(f"versions differ: {other.versions} then, {self.versions} now")
        if self.generators != other.generators:
            found.append("the compiler's sources differ")
        here, there = (f"{each.cpu} {each.platform}" for each in (self, other))
        if here != there:
            found.append(f"other CPU: {there} then, {here} now")
        elif self.features != other.features:
            found.append(f"other features of the CPU {self.cpu}")
        if self.vector_bits != other.vector_bits:
            found.append(f"vectors of {other.vector_bits} bits then, {self.vector_bits} now")
        return found


@dataclass(frozen=True)
class Entry:
    """What was compiled, with what it came from.

    kind    what it is, in one word: the file's suffix
    name    of the kernel or program when it was compiled
    source  digest of what it was compiled from
    parts   its contents, by name
    """

    kind: str
    name: str
    source: str
    build: Build
    parts: Mapping[str, bytes] = field(repr=False)

    @property
    def key(self) -> str:
        return entry_key(self.kind, self.source, self.build)


def source_digest(parts: Iterable[str]) -> str:
    """sha256 of the texts, each with its length, so that no two sequences look alike."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def files_digest(files: Iterable[Path]) -> str:
    """sha256 of the files' contents, in order. Raises OSError where one cannot be read."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def entry_key(kind: str, source: str, build: Build) -> str:
    """The name of the entry for a source, given by its digest, in a build."""
    described = (getattr(build, each.name) for each in fields(build))
    return source_digest([MAGIC.decode(), kind, source, *described])


def encode(entry: Entry) -> bytes:
    """Magic and format version, sha256 of the rest, lines `name=value`, an empty line, parts."""
    header = {"kind": entry.kind, "name": entry.name, "source": entry.source}
    header |= {each.name: getattr(entry.build, each.name) for each in fields(Build)}
    header |= {f"{_PART}{name}": str(len(data)) for name, data in entry.parts.items()}
    lines = "".join(f"{name}={value}\n" for name, value in header.items())
    if lines.count("\n") != len(header):
        raise ValueError(f"a line break in what describes {entry.kind} {entry.name!r}")
    payload = lines.encode() + b"\n" + b"".join(entry.parts.values())
    return MAGIC + hashlib.sha256(payload).digest() + payload


def decode(data: bytes, key: str) -> Entry:
    """The entry in a file named `key`. Raises DamagedError unless it is whole and that entry."""
    start = len(MAGIC) + DIGEST_BYTES
    payload = data[start:]
    if not data.startswith(MAGIC):
        raise DamagedError("damaged: it does not start as an entry of this format does")
    if hashlib.sha256(payload).digest() != data[len(MAGIC) : start]:
        raise DamagedError("damaged: its checksum does not fit")
    try:
        entry = _parse(payload)
    except (LookupError, TypeError, ValueError) as error:
        raise DamagedError("damaged: its header cannot be read") from error
    if entry.key != key:
        raise DamagedError("damaged: it is the entry of another name")
    return entry


def _parse(payload: bytes) -> Entry:
    lines, _, contents = payload.partition(b"\n\n")
    header = dict(line.split("=", 1) for line in lines.decode().split("\n"))
    sizes = {name: int(header.pop(name)) for name in list(header) if name.startswith(_PART)}
    kind, name, source = (header.pop(each) for each in ("kind", "name", "source"))
    parts, start = {}, 0
    for part, size in sizes.items():
        parts[part.removeprefix(_PART)] = contents[start : start + size]
        start += size
    if start != len(contents):
        raise ValueError(f"parts of {start} bytes, and {len(contents)} are there")
    return Entry(kind, name, source, Build(**header), parts)
