"""A siamese net: one encoder reads two images, and says whether they are of one digit.

python examples/siamese.py --data DIR --png siamese.png

It is trained on the digits 0 to 7 of MNIST. Of each image of a batch it says which images of
another batch are of its kind, so that two batches of 100 make 10,000 pairs. Of 8 and 9, which it
never sees, it tells more than pixels do, and less the longer it is trained for the others. Source:
Khosla and others, Supervised Contrastive Learning, 2020.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

import graphc as gc

MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
SIDE, CODES, TEMPERATURE, BATCH_SIZE, SEED = 28, 32, 0.1, 100, 0
UNSEEN, PAIRS, SHOWN = 8, 8000, 2000

layers = [
    gc.nn.RandomCrop(SIDE, SIDE, padding=2), gc.nn.Flatten(),
    gc.nn.Dense(256, "relu"), gc.nn.Dense(128, "relu"), gc.nn.Dense(CODES),
]  # fmt: skip
encoder = gc.nn.Sequential(layers, name="encoder")


def code_of(images):
    """Vectors of length 1; their product is the cosine of the angle between them."""
    code = encoder(gc.cast(gc.expand_dims(images, -1), "f32") * (1 / 255))
    return code / gc.sqrt(gc.sum(gc.square(code), 1, keepdims=True) + 1e-9)


graph = gc.Graph(seed=SEED)
left = graph.input("left", ("batch", SIDE, SIDE), "u8")
right = graph.input("right", ("batch", SIDE, SIDE), "u8")
left_kind = graph.input("left_kind", ("batch",), "u8")
right_kind = graph.input("right_kind", ("batch",), "u8")
code = code_of(left)
# Row i: how likely each image of the right batch is to be of the kind of image i of the left one.
chances = gc.log_softmax(code @ code_of(right).T / TEMPERATURE, 1)
is_same = gc.cast(gc.expand_dims(left_kind, 1) == gc.expand_dims(right_kind, 0), "f32")
alike = gc.maximum(gc.sum(is_same, 1), 1.0)
loss = -gc.mean(gc.sum(is_same * chances, 1) / alike)
model = gc.Model([left, right], code, [left_kind, right_kind], loss)
encode = gc.function([left], gc.inference(code))


def auc_of_pairs(codes, labels, rng):
    """How well the products of codes tell pairs of a kind from others."""
    first, other = rng.integers(0, len(labels), (2, PAIRS))
    closeness = -np.square(codes[first] - codes[other]).sum(1)
    return roc_auc_score(labels[first] == labels[other], closeness)


def draw(codes, labels, path):
    figure = Figure(figsize=(6, 5), layout="constrained")
    axis = figure.subplots()
    dots = axis.scatter(*PCA(2).fit_transform(codes).T, c=labels, s=5, cmap="tab10")
    figure.colorbar(dots, ax=axis, ticks=range(10))
    axis.set_title("two principal components of the codes, 8 and 9 unseen")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=MNIST, help="MNIST's four IDX files")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--png", help="where the codes go")
    options = parser.parse_args()
    data = gc.data.load_mnist(options.data)
    is_seen = data.train_labels < UNSEEN
    images, labels = data.train_images[is_seen], data.train_labels[is_seen]
    model.compile(gc.optim.Adam(1e-3), batch_size=BATCH_SIZE)
    rng = np.random.default_rng(SEED)
    for _ in range(options.epochs):
        other = rng.permutation(len(labels))
        model.fit([images, images[other]], [labels, labels[other]], verbose=0)

    new, kinds = data.test_images, data.test_labels
    codes, pixels = encode(new), new.reshape(len(new), -1) / 255
    for name, rows in (("digits", kinds >= UNSEEN), ("images", kinds < UNSEEN)):
        print(f"AUC of pairs of unseen {name}: {auc_of_pairs(codes[rows], kinds[rows], rng):.3f}")
        found = auc_of_pairs(pixels[rows], kinds[rows], rng)
        print(f"by their pixels alone: {found:.3f}")
    if options.png:
        draw(codes[:SHOWN], kinds[:SHOWN], options.png)


if __name__ == "__main__":
    main()
