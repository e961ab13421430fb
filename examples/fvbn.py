"""A fully visible belief net, MADE: the chance of an image as a product over its pixels.

python examples/fvbn.py --png fvbn.png

p(x) = prod_i p(x_i | x_1 ... x_(i-1)). Masks on the kernels let output i read earlier pixels alone,
so one pass gives all conditionals, and a sample takes a pass a pixel. Source: Germain et al., MADE,
2015. Digits from scikit-learn, black or white.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import graphc as gc

SIDE, HIDDEN, SEED, TRAINING_ROWS = 8, 256, 0, 1500
PIXELS = SIDE * SIDE


def masks():
    """Which numbers feed which: hidden unit k sees pixels up to its degree, output i those before
    pixel i."""
    pixels = np.arange(PIXELS)
    degrees = np.arange(HIDDEN) % (PIXELS - 1)
    return (
        pixels[:, None] <= degrees,
        degrees[:, None] <= degrees,
        degrees[:, None] < pixels,
    )


first, second, last = (mask.astype("f4") for mask in masks())
graph = gc.Graph(seed=SEED)
x = graph.input("x", ("batch", PIXELS))
h = gc.nn.masked_dense(x, first, "relu")
h = gc.nn.masked_dense(h, second, "relu")
logits = gc.nn.masked_dense(h, last)
negative_log_likelihood = gc.sum(gc.softplus(logits) - x * logits, 1)
model = gc.Model(x, gc.sigmoid(logits), loss=gc.mean(negative_log_likelihood))


def load():
    order = np.random.default_rng(SEED).permutation(1797)
    return (load_digits().data[order] >= 8).astype("f4")


def sampled(count):
    """Images pixel by pixel, each drawn by what the net says of it."""
    rng = np.random.default_rng(SEED)
    images = np.zeros((count, PIXELS), "f4")
    for pixel in range(PIXELS):
        images[:, pixel] = rng.random(count) < model.predict(images)[:, pixel]
    return images


def draw(images, path):
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axis, kind, name in zip(figure.subplots(1, 2), images, ("digits", "samples"), strict=True):
        framed = np.pad(kind.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
        tiles = framed.reshape(6, 8, *framed.shape[1:]).transpose(0, 2, 1, 3)
        axis.imshow(tiles.reshape(6 * (SIDE + 2), -1), cmap="gray_r")
        axis.set_title(name)
        axis.axis("off")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--png", help="where samples go")
    options = parser.parse_args()
    images = load()
    train, test = images[:TRAINING_ROWS], images[TRAINING_ROWS:]
    chances = np.clip(train.mean(0), 1e-3, 1 - 1e-3)
    alone = -(test * np.log(chances) + (1 - test) * np.log(1 - chances)).sum(1).mean()
    model.compile(gc.optim.AdamW(2e-3, weight_decay=1e-2), batch_size=50)
    stop = gc.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True)
    model.fit(
        train, epochs=options.epochs, validation_data=(test, None), verbose=0, callbacks=[stop]
    )
    if options.png:
        draw((test[:48], sampled(48)), options.png)
    print(f"pixels independent of each other: {alone:.2f} nats")
    print(f"test negative log likelihood: {model.evaluate(test)['loss']:.2f} nats")


if __name__ == "__main__":
    main()
