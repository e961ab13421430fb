"""A second process of this Python, which has numba: what starts it and asks it."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import graphc.compiler
from graphc.kernels.host.settings import SettingError
from graphc.kernels.native.finishing import TranslatedKernel
from graphc.kernels.native.jit.translating import Request
from graphc.kernels.native.llvm import ObjectCode

SWITCH_VARIABLE = "GRAPHC_TRANSLATOR"

# Of its own accord it ends as soon as nobody can ask any more.
SECONDS_TO_END = 1.0

# Of the package, which knows this module.
_FOLDER = str(Path(graphc.compiler.__path__[0]).parent)

# The names that users import from graphc are of no use there and take a tenth of a second.
_START = """\
import sys, types
sys.path[:] = {path!r}
package = sys.modules["graphc"] = types.ModuleType("graphc")
package.__path__ = [{folder!r}]
from graphc.kernels.native.jit.translating import serve
serve({vector_bits})
"""


class TranslatorGoneError(Exception):
    """The process has ended, or answers no more."""


def may_start() -> bool:
    """Whether a process may be started: this one is run by a Python that starts like any other, and
    GRAPHC_TRANSLATOR is not off. Raises SettingError when that is neither on nor off."""
    switch = os.environ.get(SWITCH_VARIABLE, "on")
    if switch not in ("on", "off"):
        raise SettingError(SWITCH_VARIABLE, switch, "'on' or 'off'")
    # Of a program with Python inside it would be the program that is started again.
    is_python = Path(sys.executable or "").name.startswith("python")
    return switch == "on" and is_python and not getattr(sys, "frozen", False)


class Translator:
    """The process; asked by one thread at a time. Raises OSError where it cannot be started."""

    def __init__(self, vector_bits: int) -> None:
        start = _START.format(path=sys.path, folder=_FOLDER, vector_bits=vector_bits)
        # Unbuffered: a forked child, which has the pipes too, must not write what is left over.
        self._process = subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # On Windows it would open a window otherwise.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        assert isinstance(self._process.stdout, io.FileIO)
        self._answers = io.BufferedReader(self._process.stdout)
        self._lock = threading.Lock()
        self._owner = os.getpid()
        # Also at this process' end.
        self.close = weakref.finalize(self, _close, self._process, self._answers)

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked: it ends when it has nothing to do for some seconds."""
        if os.getpid() != self._owner or not self.close.alive:
            return False
        return self._process.poll() is None

    def ask(self, request: Request) -> TranslatedKernel | ObjectCode | None:
        """The answer, None where the kernel cannot be compiled. Raises TranslatorGoneError."""
        if not self.is_alive:
            raise TranslatorGoneError("it has ended")
        try:
            with self._lock:
                _write(self._process.stdin, pickle.dumps(request))
                answer: Any = pickle.load(self._answers)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            self.close()
            raise TranslatorGoneError(str(error)) from error
        except BaseException:
            # Interrupted: what comes next would be the answer to this.
            self.close()
            raise
        return answer


def _write(pipe: Any, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[pipe.write(rest) :]


def _close(process: subprocess.Popen[bytes], answers: io.BufferedReader[io.FileIO]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    answers.close()
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
