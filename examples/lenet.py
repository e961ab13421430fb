"""LeNet on MNIST, or on scikit-learn's small digits where MNIST is not found.

python examples/lenet.py --data DIR
python examples/lenet.py --data DIR --epochs 2 --png features.png
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import graphc as gc

MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
BATCH_SIZE, RATE, DROPPED = 128, 3e-3, 0.3
FILTERS, MORE_FILTERS, UNITS, CLASSES = 8, 32, 128, 10


def load(folder):
    """Images [n, side, side] of 0 to 255 with their labels: to train, then to test."""
    if folder.is_dir():
        data = gc.data.load_mnist(folder)
        return data.train_images, data.train_labels, data.test_images, data.test_labels
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * (255 / 16)).astype("u1")
    train, test, train_labels, test_labels = train_test_split(images, labels, random_state=0)
    return train, train_labels.astype("u1"), test, test_labels.astype("u1")


def declare(side):
    """Two convolutions, each with its pooling, and two dense layers behind dropout; the results of
    both convolutions besides."""
    graph = gc.Graph(seed=0)
    images = graph.input("images", ("batch", side, side), "u8")
    labels = graph.input("labels", ("batch",), "u8")
    pixels = gc.expand_dims(gc.cast(images, "f32") * (1 / 255), -1)
    first = gc.nn.conv2d(pixels, FILTERS, 5, padding="same", activation="relu", name="first")
    second = gc.nn.conv2d(gc.nn.max_pool2d(first), MORE_FILTERS, 3, activation="relu")
    hidden = gc.nn.dropout(gc.nn.flatten(gc.nn.max_pool2d(second)), DROPPED)
    hidden = gc.nn.dropout(gc.nn.dense(hidden, UNITS, "relu"), DROPPED)
    logits = gc.nn.dense(hidden, CLASSES)
    loss = gc.losses.softmax_cross_entropy(logits, labels)
    metrics = {"accuracy": gc.metrics.accuracy(logits, labels)}
    model = gc.Model(images, gc.softmax(logits), labels, loss, metrics)
    return model, gc.function([images], [first, second])


def draw(kernel, image, maps, path):
    """The first layer's filters, above what each layer makes of one image."""
    rows = [[image], [kernel[:, :, 0, n] for n in range(FILTERS)]]
    rows += [[found[0, :, :, n] for n in range(FILTERS)] for found in maps]
    names = ["image", "filters", "after the first layer", "after the second"]
    figure = Figure(figsize=(1.3 * FILTERS, 1.6 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), FILTERS)
    for row, pictures, name in zip(axes, rows, names, strict=True):
        row[0].set_title(name, loc="left", fontsize=11)
        limit = np.abs(pictures).max()
        for axis in row:
            axis.axis("off")
        for axis, picture in zip(row, pictures, strict=False):
            colors = "RdBu_r" if name == "filters" else "gray_r"
            axis.imshow(picture, cmap=colors, vmin=-limit if name == "filters" else 0, vmax=limit)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=MNIST, help="MNIST's four IDX files")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--png", help="where filters and feature maps go")
    options = parser.parse_args()

    train, train_labels, test, test_labels = load(options.data)
    model, features = declare(train.shape[1])
    model.compile(gc.optim.Adam(RATE), batch_size=BATCH_SIZE)
    started = time.perf_counter()
    falling = gc.callbacks.LearningRateSchedule(gc.schedules.cosine(RATE, options.epochs))
    model.fit(train, train_labels, epochs=options.epochs, callbacks=[falling])
    print(f"trained on {len(train):,} images in {time.perf_counter() - started:.1f} s")
    if options.png:
        image = test[:1]
        draw(model.variables["first.kernel"], image[0], features(image), options.png)
        print(f"filters and feature maps are drawn in {options.png}")
    predicted = model.predict(test, batch_size=1000).argmax(1)
    print(f"test accuracy: {np.mean(predicted == test_labels):.3f}")


if __name__ == "__main__":
    main()
