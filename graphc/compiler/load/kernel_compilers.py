"""Who compiles kernels: this process, or it and another one that has numba."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from graphc.compiler.load.kernel_code import WantedKernel
from graphc.kernels.host.forks import RenewedLock
from graphc.kernels.host.imports import whole_imports
from graphc.kernels.host.thread_count import available_processors

# Imported where something is compiled first, which may be never.
if TYPE_CHECKING:
    from graphc.compiler.load.translator import Translator
    from graphc.compiler.load.two_processes import Made
    from graphc.kernels.loops.language.source import KernelSource
    from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
    from graphc.kernels.native.llvm import CompiledKernel, NativeModule, Target

T = TypeVar("T")

# Where another process does half of so many kernels' work, its start is worth while.
KERNELS_FOR_A_PROCESS = 12


class KernelCompilers:
    """Compiles kernels for a target.

    Numba's part holds Python's lock, and importing it takes a quarter of a second. So where there
    are processors for two, another process does that part, and LLVM's beside it where this one has
    enough of that.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._compiler: KernelCompiler | None = None
        self._translator: Translator | None = None
        self._starting = RenewedLock()

    @property
    def own(self) -> KernelCompiler:
        """That of this process, made when it is first asked for."""
        with whole_imports():
            if self._compiler is None:
                from graphc.kernels.native.jit.kernel_compiler import KernelCompiler

                self._compiler = KernelCompiler(self.target.vector_bits)
            return self._compiler

    def machine_code(self, source: KernelSource, *, lines: bool = False) -> CompiledKernel:
        """A kernel compiled by this process; `lines` as in `KernelCompiler.translate`."""
        return self.own.compile_kernel(**_translation(source), lines=lines)

    def expect_kernels(self) -> None:
        """Some will have to be compiled. Where that is so for the first time, the other process is
        started now, to import numba while passes run in this one."""
        with self._starting.lock:
            if self._translator is None and self._compiler is None:
                self._start_translator()

    def compiled(
        self,
        missing: Sequence[WantedKernel],
        finished: Callable[[WantedKernel, NativeModule], T],
        beside: Callable[[], object],
    ) -> list[T]:
        """What `finished` makes of the machine code of each kernel, in order.

        beside: other work for LLVM, done while numba is imported. Raises the error of the first
        kernel, in order, that has one.
        """
        translator = self._translator_for(len(missing))
        if translator is not None:
            return self._compiled_by_two(translator, missing, finished, beside)
        if len(missing) < 2 or available_processors() < 2:
            return [finished(each, self.machine_code(each.source()).native) for each in missing]

        def translated(each: WantedKernel) -> Callable[[], T]:
            kernel = self.own.translate(**_translation(each.source()))
            return lambda: finished(each, self.own.finish(kernel).native)

        from graphc.compiler.load.two_stages import in_two_stages

        return in_two_stages([functools.partial(translated, each) for each in missing], beside)

    def _compiled_by_two(
        self,
        translator: Translator,
        missing: Sequence[WantedKernel],
        finished: Callable[[WantedKernel, NativeModule], T],
        beside: Callable[[], object],
    ) -> list[T]:
        from graphc.compiler.load.two_processes import in_two_processes
        from graphc.kernels.native.finishing import KernelFinisher, TranslatedKernel
        from graphc.kernels.native.llvm import load_object

        finisher = KernelFinisher(self.target)

        def finish(number: int, made: Made) -> T:
            code = finisher.object_code(made) if isinstance(made, TranslatedKernel) else made
            return finished(missing[number], load_object(code, self.target))

        def compile_here(number: int) -> T:
            return finished(missing[number], self.machine_code(missing[number].source()).native)

        beside()
        translations = [_plain_translation(each.source()) for each in missing]
        return in_two_processes(translator, translations, finish, compile_here)

    def _translator_for(self, kernels: int) -> Translator | None:
        """The process that translates so many kernels, None where that is done in this one."""
        with self._starting.lock:
            if self._translator is not None and not self._translator.is_alive:
                self._translator = None
            if self._translator is None and kernels >= KERNELS_FOR_A_PROCESS:
                self._start_translator()
            return self._translator if kernels else None

    def _start_translator(self) -> None:
        from graphc.compiler.load.translator import Translator, may_start

        if available_processors() > 1 and may_start():
            # Where no process can be started all is done in this one.
            with contextlib.suppress(OSError):
                self._translator = Translator(self.target.vector_bits)


def _translation(source: KernelSource) -> dict[str, Any]:
    """The arguments of `KernelCompiler.translate`."""
    return {
        "source": source.text,
        "name": source.name,
        "filename": f"<graphc {source.name}>",
        "microkernels": source.microkernels,
        "unroll": source.unroll,
        "long_rows": source.long_rows,
    }


def _plain_translation(source: KernelSource) -> dict[str, Any]:
    """The same for another process, which need not know what a source consists of."""
    from graphc.kernels.native.jit.translating import CalledMicrokernel

    called = [
        CalledMicrokernel(each.name, each.llvm_ir, each.is_indexed) for each in source.microkernels
    ]
    return _translation(source) | {"microkernels": called}
