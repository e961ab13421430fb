"""A mixture density network: an inverse problem with several answers.

python examples/mixture_density.py --png mixture.png

Of x = y + 0.3 sin(2 pi y) y is asked for, and some x have three answers. Least squares gives their
mean, which is none; a mixture of Gaussians gives each, with its chance. Source: Bishop, Mixture
Density Networks, 1994.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import graphc as gc

ROWS, COMPONENTS, HIDDEN, SEED = 2000, 3, 32, 0


def load():
    rng = np.random.default_rng(SEED)
    y = rng.uniform(0, 1, ROWS)
    x = y + 0.3 * np.sin(2 * np.pi * y) + rng.uniform(-0.05, 0.05, ROWS)
    return x[:, None].astype("f4"), y.astype("f4")


graph = gc.Graph(seed=SEED)
x = graph.input("x", ("batch", 1))
y = graph.input("y", ("batch",))
hidden = gc.nn.dense(gc.nn.dense(x, HIDDEN, "tanh"), HIDDEN, "tanh")
log_shares = gc.log_softmax(gc.nn.dense(hidden, COMPONENTS))
means = gc.nn.dense(hidden, COMPONENTS)
log_deviations = gc.nn.dense(hidden, COMPONENTS)
z = (y[:, None] - means) * gc.exp(-log_deviations)
log_densities = -0.5 * gc.square(z) - log_deviations - 0.5 * np.log(2 * np.pi)
loss = -gc.mean(gc.logsumexp(log_shares + log_densities))
model = gc.Model(x, [log_shares, means, log_deviations], y, loss)

# The same net with one answer, by least squares.
single = gc.nn.dense(gc.nn.dense(gc.nn.dense(x, HIDDEN, "tanh"), HIDDEN, "tanh"), 1)[:, 0]
average = gc.Model(x, single, y, gc.losses.mean_squared_error(single, y))


def draw(points, targets, path):
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    line = np.linspace(-0.05, 1.05, 200, dtype="f4")[:, None]
    shares, centres, _ = model.predict(line)
    for axis, name in ((left, "least squares"), (right, "mixture of Gaussians")):
        axis.scatter(points[:, 0], targets, s=2, color="silver")
        axis.set(title=name, xlabel="x", ylabel="y", ylim=(-0.2, 1.2))
    left.plot(line, average.predict(line), color="C3")
    places = np.repeat(line, COMPONENTS, 1)
    right.scatter(places, centres, s=60 * np.exp(shares) ** 2, color="C0")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--png", help="where both answers go")
    options = parser.parse_args()
    points, targets = load()
    for net in (model, average):
        net.compile(gc.optim.Adam(5e-3), batch_size=100)
        net.fit(points, targets, epochs=options.epochs, verbose=0)
    # A Gaussian around the least squares' answer, of the best common deviation.
    error = average.evaluate(points, targets)["loss"]
    alone = 0.5 * np.log(2 * np.pi * np.e * error)
    if options.png:
        draw(points, targets, options.png)
    print(f"one Gaussian: {alone:.3f} nats")
    print(f"mixture: {model.evaluate(points, targets)['loss']:.3f} nats")


if __name__ == "__main__":
    main()
