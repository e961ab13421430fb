"""Files opened for reading where something else may stand in their place."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

# A pipe in the place of a file would be waited for.
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """The file, opened for reading. Raises OSError, at once, for what is no regular file."""
    file = open(path, "rb", opener=_opened)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "no regular file", os.fspath(path))
    return file


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_WAITING)
