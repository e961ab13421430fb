"""What a peer's process does with a request.

    {"do": "prepare", "problem": PATH}  compiles and warms up      -> {"seconds": preparation}
    {"do": "loss", "steps": N}          from the initial weights   -> {"loss": of the last step}
    {"do": "outputs"}                   of a prediction            -> {"outputs": a row's scores}
    {"do": "round", "steps": N}         goes on from where it is   -> {"seconds": of all N steps}
    {"do": "quit"}                      ends the process           -> nothing

A request that fails is answered with {"error": message}, its traceback goes to stderr. A process
without a request waits in a read, and answers a round only when its threads have gone to sleep.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from benchmarks.peers.problem import Prediction, Prepare, Problem, Step

# Worker threads may wait actively for some time after their work, OpenBLAS and OpenMP do.
QUIET_SECONDS = 0.004
QUIET_SHARE = 0.1
LONGEST_WAIT_SECONDS = 2.0


class NotQuietError(Exception):
    """Threads that use the processor without work; another system could not be measured."""


def load(system: str, threads: int) -> tuple[str, Prepare]:
    """The system's package and how it prepares a step.

    Raises ModuleNotFoundError where it is not installed, ValueError for an unknown system.
    """
    match system:
        case "numpy":
            from benchmarks.peers.numpy_peer import numpy_step

            return "numpy", numpy_step
        case "torch" | "torch-compile":
            from benchmarks.peers.in_torch.peer import compiled_step, eager_step, set_threads

            set_threads(threads)
            return "torch", compiled_step if system == "torch-compile" else eager_step
        case "jax" | "jax-scan":
            from benchmarks.peers.in_jax.peer import called_step, scanned_step

            return "jax", scanned_step if system == "jax-scan" else called_step
        case "pytensor":
            from benchmarks.peers.pytensor_peer import pytensor_step

            return "pytensor", pytensor_step
        case "torch-predict" | "torch-compile-predict":
            from benchmarks.peers.in_torch import prediction
            from benchmarks.peers.in_torch.peer import set_threads

            set_threads(threads)
            if system == "torch-predict":
                return "torch", prediction.eager_prediction
            return "torch", prediction.compiled_prediction
        case "jax-predict":
            from benchmarks.peers.in_jax.prediction import jax_prediction

            return "jax", jax_prediction
        case "onnxruntime-predict":
            from benchmarks.peers.onnx_prediction import onnx_prediction

            return "onnxruntime", partial(onnx_prediction, threads=threads)
    raise ValueError(f"no system {system!r}")


class Server:
    """The step or prediction at hand, and the counts that it has run: some systems compile for
    each."""

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._step: Step | Prediction | None = None
        self._counts: set[int] = set()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises KeyError or ValueError for a request that is none, and whatever a step raises."""
        match request["do"]:
            case "prepare":
                return {"seconds": self.prepare(Path(request["problem"]))}
            case "loss":
                return {"loss": self.loss(request["steps"])}
            case "outputs":
                return {"outputs": self.outputs()}
            case "round":
                return {"seconds": self.round(request["steps"])}
        raise ValueError(f"no request {request}")

    def prepare(self, path: Path) -> float:
        """Drops the former step first: two of the large ones need not be held at once."""
        self._step = None
        self._counts = set()
        start = time.perf_counter()
        self._step = self._prepare(Problem.load(path))
        return time.perf_counter() - start

    def prepared(self) -> Step | Prediction:
        if self._step is None:
            raise ValueError("nothing has been prepared")
        return self._step

    def loss(self, steps: int) -> float:
        step = self.prepared()
        if not isinstance(step, Step):
            raise ValueError("a prediction has no loss")
        step.reset()
        return step.run(steps)

    def outputs(self) -> list[list[float]]:
        prediction = self.prepared()
        if not isinstance(prediction, Prediction):
            raise ValueError("a training step predicts nothing")
        found: list[list[float]] = prediction.outputs().tolist()
        return found

    def round(self, steps: int) -> float:
        step = self.prepared()
        if steps not in self._counts:
            self._counts.add(steps)
            step.run(steps)
        start = time.perf_counter()
        step.run(steps)
        seconds = time.perf_counter() - start
        wait_until_quiet()
        return seconds


def wait_until_quiet() -> None:
    """Returns once no thread of the process uses the processor.

    It goes by processor time, so on cores that others occupy a thread that spins may be missed.

    Raises NotQuietError when one still does after `LONGEST_WAIT_SECONDS`.
    """
    end = time.perf_counter() + LONGEST_WAIT_SECONDS
    while time.perf_counter() < end:
        before, start = time.process_time(), time.perf_counter()
        time.sleep(QUIET_SECONDS)
        share = (time.process_time() - before) / (time.perf_counter() - start)
        if share < QUIET_SHARE:
            return
    raise NotQuietError(f"threads still busy {LONGEST_WAIT_SECONDS:g} s after a round")


def serve(system: str, threads: int, requests: Iterable[str], replies: TextIO) -> None:
    """Answers requests until there are no more, or one says quit."""

    def reply(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=replies, flush=True)

    try:
        package, prepare = load(system, threads)
    except ModuleNotFoundError as error:
        reply({"missing": str(error)})
        return
    reply({"ready": f"{package} {version(package)}"})
    server = Server(prepare)
    for line in requests:
        request = json.loads(line)
        if request["do"] == "quit":
            return
        try:
            reply(server.answer(request))
        # Reported, whatever it is: the benchmark names the system with the reason and goes on.
        except Exception as error:
            traceback.print_exc()
            reply({"error": f"{type(error).__name__}: {error}"})
