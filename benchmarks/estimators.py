"""graphc's MLPClassifier beside scikit-learn's: time a step, and accuracy over several seeds.

python -m benchmarks.estimators [--json PATH]

Digits, 64-64-10, batches of 32, Adam, in one process. Fits of both take turns, and what a fit
takes is divided by its steps; the network is compiled before. Both compute in f64, the dtype of the
data, and graphc's in f32 besides; scikit-learn's BLAS has one thread, which is quickest there.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as PeerClassifier

from benchmarks.measure import print_table, write_json
from graphc.sklearn import MLPClassifier

HIDDEN, BATCH = (64,), 32
# Values of pixels are 0 to 16.
BRIGHTEST = 16
SEEDS, TIMED_EPOCHS, EPOCHS = 5, 30, 60
TEST_SHARE = 0.2


def classifiers(seed: int, epochs: int) -> dict[str, Any]:
    """What is compared, by name."""
    shared: dict[str, Any] = {
        "hidden_layer_sizes": HIDDEN,
        "batch_size": BATCH,
        "max_iter": epochs,
        "random_state": seed,
        # All epochs are made.
        "tol": 0.0,
        "n_iter_no_change": epochs,
    }
    return {
        "scikit-learn": PeerClassifier(**shared),
        "graphc, f64": MLPClassifier(**shared),
        "graphc, f32": MLPClassifier(**shared, dtype="f32"),
        "graphc, f64, 1 thread": MLPClassifier(**shared, threads=1),
        "graphc, f32, 1 thread": MLPClassifier(**shared, dtype="f32", threads=1),
    }


def measure(rounds: int, seeds: int) -> dict[str, dict[str, Any]]:
    """Of each classifier the microseconds a step in each round, and the accuracy for each seed."""
    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x / BRIGHTEST, y, test_size=TEST_SHARE, random_state=0, stratify=y)
    train_x, test_x, train_y, test_y = parts
    steps = TIMED_EPOCHS * -(-len(train_x) // BATCH)
    timed = classifiers(0, TIMED_EPOCHS)
    for classifier in timed.values():
        classifier.fit(train_x, train_y)
    result: dict[str, dict[str, Any]] = {name: {"us": [], "accuracy": []} for name in timed}
    for _ in range(rounds):
        for name, classifier in timed.items():
            start = time.perf_counter()
            classifier.fit(train_x, train_y)
            result[name]["us"].append((time.perf_counter() - start) / steps * 1e6)
    for seed in range(seeds):
        for name, classifier in classifiers(seed, EPOCHS).items():
            if classifier.get_params().get("threads") == 1:
                continue  # the same bits
            accuracy = classifier.fit(train_x, train_y).score(test_x, test_y)
            result[name]["accuracy"].append(float(accuracy))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    result = measure(arguments.rounds, arguments.seeds)
    peer = statistics.median(result["scikit-learn"]["us"])
    rows = []
    for name, found in result.items():
        step = statistics.median(found["us"])
        accuracy = f"{np.mean(found['accuracy']):.4f}" if found["accuracy"] else ""
        rows.append((name, f"{step:.1f}", f"{peer / step:.1f}", accuracy))
    columns = ("MLPClassifier", "us a step", "times as fast", "accuracy")
    print_table("Digits, 64-64-10, batch 32, Adam", columns, rows)
    write_json(arguments.json, {"benchmark": "estimators", "classifiers": result})


if __name__ == "__main__":
    main()
