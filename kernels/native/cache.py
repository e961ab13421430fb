"""What was compiled, on disk: a process that finds there what it needs imports no compiler.

One file an entry (`cache_entry`). A file or directory that another user owns or may write to is
refused, since what is loaded is run. Whatever is wrong with the cache is said once, as a warning;
everything is then compiled afresh.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from graphc.kernels.host.cache_entry import (
    Build,
    DamagedError,
    Entry,
    RefusedError,
    decode,
    encode,
    entry_key,
    files_digest,
)
from graphc.kernels.host.imports import whole_imports
from graphc.kernels.host.regular_file import open_regular
from graphc.kernels.host.settings import SettingError
from graphc.kernels.native.builds import CODE_GENERATORS, this_build

if TYPE_CHECKING:
    from graphc.kernels.native.llvm import Target

SWITCH_VARIABLE = "GRAPHC_CACHE"
DIRECTORY_VARIABLE = "GRAPHC_CACHE_DIR"

# Least recently used entries are removed when all together are larger; a kernel has about 20 KiB.
SIZE_LIMIT_BYTES = 512 * 2**20

# A kernel has about 20 KiB; a plan's constants may have 16 MiB. More is none of graphc's making.
LARGEST_ENTRY_BYTES = 64 * 2**20

# The directory is measured at a process' first store, and then after so many.
STORES_BETWEEN_SWEEPS = 256

# A temporary file of this age is of a process that was killed.
ABANDONED_SECONDS = 3600.0

# What machine code is in the cache.
KERNEL = "kernel"
ENTRY_NAME = re.compile(r"[0-9a-f]{64}\.[a-z]+")
TEMPORARY_PREFIX = ".writing-"

# The reason why something is not found when no entry has its source.
NO_ENTRY = "no entry"

DIRECTORY_MODE = 0o700

# Everybody but the owner who may write.
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class CacheWarning(UserWarning):
    """The cache cannot be used, or an entry of it; what was there is compiled afresh."""


@dataclass(frozen=True)
class StoredEntry:
    """A file of the cache. entry is None where the file is refused, for the reason in `problem`."""

    path: Path
    nbytes: int
    used: float
    entry: Entry | None
    problem: str = ""


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
    """The whole file. Raises OSError, or RefusedError, before a byte is read, for what is no file,
    for one that others may have written, and for one that is larger than entries get."""
    with open_regular(path) as file:
        found = os.fstat(file.fileno())
        check_owner(found)
        if found.st_size > LARGEST_ENTRY_BYTES:
            raise RefusedError(f"{found.st_size:,} bytes, more than an entry may have")
        # No more than there is: reading makes room for as much as it is asked for.
        return file.read(found.st_size)


# --- the directory -------------------------------------------------------------------------------


@dataclass
class DiskCache:
    """A directory of entries, used by one build for entries of one kind.

    An entry goes by the digest of its source. The directory need not exist. Whatever is wrong with
    it, `load` and `store` only warn.
    generators: the files of which the build has the digest.
    """

    directory: Path
    build: Build
    kind: str = KERNEL
    generators: Sequence[Path] = CODE_GENERATORS
    size_limit: int = SIZE_LIMIT_BYTES
    _stores: int = 0
    _warned: set[str] = field(default_factory=set)

    def path(self, source: str) -> Path:
        """Where this build's entry for a source is, if there is one."""
        return self._path(entry_key(self.kind, source, self.build))

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

    def refuse(self, source: str, problem: DamagedError) -> None:
        """Warns that a loaded entry's contents are no use."""
        self._warn(self.path(source), problem)

    def store(self, entry: Entry) -> None:
        """Writes the entry, whole or not at all; processes that do so at once do no harm.

        Nothing is written when the generators' files have changed since the build was looked at:
        who edits them must not find what the old ones made under the new ones' name. Nor is an
        entry that is too large to be read back.
        """
        try:
            if entry.build.generators != files_digest(self.generators):
                return
            data = encode(entry)
            if len(data) > LARGEST_ENTRY_BYTES:
                return
            self.directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            check_owner(self.directory.stat())
            self._write(self.directory / f"{entry.key}.{entry.kind}", data)
            if self._stores % STORES_BETWEEN_SWEEPS == 0:
                self._sweep()
            self._stores += 1
        except (OSError, RefusedError) as error:
            self._warn(self.directory, error)

    def entries(self) -> list[StoredEntry]:
        """All entries of all kinds and builds, those used last first.

        There are none where there is no directory. Raises OSError, RefusedError for a directory
        that cannot be used.
        """
        if not self.directory.exists():
            return []
        try:
            check_owner(self.directory.stat())
        except RefusedError as error:
            raise RefusedError(f"{self.directory}: {error}") from None
        found = []
        for path, status in self._entry_files():
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
            if each.entry is None:
                continue
            if (each.entry.kind, each.entry.source) == (self.kind, source):
                differences = self.build.differences(each.entry.build)
                if nearest is None or len(differences) < len(nearest):
                    nearest = differences
        return NO_ENTRY if nearest is None else "; ".join(nearest)

    def clear(self) -> int:
        """Removes all entries and returns how many. Raises OSError."""
        if not self.directory.exists():
            return 0
        found = list(self._entry_files())
        for path, _ in [*found, *self._temporary_files()]:
            path.unlink(missing_ok=True)
        return len(found)

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}.{self.kind}"

    def _warn(self, path: Path, problem: Exception) -> None:
        """Once for each kind of problem, which one cause may bring for many entries."""
        kind = f"{type(problem).__name__} {getattr(problem, 'errno', '')}"
        if kind not in self._warned:
            self._warned.add(kind)
            text = problem.strerror if isinstance(problem, OSError) else str(problem)
            warnings.warn(
                f"{path}: {text}; what was there is compiled afresh. {SWITCH_VARIABLE}=off turns "
                f"the cache off, {DIRECTORY_VARIABLE} puts it elsewhere",
                CacheWarning,
                stacklevel=3,
            )

    def _write(self, path: Path, data: bytes) -> None:
        # Imported here: a process that only loads does without.
        with whole_imports():
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

    def _entry_files(self) -> Iterator[tuple[Path, os.stat_result]]:
        return self._files(lambda name: ENTRY_NAME.fullmatch(name) is not None)

    def _temporary_files(self) -> Iterator[tuple[Path, os.stat_result]]:
        return self._files(lambda name: name.startswith(TEMPORARY_PREFIX))

    def _files(self, is_wanted: Callable[[str], bool]) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.directory.iterdir():
            if not is_wanted(path.name):
                continue
            # Another process may remove it meanwhile.
            with contextlib.suppress(FileNotFoundError):
                found = path.lstat()
                if not stat.S_ISDIR(found.st_mode):
                    yield path, found

    def _sweep(self) -> None:
        """Removes what killed processes left, and the entries that were not used for longest as
        long as all together exceed the limit."""
        for path, status in self._temporary_files():
            if time.time() - status.st_mtime > ABANDONED_SECONDS:
                path.unlink(missing_ok=True)
        files = sorted(self._entry_files(), key=lambda each: each[1].st_mtime)
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
    Raises SettingError for a GRAPHC_CACHE other than on and off, RuntimeError without home
    directory.
    """
    variables = os.environ if environment is None else environment
    switch = variables.get(SWITCH_VARIABLE, "on")
    if switch not in ("on", "off"):
        raise SettingError(SWITCH_VARIABLE, switch, "'on' or 'off'")
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


def open_cache(target: Target) -> DiskCache | None:
    """This user's cache for a target; None when it is off, or cannot be found, with a warning."""
    try:
        directory = cache_directory()
        return None if directory is None else DiskCache(directory, this_build(target))
    except (ImportError, OSError, RuntimeError) as error:
        warnings.warn(f"no cache of what is compiled: {error}", CacheWarning, stacklevel=2)
        return None
