"""A siamese net: one encoder reads two images, and says whether they are of one digit.

python examples/siamese.py --png siamese.png

The contrastive loss draws pairs of a kind together and pushes others apart, to a margin. Of digits
8 and 9, which the net never sees while it trains, it tells less. Source: Hadsell,
Chopra and LeCun, Dimensionality Reduction by Learning an Invariant Mapping, 2006.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

import graphc as gc

PIXELS, CODES, MARGIN, PAIRS, SEED = 64, 16, 1.0, 8000, 0
UNSEEN, ROWS = 8, 1000

graph = gc.Graph(seed=SEED)
left, right = graph.input("left", ("batch", PIXELS)), graph.input("right", ("batch", PIXELS))
same = graph.input("same", ("batch",))
layers = [gc.nn.Dense(128, "relu"), gc.nn.Dense(64, "relu"), gc.nn.Dense(CODES)]
encoder = gc.nn.Sequential(layers, name="encoder")
codes = encoder(left)
squared = gc.sum(gc.square(codes - encoder(right)), axis=1)
apart = gc.square(gc.relu(MARGIN - gc.sqrt(squared + 1e-6)))
loss = gc.mean(same * squared + (1 - same) * apart)
model = gc.Model([left, right], squared, same, loss)
encode = gc.function([left], codes)


def pairs_of(labels, count, rng):
    """Numbers of rows, half of them of one digit, and 1 where they are."""
    first = rng.integers(0, len(labels), count)
    other = rng.integers(0, len(labels), count)
    for place in range(0, count, 2):
        other[place] = rng.choice(np.flatnonzero(labels == labels[first[place]]))
    return first, other, (labels[first] == labels[other]).astype("f4")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--png", help="where the codes go")
    options = parser.parse_args()
    digits = load_digits()
    images, labels = (digits.data / 16).astype("f4"), digits.target
    rng = np.random.default_rng(SEED)
    is_seen = labels < UNSEEN
    x, t = images[is_seen], labels[is_seen]
    later, later_t, x, t = x[ROWS:], t[ROWS:], x[:ROWS], t[:ROWS]
    i, j, alike = pairs_of(t, PAIRS, rng)
    model.compile(gc.optim.Adam(1e-3), batch_size=50)
    model.fit([x[i], x[j]], alike, epochs=options.epochs, verbose=0)

    if options.png:
        figure = Figure(figsize=(6, 5), layout="constrained")
        axis = figure.subplots()
        dots = axis.scatter(*PCA(2).fit_transform(encode(images)).T, c=labels, s=5, cmap="tab10")
        figure.colorbar(dots, ax=axis, ticks=range(10))
        axis.set_title("two principal components of the codes, 8 and 9 unseen")
        figure.savefig(options.png, dpi=120)
    for name, new, kinds in (
        ("unseen digits", images[~is_seen], labels[~is_seen]),
        ("unseen images", later, later_t),
    ):
        i, j, alike = pairs_of(kinds, 2000, rng)
        distances = model.predict([new[i], new[j]])
        print(f"AUC of pairs of {name}: {roc_auc_score(alike, -distances):.3f}")


if __name__ == "__main__":
    main()
