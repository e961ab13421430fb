"""What the tests of the frontend share."""

import pytest


@pytest.fixture(params=["reference", "compiled"])
def mode(request):
    """How functions are run."""
    return request.param
