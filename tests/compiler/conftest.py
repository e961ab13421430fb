"""What the tests of the compiler share."""

import pytest

from graphc.kernels.products.tilings import tasks
from tests.compiler.execution import Machine


@pytest.fixture(scope="session")
def machine() -> Machine:
    return Machine()


@pytest.fixture
def tasks_of_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads share small products too, tile by tile, and pack what few rows read."""
    monkeypatch.setattr(tasks, "SMALLEST_TASK", 1)
    monkeypatch.setattr(tasks, "SMALLEST_PACKED_ROWS", 1)
