"""Object code on disk, by content: a process whose kernels were compiled before needs no compiler.

One file an entry. Its name is a hash of everything that the machine code depends on, and it holds
a hash of everything in it, so it is either the code that would be made now or it is refused. A file
or directory that another user owns or may write to is refused too, since what is loaded is run.
Whatever is wrong with the cache is said once, as a warning; kernels are then compiled afresh.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphc.kernels.llvm import Target

SWITCH_VARIABLE = "GRAPHC_CACHE"
DIRECTORY_VARIABLE = "GRAPHC_CACHE_DIR"

# Least recently used entries are removed when all together are larger; a kernel has about 20 KiB.
SIZE_LIMIT_BYTES = 512 * 2**20

# The directory is measured at a process' first store, and then after so many.
STORES_BETWEEN_SWEEPS = 256

# A temporary file of this age is of a process that was killed.
ABANDONED_SECONDS = 3600.0

SUFFIX = ".kernel"
TEMPORARY_PREFIX = ".writing-"
MAGIC = b"graphc object code 1\n"
DIGEST_BYTES = hashlib.sha256().digest_size

# The reason why code is not found when no entry has its source.
NO_ENTRY = "no entry"

# The files, as seen from this package, that turn kernel source into machine code.
CODE_GENERATORS = (
    "jit.py",
    "jit_primitives.py",
    "llvm.py",
    "record.py",
    "vecmath.py",
    "vecmath_constants.py",
    "../ir/ops/random.py",  # the constants of random numbers
)
DISTRIBUTIONS = ("graphc", "numba", "llvmlite")

DIRECTORY_MODE = 0o700

# Everybody but the owner who may write.
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class CacheWarning(UserWarning):
    """The cache cannot be used, or an entry of it; kernels are compiled afresh."""


class RefusedError(Exception):
    """A file or directory of the cache that must not be used; the message says why."""


class DamagedError(RefusedError):
    """The file is no whole entry."""


@dataclass(frozen=True)
class Build:
    """What machine code depends on besides its source; all of it text.

    versions      of graphc, numba and llvmlite, `name version` separated by commas
    generators    sha256 of the files that generate code
    platform      the operating system, as sys.platform
    cpu, features, vector_bits   as in `graphc.kernels.llvm.Target`
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
            found.append("the code generator's sources differ")
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
    """Machine code with what it came from.

    kernel   the kernel's name when it was compiled
    symbol   the function that the object code defines
    source   `source_digest` of the kernel
    bitcode  the optimised LLVM IR, for those who want to read it
    """

    kernel: str
    symbol: str
    source: str
    build: Build
    object_code: bytes = field(repr=False)
    bitcode: bytes = field(repr=False)

    @property
    def key(self) -> str:
        return entry_key(self.source, self.build)


@dataclass(frozen=True)
class StoredEntry:
    """A file of the cache. entry is None where the file is refused, for the reason in `problem`."""

    path: Path
    nbytes: int
    used: float
    entry: Entry | None
    problem: str = ""


def source_digest(parts: Iterable[str]) -> str:
    """sha256 of the texts, each with its length, so that no two sequences look alike."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def entry_key(source: str, build: Build) -> str:
    """The name of the entry for a source, given by its digest, in a build."""
    return source_digest([source, *(getattr(build, each.name) for each in fields(build))])


# --- the file ----------------------------------------------------------------------------------


def encode(entry: Entry) -> bytes:
    """Magic and format version, sha256 of the rest, lines `name=value`, object code, bitcode."""
    build = {each.name: getattr(entry.build, each.name) for each in fields(Build)}
    header = {
        "kernel": entry.kernel,
        "symbol": entry.symbol,
        "source": entry.source,
        **build,
        "object_bytes": str(len(entry.object_code)),
    }
    lines = "".join(f"{name}={value}\n" for name, value in header.items())
    if lines.count("\n") != len(header):
        raise ValueError(f"a line break in what describes kernel {entry.kernel!r}")
    payload = lines.encode() + b"\n" + entry.object_code + entry.bitcode
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
    lines, _, code = payload.partition(b"\n\n")
    header = dict(line.split("=", 1) for line in lines.decode().split("\n"))
    object_bytes = int(header.pop("object_bytes"))
    kernel, symbol, source = (header.pop(name) for name in ("kernel", "symbol", "source"))
    build = Build(**header)
    return Entry(kernel, symbol, source, build, code[:object_bytes], code[object_bytes:])


def check_owner(found: os.stat_result) -> None:
    """Raises RefusedError unless the file is this user's and no other one may write to it."""
    # Windows has no such owners: there the directory is in the user's profile.
    if not hasattr(os, "getuid"):
        return
    if found.st_uid != os.getuid():
        raise RefusedError(f"owned by user {found.st_uid}, not by user {os.getuid()}")
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise RefusedError(f"writable by other users (mode {stat.S_IMODE(found.st_mode):o})")


def _read(path: Path) -> bytes:
    """The whole file. Raises OSError, or RefusedError for a file that others may have written."""
    with open(path, "rb") as file:
        check_owner(os.fstat(file.fileno()))
        return file.read()


# --- the directory -------------------------------------------------------------------------------


@dataclass
class ObjectCache:
    """A directory of entries, used by one build; entries go by the digest of their source.

    The directory need not exist. Whatever is wrong with it, `load` and `store` only warn.
    """

    directory: Path
    build: Build
    size_limit: int = SIZE_LIMIT_BYTES
    _stores: int = 0
    _warned: set[str] = field(default_factory=set)

    def path(self, source: str) -> Path:
        """Where this build's entry for a source is, if there is one."""
        return self._path(entry_key(source, self.build))

    def load(self, source: str) -> Entry | None:
        """The entry, if it is there and sound; else None, with a warning if it is not sound."""
        path = self.path(source)
        try:
            check_owner(self.directory.stat())
        except FileNotFoundError:
            return None
        except (OSError, RefusedError) as error:
            self._warn(self.directory, error)
            return None
        try:
            entry = decode(_read(path), path.stem)
        except FileNotFoundError:
            return None
        except (OSError, RefusedError) as error:
            self._warn(path, error)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return entry

    def store(self, entry: Entry) -> None:
        """Writes the entry, whole or not at all; processes that do so at once do no harm.

        Nothing is written when the code generators' files have changed since the build was looked
        at: who edits them must not find code of the old ones under the new ones' name.
        """
        try:
            if entry.build.generators != generators_digest():
                return
            self.directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            check_owner(self.directory.stat())
            self._write(self._path(entry.key), encode(entry))
            if self._stores % STORES_BETWEEN_SWEEPS == 0:
                self._sweep()
            self._stores += 1
        except (OSError, RefusedError) as error:
            self._warn(self.directory, error)

    def entries(self) -> list[StoredEntry]:
        """All entries of all builds, those used last first; none where there is no directory.

        Raises OSError, RefusedError for a directory that cannot be used.
        """
        if not self.directory.exists():
            return []
        try:
            check_owner(self.directory.stat())
        except RefusedError as error:
            raise RefusedError(f"{self.directory}: {error}") from None
        found = []
        for path, status in self._files(SUFFIX):
            try:
                entry, problem = decode(_read(path), path.stem), ""
            except FileNotFoundError:
                continue
            except (OSError, RefusedError) as error:
                entry, problem = None, str(error)
            found.append(StoredEntry(path, status.st_size, status.st_mtime, entry, problem))
        return sorted(found, key=lambda stored: -stored.used)

    def explain(self, source: str, stored: Iterable[StoredEntry]) -> str:
        """Why this build does not find the source among its entries; "" when it does.

        Where the entry is missing, the one of the same source that differs least is compared with.
        """
        path = self.path(source)
        nearest: list[str] | None = None
        for each in stored:
            if each.path == path:
                return each.problem
            if each.entry is not None and each.entry.source == source:
                differences = self.build.differences(each.entry.build)
                if nearest is None or len(differences) < len(nearest):
                    nearest = differences
        return NO_ENTRY if nearest is None else "; ".join(nearest)

    def clear(self) -> int:
        """Removes all entries and returns how many. Raises OSError."""
        if not self.directory.exists():
            return 0
        removed = 0
        for path, _ in [*self._files(SUFFIX), *self._files("", TEMPORARY_PREFIX)]:
            path.unlink(missing_ok=True)
            removed += path.suffix == SUFFIX
        return removed

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}{SUFFIX}"

    def _warn(self, path: Path, problem: Exception) -> None:
        """Once for each kind of problem, which one cause may bring for many entries."""
        kind = f"{type(problem).__name__} {getattr(problem, 'errno', '')}"
        if kind not in self._warned:
            self._warned.add(kind)
            text = problem.strerror if isinstance(problem, OSError) else str(problem)
            warnings.warn(
                f"{path}: {text}; kernels are compiled afresh. {SWITCH_VARIABLE}=off turns the "
                f"cache off, {DIRECTORY_VARIABLE} puts it elsewhere",
                CacheWarning,
                stacklevel=3,
            )

    def _write(self, path: Path, data: bytes) -> None:
        # Imported here: a process that only loads does without.
        from tempfile import mkstemp

        descriptor, temporary = mkstemp(prefix=TEMPORARY_PREFIX, dir=self.directory)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _files(self, suffix: str, prefix: str = "") -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.directory.iterdir():
            if path.name.startswith(prefix) and path.name.endswith(suffix):
                # Another process may remove it meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    yield path, path.stat()

    def _sweep(self) -> None:
        """Removes what killed processes left, and the entries that were not used for longest as
        long as all together exceed the limit."""
        for path, status in self._files("", TEMPORARY_PREFIX):
            if time.time() - status.st_mtime > ABANDONED_SECONDS:
                path.unlink(missing_ok=True)
        files = sorted(self._files(SUFFIX), key=lambda each: each[1].st_mtime)
        excess = sum(status.st_size for _, status in files) - self.size_limit
        for path, status in files:
            if excess > 0:
                path.unlink(missing_ok=True)
                excess -= status.st_size


# --- this process --------------------------------------------------------------------------------


def cache_directory(environment: Mapping[str, str] | None = None) -> Path | None:
    """Where this user's cache is, None when GRAPHC_CACHE=off.

    GRAPHC_CACHE_DIR, else `graphc` in the user's directory of caches: XDG_CACHE_HOME or ~/.cache,
    on macOS ~/Library/Caches, on Windows LOCALAPPDATA. environment: `os.environ` unless given.
    Raises ValueError for a GRAPHC_CACHE other than on and off, RuntimeError without home directory.
    """
    variables = os.environ if environment is None else environment
    switch = variables.get(SWITCH_VARIABLE, "on")
    if switch not in ("on", "off"):
        raise ValueError(f"{SWITCH_VARIABLE}={switch!r}: 'on' or 'off' is expected")
    if switch == "off":
        return None
    given = variables.get(DIRECTORY_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        local = variables.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "graphc" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "graphc"
    # The XDG base directory specification: relative paths are to be ignored.
    xdg = variables.get("XDG_CACHE_HOME", "")
    return (Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache") / "graphc"


def open_cache(target: Target) -> ObjectCache | None:
    """This user's cache for a target; None when it is off, or cannot be found, with a warning."""
    try:
        directory = cache_directory()
        return None if directory is None else ObjectCache(directory, this_build(target))
    except (ImportError, OSError, RuntimeError) as error:
        warnings.warn(f"no cache of kernels: {error}", CacheWarning, stacklevel=2)
        return None


def this_build(target: Target) -> Build:
    """The installed versions and this machine's system, for a target.

    Raises OSError, ImportError where the code generators' files or the versions are not found.
    """
    return Build(
        versions=", ".join(f"{name} {installed_version(name)}" for name in DISTRIBUTIONS),
        generators=generators_digest(),
        platform=sys.platform,
        cpu=target.cpu,
        features=target.features,
        vector_bits=str(target.vector_bits),
    )


def generators_digest() -> str:
    """sha256 of the files that generate code. Raises OSError where they are not installed."""
    digest = hashlib.sha256()
    for name in CODE_GENERATORS:
        data = (Path(__file__).parent / name).read_bytes()
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


def installed_version(distribution: str) -> str:
    """Its version, from the name of its metadata directory, or from importlib.metadata, which takes
    20 ms to import. Raises PackageNotFoundError."""
    pattern = re.compile(re.escape(distribution) + r"-([^-]+)\.dist-info")
    for directory in sys.path:
        found: list[str] = []
        with contextlib.suppress(OSError):
            found = [m[1] for m in map(pattern.fullmatch, os.listdir(directory or ".")) if m]
        if len(found) == 1:
            return found[0]
        if found:
            break
    from importlib.metadata import version

    return version(distribution)
