"""The textbook's net on MNIST, 784-100-10, of shifted images: its confusion matrix, and the fours
that it takes for nines.

python examples/mnist_textbook.py --data DIR --png fours.png
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

import graphc as gc
from graphc.inspect.report import confusion_table

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"
PIXELS, HIDDEN, CLASSES, BATCH_SIZE, SEED = 784, 100, 10, 100, 0
RATE = 3e-3
TAKEN, FOR, PICTURES = 4, 9, 12

graph = gc.Graph(seed=SEED)
images = graph.input("images", ("batch", 28, 28), "u8")
labels = graph.input("labels", ("batch",), "u8")
pixels = gc.cast(gc.reshape(images, ("batch", PIXELS)), "f32") * (1 / 255)
logits = gc.nn.dense(gc.nn.dense(pixels, HIDDEN, "sigmoid"), CLASSES)
loss = gc.losses.softmax_cross_entropy(logits, labels)
accuracy = gc.metrics.accuracy(logits, labels)
model = gc.Model(images, gc.softmax(logits), labels, loss, {"accuracy": accuracy})


def with_shifted(pictures, digits):
    """The images and the same shifted by a pixel to each of eight sides."""
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    moved = [np.roll(pictures, shift, (1, 2)) for shift in shifts]
    return np.concatenate(moved), np.tile(digits, len(shifts))


def draw(pictures, chances, path):
    """Images of one digit that are taken for another, with the chances of both."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.subplots(2, PICTURES // 2).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, picture, chance in zip(axes, pictures, chances, strict=False):
        axis.imshow(picture, cmap="gray_r")
        axis.set_title(f"{TAKEN}: {chance[TAKEN]:.0%}   {FOR}: {chance[FOR]:.0%}", fontsize=9)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=MNIST, help="MNIST's four IDX files")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--png", help="where the fours taken for nines go")
    options = parser.parse_args()
    data = gc.data.load_mnist(options.data)
    model.compile(gc.optim.Adam(RATE), batch_size=BATCH_SIZE)
    falling = gc.callbacks.LearningRateSchedule(gc.schedules.cosine(RATE, options.epochs))
    shifted = with_shifted(data.train_images, data.train_labels)
    model.fit(*shifted, epochs=options.epochs, callbacks=[falling], verbose=0)
    chances = model.predict(data.test_images, batch_size=1000)
    predicted = chances.argmax(1)
    counts = gc.metrics.confusion_matrix(data.test_labels, predicted, CLASSES)
    Console(highlight=False).print(confusion_table(counts))
    taken = np.flatnonzero((data.test_labels == TAKEN) & (predicted == FOR))[:PICTURES]
    if options.png:
        draw(data.test_images[taken], chances[taken], options.png)
    print(f"{counts[TAKEN, FOR]} of {counts[TAKEN].sum()} fours are taken for nines")
    print(f"test accuracy: {np.mean(predicted == data.test_labels):.3f}")


if __name__ == "__main__":
    main()
