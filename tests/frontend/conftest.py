"""What the tests of the frontend share."""

import pytest


@pytest.fixture(params=["reference"])
def mode(request):
    """How functions are run."""
    return request.param
