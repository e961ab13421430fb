"""How many threads a process may use: processors it is allowed, and what the user asks for."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

THREADS_VARIABLE = "GRAPHC_THREADS"

# The hierarchy of version 2 in /proc/self/cgroup.
_UNIFIED = "0"


def default_threads(environment: Mapping[str, str] | None = None) -> int:
    """GRAPHC_THREADS if it is set, else the processors that this process may use.

    environment: `os.environ` unless given. Raises ValueError when GRAPHC_THREADS is no whole number
    of at least 1.
    """
    given = (os.environ if environment is None else environment).get(THREADS_VARIABLE)
    if given is None:
        return available_processors()
    try:
        threads = int(given)
    except ValueError:
        threads = 0
    if threads < 1:
        raise ValueError(
            f"{THREADS_VARIABLE}={given!r}: a whole number of threads, at least 1, is expected"
        )
    return threads


def available_processors(root: Path = Path("/")) -> int:
    """Processors in this process' affinity mask, at most those of its cgroup's quota; at least 1.

    root: where `proc` and `sys` are.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, min([allowed, *map(math.ceil, cgroup_quotas(root))]))


def cgroup_quotas(root: Path = Path("/")) -> Iterator[float]:
    """Processors' worth of time that each cgroup above this process grants, where one limits it.

    Both versions: `cpu.max` holds quota and period in one line, `cpu.cfs_quota_us` and
    `cpu.cfs_period_us` each hold one number. Source: the kernel's admin-guide/cgroup-v2.rst and
    scheduler/sched-bwc.rst.
    """
    for directory, is_unified in _cgroups(root):
        if is_unified:
            quota, _, period = _read(directory / "cpu.max").partition(" ")
        else:
            quota = _read(directory / "cpu.cfs_quota_us")
            period = _read(directory / "cpu.cfs_period_us")
        # "max" or -1: no limit. A file that is not there is no limit either.
        if quota.isdecimal() and period.isdecimal() and int(quota) > 0 and int(period) > 0:
            yield int(quota) / int(period)


def _cgroups(root: Path) -> Iterator[tuple[Path, bool]]:
    """The directories of this process' cgroup and of those around it, and whether of version 2.

    In a container the path may be the host's, and then only its outermost directory is here.
    """
    mounts = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == _UNIFIED:
            mount = mounts
        elif "cpu" in controllers.split(","):
            mount = mounts / controllers
            if not mount.is_dir():
                mount = mounts / "cpu"
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        for each in (inside, *inside.parents):
            yield mount / each, number == _UNIFIED


def _read(path: Path) -> str:
    """The file's text, "" when it cannot be read: without /proc there are no cgroups."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
