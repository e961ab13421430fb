"""What the tests of the frontend share."""

import signal
from collections.abc import Iterator

import pytest


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
