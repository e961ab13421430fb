"""The networks of the textbook run as a user runs them, for fewer steps; one file a run.

What they reach in full is on the page of examples; here each shows that it learns something.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.test_examples import PNG_SIGNATURE, run

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

EXAMPLES = Path(__file__).parents[2] / "examples"
MOST_LINES = 100

# example: whether it draws, arguments, and for each figure that it prints: its name, and bounds
CASES: dict[str, tuple[bool, str, dict[str, tuple[float, float]]]] = {
    "softmax_regression": (True, "--epochs 10", {"test accuracy": (0.85, 1)}),
    "logistic_regression": (True, "--epochs 5", {"AUC": (0.97, 1), "F1": (0.9, 1)}),
    "vanishing_gradient": (
        True, "", {"first over last, sigmoid": (0, 1e-6), "first over last, ReLU": (0.1, 100)}
    ),
    "fvbn": (True, "--epochs 3", {"test negative log likelihood": (10, 40)}),
    "fine_tuning": (False, "", {"test accuracy": (0.9, 1)}),
    "ppo": (False, "--rounds 30", {"last fifty poles stood for": (300, 500)}),
    "dqn": (False, "--steps 1000", {"first fifty poles stood for": (10, 60)}),
    "vae": (True, "--epochs 5", {"bound": (20, 36)}),
}  # fmt: skip
# Those whose kernels take more than some seconds to compile.
SLOW = {"dqn", "fine_tuning", "fvbn", "ppo", "vae"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in CASES]
)
def test_networks(name: str, tmp_path: Path) -> None:
    draws, arguments, figures = CASES[name]
    png = tmp_path / "drawn.png"
    text = run(f"{name}.py", *arguments.split(), *(["--png", str(png)] if draws else []))
    for figure, (least, greatest) in figures.items():
        found = re.search(rf"^{re.escape(figure)}:? ([-\d.e+]+)", text, re.M)
        assert found, text
        assert least <= float(found[1]) <= greatest, text
    if draws:
        assert png.read_bytes().startswith(PNG_SIGNATURE)


@pytest.mark.parametrize("name", [*CASES])
def test_no_example_is_longer_than_a_page(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= MOST_LINES
