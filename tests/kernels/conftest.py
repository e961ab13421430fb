"""The executor and thread pools of the tests of a module."""

from __future__ import annotations

import pytest

from graphc.kernels.run.executor import Executor, compile_executor
from graphc.kernels.run.pool import ThreadPool


@pytest.fixture(scope="module")
def executor() -> Executor:
    return compile_executor()


@pytest.fixture(scope="module", params=[2, 3, 4])
def pool(request: pytest.FixtureRequest, executor: Executor) -> ThreadPool:
    return ThreadPool(executor, request.param)
