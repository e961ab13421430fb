"""The networks of the textbook run as a user runs them, for fewer steps; one file a run.

What they reach in full is on the page of examples; here each shows that it learns something.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.test_examples import MNIST, PNG_SIGNATURE, needs_mnist, run

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
    "dqn": (
        False, "",
        {"first fifty poles stood for": (10, 60), "in the end 50 poles stand for": (475, 500)},
    ),
    "gan": (True, "--steps 200", {"points within four deviations of a mode": (0, 1)}),
    "pinn": (True, "--adam 50 --lbfgs 50", {"relative error": (0, 1)}),
    "mixture_density": (True, "--epochs 20", {"mixture": (-1.5, 0.5)}),
    "autoencoder": (True, "--epochs 20", {"test mean squared error": (0.01, 0.04)}),
    "text_classifier": (False, "--epochs 4", {"test accuracy, attention to pairs": (0.9, 1)}),
    "linear_regression": (False, "--features 10", {}),
    "gpt": (False, "--epochs 1 --length 80", {"bits a character": (2.5, 4.2)}),
    "char_lstm": (False, "--epochs 1 --length 80", {"bits a character": (2, 4.2)}),
    "neural_ode": (
        True, "--epochs 10", {"error after 1 seconds": (0, 0.3), "error after 5 seconds": (0, 1.5)}
    ),
    "sort": (False, "--steps 300", {"digits in their place": (0.5, 1)}),
    "vae": (True, "--epochs 5", {"bound": (20, 36)}),
    "forecast": (True, "--epochs 3", {"error 1 ahead": (0, 0.5), "error 14 ahead": (0, 1)}),
    "waveforms": (True, "--epochs 4 --rows 1024", {"test accuracy": (0.5, 1)}),
}  # fmt: skip
# Those whose kernels are compiled in a few seconds; the others run in `make test-long`.
QUICK = {"linear_regression", "logistic_regression", "softmax_regression", "vanishing_gradient"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.long) for n in CASES]
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


@needs_mnist
@pytest.mark.long
def test_the_textbook_net_on_mnist() -> None:
    text = run("mnist_textbook.py", "--data", str(MNIST))
    assert float(text.split()[-1]) >= 0.97


@needs_mnist
@pytest.mark.long
def test_a_siamese_net_tells_digits_that_it_never_saw(tmp_path: Path) -> None:
    png = tmp_path / "codes.png"
    text = run("siamese.py", "--data", str(MNIST), "--epochs", "2", "--png", str(png))
    of_digits, of_pixels, of_images, _ = map(float, re.findall(r": ([\d.]+)$", text, re.M))
    assert of_digits > of_pixels + 0.1 and of_images > 0.98, text
    assert png.read_bytes().startswith(PNG_SIGNATURE)


@needs_mnist
@pytest.mark.long
def test_a_residual_net_on_mnist(tmp_path: Path) -> None:
    png = tmp_path / "least_sure.png"
    arguments = ("--data", str(MNIST), "--epochs", "2", "--rows", "4000", "--png", str(png))
    assert float(run("residual_mnist.py", *arguments).split()[-1]) >= 0.8
    assert png.read_bytes().startswith(PNG_SIGNATURE)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_no_example_is_longer_than_a_page(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES
