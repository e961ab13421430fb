"""Default numbers of threads, on fake files."""

import os
from pathlib import Path

import pytest

import graphc as gc
from graphc.kernels.host.thread_count import (
    available_processors,
    cgroup_quotas,
    default_threads,
    limited,
)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


V1 = "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("files", "quotas"),
    [
        pytest.param({}, [], id="no-cgroups"),
        pytest.param(
            {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"},
            [1.5],
            id="v2",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, [], id="v2-max"
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
                "sys/fs/cgroup/a/cpu.max": "50000 200000",
            },
            [0.25],
            id="v2-around",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/host/path",
                "sys/fs/cgroup/cpu.max": "300000 100000",
            },
            [3.0],
            id="v2-path-of-the-host",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "nonsense"}, [], id="v2-unknown"
        ),
        pytest.param(
            {
                "proc/self/cgroup": "7:memory:/m\n3:cpu,cpuacct:/docker/x\n0::/",
                f"{V1}/docker/x/cpu.cfs_quota_us": "200000",
                f"{V1}/docker/x/cpu.cfs_period_us": "100000",
                f"{V1}/cpu.cfs_quota_us": "-1",
                f"{V1}/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/m/cpu.max": "100 100000",
            },
            [2.0],
            id="v1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "10000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "20000",
            },
            [0.5],
            id="v1-mounted-as-cpu",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "3:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "10000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "0",
            },
            [],
            id="v1-no-period",
        ),
    ],
)
def test_cgroup_quotas(tmp_path: Path, files: dict[str, str], quotas: list[float]) -> None:
    assert list(cgroup_quotas(write(tmp_path, files))) == quotas


@pytest.mark.parametrize(
    ("cpu_max", "processors"),
    [("10000 100000", 1), ("150000 100000", 2), ("200000 100000", 2), ("max 100000", 4)],
)
def test_quota_is_rounded_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu_max: str, processors: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 4, 6}, raising=False)
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": cpu_max}
    assert available_processors(write(tmp_path, files)) == processors


def test_affinity_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5}, raising=False)
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "800000 100000"}
    assert available_processors(write(tmp_path, files)) == 1


def test_without_affinity_all_processors_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert available_processors(tmp_path) == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_processors(tmp_path) == 1


def test_default_is_what_the_process_may_use() -> None:
    assert default_threads({}) == available_processors() >= 1


@pytest.mark.parametrize(("text", "threads"), [("1", 1), ("3", 3), (" 16 ", 16)])
def test_environment_decides(text: str, threads: int) -> None:
    assert default_threads({"GRAPHC_THREADS": text}) == threads


@pytest.mark.parametrize("text", ["", "0", "-2", "two", "1.5", "2 3"])
def test_wrong_environment_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("GRAPHC_THREADS", text)
    with pytest.raises(ValueError, match=r"GRAPHC_THREADS=.*at least 1"):
        default_threads()


def test_far_more_threads_than_processors_are_not_started() -> None:
    processors = available_processors()
    with pytest.warns(UserWarning, match=rf"5,000 threads .* {processors} processors?: \d+ thr"):
        found = limited(5_000)
    assert processors <= found <= 16 * processors
    with pytest.warns(UserWarning, match="5,000 threads"):
        assert default_threads({"GRAPHC_THREADS": "5000"}) == found
    x = gc.Graph().input("x", (4,))
    with pytest.warns(UserWarning, match="5,000 threads"):
        assert gc.function(x, x + 1, threads=5_000).threads == found


@pytest.mark.filterwarnings("error")
def test_somewhat_more_threads_than_processors_may_be_tried() -> None:
    for threads in (1, 2, 3, 16, available_processors()):
        assert limited(threads) == threads
