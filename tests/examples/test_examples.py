"""The examples run as a user runs them, for fewer epochs."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
MNIST = Path(os.environ.get("GRAPHC_MNIST", ROOT.parent / "shared" / "data" / "mnist"))
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

needs_mnist = pytest.mark.skipif(
    not MNIST.is_dir(), reason=f"no MNIST files in {MNIST}; GRAPHC_MNIST names their folder"
)


def run(example, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / example), *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def accuracy_in(text):
    return float(re.search(r"^test accuracy: (\d\.\d{3})$", text, re.M)[1])


def test_xor():
    assert run("xor.py") == "[0. 1. 1. 0.]\n"


def test_digits():
    """All epochs: they take a fraction of a second, compiling takes the rest."""
    pytest.importorskip("sklearn")
    text = run("digits.py")
    # Where the machine has other work a line in between says so.
    *_, last = text.splitlines()
    assert re.fullmatch(r"fused over unfused: \d+\.\dx", last)
    assert accuracy_in(text) >= 0.97
    for part in (r"compiled in [\d.]+ s: \d+ ops", r"\d+ fused", r"arena of [\d,]+ bytes"):
        assert re.search(part, text)


@needs_mnist
def test_mnist(tmp_path):
    pytest.importorskip("matplotlib")
    png = tmp_path / "confused.png"
    text = run("mnist.py", "--data", str(MNIST), "--epochs", "2", "--png", str(png))
    assert accuracy_in(text) > 0.85
    assert png.read_bytes().startswith(PNG_SIGNATURE)


@needs_mnist
@pytest.mark.slow
def test_lenet(tmp_path):
    pytest.importorskip("matplotlib")
    png = tmp_path / "features.png"
    assert accuracy_in(run("lenet.py", "--data", str(MNIST), "--png", str(png))) >= 0.98
    assert png.read_bytes().startswith(PNG_SIGNATURE)


def test_lenet_without_mnist(tmp_path, monkeypatch):
    """The small digits, and a net for their size."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(ROOT / "examples")
    lenet = importlib.import_module("lenet")
    images, labels, test, test_labels = lenet.load(tmp_path / "none")
    assert len(images) == len(labels) > len(test) == len(test_labels)
    assert images.dtype == np.uint8 and images.max() == 255
    _, features = lenet.declare(images.shape[1])
    assert [node.shape[1:] for _, node in features.program.outputs] == [(8, 8, 8), (2, 2, 32)]


@needs_mnist
@pytest.mark.slow
@pytest.mark.parametrize(("options", "wanted"), [([], 0.94), (["--wide"], 0.97)])
def test_mnist_in_full(tmp_path, options, wanted):
    pytest.importorskip("matplotlib")
    png = str(tmp_path / "confused.png")
    assert accuracy_in(run("mnist.py", "--data", str(MNIST), "--png", png, *options)) >= wanted


def test_mnist_says_what_is_missing(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run("mnist.py", "--data", str(tmp_path))
    assert failed.value.returncode == 2
    assert "train-images-idx3-ubyte" in failed.value.stderr.splitlines()[-1]
