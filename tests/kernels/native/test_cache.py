"""The disk cache: whole entries come back, everything else is refused with a warning."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from graphc.kernels.host.cache_entry import (
    MAGIC,
    Build,
    DamagedError,
    Entry,
    decode,
    encode,
    entry_key,
    files_digest,
    source_digest,
)
from graphc.kernels.native import builds, cache
from graphc.kernels.native.builds import CODE_GENERATORS, installed_version, this_build
from graphc.kernels.native.cache import KERNEL, CacheWarning, DiskCache, cache_directory
from graphc.kernels.native.llvm import Target
from tests.test_imports import ROOT, imported_modules

BUILD = Build("graphc 1, numba 2", files_digest(CODE_GENERATORS), "linux", "cpu", "+avx", "256")
SOURCE = source_digest(["the source"])
PARTS = {"symbol": b"matmul", "object_code": b"\x7fELF\n\n=\x00" * 5, "bitcode": b"BC\n\n" * 3}
ENTRY = Entry(KERNEL, "matmul_add", SOURCE, BUILD, PARTS)


@pytest.fixture
def objects(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "kernels", BUILD)


def entry_of(source: str, size: int = 10) -> Entry:
    parts = {"object_code": b"x" * size}
    return dataclasses.replace(ENTRY, source=source_digest([source]), parts=parts)


# --- one entry -----------------------------------------------------------------------------------


def test_an_entry_comes_back_whole() -> None:
    assert decode(encode(ENTRY), ENTRY.key) == ENTRY


def test_every_shorter_file_is_refused() -> None:
    data = encode(ENTRY)
    for length in range(len(data)):
        with pytest.raises(DamagedError):
            decode(data[:length], ENTRY.key)


def test_every_changed_byte_is_refused() -> None:
    data = bytearray(encode(ENTRY))
    for position in range(len(data)):
        data[position] ^= 0x01
        with pytest.raises(DamagedError):
            decode(bytes(data), ENTRY.key)
        data[position] ^= 0x01
    decode(bytes(data), ENTRY.key)


@pytest.mark.parametrize("payload", [b"", b"\n\n", b"kernel\n\n", b"kernel=k\n\n", b"\xff\n\n"])
def test_a_header_that_cannot_be_read_is_refused(payload: bytes) -> None:
    data = MAGIC + hashlib.sha256(payload).digest() + payload
    with pytest.raises(DamagedError, match="header"):
        decode(data, ENTRY.key)


def test_an_entry_under_another_name_is_refused() -> None:
    with pytest.raises(DamagedError, match="another name"):
        decode(encode(ENTRY), entry_key(KERNEL, source_digest(["another source"]), BUILD))


def test_the_key_depends_on_everything() -> None:
    keys = {entry_key(KERNEL, SOURCE, BUILD), entry_key("plan", SOURCE, BUILD)}
    keys.add(entry_key(KERNEL, source_digest(["other"]), BUILD))
    for each in dataclasses.fields(Build):
        keys.add(entry_key(KERNEL, SOURCE, dataclasses.replace(BUILD, **{each.name: "other"})))
    assert len(keys) == 3 + len(dataclasses.fields(Build))
    assert source_digest(["ab", "c"]) != source_digest(["a", "bc"])


# --- a directory of entries ----------------------------------------------------------------------


def test_what_is_stored_is_loaded(objects: DiskCache) -> None:
    assert objects.load(SOURCE) is None
    objects.store(ENTRY)
    assert objects.load(SOURCE) == ENTRY
    assert DiskCache(objects.directory, BUILD).load(SOURCE) == ENTRY
    assert os.listdir(objects.directory) == [f"{ENTRY.key}.kernel"]
    assert objects.directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Build)])
def test_another_build_is_a_miss_that_names_the_difference(objects: DiskCache, name: str) -> None:
    objects.store(ENTRY)
    other = DiskCache(objects.directory, dataclasses.replace(BUILD, **{name: "other"}))
    assert other.load(SOURCE) is None
    words = {"versions": "numba 2 then, other now", "generators": "sources differ"}
    words |= {"platform": "cpu linux then, cpu other now", "cpu": "other CPU", "features": "feat"}
    words |= {"vector_bits": "256 bits then, other now"}
    assert words[name] in other.explain(SOURCE, other.entries())


def test_code_of_edited_generators_is_not_stored(objects: DiskCache) -> None:
    objects.store(dataclasses.replace(ENTRY, build=dataclasses.replace(BUILD, generators="old")))
    assert objects.entries() == []


def test_explained(objects: DiskCache) -> None:
    assert objects.explain(SOURCE, objects.entries()) == "no entry"
    far = dataclasses.replace(BUILD, versions="old", cpu="far")
    near = dataclasses.replace(BUILD, versions="older")
    for build in (far, near):
        objects.store(dataclasses.replace(ENTRY, build=build))
    assert objects.explain(SOURCE, objects.entries()).startswith("versions differ: older then")
    objects.store(ENTRY)
    assert objects.explain(SOURCE, objects.entries()) == ""
    assert objects.explain(source_digest(["other"]), objects.entries()) == "no entry"
    objects.path(SOURCE).write_bytes(b"")
    assert objects.explain(SOURCE, objects.entries()).startswith("damaged")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _change(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _make_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _make_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def _enlarge(path: Path) -> None:
    os.truncate(path, cache.LARGEST_ENTRY_BYTES + 1)


def _make_writable(path: Path) -> None:
    path.chmod(0o620)


def _make_directory_writable(path: Path) -> None:
    path.parent.chmod(0o702)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_truncate, "damaged"),
        (_change, "damaged"),
        (_empty, "damaged"),
        (_make_a_pipe, "no regular file"),
        (_make_a_directory, "directory"),
        (_enlarge, "more than an entry may have"),
        (_make_writable, "writable by other users"),
        (_make_directory_writable, "writable by other users"),
    ],
)
def test_a_spoilt_cache_warns_once(
    objects: DiskCache, spoil: Callable[[Path], None], said: str
) -> None:
    other = entry_of("other")
    objects.store(ENTRY)
    objects.store(other)
    spoil(objects.path(SOURCE))
    spoil(objects.path(other.source))
    with pytest.warns(CacheWarning, match=said) as caught:
        assert objects.load(SOURCE) is None
        assert objects.load(other.source) is None
    assert len(caught) == 1


def test_what_is_too_large_is_not_read(objects: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    objects.store(ENTRY)
    size = objects.path(SOURCE).stat().st_size
    monkeypatch.setattr(cache, "LARGEST_ENTRY_BYTES", size)
    assert objects.load(SOURCE) == ENTRY
    monkeypatch.setattr(cache, "LARGEST_ENTRY_BYTES", size - 1)
    monkeypatch.setattr(cache, "decode", None)
    with pytest.warns(CacheWarning, match=f"{size} bytes"):
        assert objects.load(SOURCE) is None
    objects.clear()
    objects.store(ENTRY)
    assert os.listdir(objects.directory) == []


@pytest.mark.parametrize("spoil", [_truncate, _make_a_pipe, _enlarge])
def test_a_damaged_entry_is_replaced(objects: DiskCache, spoil: Callable[[Path], None]) -> None:
    objects.store(ENTRY)
    spoil(objects.path(SOURCE))
    with pytest.warns(CacheWarning):
        objects.load(SOURCE)
    objects.store(ENTRY)
    assert objects.load(SOURCE) == ENTRY


def test_a_foreign_directory_is_neither_read_nor_written(
    objects: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.store(ENTRY)
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.warns(CacheWarning, match="owned by user"):
        assert objects.load(SOURCE) is None
    objects.store(entry_of("other"))
    assert len(os.listdir(objects.directory)) == 1


def test_a_foreign_file_is_refused(objects: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    objects.store(ENTRY)
    own = os.fstat

    def foreign(descriptor: int) -> os.stat_result:
        values = list(own(descriptor))
        values[4] += 1
        return os.stat_result(values)

    monkeypatch.setattr(os, "fstat", foreign)
    with pytest.warns(CacheWarning, match="owned by user"):
        assert objects.load(SOURCE) is None


@pytest.mark.parametrize("below", ["", "further/below"])
def test_a_file_in_place_of_the_directory(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    objects = DiskCache(tmp_path / "file" / below, BUILD)
    with pytest.warns(CacheWarning):
        assert objects.load(SOURCE) is None
        objects.store(ENTRY)
        assert objects.load(SOURCE) is None
    assert (tmp_path / "file").read_text() == ""


def test_a_full_disk_leaves_nothing_behind(
    objects: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(CacheWarning, match="No space left") as caught:
        objects.store(ENTRY)
        objects.store(ENTRY)
    assert len(caught) == 1
    assert os.listdir(objects.directory) == []


def test_the_least_recently_used_go_first(objects: DiskCache) -> None:
    entries = [entry_of(name, 1000) for name in "abcd"]
    for age, entry in enumerate(entries[:3]):
        objects.store(entry)
        long_ago = time.time() - 1000 + age
        os.utime(objects.path(entry.source), (long_ago, long_ago))
    assert objects.load(entries[0].source) is not None
    size = sum(path.stat().st_size for path in objects.directory.iterdir())
    # Of four entries of one size three may stay; a process looks at its first store.
    DiskCache(objects.directory, BUILD, size_limit=size).store(entries[3])
    assert [objects.load(entry.source) is not None for entry in entries] == [
        True,
        False,
        True,
        True,
    ]


def test_a_killed_process_leaves_nothing_for_long(objects: DiskCache) -> None:
    objects.directory.mkdir(mode=0o700)
    old, new = (objects.directory / f"{cache.TEMPORARY_PREFIX}{name}" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half an entry")
    long_ago = time.time() - 2 * cache.ABANDONED_SECONDS
    os.utime(old, (long_ago, long_ago))
    objects.store(ENTRY)
    assert not old.exists() and new.exists()
    assert objects.clear() == 1
    assert os.listdir(objects.directory) == []


def test_a_directory_in_place_of_an_entry_stays(objects: DiskCache) -> None:
    objects.store(ENTRY)
    other = entry_of("other")
    objects.path(other.source).mkdir()
    assert [stored.path for stored in objects.entries()] == [objects.path(SOURCE)]
    assert objects.clear() == 1
    assert os.listdir(objects.directory) == [objects.path(other.source).name]


def test_many_writers_and_readers_at_once(objects: DiskCache) -> None:
    entries = [entry_of(str(number), 50_000) for number in range(3)]

    def use(number: int) -> bool:
        own = DiskCache(objects.directory, BUILD)
        entry = entries[number % len(entries)]
        own.store(entry)
        return own.load(entry.source) == entry

    with warnings.catch_warnings(), ThreadPoolExecutor(8) as pool:
        warnings.simplefilter("error")
        assert all(pool.map(use, range(120)))
    assert len(os.listdir(objects.directory)) == len(entries)


def test_all_entries_are_listed(objects: DiskCache) -> None:
    assert objects.entries() == [] and objects.clear() == 0
    other = entry_of("other")
    objects.store(other)
    objects.store(ENTRY)
    _truncate(objects.path(other.source))
    os.utime(objects.path(other.source), (1, 1))
    first, second = objects.entries()
    assert (first.entry, first.problem) == (ENTRY, "")
    assert second.entry is None and second.problem.startswith("damaged")
    objects.directory.chmod(0o770)
    with pytest.raises(cache.RefusedError, match="kernels: writable by other users"):
        objects.entries()


# --- this process --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "/home/me/.cache/graphc"),
        ("linux", {"XDG_CACHE_HOME": "/fast"}, "/fast/graphc"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/graphc"),
        ("linux", {"XDG_CACHE_HOME": "/fast", "GRAPHC_CACHE_DIR": "/mine"}, "/mine"),
        ("linux", {"GRAPHC_CACHE": "on"}, "/home/me/.cache/graphc"),
        ("linux", {"GRAPHC_CACHE": "off", "GRAPHC_CACHE_DIR": "/mine"}, None),
        ("darwin", {"XDG_CACHE_HOME": "/fast"}, "/home/me/Library/Caches/graphc"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/graphc/cache"),
        ("win32", {}, "/home/me/AppData/Local/graphc/cache"),
    ],
)
def test_where_the_cache_is(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str | None
) -> None:
    monkeypatch.setattr(cache.sys, "platform", platform)
    monkeypatch.setenv("HOME", "/home/me")
    found = cache_directory(variables)
    assert found == (None if expected is None else Path(expected))


def test_a_switch_that_is_none() -> None:
    with pytest.raises(ValueError, match="GRAPHC_CACHE='no': expected 'on' or 'off'"):
        cache_directory({"GRAPHC_CACHE": "no"})


def test_versions_are_those_installed() -> None:
    from importlib.metadata import PackageNotFoundError, version

    build = this_build(Target("cpu", "+avx", 256))
    for name in ("graphc", "numba", "llvmlite"):
        assert f"{name} {version(name)}" in build.versions
    with pytest.raises(PackageNotFoundError):
        installed_version("no-such-distribution")


def test_no_cache_without_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "DISTRIBUTIONS", ("no-such-distribution",))
    with pytest.warns(CacheWarning, match="no-such-distribution"):
        assert cache.open_cache(Target("cpu", "+avx", 256)) is None


def test_all_that_kernels_are_compiled_with_is_part_of_the_build() -> None:
    pending, found = ["graphc.kernels.native.jit.kernel_compiler"], set[Path]()
    while pending:
        path = ROOT.joinpath("kernels", *pending.pop().split(".")[2:]).with_suffix(".py")
        # Vector bits are part of a build, wherever they come from.
        if path in found or path.stem == "vector_width" or not path.exists():
            continue
        found.add(path)
        modules = imported_modules(path.read_text(), "graphc.kernels.native")
        # What is imported from a module has its name behind the module's.
        named = [m for m in modules if m.startswith("graphc.kernels.")]
        pending += [*named, *(m.rpartition(".")[0] for m in named)]
    own = {path for path in CODE_GENERATORS if ROOT / "kernels" in path.parents}
    assert own == found


def test_a_changed_file_is_another_digest(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.py", "other.py")]
    for path in paths:
        path.write_text("text\n")
    before = files_digest(paths)
    assert files_digest(paths) == before
    with paths[1].open("a") as file:
        file.write("\n")
    assert files_digest(paths) != before
