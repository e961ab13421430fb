"""MNIST from its IDX files: a small net with plain SGD, or a wide one that sees shifted images.

python examples/mnist.py --data DIR
python examples/mnist.py --data DIR --wide --png confused.png
"""

import argparse
import time

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

import graphc as gc
from graphc.inspect.report import confusion_table

SIDE, CLASSES = 28, 10
BATCH_SIZE, SMALL_EPOCHS, WIDE_EPOCHS, WIDE_RATE = 100, 20, 4, 2e-3
# Rows and columns of images in the picture of the worst mistakes.
PICTURE_ROWS, PICTURE_COLUMNS = 4, 8


def declare(hidden):
    """A net with one hidden layer of `hidden` units, not yet compiled."""
    graph = gc.Graph(seed=0)
    images = graph.input("images", ("batch", SIDE, SIDE), "u8")
    labels = graph.input("labels", ("batch",), "u8")
    pixels = gc.cast(gc.reshape(images, ("batch", SIDE * SIDE)), "f32") * (1 / 255)
    logits = gc.nn.dense(gc.nn.dense(pixels, hidden, gc.relu), CLASSES)
    loss = gc.losses.softmax_cross_entropy(logits, labels)
    metrics = {"accuracy": gc.metrics.accuracy(logits, labels)}
    return gc.Model(images, gc.softmax(logits), labels, loss, metrics)


# What `graphc inspect` and `graphc profile` look at.
model = declare(hidden=50)
model.compile(gc.optim.SGD(0.1), batch_size=BATCH_SIZE)


def train_wide(data, epochs):
    """784-256-10, Adam with a rate that falls along a cosine; the images, and after them the same
    shifted by a pixel down, up, right and left."""
    wide, given = declare(hidden=256), data.train_images
    wide.compile(gc.optim.Adam(WIDE_RATE), batch_size=BATCH_SIZE)
    shifted = [np.roll(given, by, axis) for axis in (1, 2) for by in (1, -1)]
    images, labels = np.concatenate([given, *shifted]), np.tile(data.train_labels, 5)
    falling = gc.callbacks.LearningRateSchedule(gc.schedules.cosine(WIDE_RATE, epochs))
    wide.fit(images, labels, epochs=epochs, callbacks=[falling])
    return wide


def draw_worst(images, labels, probabilities, path):
    """Draws the images that are taken for another digit with most confidence."""
    predicted = probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-probabilities[wrong].max(1))][: PICTURE_ROWS * PICTURE_COLUMNS]
    figure = Figure(figsize=(1.3 * PICTURE_COLUMNS, 1.6 * PICTURE_ROWS), layout="constrained")
    axes = figure.subplots(PICTURE_ROWS, PICTURE_COLUMNS).ravel()
    for axis, row in zip(axes, worst, strict=False):
        axis.axis("off")
        axis.imshow(images[row], cmap="gray_r")
        percent = 100 * probabilities[row].max()
        axis.set_title(f"{labels[row]} as {predicted[row]}, {percent:.0f} %", fontsize=9)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="the folder of MNIST's four IDX files")
    parser.add_argument("--wide", action="store_true", help="256 hidden units, Adam, shifts")
    parser.add_argument("--epochs", type=int, help=f"{SMALL_EPOCHS}, wide {WIDE_EPOCHS}")
    parser.add_argument("--png", default="confused.png", help="where the worst mistakes go")
    options = parser.parse_args()
    console = Console(highlight=False)

    try:
        data = gc.data.load_mnist(options.data)
    except (OSError, gc.DataError) as error:
        parser.error(str(error))
    console.print(f"{len(data.train_images):,} images to train, {len(data.test_images):,} to test")
    started = time.perf_counter()
    if options.wide:
        trained = train_wide(data, options.epochs or WIDE_EPOCHS)
    else:
        trained = model
        model.fit(data.train_images, data.train_labels, epochs=options.epochs or SMALL_EPOCHS)
    seconds = time.perf_counter() - started

    labels = data.test_labels
    probabilities = trained.predict(data.test_images, batch_size=1000)
    predicted = probabilities.argmax(1)
    console.print(confusion_table(gc.metrics.confusion_matrix(labels, predicted, CLASSES)))
    draw_worst(data.test_images, labels, probabilities, options.png)
    console.print(f"the worst mistakes are drawn in {options.png}")
    console.print(f"trained in {seconds:.1f} s")
    console.print(f"test accuracy: {np.mean(predicted == labels):.3f}")


if __name__ == "__main__":
    main()
