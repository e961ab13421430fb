"""Kernels that another process translates while this one makes machine code of them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from graphc.compiler.load.translator import Translator, TranslatorGoneError
from graphc.compiler.load.two_stages import quick_switches
from graphc.kernels.native.finishing import TranslatedKernel
from graphc.kernels.native.jit.translating import Request
from graphc.kernels.native.llvm import ObjectCode

T = TypeVar("T")

# So many translated kernels wait for this process at most: the other one finishes the next itself.
MOST_WAITING = 4

# What the other process makes of a kernel.
Made = TranslatedKernel | ObjectCode
# The number of a kernel and that; None where the process could not, or is gone.
_Answers = queue.SimpleQueue[tuple[int, Made | None]]


def in_two_processes(
    translator: Translator,
    translations: Sequence[dict[str, Any]],
    finished: Callable[[int, Made], T],
    compiled_here: Callable[[int], T],
) -> list[T]:
    """The kernels in order: `finished`, given the number of one and what the other process has made
    of it; `compiled_here` where it has made nothing. Both are called on this thread.

    translations: the arguments of `KernelCompiler.translate`. Raises the first error of the calls.
    """
    # The longest first: short ones are left for the end, where one process waits for the other.
    order = sorted(range(len(translations)), key=lambda k: -len(translations[k]["source"]))
    answers: _Answers = queue.SimpleQueue()
    stop = threading.Event()

    def ask() -> None:
        for number in order:
            request = Request(translations[number], finish=answers.qsize() >= MOST_WAITING)
            answers.put((number, None if stop.is_set() else _answer(translator, request)))

    results: dict[int, T] = {}
    asking = threading.Thread(target=ask, name="graphc-translate", daemon=True)
    with quick_switches():
        asking.start()
        try:
            for _ in order:
                number, made = answers.get()
                if made is not None:
                    results[number] = finished(number, made)
        finally:
            stop.set()
            asking.join()
    for number in range(len(translations)):
        if number not in results:
            results[number] = compiled_here(number)
    return [results[number] for number in range(len(translations))]


def _answer(translator: Translator, request: Request) -> Made | None:
    try:
        return translator.ask(request)
    except TranslatorGoneError:
        return None
