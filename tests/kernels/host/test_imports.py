"""Imports in the middle of a program, and Ctrl-C while they last."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graphc.kernels.host.imports import whole_imports

# A package whose modules import each other, as numba's do; the innermost is slow.
PACKAGE = {
    "__init__.py": "from ring.first import made\n",
    "first.py": "from ring.second import made\nfrom ring.third import late\n",
    "second.py": "import ring.third\nmade = 1\n",
    "third.py": "import signal\nsignal.raise_signal(signal.SIGINT)\nlate = 2\n",
}


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_import_is_completed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ring"
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), whole_imports():
        import ring  # type: ignore[import-not-found]
    assert sys.modules["ring"].made == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with whole_imports():
        import ring

        assert ring.first.late == 2


SCRIPT = """
import signal, sys, time, threading
import numpy as np
import graphc as gc

graph = gc.Graph(seed=0)
x = graph.input("x", ("n", 3))
double = gc.function([x], gc.tanh(x) * 2.0)

def press():
    while "numba" not in sys.modules:
        time.sleep(0.001)
    time.sleep(0.02)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

threading.Thread(target=press, daemon=True).start()
try:
    double(np.ones((2, 3), np.float32))
    print("not interrupted")
except KeyboardInterrupt:
    assert "numba" in sys.modules
    print(double(np.zeros((2, 3), np.float32)).sum())
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads here")
def test_a_first_call_may_be_interrupted_and_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_CACHE", "off")
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "0.0"
