"""Handwritten digits, 8 x 8 pixels: declare a network, compile it, train it, look at the result.

    python examples/digits.py
    graphc inspect examples/digits.py --stage source

The data come with scikit-learn: 1797 digits written by 43 people.
"""

import argparse
import time

import numpy as np
from rich.console import Console
from sklearn.datasets import load_digits

import graphc as gc
from graphc.inspect.report import confusion_table

PIXELS, CLASSES = 64, 10
BATCH_SIZE = 16
# A multiple of the batch size, so that one compiled step serves the whole epoch.
TRAINING_ROWS = 1440
EPOCHS = 25
SEED = 0

# --- declare: nothing is computed here, the graph is only written down ---

graph = gc.Graph(SEED)
images = graph.input("images", ("batch", PIXELS))
labels = graph.input("labels", ("batch",), "i32")

hidden = gc.nn.dense(images, 128, activation=gc.relu)
logits = gc.nn.dense(hidden, CLASSES)
loss = gc.losses.softmax_cross_entropy(logits, labels)
accuracy = gc.metrics.accuracy(logits, labels)

# --- compile: forward, backward and update become one program of fused kernels ---

model = gc.Model(images, gc.softmax(logits), labels, loss, {"accuracy": accuracy})
started = time.perf_counter()
model.compile(gc.optim.Adam(2e-3), batch_size=BATCH_SIZE)
compile_seconds = time.perf_counter() - started


def load():
    """Shuffled images scaled to [0, 1], f32 [1797, 64], and labels, i32 [1797]."""
    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    return (digits.data[order] / 16).astype("f4"), digits.target[order].astype("i4")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    epochs = parser.parse_args().epochs
    console = Console(highlight=False)

    # Whole training steps on random data, fused and with one kernel an op, in turns; each repeated
    # in the native loop of the executor, so that neither pays for calls from Python. Both use the
    # same matrix products and the same arithmetic. The weights are put back afterwards.
    measured = model.profile()
    fused, unfused = measured.fused, measured.unfused
    console.print(
        f"compiled in {compile_seconds:.1f} s: {fused.ops} ops into {len(fused.kernels)} fused "
        f"kernels with an arena of {fused.arena_bytes:,} bytes\n"
        f"unfused they are {len(unfused.kernels)} kernels with {unfused.arena_bytes:,} bytes"
    )
    model.summary(console)

    x, t = load()
    started = time.perf_counter()
    model.fit(x[:TRAINING_ROWS], t[:TRAINING_ROWS], epochs=epochs, seed=SEED)
    console.print(f"trained {epochs} epochs in {time.perf_counter() - started:.2f} s")

    x_test, t_test = x[TRAINING_ROWS:], t[TRAINING_ROWS:]
    predicted = model.predict_classes(x_test, batch_size=len(x_test))
    console.print(confusion_table(gc.metrics.confusion_matrix(t_test, predicted, CLASSES)))
    console.print(f"test accuracy: {np.mean(predicted == t_test):.3f}")
    if measured.busy_text is not None:
        console.print(measured.busy_text)
    console.print(f"fused over unfused: {measured.ratio:.1f}x")


if __name__ == "__main__":
    main()
