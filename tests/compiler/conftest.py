"""What the tests of the compiler share."""

import pytest

from tests.compiler.execution import Machine


@pytest.fixture(scope="session")
def machine() -> Machine:
    return Machine()
