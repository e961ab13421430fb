"""The cgroups of this process: what limits its processors and its memory."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# The hierarchy of version 2 in /proc/self/cgroup.
_UNIFIED = "0"


def cgroup_directories(controller: str, root: Path = Path("/")) -> Iterator[tuple[Path, bool]]:
    """The directories of this process' cgroup and of those around it, and whether of version 2.

    controller: "cpu" or "memory". root: where `proc` and `sys` are. In a container the path may be
    the host's, and then only its outermost directory is here.
    """
    mounts = root / "sys/fs/cgroup"
    for line in read_text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == _UNIFIED:
            mount = mounts
        elif controller in controllers.split(","):
            mount = mounts / controllers
            if not mount.is_dir():
                mount = mounts / controller
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        for each in (inside, *inside.parents):
            yield mount / each, number == _UNIFIED


def read_text(path: Path) -> str:
    """The file's text, "" when it cannot be read: without /proc there are no cgroups."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
