"""Random convolutions and poolings: as torch has them, and the same compiled.

`python -m benchmarks.windows` compares hundreds.
"""

from __future__ import annotations

import random
import subprocess
from dataclasses import replace

import pytest

from benchmarks.peer_process import PEERS_PYTHON
from benchmarks.windows import (
    KINDS,
    built,
    compared,
    differences,
    drawn_problem,
    drawn_programs,
    graphc_answers,
    torch_answers,
)

SEED = 12
AGAINST_TORCH, COMPILED = 24, 5


def _has_torch() -> bool:
    if not PEERS_PYTHON.exists():
        return False
    found = [str(PEERS_PYTHON), "-c", "import importlib.util as u; assert u.find_spec('torch')"]
    return subprocess.run(found, check=False, capture_output=True).returncode == 0


needs_torch = pytest.mark.skipif(
    not _has_torch(), reason=f"no torch for {PEERS_PYTHON}; `make peers` installs it"
)


@needs_torch
def test_values_and_derivatives_are_torchs() -> None:
    rng = random.Random(SEED)
    problems = [drawn_problem(rng) for _ in range(AGAINST_TORCH)]
    assert {problem.kind for problem in problems} == set(KINDS)
    inputs, values, results = built(problems, SEED)
    found = graphc_answers(inputs, values, results, "reference")
    (wanted,) = torch_answers([problems], [values])
    assert differences(problems, found, wanted) == []


def test_compiled_is_reference() -> None:
    rng = random.Random(SEED)
    problems = [drawn_problem(rng) for _ in range(COMPILED)]
    assert compared(problems, SEED, ("fused", "unfused"), None) == []


def test_each_problem_is_compared_once() -> None:
    programs = drawn_programs(COMPILED * 4, SEED)
    rng = random.Random(SEED)
    drawn = [drawn_problem(rng) for _ in range(COMPILED * 4)]
    assert [problem for program in programs for problem in program] == drawn


def test_a_difference_is_seen() -> None:
    rng = random.Random(SEED)
    problem = replace(drawn_problem(rng), kind="max_pool", dtype="f64", batch=1)
    inputs, values, results = built([problem], SEED)
    found = graphc_answers(inputs, values, results, "reference")
    moved = {name: value * (1 + 1e-12) for name, value in found.items()}
    assert differences([problem], moved, found)
