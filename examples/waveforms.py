"""Convolutions along time: which waveform is it, in noise? A generated signal, so no data to load.

python examples/waveforms.py --png waveforms.png

Sines, squares, triangles and sawteeth of random frequency and phase, in noise of half their
deviation. Dilated convolutions see 63 steps; the mean over time is the same wherever a period
begins.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import graphc as gc

STEPS, NOISE, BATCH, SEED = 256, 0.5, 64, 0
DILATIONS = (1, 2, 4, 8)
FILTERS = 24
KINDS = ("sine", "square", "triangle", "sawtooth")


def waves(count, rng):
    """Signals [count, STEPS, 1] of deviation 1 before the noise, and the numbers of their kinds."""
    kinds = rng.integers(0, len(KINDS), count)
    periods = rng.uniform(12, 48, (count, 1))
    turns = (np.arange(STEPS) / periods + rng.uniform(0, 1, (count, 1))) % 1
    shapes = np.stack(
        [
            np.sqrt(2) * np.sin(2 * np.pi * turns),
            np.sign(turns - 0.5),
            np.sqrt(3) * (4 * np.abs(turns - 0.5) - 1),
            np.sqrt(3) * (2 * turns - 1),
        ]
    )
    signal = shapes[kinds, np.arange(count)] + NOISE * rng.normal(size=(count, STEPS))
    return signal[..., None].astype("f4"), kinds.astype("i4")


def declare():
    """The model; each layer adds to what it reads, so the signal itself goes through."""
    graph = gc.Graph(seed=SEED)
    signal = graph.input("signal", ("batch", STEPS, 1))
    kinds = graph.input("kinds", ("batch",), "i32")
    hidden = gc.nn.conv1d(signal, FILTERS, 3, padding="same")
    for dilation in DILATIONS:
        normal = gc.relu(gc.nn.batch_norm(hidden, momentum=0.9))
        hidden = hidden + gc.nn.conv1d(normal, FILTERS, 5, padding="same", dilation_rate=dilation)
    features = gc.nn.global_average_pooling1d(gc.relu(gc.nn.batch_norm(hidden, momentum=0.9)))
    logits = gc.nn.dense(features, len(KINDS))
    loss = gc.losses.softmax_cross_entropy(logits, kinds)
    return gc.Model(
        signal, gc.softmax(logits), kinds, loss, {"accuracy": gc.metrics.accuracy(logits, kinds)}
    )


def draw(signals, kinds, chances, path):
    """One signal of each kind, with the chance that the model gives it."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    for kind, axis in enumerate(figure.subplots(len(KINDS), 1)):
        n = np.flatnonzero(kinds == kind)[0]
        axis.plot(signals[n, :, 0], linewidth=0.8)
        axis.set_title(f"{KINDS[kind]}: {chances[n, kind]:.2f}", loc="left", fontsize=10)
        axis.axis("off")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--rows", type=int, default=4096, help="signals to train with")
    parser.add_argument("--png", help="where signals and answers go")
    options = parser.parse_args()

    rng = np.random.default_rng(SEED)
    signals, kinds = waves(options.rows, rng)
    test, test_kinds = waves(1000, rng)
    model = declare()
    model.compile(gc.optim.Adam(2e-3), batch_size=BATCH)
    falling = gc.callbacks.LearningRateSchedule(gc.schedules.cosine(2e-3, options.epochs))
    model.fit(signals, kinds, epochs=options.epochs, callbacks=[falling])
    chances = model.predict(test, batch_size=500)
    if options.png:
        draw(test, test_kinds, chances, options.png)
        print(f"signals and answers are drawn in {options.png}")
    print(f"test accuracy: {np.mean(chances.argmax(1) == test_kinds):.3f}")


if __name__ == "__main__":
    main()
