"""A residual net on MNIST, or on scikit-learn's small digits, shifted at random while it trains.

python examples/residual_mnist.py --data DIR --png wrong.png

Augmentation is part of the training step: every step reads bytes, and each image is shifted and
lacks a rectangle by numbers of its own. Source of the blocks: He et al., Deep residual learning,
2016.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from lenet import MNIST, load
from matplotlib.figure import Figure

import graphc as gc

BATCH_SIZE, RATE, FILTERS, CLASSES = 128, 4e-3, 16, 10
SHIFT, ERASED = 0.08, (0.01, 0.06)
SHOWN = 12


def convolved(x, filters, size, strides=1):
    """A convolution with batch normalisation, which has the bias."""
    return gc.nn.batch_norm(
        gc.nn.conv2d(x, filters, size, strides, "same", use_bias=False), momentum=0.9
    )


def block(x, filters, strides=1):
    """relu(x + what is left to learn), or of x in the block's shape."""
    rest = convolved(gc.relu(convolved(x, filters, 3, strides)), filters, 3)
    kept = x if x.shape == rest.shape else convolved(x, filters, 1, strides)
    return gc.relu(kept + rest)


def declare(side):
    """The model, and its classes' chances."""
    graph = gc.Graph(seed=0)
    images = graph.input("images", ("batch", side, side), "u8")
    labels = graph.input("labels", ("batch",), "u8")
    shifted = gc.nn.random_translation(gc.expand_dims(images, -1), SHIFT, SHIFT, "constant")
    erased = gc.nn.random_erasing(shifted, 0.5, scale=ERASED)
    hidden = gc.relu(convolved(gc.cast(erased, "f32") * (1 / 255), FILTERS, 3, 2))
    for filters, strides in ((FILTERS, 1), (2 * FILTERS, 2), (4 * FILTERS, 2)):
        hidden = block(hidden, filters, strides)
    logits = gc.nn.dense(gc.nn.global_average_pooling2d(hidden), CLASSES)
    loss = gc.losses.softmax_cross_entropy(logits, labels)
    return gc.Model(
        images, gc.softmax(logits), labels, loss, {"accuracy": gc.metrics.accuracy(logits, labels)}
    )


def draw(images, chances, labels, path):
    """Images of which the model is least sure, with its answer and the right one."""
    figure = Figure(figsize=(SHOWN, 1.6), layout="constrained")
    for axis, n in zip(figure.subplots(1, SHOWN), chances.max(1).argsort(), strict=False):
        axis.imshow(images[n], cmap="gray_r")
        axis.set_title(f"{chances[n].argmax()} for {labels[n]}", fontsize=9)
        axis.axis("off")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=MNIST, help="MNIST's four IDX files")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rows", type=int, default=10_000, help="images to train with")
    parser.add_argument("--png", help="where the images go of which it is least sure")
    options = parser.parse_args()

    train, train_labels, test, test_labels = load(options.data)
    train, train_labels = train[: options.rows], train_labels[: options.rows]
    model = declare(train.shape[1])
    model.compile(gc.optim.AdamW(RATE), batch_size=BATCH_SIZE)
    falling = gc.callbacks.LearningRateSchedule(gc.schedules.cosine(RATE, options.epochs))
    started = time.perf_counter()
    model.fit(train, train_labels, epochs=options.epochs, callbacks=[falling])
    print(f"trained on {len(train):,} images in {time.perf_counter() - started:.1f} s")
    chances = model.predict(test, batch_size=500)
    if options.png:
        draw(test, chances, test_labels, options.png)
        print(f"the images of which it is least sure are drawn in {options.png}")
    print(f"test accuracy: {np.mean(chances.argmax(1) == test_labels):.3f}")


if __name__ == "__main__":
    main()
