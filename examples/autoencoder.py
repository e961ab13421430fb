"""An autoencoder beside principal components: digits through four numbers, and paths between codes.

python examples/autoencoder.py --png autoencoder.png

A linear autoencoder can be no better than as many principal components; hidden layers can. Digits
of 8 x 8 pixels, from scikit-learn.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import graphc as gc

SIDE, CODES, HIDDEN, SEED, TRAINING_ROWS = 8, 4, 128, 0, 1500
PIXELS = SIDE * SIDE

graph = gc.Graph(seed=SEED)
x = graph.input("x", ("batch", PIXELS))
code = gc.nn.dense(gc.nn.dense(x, HIDDEN, "relu"), CODES, name="code")
decoded = gc.nn.dense(gc.nn.dense(code, HIDDEN, "relu"), PIXELS)
model = gc.Model(x, decoded, loss=gc.losses.mean_squared_error(decoded, x))
encode, decode = gc.function([x], code), gc.function([code], decoded)


def draw(images, components, path):
    """Images, what comes back, and the way from the first to the second in the space of codes."""
    ends = encode(images[:2])
    between = decode(np.linspace(ends[0], ends[1], 10, dtype="f4"))
    rows = {
        "image": images[:10],
        "components": components.inverse_transform(components.transform(images[:10])),
        "autoencoder": model.predict(images[:10]),
        "between two": between,
    }
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, (name, pictures) in zip(figure.subplots(4, 10), rows.items(), strict=True):
        axes[0].set_title(name, loc="left", fontsize=10)
        for axis, picture in zip(axes, pictures, strict=True):
            axis.imshow(picture.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1)
            axis.axis("off")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--png", help="where images and what comes back go")
    options = parser.parse_args()
    order = np.random.default_rng(SEED).permutation(1797)
    images = (load_digits().data[order] / 16).astype("f4")
    train, test = images[:TRAINING_ROWS], images[TRAINING_ROWS:]
    components = PCA(CODES).fit(train)
    linear = np.mean((components.inverse_transform(components.transform(test)) - test) ** 2)
    model.compile(gc.optim.Adam(2e-3), batch_size=50)
    model.fit(train, epochs=options.epochs, verbose=0)
    if options.png:
        draw(test, components, options.png)
    print(f"{CODES} principal components: {linear:.4f}")
    print(f"test mean squared error: {model.evaluate(test)['loss']:.4f}")


if __name__ == "__main__":
    main()
