"""The process that translates kernels for this one, and what is done without it."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

import graphc as gc
from graphc.compiler.load import kernel_compilers
from graphc.compiler.load.kernel_code import WantedKernel
from graphc.compiler.load.kernel_compilers import KernelCompilers
from graphc.compiler.load.translator import Translator, TranslatorGoneError, may_start
from graphc.compiler.load.two_processes import MOST_WAITING, in_two_processes
from graphc.kernels.loops.language.source import KernelSource
from graphc.kernels.native.finishing import TranslatedKernel
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.jit.translating import Request
from graphc.kernels.native.llvm import NativeModule, ObjectCode, default_target

SOURCE = """\
def doubled(arguments, thread, threads):
    x = buffer(arguments, 0, 2, f32)
    y = buffer(arguments, 1, 2, f32)
    for i in range(100):
        y[i] = x[i] + x[i]
    return 0
"""
# Of two types that kernel source never adds.
WRONG = SOURCE.replace("x[i] + x[i]", "x[i] + undefined")


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_TRANSLATOR", "on")


def translation(source: str = SOURCE) -> dict[str, Any]:
    return {"source": source, "name": "doubled", "filename": "<test>", "microkernels": []}


@pytest.fixture(scope="module")
def shared() -> Iterator[Translator]:
    translator = Translator(default_target().vector_bits)
    yield translator
    translator.close()


@pytest.fixture
def own() -> Iterator[Translator]:
    translator = Translator(default_target().vector_bits)
    yield translator
    translator.close()


def test_the_code_is_that_of_this_process(shared: Translator) -> None:
    here = KernelCompiler().compile_kernel(**translation())
    translated = shared.ask(Request(translation(), finish=False))
    made = shared.ask(Request(translation(), finish=True))
    assert isinstance(translated, TranslatedKernel) and translated.name == "doubled"
    assert isinstance(made, ObjectCode)
    assert made.code == here.object_code


def test_a_kernel_that_cannot_be_typed_is_no_answer_and_ends_nothing(shared: Translator) -> None:
    assert shared.ask(Request(translation(WRONG), finish=True)) is None
    assert shared.ask(Request(translation(), finish=True)) is not None


def test_a_process_that_is_gone_says_so(own: Translator) -> None:
    assert own.is_alive
    own._process.kill()
    with pytest.raises(TranslatorGoneError):
        own.ask(Request(translation(), finish=True))
    assert not own.is_alive
    with pytest.raises(TranslatorGoneError, match="has ended"):
        own.ask(Request(translation(), finish=True))


def test_it_ends_when_it_is_closed(own: Translator) -> None:
    assert own.ask(Request(translation(), finish=False)) is not None
    own.close()
    assert own._process.returncode == 0


def test_a_forked_child_does_not_ask(own: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not own.is_alive


@pytest.mark.parametrize(("switch", "expected"), [("on", True), ("off", False)])
def test_a_switch(switch: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_TRANSLATOR", switch)
    assert may_start() is expected


def test_another_switch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_TRANSLATOR", "maybe")
    with pytest.raises(gc.SettingError, match="GRAPHC_TRANSLATOR='maybe'"):
        may_start()


@pytest.mark.parametrize("executable", ["", "/usr/bin/blender"])
def test_another_program_is_not_started(executable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", executable)
    assert not may_start()


# --- how the work is shared ------------------------------------------------------------------


class Fake:
    """A translator of this process, which fails with some kernels."""

    def __init__(self, failing: tuple[str, ...] = ()) -> None:
        self.failing = failing
        self.asked: list[tuple[str, bool]] = []

    def ask(self, request: Request) -> str | None:
        source = request.translation["source"]
        self.asked.append((source, request.finish))
        return None if source in self.failing else f"{source} there"


def shared_work(fake: Fake, sources: list[str]) -> list[str]:
    return in_two_processes(
        fake,  # type: ignore[arg-type]
        [{"source": each} for each in sources],
        lambda number, made: f"{number}: {made}",
        lambda number: f"{number}: {sources[number]} here",
    )


def test_results_are_in_order_and_the_longest_is_asked_first() -> None:
    fake = Fake(failing=("aa",))
    assert shared_work(fake, ["a", "aaa", "aa"]) == ["0: a there", "1: aaa there", "2: aa here"]
    assert [source for source, _ in fake.asked] == ["aaa", "aa", "a"]


def test_the_other_process_finishes_kernels_when_enough_wait() -> None:
    fake = Fake()
    asked_all = MOST_WAITING + 3

    def finished(number: int, made: object) -> int:
        # The first result is held back until everything has been asked for.
        while len(fake.asked) < asked_all:
            pass
        return number

    sources = [{"source": "a"}] * asked_all
    in_two_processes(fake, sources, finished, lambda number: number)  # type: ignore[arg-type]
    assert [finish for _, finish in fake.asked][-1]
    assert not fake.asked[0][1]


def test_an_error_ends_the_work() -> None:
    def finished(number: int, made: object) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_two_processes(Fake(), [{"source": "a"}] * 9, finished, lambda n: n)  # type: ignore[arg-type]


# --- who compiles ----------------------------------------------------------------------------


@pytest.fixture
def wanted() -> list[WantedKernel]:
    graph = gc.Graph()
    x = graph.input("x", (8,))
    function = gc.function([x], [gc.exp(x), gc.sum(x)], fuse=False)
    sources = [row.source for row in function.loaded().plan.instructions]
    assert len(sources) > 1

    def kept(source: KernelSource) -> WantedKernel:
        return WantedKernel(source.name, "", lambda: source)

    return [kept(source) for source in sources]


def code(wanted: WantedKernel, module: NativeModule) -> bytes:
    return module.object_code


def test_kernels_are_the_same_whoever_compiles_them(
    wanted: list[WantedKernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_compilers, "available_processors", lambda: 2)
    with_another, gone, alone = (KernelCompilers(default_target()) for _ in range(3))
    for compilers in (with_another, gone):
        compilers.expect_kernels()
        assert compilers._translator is not None
    assert gone._translator is not None
    gone._translator._process.kill()
    everyone = (with_another, gone, alone)
    found = [compilers.compiled(wanted, code, lambda: None) for compilers in everyone]
    assert with_another._compiler is None and alone._compiler is not None
    assert found[0] == found[1] == found[2]
    assert with_another._translator is not None
    with_another._translator.close()


def test_one_processor_does_all_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_compilers, "available_processors", lambda: 1)
    compilers = KernelCompilers(default_target())
    compilers.expect_kernels()
    assert compilers._translator is None


def test_what_cannot_be_started_is_not_needed(
    wanted: list[WantedKernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_compilers, "available_processors", lambda: 2)
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    compilers = KernelCompilers(default_target())
    compilers.expect_kernels()
    assert len(compilers.compiled(wanted, code, lambda: None)) == len(wanted)
