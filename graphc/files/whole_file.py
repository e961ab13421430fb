"""Files that are replaced whole: whoever reads one finds the old contents or the new, never a part.

The new contents are written to a partial file in the same folder, flushed to disk, and renamed.
A partial file is locked while its writer lives, so that one without a lock is a killed writer's and
is removed by the next who writes to the folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from io import RawIOBase
from pathlib import Path

from graphc.ir.arguments.given import as_path

try:
    import fcntl
except ImportError:  # Windows: an open file cannot be removed there, which is as good as a lock.
    fcntl = None  # type: ignore[assignment]

PARTIAL_PREFIX = ".graphc-"
PARTIAL_SUFFIX = ".partial"

# What a new file may be; the process' umask takes from it.
NEW_FILE_MODE = 0o666
# Of a partial file that is to replace one whose mode may be narrower.
PRIVATE_MODE = 0o600

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces the contents of the file at `path`, or makes the file.

    A link stays, and what it leads to is replaced; an existing file keeps its mode and owner. When
    this returns, contents and name are on disk. Raises OSError, with the old file as it was.
    """
    target, old = _target(path)
    _sweep(target.parent)
    while not _written(_partial_name(target.parent), target, old, data):
        pass
    _flush_folder(target.parent)


def _written(partial: Path, target: Path, old: os.stat_result | None, data: bytes) -> bool:
    """Replaces the target by `partial`, which is made, with the data in it; not where somebody has
    taken the partial file for a killed writer's before it could be locked."""
    # An interrupt may come at any place: behind the making of the file, too.
    try:
        opener = _opener(NEW_FILE_MODE if old is None else PRIVATE_MODE)
        # Closing gives up the lock: after the renaming.
        with open(partial, "xb", buffering=0, opener=opener) as file:
            if not _is_own(file):
                return False
            if old is not None:
                _take_over(file.fileno(), target, old)
            _put(file, data, target)
            if fcntl is not None:
                os.replace(partial, target)
        if fcntl is None:
            os.replace(partial, target)
    except FileExistsError:
        return False
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise
    return True


def _put(file: RawIOBase, data: bytes, target: Path) -> None:
    """Has the data on disk. The OSError of a full disk names the file that was to be written."""
    left = memoryview(data)
    try:
        while left:
            left = left[file.write(left) or 0 :]
        os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from None


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises the OSError that `write_whole` would raise at once: for a missing or protected folder,
    a protected file, and for what is no file."""
    _target(path)


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Raises OSError unless it is a folder in which files can be made; "" is the current one."""
    place = os.fspath(folder) or os.curdir
    if not os.path.isdir(place):
        raise FileNotFoundError(errno.ENOENT, "no such folder", place)
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "no file can be made in the folder", place)


def _target(path: str | os.PathLike[str]) -> tuple[Path, os.stat_result | None]:
    """The file to replace, which is no link, and its status; None where there is no such file."""
    given = as_path(path)
    if not os.path.basename(given):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), given)
    target = Path(os.path.realpath(given))
    try:
        old = os.stat(target)
    except FileNotFoundError:
        old = None
    check_folder(target.parent)
    if old is None:
        return target, None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EINVAL, "neither a file nor a name that is free", str(path))
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is protected against writing", str(path))
    return target, old


def _partial_name(folder: Path) -> Path:
    """A name that nobody can foresee."""
    return folder / f"{PARTIAL_PREFIX}{os.urandom(8).hex()}{PARTIAL_SUFFIX}"


def _opener(mode: int) -> Callable[[str, int], int]:
    return lambda path, flags: os.open(path, flags | _NO_LINKS, mode)


def _is_own(file: RawIOBase) -> bool:
    """Locks the new file; False where another writer holds it or has removed it."""
    try:
        _lock(file.fileno())
    except BlockingIOError:
        return False
    return os.fstat(file.fileno()).st_nlink > 0


def _lock(descriptor: int) -> bool:
    """Locks the file until it is closed; False where files cannot be locked.

    Raises BlockingIOError when somebody else has locked it.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            return False
        raise
    return True


def _take_over(descriptor: int, target: Path, old: os.stat_result) -> None:
    """Gives the partial file the owner and the mode of the file that it replaces."""
    if not hasattr(os, "fchown"):
        return
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            owner = f"user {old.st_uid} and group {old.st_gid}"
            problem = f"the file belongs to {owner}, which it could not keep"
            raise PermissionError(errno.EPERM, problem, str(target)) from None
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _flush_folder(folder: Path) -> None:
    """Has the names in the folder on disk, where the system can do so."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return  # a folder that may be written to but not read
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems flush names by themselves and refuse to be asked.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


# --- what killed writers left ----------------------------------------------------------------


def _sweep(folder: Path) -> None:
    """Removes this user's partial files whose writers are gone, as far as that can be done."""
    for partial in _partial_files(folder):
        # Another writer may remove it at the same time, or hold its lock.
        with contextlib.suppress(OSError):
            _remove_abandoned(partial)


def _partial_files(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except PermissionError:
        return  # a folder that may be written to but not listed
    for name in names:
        if name.startswith(PARTIAL_PREFIX) and name.endswith(PARTIAL_SUFFIX):
            yield folder / name


def _remove_abandoned(partial: Path) -> None:
    found = os.lstat(partial)
    is_own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    if not (is_own and stat.S_ISREG(found.st_mode)):
        return
    if fcntl is None:
        os.unlink(partial)
        return
    # O_NONBLOCK: what stood there may have been put in the place of a file.
    descriptor = os.open(partial, os.O_RDONLY | os.O_NONBLOCK | _NO_LINKS)
    try:
        if _lock(descriptor):
            os.unlink(partial)
    finally:
        os.close(descriptor)
