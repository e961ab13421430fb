"""Guarded memory: accesses beside an array end the process, those inside do not."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys
import numpy as np
from tests.guarded import guarded
side, offset, writes = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "write"
array = guarded(np.arange(5, dtype="f4"), side, writable=sys.argv[4] == "writable")
place = (ctypes.c_char * 1).from_address(array.ctypes.data + offset)
if writes:
    place[0] = b"x"
else:
    place[0]
"""


@pytest.mark.parametrize(
    ("side", "offset", "access", "rights", "ends"),
    [
        ("behind", 20, "read", "writable", True),
        ("behind", 20, "write", "writable", True),
        ("before", -1, "read", "writable", True),
        ("before", -1, "write", "writable", True),
        ("behind", 19, "write", "writable", False),
        ("before", 0, "write", "writable", False),
        ("behind", 19, "write", "read only", True),
        ("behind", 0, "read", "read only", False),
    ],
)
def test_accesses(side: str, offset: int, access: str, rights: str, ends: bool) -> None:
    command = [sys.executable, "-c", PROGRAM, side, str(offset), access, rights]
    ended = subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
    assert ended.returncode == (-signal.SIGSEGV if ends else 0)
