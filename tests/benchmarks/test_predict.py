"""The benchmark of one predicted image: graphc alone, and the scores that peers have."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import graphc as gc
from benchmarks.peer_process import (
    PEERS_PYTHON,
    PREDICTING_PEERS,
    PeerError,
    PeerMissingError,
    PeerProcess,
)
from benchmarks.predict import TOLERANCE, check_agreement, main
from benchmarks.workloads.image_workloads import lenet_prediction


def test_without_peers_graphc_stands_alone(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    options = ["--threads", "1", "--rounds", "1", "--peers-python", str(tmp_path / "python")]
    result = CliRunner().invoke(main, [*options, "--json", str(file)])
    assert result.exit_code == 0, result.output
    rows = json.loads(file.read_text())["rows"]
    assert [row["system"] for row in rows] == ["graphc", "graphc, native loop"]
    assert all(row["microseconds"] > 0 for row in rows)
    assert result.output.count("missing: ") == len(PREDICTING_PEERS)
    assert "`make peers` builds it" in result.output


@pytest.mark.parametrize("threads", ["", "0", "1,two"])
def test_what_is_no_count_of_threads_is_refused(threads: str) -> None:
    assert CliRunner().invoke(main, ["--threads", threads]).exit_code == 2


def test_other_scores_stop_the_benchmark() -> None:
    scores = np.array([[0.5, -0.25]])
    check_agreement(scores, {"torch": scores + TOLERANCE / 2})
    for other in (scores + 2 * TOLERANCE, scores * np.nan, scores[:, :1]):
        with pytest.raises(click.ClickException, match="torch"):
            check_agreement(scores, {"torch": other})


def test_a_training_step_predicts_nothing() -> None:
    _, _, problem = lenet_prediction()
    kernel, bias = problem.parameters[-2:]
    x, t = np.ones((2, len(kernel)), np.float32), np.zeros(2, np.int32)
    training = type(problem)("classifier", (x, t), (kernel, bias), "sgd", 0.1)
    with PeerProcess("numpy", sys.executable) as peer:
        peer.prepare(training)
        with pytest.raises(PeerError, match="a training step predicts nothing"):
            peer.outputs()


@pytest.mark.slow
# torch.compile takes half a minute; the benchmark compares its scores, too.
@pytest.mark.parametrize("system", sorted({*PREDICTING_PEERS} - {"torch-compile-predict"}))
def test_a_peer_predicts_as_the_reference_does(system: str) -> None:
    images, scores, problem = lenet_prediction()
    expected = gc.function(images, scores, mode="reference")(problem.arrays[0])
    try:
        peer = PeerProcess(system, PEERS_PYTHON, threads=1)
    except PeerMissingError as missing:
        pytest.skip(str(missing))
    with peer:
        peer.prepare(problem)
        check_agreement(expected, {system: peer.outputs()})
        with pytest.raises(PeerError, match="a prediction has no loss"):
            peer.loss_after(1)
        assert peer.seconds_each(2) > 0
