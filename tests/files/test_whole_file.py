"""Files that are replaced whole: by whom, through which links, and what a killed writer leaves."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphc.files.whole_file import PARTIAL_PREFIX, PARTIAL_SUFFIX, check_writable, write_whole

LONGEST_NAME = 255

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
needs_posix = pytest.mark.skipif(not hasattr(os, "fchown"), reason="POSIX files")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def umask() -> Iterator[int]:
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_a_new_file_follows_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "values"
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert names(tmp_path) == ["values"]


@needs_posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_a_replaced_file_keeps_its_mode(tmp_path: Path, mode: int, umask: int) -> None:
    path = tmp_path / "values"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@needs_root
def test_a_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_bytes(b"old")
    os.chown(path, 1234, 1235)
    write_whole(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)
    assert path.read_bytes() == b"new"


@needs_root
def test_an_owner_that_cannot_be_kept_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, user: int, group: int) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    path = tmp_path / "values"
    path.write_bytes(b"old")
    os.chown(path, 1234, 1235)
    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(PermissionError, match="user 1234 and group 1235"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["values"]


def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "values"
    target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(Path("there") / "values")
    write_whole(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"
    target.unlink()
    write_whole(link, b"again")
    assert link.is_symlink() and target.read_bytes() == b"again"
    assert names(tmp_path) == ["link", "there"] and names(tmp_path / "there") == ["values"]


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError) as raised:
        write_whole(tmp_path / "a", b"")
    assert raised.value.errno == errno.ELOOP
    assert names(tmp_path) == ["a", "b"]


def test_no_planted_link_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partial file's name cannot be foreseen; even where it is, what stands there is not used."""
    stranger = tmp_path / "stranger"
    stranger.write_bytes(b"mine")
    drawn = iter([b"planted!", b"another!"])
    monkeypatch.setattr(os, "urandom", lambda length: next(drawn))
    folder = tmp_path / "folder"
    folder.mkdir()
    planted = folder / f"{PARTIAL_PREFIX}{b'planted!'.hex()}{PARTIAL_SUFFIX}"
    planted.symlink_to(stranger)
    write_whole(folder / "values", b"new")
    assert stranger.read_bytes() == b"mine" and planted.is_symlink()
    assert (folder / "values").read_bytes() == b"new"


def test_a_name_may_be_as_long_as_names_get(tmp_path: Path) -> None:
    path = tmp_path / ("n" * LONGEST_NAME)
    write_whole(path, b"new")
    write_whole(path, b"newer")
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize("make", ["folder", "fifo"])
def test_what_is_no_file_is_refused(tmp_path: Path, make: str) -> None:
    path = tmp_path / "values"
    path.mkdir() if make == "folder" else os.mkfifo(path)
    for use in (lambda: write_whole(path, b""), lambda: check_writable(path)):
        with pytest.raises(OSError, match="values"):
            use()
    assert names(tmp_path) == ["values"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such folder.*missing"):
        write_whole(tmp_path / "missing" / "values", b"")


def test_no_file_is_made_where_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_whole(f"{tmp_path}/values/", b"")
    assert names(tmp_path) == []


@needs_posix
def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refusing(path: Path, flags: int, *mode: int) -> int:
        if flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, "permission denied", str(path))
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", refusing)
    write_whole(tmp_path / "values", b"new")
    assert (tmp_path / "values").read_bytes() == b"new"


@pytest.mark.skipif(IS_ROOT, reason="root may write to everything")
def test_a_protected_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"


def test_contents_and_name_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    real = os.fsync

    def record(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        flushed.append(("folder" if is_folder else "file", (tmp_path / "values").exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    write_whole(tmp_path / "values", b"new")
    assert flushed == [("file", False), ("folder", True)]


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "values"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["values"]


KILLED = """
import os, signal, sys
from graphc.files.whole_file import write_whole
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
write_whole(sys.argv[1], b"part")
"""


@needs_posix
def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "values"], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.startswith(PARTIAL_PREFIX) and left.endswith(PARTIAL_SUFFIX)
    write_whole(tmp_path / "values", b"new")
    assert names(tmp_path) == ["values"]


@needs_posix
def test_a_living_writers_partial_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    flushed = os.fsync

    def meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", flushed)
        write_whole(tmp_path / "values", b"new")
        found.extend(names(tmp_path))
        flushed(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_whole(tmp_path / "values", b"newer")
    assert len(found) == 2 and (tmp_path / "values").read_bytes() == b"newer"
    assert names(tmp_path) == ["values"]


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("call", ["open", "fchmod", "fsync", "replace"])
def test_an_interrupted_writer_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "values"
    path.write_bytes(b"old")
    done = getattr(os, call)

    def interrupted(*given: Any) -> Any:
        result = done(*given) if call != "replace" else None
        if call != "open" or given[1] & os.O_CREAT:
            signal.raise_signal(signal.SIGINT)
        return result

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, call, interrupted)
        write_whole(path, b"new")
    assert names(tmp_path) == ["values"] and path.read_bytes() == b"old"


def test_many_writers_at_once(tmp_path: Path) -> None:
    """Every write succeeds, and every read finds the contents of one of them whole."""
    path = tmp_path / "values"
    contents = [bytes([number]) * 100_000 for number in range(6)]
    write_whole(path, contents[0])
    errors: list[BaseException] = []
    done = threading.Event()

    def write(data: bytes) -> None:
        try:
            for _ in range(10):
                write_whole(path, data)
        except BaseException as error:
            errors.append(error)

    def read() -> None:
        while not done.is_set():
            if path.read_bytes() not in contents:
                errors.append(AssertionError("a part of a file"))

    writers = [threading.Thread(target=write, args=(data,)) for data in contents]
    reader = threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert not errors and names(tmp_path) == ["values"]
