"""How much memory may be taken, on fake files."""

import re
from pathlib import Path

import pytest

from graphc.kernels.host.memory_limit import MemoryLimit, memory_limit
from tests.kernels.host.test_thread_count import write

MEMINFO = {"proc/meminfo": "MemTotal:  9000 kB\nMemAvailable:   5000 kB\nCached: 7 kB"}
MACHINE = (5000 * 1024, "this machine has left")


@pytest.mark.parametrize(
    ("files", "nbytes", "reason"),
    [
        pytest.param({}, *MACHINE, id="no-cgroups"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/b/memory.max": "max",
                "sys/fs/cgroup/a/b/memory.current": "700",
                "sys/fs/cgroup/a/memory.max": "3000",
                "sys/fs/cgroup/a/memory.current": "1000",
                "sys/fs/cgroup/a/memory.stat": "anon 300\ninactive_file 250\nactive_file 9",
            },
            2259,
            "the cgroup at .*/sys/fs/cgroup/a has left",
            id="v2-around",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/",
                "sys/fs/cgroup/memory.max": "1000",
                "sys/fs/cgroup/memory.current": "1500",
            },
            0,
            "the cgroup at .* has left",
            id="v2-exceeded",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/m\n0::/",
                "sys/fs/cgroup/memory/m/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/m/memory.usage_in_bytes": "100",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "4000",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "2000",
                "sys/fs/cgroup/memory/memory.stat": (
                    "inactive_file 1\nactive_file 2\ntotal_inactive_file 300\ntotal_active_file 200"
                ),
            },
            2500,
            "the cgroup at .*/memory has left",
            id="v1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "100",
            },
            *MACHINE,
            id="v1-without-limit",
        ),
    ],
)
def test_what_is_left(tmp_path: Path, files: dict[str, str], nbytes: int, reason: str) -> None:
    limit = memory_limit({}, write(tmp_path, MEMINFO | files))
    assert limit is not None and (limit.nbytes, limit.is_total) == (nbytes, False)
    assert re.fullmatch(reason, limit.reason)


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("4096", 4096), ("500MB", 500_000_000), (" 1.5 GiB ", 3 * 2**29), ("2TiB", 2**41), ("0", 0)],
)
def test_environment_decides(tmp_path: Path, text: str, nbytes: int) -> None:
    limit = memory_limit({"GRAPHC_MEMORY_LIMIT": text}, write(tmp_path, MEMINFO))
    assert limit == MemoryLimit(nbytes, "GRAPHC_MEMORY_LIMIT allows", is_total=True)


@pytest.mark.parametrize("text", ["", "much", "-1", "4 gigs", "GiB", "1e9", "4,5GiB"])
def test_wrong_environment_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("GRAPHC_MEMORY_LIMIT", text)
    with pytest.raises(ValueError, match=r"GRAPHC_MEMORY_LIMIT='.*such as 500MB or 4GiB"):
        memory_limit()


def test_this_machine_has_some() -> None:
    limit = memory_limit({})
    assert limit is None or limit.nbytes > 0
