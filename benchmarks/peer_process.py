"""A peer in a process of its own: started, given a problem, asked for losses and rounds."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from benchmarks.peers.problem import Array, Problem

ROOT = Path(__file__).resolve().parent.parent
# What `make peers` builds.
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PEERS = ("torch", "torch-compile", "jax", "jax-scan", "pytensor")
# Those that predict alone.
PREDICTING_PEERS = (
    "onnxruntime-predict",
    "torch-predict",
    "torch-compile-predict",
    "jax-predict",
)
QUIT_SECONDS = 10
QUOTED_LINES = 12

# The C library keeps what is freed and asks for large pages: otherwise every large temporary of a
# peer is mapped and zeroed anew, page by page.
KEPT_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(1 << 26),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


class PeerMissingError(Exception):
    """A system that is not installed in the peers' environment, or there is no environment."""


class PeerError(Exception):
    """A peer that failed; the message has its reason."""


class PeerProcess:
    """One system in a child process, which uses the processor only while a request is answered.

    version: the package and its version, such as "torch 2.13.0".

    Raises PeerMissingError where the system is not installed, PeerError where it does not start.
    """

    def __init__(self, system: str, python: Path | str = PEERS_PYTHON, threads: int = 1) -> None:
        self.system = system
        self._directory = tempfile.TemporaryDirectory()
        self._printed = Path(self._directory.name) / "stderr"
        try:
            with self._printed.open("w") as printed:
                self._process = subprocess.Popen(
                    [str(python), "-m", "benchmarks.peers", system, "--threads", str(threads)],
                    cwd=ROOT,
                    env=os.environ | KEPT_MEMORY,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=printed,
                    text=True,
                )
        except FileNotFoundError:
            self._directory.cleanup()
            raise PeerMissingError(f"{system}: no {python}; `make peers` builds it") from None
        try:
            self.version: str = self._reply()["ready"]
        except (PeerError, PeerMissingError):
            self.close()
            raise

    def prepare(self, problem: Problem) -> float:
        """Compiles the step and warms it up; the seconds that it took."""
        path = Path(self._directory.name) / "problem.npz"
        problem.save(path)
        return float(self._ask(do="prepare", problem=str(path))["seconds"])

    def loss_after(self, steps: int) -> float:
        """The loss of the last of `steps` steps from the initial weights."""
        return float(self._ask(do="loss", steps=steps)["loss"])

    def outputs(self) -> Array:
        """What it predicts, where a prediction has been prepared: scores [rows, classes]."""
        return np.array(self._ask(do="outputs")["outputs"])

    def seconds_each(self, steps: int) -> float:
        """Seconds of one of `steps` steps, as the peer measures them."""
        return float(self._ask(do="round", steps=steps)["seconds"]) / steps

    def close(self) -> None:
        """Ends the process; harmless when it has ended."""
        if self._process.poll() is None:
            try:
                self._send({"do": "quit"})
                self._process.wait(QUIT_SECONDS)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                stream.close()
        self._directory.cleanup()

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, **request: Any) -> dict[str, Any]:
        try:
            self._send(request)
        except BrokenPipeError:
            raise PeerError(self._ended()) from None
        return self._reply()

    def _send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(self._ended())
        reply: dict[str, Any] = json.loads(line)
        if "missing" in reply:
            raise PeerMissingError(f"{self.system}: {reply['missing']}")
        if "error" in reply:
            raise PeerError(f"{self.system}: {reply['error']}")
        return reply

    def _ended(self) -> str:
        """A message for a process that is gone, with the end of what it printed."""
        code = self._process.wait()
        printed = self._printed.read_text().splitlines()[-QUOTED_LINES:]
        return "\n".join([f"{self.system}: its process ended with {code}", *printed])


@dataclass(frozen=True)
class Peers:
    """Peers that have started, and the reasons of those that have not or failed later."""

    running: dict[str, PeerProcess]
    missing: dict[str, str]

    def prepare(self, problem: Problem, steps: int) -> dict[str, float]:
        """Prepares the problem everywhere; the losses after `steps` steps.

        A peer that fails is left out, and its reason noted.
        """
        losses = {}
        for system, peer in self.running.items():
            try:
                peer.prepare(problem)
                losses[system] = peer.loss_after(steps)
            except PeerError as error:
                self.missing[system] = str(error)
        return losses

    def described(self) -> dict[str, str]:
        """Each peer's version, or why it is missing."""
        versions = {system: peer.version for system, peer in self.running.items()}
        return versions | {system: f"missing: {why}" for system, why in self.missing.items()}


@contextmanager
def started(
    systems: Sequence[str], python: Path | str = PEERS_PYTHON, threads: int = 1
) -> Iterator[Peers]:
    """A process for each system; all end with the context."""
    with ExitStack() as stack:
        peers = Peers({}, {})
        for system in systems:
            try:
                peer = PeerProcess(system, python, threads)
            except (PeerMissingError, PeerError) as error:
                peers.missing[system] = str(error)
            else:
                peers.running[system] = stack.enter_context(peer)
        yield peers
