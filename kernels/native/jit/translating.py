"""The process that translates kernels for another one, and finishes some of them.

It reads requests from its standard input and writes an answer to each. What reads numba's modules,
types kernel source and lowers it holds Python's lock: in a process of its own it takes no time from
the one that asks.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from graphc.kernels.native.finishing import KernelFinisher
from graphc.kernels.native.llvm import host_target

# A process that nobody asks for so long ends.
IDLE_SECONDS = 10.0


@dataclass(frozen=True)
class CalledMicrokernel:
    """What translation needs of a microkernel: its name, LLVM IR, and how it is called."""

    name: str
    llvm_ir: str
    is_indexed: bool


@dataclass(frozen=True)
class Request:
    """A kernel. translation: the arguments of `KernelCompiler.translate`. finish: whether the
    answer is to be its ObjectCode, and not a TranslatedKernel."""

    translation: dict[str, Any]
    finish: bool


def serve(vector_bits: int) -> NoReturn:
    """Answers requests until there are no more, and ends the process. The answer to one that fails
    is None."""
    # An interrupt is for the process that asks, which closes the pipes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever libraries print is no answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Not before the pipes are safe: it takes a quarter of a second.
    from graphc.kernels.native.jit.kernel_compiler import KernelCompiler

    compiler = KernelCompiler(vector_bits)
    finisher = KernelFinisher(host_target(vector_bits))
    while (request := _next(sys.stdin.buffer)) is not None:
        try:
            answer: Any = compiler.translate(**request.translation)
            if request.finish:
                answer = finisher.object_code(answer)
        except Exception:
            # The other process compiles it itself, and raises what there is to raise.
            answer = None
        pickle.dump(answer, answers)
        answers.flush()
    # At once: the other process waits for the end, and there is nothing to be put in order.
    os._exit(0)


def _next(requests: BinaryIO) -> Request | None:
    """The next request; None where there is none any more."""
    idle = threading.Timer(IDLE_SECONDS, os._exit, (0,))
    idle.daemon = True
    idle.start()
    try:
        request: Request = pickle.load(requests)
    except EOFError:
        return None
    finally:
        idle.cancel()
    return request
