"""Vanishing gradients: the norm of each layer's gradient in a deep net of sigmoids and of ReLUs.

python examples/vanishing_gradient.py --png gradients.png

The slope of a sigmoid is at most 1/4, so each layer on the way back takes away a factor; that of a
ReLU is 1 or 0. Glorot's kernels for sigmoids, He's for ReLUs; digits from scikit-learn.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import graphc as gc

DEPTH, UNITS, ROWS, SEED = 12, 64, 512, 0


def load():
    digits = load_digits()
    return (digits.data[:ROWS] / 16).astype("f4"), digits.target[:ROWS].astype("i4")


def norms_of(activation, init, pixels, digits):
    """The norm of the gradient by each layer's kernel, the first layer first."""
    graph = gc.Graph(seed=SEED)
    x = graph.input("x", ("batch", 64))
    labels = graph.input("labels", ("batch",), "i32")
    h = x
    for _ in range(DEPTH):
        h = gc.nn.dense(h, UNITS, activation, kernel_init=init)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(h, 10), labels)
    kernels = [p for p in graph.parameters if p.rank == 2][:DEPTH]
    norms = [gc.sqrt(gc.sum(gc.square(g))) for g in gc.grad(loss, kernels)]
    return np.array(gc.function([x, labels], norms)(pixels, digits))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--png", help="where the norms go")
    options = parser.parse_args()
    data = load()
    sigmoid = norms_of("sigmoid", gc.init.glorot_uniform, *data)
    relu = norms_of("relu", gc.init.he_uniform, *data)
    print("layer   sigmoid      ReLU")
    for layer, pair in enumerate(zip(sigmoid, relu, strict=True), 1):
        print(f"{layer:5d} {pair[0]:9.1e} {pair[1]:9.1e}")
    if options.png:
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axis = figure.subplots()
        for name, norms in (("sigmoid", sigmoid), ("ReLU", relu)):
            axis.semilogy(range(1, DEPTH + 1), norms, marker="o", label=name)
        axis.set(xlabel="layer", ylabel="norm of the gradient", xticks=range(1, DEPTH + 1))
        axis.legend()
        figure.savefig(options.png, dpi=120)
    print(f"first over last, sigmoid: {sigmoid[0] / sigmoid[-1]:.1e}")
    print(f"first over last, ReLU: {relu[0] / relu[-1]:.1e}")


if __name__ == "__main__":
    main()
