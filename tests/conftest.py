"""Golden files: texts under tests/golden/, each named after the test that compares with it; and the
disk cache of a run."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graphc.ir.nodes.operators.operators import Operators
from tests.browser import browser, open_page

# One browser a worker: a second one in the same process would not start.
__all__ = ["browser", "open_page"]

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"

# Tests run side by side: those of threads, and of the process that translates, ask for them.
os.environ.setdefault("GRAPHC_THREADS", "1")
os.environ.setdefault("GRAPHC_TRANSLATOR", "off")


# The files that find most faults of the compiler, and find them soonest.
FIRST = (
    "test_updates.py",
    "test_traced.py",
    "test_traced_loops.py",
    "test_traced_programs.py",
    "test_traced_windows.py",
    "test_thread_orders.py",
    "test_sharing.py",
    "test_random_graphs.py",
)


# Where the cases of tests take most of the time. Of a test with many cases each fourth is in
# `make test`, and `make test-long` has the others; those that compile nothing are all in it.
LONGEST = (
    "compiler/fusion/test_prologues.py",
    "compiler/fusion/test_views_with_offsets.py",
    "compiler/loops/test_guarded_loops.py",
    "compiler/loops/test_long_sums.py",
    "compiler/loops/test_stages.py",
    "compiler/texts/test_machine_code.py",
    "compiler/threads/test_threads.py",
    "compiler/values/test_ops.py",
    "compiler/values/test_zeros.py",
    "declare/losses/test_infinities.py",
    "declare/nn/test_values.py",
    "declare/torch/test_torch_recurrent.py",
    "kernels/mathematics/test_vecmath.py",
    "kernels/products/test_left_copies.py",
    "kernels/products/test_tile_source.py",
    "kernels/run/test_pool_workers.py",
    "sklearn/test_checks.py",
    "train/data/test_weights.py",
    "train/test_load_model.py",
    "train/test_set_metrics.py",
)
MANY_CASES = 6
KEPT_OF = 4


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those files come first, the others as they were collected; some cases are for long runs."""
    order = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(FIRST)))
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        file = item.path.relative_to(TESTS).as_posix()
        if file in LONGEST and not _compiles_nothing(item):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for each in cases.values():
        if len(each) >= MANY_CASES:
            for number, item in enumerate(each):
                if number % KEPT_OF:
                    item.add_marker("long")


def _compiles_nothing(item: pytest.Item) -> bool:
    """Whether functions are run in reference mode, or an error is expected, as the case says."""
    case = getattr(item, "callspec", None)
    if case is None:
        return False
    errors = (x for x in case.params.values() if isinstance(x, type) and issubclass(x, Exception))
    return case.params.get("mode") == "reference" or any(errors)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


@pytest.fixture(scope="session", autouse=True)
def kernels_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kernels are kept for this run alone, whose workers share them."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    os.environ["GRAPHC_CACHE_DIR"] = str(folder / "kernels")


@pytest.fixture(scope="session", autouse=True)
def package_compares_no_nodes() -> Iterator[None]:
    """`==` makes a node, so graphc itself asks with `is`: a comparison of nodes from its code fails
    whichever test runs into it. `x in a_list`, `a_tuple == another` and the like compare too."""

    def watched(compare: Callable[[object, object], object]) -> Callable[[object, object], object]:
        def call(self: object, other: object) -> object:
            caller = sys._getframe(1).f_globals.get("__name__", "")
            assert caller.partition(".")[0] != "graphc", f"{caller} compares nodes"
            return compare(self, other)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("__eq__", "__ne__"):
            patch.setattr(Operators, name, watched(getattr(Operators, name)))
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Compares a text with the golden file of the test: its module's and its own name."""
    module = Path(request.node.path).stem.removeprefix("test_")
    name = re.sub(r"[^\w.]+", "-", request.node.name.removeprefix("test_")).strip("-")
    path = GOLDEN / f"{module}.{name}.txt"

    def compare(text: str) -> None:
        if request.config.getoption("--update-golden"):
            GOLDEN.mkdir(exist_ok=True)
            path.write_text(text)
            return
        assert path.exists(), f"{path.name} is missing; run pytest --update-golden"
        assert text == path.read_text()

    return compare


@pytest.fixture(params=["reference", "compiled"])
def mode(request):
    """How functions are run."""
    return request.param


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own handler of Ctrl-C, which a process started in the background does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
