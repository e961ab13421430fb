"""How many threads a process may use: processors it is allowed, and what the user asks for."""

import math
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from graphc.kernels.host.cgroup import cgroup_directories, read_text
from graphc.kernels.host.settings import SettingError

THREADS_VARIABLE = "GRAPHC_THREADS"

# More threads than processors are of use for trying how a step is shared on a larger machine; many
# more only start slowly and wait for each other.
MOST_A_PROCESSOR = 4
LEAST_MOST = 16


def default_threads(environment: Mapping[str, str] | None = None) -> int:
    """GRAPHC_THREADS, as far as `limited` allows, if it is set, else the processors that this
    process may use.

    environment: `os.environ` unless given. Raises SettingError when GRAPHC_THREADS is no whole
    number of at least 1.
    """
    given = (os.environ if environment is None else environment).get(THREADS_VARIABLE)
    if given is None:
        return available_processors()
    try:
        threads = int(given)
    except ValueError:
        threads = 0
    if threads < 1:
        raise SettingError(THREADS_VARIABLE, given, "a whole number of threads, at least 1")
    return limited(threads)


def limited(threads: int) -> int:
    """The threads that were asked for, or fewer, with a warning, where that is far more than there
    are processors for."""
    processors = available_processors()
    most = max(LEAST_MOST, MOST_A_PROCESSOR * processors)
    if threads <= most:
        return threads
    warnings.warn(
        f"{threads:,} threads asked for, but this process may use {processors} "
        f"processor{'s' if processors > 1 else ''}: {most} threads are used",
        stacklevel=3,
    )
    return most


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
    for directory, is_unified in cgroup_directories("cpu", root):
        if is_unified:
            quota, _, period = read_text(directory / "cpu.max").partition(" ")
        else:
            quota = read_text(directory / "cpu.cfs_quota_us")
            period = read_text(directory / "cpu.cfs_period_us")
        # "max" or -1: no limit. A file that is not there is no limit either.
        if quota.isdecimal() and period.isdecimal() and int(quota) > 0 and int(period) > 0:
            yield int(quota) / int(period)
