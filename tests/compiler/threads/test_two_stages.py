"""Kernels that are compiled together: numba's half of one beside LLVM's half of another."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from numba.core.errors import NumbaError

from graphc.compiler.load.kernel_code import WantedKernel
from graphc.compiler.load.native import Native
from graphc.kernels.loops.language.expressions import (
    Element,
    Expression,
    Name,
    applied,
    expression_text,
)
from graphc.kernels.loops.language.source import kernel_digest
from graphc.kernels.native.llvm import default_target
from tests.small_kernels import kernel_of_each

ELEMENT = Element(Name("x"), Name("i"))
EXPONENTIAL = applied("exp", ELEMENT)
# Of another dtype than the buffer.
ONE, TWO = (applied("f64", value) for value in (1, 2))


@pytest.fixture(autouse=True)
def _two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.compiler.load.kernel_compilers.available_processors", lambda: 2)


def _wanted(name: str, count: int = 8, value: Expression = EXPONENTIAL) -> WantedKernel:
    source = kernel_of_each(name, count, value)
    return WantedKernel(name, kernel_digest(source), lambda: source)


def test_together_they_are_what_they_are_one_by_one() -> None:
    wanted = [_wanted(f"kernel_{count}", count) for count in (8, 9, 8, 10)]
    together = Native(default_target(), None).kernels(wanted)
    alone = Native(default_target(), None)
    objects = [alone.kernels([each])[0].module.object_code for each in wanted]
    assert [each.module.object_code for each in together] == objects
    assert together[0] is together[2]


@pytest.mark.parametrize("value", [ONE, applied("unknown", ELEMENT)], ids=expression_text)
def test_an_error_names_the_first_kernel_that_has_one(value: Expression) -> None:
    native = Native(default_target(), None)
    wanted = [_wanted("fine"), _wanted("broken", value=value), _wanted("worse", value=TWO)]
    with pytest.raises(NumbaError) as raised:
        native.kernels(wanted)
    assert raised.value.__notes__ == ["while compiling kernel broken of <graphc broken>"]
    assert native.kernels(wanted[:1])[0].address


def test_two_threads_compile_at_once() -> None:
    counts = ((8, 9, 10), (10, 11, 9))
    native = Native(default_target(), None)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(
            native.kernels,
            [[_wanted(f"kernel_{count}", count) for count in each] for each in counts],
        )
    assert (one[2], one[1]) == (other[0], other[2])
    assert len({each.address for each in one + other}) == 4
