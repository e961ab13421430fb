"""A variational autoencoder of digits: samples by the decoder alone.

python examples/vae.py --png vae.png

The loss is the bound -log p(x) <= E[-log p(x | z)] + KL(q(z | x) || N(0, 1)), with z drawn as
mean + deviation * noise, so that derivatives go through both. Source: Kingma and Welling, 2014.
1797 digits of 8 x 8 pixels, from scikit-learn.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import graphc as gc

SIDE, CODES, HIDDEN, SEED = 8, 2, 128, 0
PIXELS = SIDE * SIDE

graph = gc.Graph(seed=SEED)
x = graph.input("x", ("batch", PIXELS))
h = gc.nn.dense(gc.nn.dense(x, HIDDEN, "relu"), HIDDEN, "relu")
mean, log_deviation = gc.nn.dense(h, CODES), gc.nn.dense(h, CODES)
z = gc.random.normal(graph, ("batch", CODES), loc=mean, scale=gc.exp(log_deviation))
h = gc.nn.dense(gc.nn.dense(z, HIDDEN, "relu"), HIDDEN, "relu")
logits = gc.nn.dense(h, PIXELS)

# The Bernoulli loss of each pixel, summed over the image.
missed = gc.softplus(logits) - x * logits
variance = gc.exp(2 * log_deviation)
divergence = 0.5 * (variance + gc.square(mean) - 1) - log_deviation
reconstruction = gc.mean(gc.sum(missed, 1))
loss = reconstruction + gc.mean(gc.sum(divergence, 1))
model = gc.Model(x, mean, loss=loss)
# The halves of what is trained, each a function of its own.
decode = gc.function([z], gc.sigmoid(logits))


def draw(codes, digits, path):
    """Where digits lie in the plane of codes, and what the decoder makes of that plane."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    dots = left.scatter(*codes.T, c=digits, s=4, cmap="tab10")
    figure.colorbar(dots, ax=left, ticks=range(10))
    left.set(title="codes of the digits")
    across = np.linspace(-2, 2, 12, dtype="f4")
    grid = np.stack(np.meshgrid(across, across[::-1]), -1).reshape(-1, CODES)
    made = np.pad(decode(grid).reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
    tiles = made.reshape(12, 12, *made.shape[1:]).transpose(0, 2, 1, 3)
    right.imshow(tiles.reshape(12 * (SIDE + 2), -1), cmap="gray_r", extent=(-2, 2, -2, 2))
    right.set(title="the decoder over the plane of codes")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--png", help="where codes and samples go")
    options = parser.parse_args()
    digits = load_digits()
    images = (digits.data / 16).astype("f4")
    model.compile(gc.optim.Adam(2e-3), batch_size=64)
    history = model.fit(images, epochs=options.epochs, verbose=0).history["loss"]
    if options.png:
        draw(model.predict(images), digits.target, options.png)
    print(f"bound after the first epoch: {history[0]:.2f} nats")
    print(f"bound: {history[-1]:.2f} nats")


if __name__ == "__main__":
    main()
