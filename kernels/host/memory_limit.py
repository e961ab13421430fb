"""How much memory a process may still take: what the machine and its cgroups have left, or what the
user allows."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from graphc.kernels.host.cgroup import cgroup_directories, read_text
from graphc.kernels.host.settings import SettingError

LIMIT_VARIABLE = "GRAPHC_MEMORY_LIMIT"

_UNITS = {
    **dict.fromkeys(("", "B", "bytes"), 1),
    **{unit: 1000**power for power, unit in enumerate(("kB", "MB", "GB", "TB"), 1)},
    **{unit: 1024**power for power, unit in enumerate(("KiB", "MiB", "GiB", "TiB"), 1)},
}


@dataclass(frozen=True)
class MemoryLimit:
    """Bytes, and in words whose limit it is.

    is_total: whether what is allocated already counts too, as it does where the user sets a limit.
    """

    nbytes: int
    reason: str
    is_total: bool = False


def memory_limit(
    environment: Mapping[str, str] | None = None, root: Path = Path("/")
) -> MemoryLimit | None:
    """GRAPHC_MEMORY_LIMIT if it is set, else the least of what the machine and each cgroup around
    this process have left; None where nothing is known.

    environment: `os.environ` unless given. root: where `proc` and `sys` are. Raises SettingError
    for a GRAPHC_MEMORY_LIMIT that is no size.
    """
    given = (os.environ if environment is None else environment).get(LIMIT_VARIABLE)
    if given is not None:
        return MemoryLimit(_parsed(given), f"{LIMIT_VARIABLE} allows", is_total=True)
    limits = [*_left_by_the_machine(root), *_left_by_cgroups(root)]
    return min(limits, key=lambda limit: limit.nbytes, default=None)


def _parsed(text: str) -> int:
    """Bytes of a size such as `4GiB`. Raises SettingError for a text that is none."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2] not in _UNITS:
        raise SettingError(
            LIMIT_VARIABLE, text, "a number of bytes, or one with a unit such as 500MB or 4GiB"
        )
    return int(float(found[1]) * _UNITS[found[2]])


def _left_by_the_machine(root: Path) -> Iterator[MemoryLimit]:
    """What can be had without swapping, by /proc/meminfo; elsewhere all of the machine's memory."""
    found = re.search(r"^MemAvailable:\s*(\d+) kB", read_text(root / "proc/meminfo"), re.MULTILINE)
    if found:
        yield MemoryLimit(int(found[1]) * 1024, "this machine has left")
    elif "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        nbytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if nbytes > 0:
            yield MemoryLimit(nbytes, "this machine has")


def _left_by_cgroups(root: Path) -> Iterator[MemoryLimit]:
    """Limit less usage of each cgroup that has a limit; cached files give way and do not count,
    those on the list of active ones neither: whatever was read twice is there.

    Source: the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
    """
    for directory, is_unified in cgroup_directories("memory", root):
        names, prefix = ("memory.max", "memory.current"), ""
        if not is_unified:
            names, prefix = ("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_"
        limit, usage = (read_text(directory / name) for name in names)
        # "max": no limit. A file that is not there is no limit either.
        if limit.isdecimal() and usage.isdecimal():
            statistics = read_text(directory / "memory.stat")
            cached = re.findall(rf"^{prefix}(?:in)?active_file (\d+)$", statistics, re.MULTILINE)
            used = int(usage) - sum(map(int, cached))
            yield MemoryLimit(max(int(limit) - used, 0), f"the cgroup at {directory} has left")
