"""Kernels that are compiled together: numba's half of one beside LLVM's half of another."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from numba.core.errors import NumbaError

from graphc.compiler.load.kernel_code import WantedKernel
from graphc.compiler.load.native import Native
from graphc.kernels.loops.language.source import KernelSource, kernel_digest
from graphc.kernels.native.llvm import default_target

SOURCE = """
def {name}(args, thread, threads):
    x = buffer(args, 0, 1, f32)
    for i in range({count}):
        x[i] = {value}
    return 0
"""


@pytest.fixture(autouse=True)
def _two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.compiler.load.native.available_processors", lambda: 2)


def _wanted(name: str, count: int = 8, value: str = "exp(x[i])") -> WantedKernel:
    source = KernelSource(name, SOURCE.format(name=name, count=count, value=value), ())
    return WantedKernel(name, kernel_digest(source), lambda: source)


def test_together_they_are_what_they_are_one_by_one() -> None:
    wanted = [_wanted(f"kernel_{count}", count) for count in (8, 9, 8, 10)]
    together = Native(default_target(), None).kernels(wanted)
    alone = Native(default_target(), None)
    objects = [alone.kernels([each])[0].module.object_code for each in wanted]
    assert [each.module.object_code for each in together] == objects
    assert together[0] is together[2]


@pytest.mark.parametrize("value", ["f64(1)", "unknown(x[i])"])
def test_an_error_names_the_first_kernel_that_has_one(value: str) -> None:
    native = Native(default_target(), None)
    wanted = [_wanted("fine"), _wanted("broken", value=value), _wanted("worse", value="f64(2)")]
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
