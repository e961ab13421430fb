"""Softmax regression: a multinoulli distribution over ten digits, linear in the pixels.

python examples/softmax_regression.py --png weights.png

Its gradient by the logits is p - t, the chances less the one-hot label. 1797 digits of 8 x 8
pixels, from scikit-learn.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import graphc as gc

SIDE, CLASSES, TRAINING_ROWS, SEED = 8, 10, 1440, 0

graph = gc.Graph(seed=SEED)
pixels = graph.input("pixels", ("batch", SIDE * SIDE))
labels = graph.input("labels", ("batch",), "i32")
logits = gc.nn.dense(pixels, CLASSES)
loss = gc.losses.softmax_cross_entropy(logits, labels)
accuracy = gc.metrics.accuracy(logits, labels)
model = gc.Model(pixels, gc.softmax(logits), labels, loss, {"accuracy": accuracy})


def load():
    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    return (digits.data[order] / 16).astype("f4"), digits.target[order].astype("i4")


def draw(kernel, path):
    """What each class counts in favour (red) and against (blue)."""
    figure = Figure(figsize=(10, 1.6), layout="constrained")
    limit = np.abs(kernel).max()
    for digit, axis in enumerate(figure.subplots(1, CLASSES)):
        weights = kernel[:, digit].reshape(SIDE, SIDE)
        axis.imshow(weights, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set_title(str(digit))
        axis.axis("off")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--png", help="where the weights go")
    options = parser.parse_args()
    x, t = load()
    # The gradient that graphc derives is the textbook's.
    by_hand = (gc.softmax(logits) - gc.one_hot(labels, CLASSES)) / gc.Dim("batch")
    compared = gc.function([pixels, labels], [gc.grad(loss, logits), by_hand], mode="reference")
    derived, textbook = compared(x[:5], t[:5])
    print(
        f"largest difference of the gradient from (p - t) / n: {abs(derived - textbook).max():.0e}"
    )
    model.compile(gc.optim.Adam(0.01), batch_size=32)
    model.fit(x[:TRAINING_ROWS], t[:TRAINING_ROWS], epochs=options.epochs, verbose=0)
    if options.png:
        draw(model.variables["dense.kernel"], options.png)
    found = model.evaluate(x[TRAINING_ROWS:], t[TRAINING_ROWS:])
    print(f"test accuracy: {found['accuracy']:.3f}")


if __name__ == "__main__":
    main()
