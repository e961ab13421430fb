"""`graphc cache`: what is listed, explained and removed."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from graphc.compiler.load.native import Native
from graphc.inspect.report import age
from graphc.kernels.host.cache_entry import Entry, source_digest
from graphc.kernels.native.builds import this_build
from graphc.kernels.native.cache import KERNEL, DiskCache
from graphc.kernels.native.llvm import default_target

Command = Callable[..., Result]


@pytest.fixture
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskCache:
    """The cache that the command finds."""
    target = default_target()
    objects = DiskCache(tmp_path / "kernels", this_build(target))
    monkeypatch.setattr("graphc.commands.cache.native", lambda: Native(target, objects))
    return objects


def store(objects: DiskCache, kernel: str, **changes: str) -> Path:
    build = dataclasses.replace(objects.build, **changes)
    entry = Entry(KERNEL, kernel, source_digest([kernel]), build, {"object_code": b"code"})
    objects.store(entry)
    return objects.directory / f"{entry.key}.kernel"


def test_path(graphc: Command, objects: DiskCache) -> None:
    assert graphc("cache", "path").stdout == f"{objects.directory}\n"


def test_list(graphc: Command, objects: DiskCache) -> None:
    assert "0 entries, 0 bytes" in graphc("cache", "list").stdout
    paths = [store(objects, "current"), store(objects, "former", versions="numba 0")]
    paths.append(store(objects, "spoilt"))
    paths[2].write_bytes(b"")
    for number, path in enumerate(paths):
        used = path.stat().st_mtime - 7200 * number
        os.utime(path, (used, used))
    total, used, head, current, former, spoilt = graphc("cache", "list").stdout.splitlines()
    assert head.split() == ["kind", "name", "bytes", "age", "used", "now"]
    size = f"{paths[0].stat().st_size:,}"
    assert current.split() == ["kernel", "current", size, "0", "s", "yes"]
    assert "former" in former and "2 h" in former and "no: versions differ: numba 0" in former
    assert spoilt.split()[:3] == ["kernel", paths[2].stem, "0"] and "no: damaged" in spoilt
    assert total.startswith("3 entries, ") and total.endswith(" bytes, 3 of kind kernel")
    assert used == "1 used now, 2 not"


def test_list_is_a_screenful_unless_all_are_asked_for(graphc: Command, objects: DiskCache) -> None:
    for number in range(40):
        store(objects, f"kernel_{number}")
    lines = graphc("cache", "list").stdout.splitlines()
    assert lines[0].startswith("40 entries, ") and len(lines) < 20
    assert lines[-1] == "... and 28 used before them, which --all shows"
    everything = graphc("cache", "list", "--all").stdout.splitlines()
    assert len(everything) == 43 and "kernel_0 " in "".join(everything)


def test_clear(graphc: Command, objects: DiskCache) -> None:
    store(objects, "one")
    store(objects, "two")
    assert graphc("cache", "clear").stdout == f"2 entries removed from {objects.directory}\n"
    assert os.listdir(objects.directory) == []


def test_a_directory_that_is_not_used(graphc: Command, objects: DiskCache) -> None:
    store(objects, "one")
    objects.directory.chmod(0o777)
    result = graphc("cache", "list")
    assert result.exit_code == 1
    assert result.stderr == (f"Error: {objects.directory}: writable by other users (mode 777)\n")


@pytest.mark.parametrize(
    ("value", "message"), [("off", "the cache is off"), ("of", "expected 'on' or 'off'")]
)
def test_without_a_cache(tmp_path: Path, value: str, message: str) -> None:
    result = _graphc(tmp_path, "cache", "path", GRAPHC_CACHE=value)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: ") and message in result.stderr


def test_explain(tmp_path: Path, script: str) -> None:
    """A script's kernels before and after they were compiled, and when the entries do not fit."""

    def explained(*arguments: str) -> dict[str, str]:
        lines = _graphc(tmp_path, "cache", "explain", script, *arguments).stdout.splitlines()
        return dict(line.split(": ", 1) for line in lines)

    before = explained()
    assert (
        len(before) > 3
        and {"plan", "executor"} <= before.keys()
        and set(before.values()) == {"no entry"}
    )
    _run(tmp_path, COMPILE, script)
    after = explained()
    assert after.keys() == before.keys()
    assert set(after.values()) == {"on disk"}
    listed = _graphc(tmp_path, "cache", "list").stdout.splitlines()
    assert [line.split()[-1] for line in listed if line.startswith("plan ")] == ["yes"]
    assert explained("--batch-size", "7")["plan"] == "no entry"

    for path in (tmp_path / "kernels").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert all(reason.startswith("damaged") for reason in explained().values())


COMMAND = "from graphc.cli import main; main()"
COMPILE = """
import pathlib, sys
from graphc.commands.script import load_subject
load_subject(pathlib.Path(sys.argv[1])).train_function.prepare({"batch": 32})
"""


def _graphc(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return _run(tmp_path, COMMAND, *arguments, **variables)


def _run(
    tmp_path: Path, program: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A program in a process and with a cache of its own."""
    directory = {"GRAPHC_CACHE_DIR": str(tmp_path / "kernels"), **variables}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **directory},
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (180_000, "2 d")],
)
def test_age(seconds: float, text: str) -> None:
    assert age(seconds) == text
