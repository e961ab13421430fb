"""Files opened for reading where something else may stand in their place."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
# A pipe in the place of a file would be waited for.
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """The file, opened for reading. Raises OSError, at once, for what is no regular file."""
    descriptor = os.open(path, _FLAGS | _NO_WAITING)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "no regular file", os.fspath(path))
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
