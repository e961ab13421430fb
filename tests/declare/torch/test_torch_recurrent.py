"""Recurrent layers against PyTorch's, twenty steps of training, where the peers are installed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from benchmarks.peer_process import PEERS_PYTHON

SCRIPT = Path(__file__).parent / "torch_recurrent.py"
STEPS, RATE, TOLERANCE = 20, 0.5, 1e-10
BATCH, TIME, FEATURES, UNITS = 3, 7, 4, 5
RNG = np.random.default_rng(6)
LAYERS = {"RNN": gc.nn.SimpleRNN, "LSTM": gc.nn.LSTM, "GRU": gc.nn.GRU}
CASES = [(kind, both) for kind in LAYERS for both in (False, True)]


def case_of(kind: str, bidirectional: bool) -> dict[str, Any]:
    outputs = UNITS * (2 if bidirectional else 1)
    return {
        "kind": kind, "bidirectional": bidirectional, "features": FEATURES, "units": UNITS,
        "steps": STEPS, "rate": RATE,
        "x": RNG.standard_normal((BATCH, TIME, FEATURES)).tolist(),
        "target": RNG.standard_normal((BATCH, TIME, outputs)).tolist(),
    }  # fmt: skip


GIVEN = [case_of(*case) for case in CASES]


@pytest.fixture(scope="module")
def of_torch() -> list[Any]:
    if not PEERS_PYTHON.exists():
        pytest.skip("no peers are installed: make peers")
    run = subprocess.run(
        [PEERS_PYTHON, SCRIPT], input=json.dumps(GIVEN), capture_output=True, text=True, check=True
    )
    found: list[Any] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{k}-{b}" for k, b in CASES])
def test_twenty_steps_of_training(of_torch: list[Any], number: int) -> None:
    case, expected = GIVEN[number], of_torch[number]
    graph = gc.Graph()
    x = graph.input("x", (BATCH, TIME, FEATURES), "f64")
    target = graph.input("target", np.shape(case["target"]), "f64")
    layer = LAYERS[case["kind"]](UNITS, return_sequences=True)
    result = gc.nn.Bidirectional(layer) if case["bidirectional"] else layer
    loss = gc.mean(gc.square(result(x) - target))
    step = gc.function([x, target], loss, gc.optim.SGD(RATE).updates(loss))
    graph.variables.update(gc.nn.weights_from_torch(result, expected["before"]))
    losses = [step(case["x"], case["target"]) for _ in range(STEPS)]
    np.testing.assert_allclose(losses, expected["losses"], rtol=TOLERANCE, atol=TOLERANCE)
    after = gc.nn.weights_from_torch(result, expected["after"])
    for name, value in after.items():
        np.testing.assert_allclose(
            graph.variables[name], value, rtol=0, atol=TOLERANCE, err_msg=name
        )
