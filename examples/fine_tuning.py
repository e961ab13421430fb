"""Fine tuning: a net that knows ten digits learns even from odd by thirty images.

python examples/fine_tuning.py

The features of the first task stay frozen while a new head trains; then all trains at a smaller
rate. Beside it, the same net from scratch. Digits of 8 x 8 pixels, from scikit-learn.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import graphc as gc

PIXELS, FIRST_ROWS, SHOTS, SEED = 64, 1000, 3, 0


def declare(classes):
    """A backbone of two layers and a head, compiled."""
    graph = gc.Graph(seed=SEED)
    x = graph.input("x", ("batch", PIXELS))
    labels = graph.input("labels", ("batch",), "i32")
    h = gc.nn.dense(x, 64, "relu", name="backbone1")
    h = gc.nn.dense(h, 64, "relu", name="backbone2")
    logits = gc.nn.dense(h, classes, name="head")
    loss = gc.losses.softmax_cross_entropy(logits, labels)
    model = gc.Model(x, logits, labels, loss, {"accuracy": gc.metrics.accuracy(logits, labels)})
    model.compile(gc.optim.Adam(2e-3), batch_size=30)
    return model


def load():
    """Rows of the first task, a few of the second, and rows to test it: images and labels."""
    digits = load_digits()
    images, labels = (digits.data / 16).astype("f4"), digits.target.astype("i4")
    order = np.random.default_rng(SEED).permutation(len(labels))
    images, labels = images[order], labels[order]
    few = np.concatenate([np.flatnonzero(labels == digit)[:SHOTS] for digit in range(10)])
    first, rest = slice(FIRST_ROWS), slice(FIRST_ROWS, None)
    return (
        (images[first], labels[first]),
        (images[few], labels[few] % 2),
        (images[rest], labels[rest] % 2),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args()
    first, few, test = load()
    teacher, tuned, scratch = declare(10), declare(2), declare(2)
    teacher.fit(*first, epochs=options.epochs, verbose=0)

    for parameter in tuned.parameters:
        if parameter.name.startswith("backbone"):
            tuned.variables[parameter.name] = teacher.variables[parameter.name]
    tuned.freeze("backbone*")
    tuned.fit(*few, epochs=2 * options.epochs, verbose=0)
    name = "backbone2.kernel"
    assert np.array_equal(tuned.variables[name], teacher.variables[name])
    frozen = tuned.evaluate(*test)["accuracy"]
    tuned.unfreeze("backbone*")
    tuned.learning_rate = 2e-4
    tuned.fit(*few, epochs=2 * options.epochs, verbose=0)
    scratch.fit(*few, epochs=4 * options.epochs, verbose=0)

    print(f"from scratch, {SHOTS} images a digit: {scratch.evaluate(*test)['accuracy']:.3f}")
    print(f"frozen features: {frozen:.3f}")
    print(f"test accuracy: {tuned.evaluate(*test)['accuracy']:.3f}")


if __name__ == "__main__":
    main()
