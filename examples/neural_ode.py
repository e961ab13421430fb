"""A neural ODE: a net learns the forces of a pendulum from what it was seen to do.

python examples/neural_ode.py [--epochs 150] [--png FILE]

The net gives the derivative of (angle, speed); a scan of Runge-Kutta steps makes paths of it, and
the gradient goes back through all of them. It learns from short noisy paths, and is asked for long
ones from starts that it never saw.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import graphc as gc

DT, SHORT, LONG, PATHS, NOISE, UNITS, BATCH_SIZE, SEED = 0.1, 10, 150, 1024, 0.01, 32, 64, 0


def pendulum(state):
    """The true derivative: gravity, and friction."""
    angle, speed = state[:, 0], state[:, 1]
    return np.stack([speed, -np.sin(angle) - 0.1 * speed], 1)


def runge_kutta(slope, state, dt):
    """The state after dt, by the classical method of fourth order: of arrays or of tensors."""
    first = slope(state)
    second = slope(state + 0.5 * dt * first)
    third = slope(state + 0.5 * dt * second)
    fourth = slope(state + dt * third)
    return state + (dt / 6) * (first + 2 * second + 2 * third + fourth)


def true_paths(rng, count, steps):
    """Paths of the pendulum from random starts: [count, steps + 1, 2]."""
    state = rng.uniform((-2, -1), (2, 1), (count, 2))
    path = [state]
    for _ in range(steps):
        for _ in range(10):
            state = runge_kutta(pendulum, state, DT / 10)
        path.append(state)
    return np.stack(path, 1)


graph = gc.Graph(seed=SEED)
hidden, out = gc.nn.Dense(UNITS, "tanh"), gc.nn.Dense(2)


def predicted(start, steps):
    """The net's path behind a start: [batch, 2] -> [batch, steps, 2]."""

    def step(state, _):
        after = runge_kutta(lambda x: out(hidden(x)), state, DT)
        return after, after

    _, path = gc.scan(step, start, length=steps)
    return gc.transpose(path, (1, 0, 2))


start = graph.input("start", ("batch", 2))
seen = graph.input("seen", ("batch", SHORT, 2))
path = predicted(start, SHORT)
model = gc.Model(start, path, seen, gc.losses.mean_squared_error(path, seen))
go_on = gc.function(start, predicted(start, LONG), name="go_on")


def draw(found, truth, file):
    figure = Figure(figsize=(5, 4), layout="constrained")
    axis = figure.subplots()
    for made, right in zip(found[:6], truth[:6], strict=True):
        axis.plot(*right.T, color="silver", linewidth=3)
        axis.plot(*made.T, color="C0", linewidth=1)
    axis.set(xlabel="angle", ylabel="speed")
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--png", metavar="FILE", help="draw paths of the net and true ones")
    chosen = parser.parse_args()
    rng = np.random.default_rng(SEED)
    paths = true_paths(rng, PATHS, SHORT)
    paths = (paths + rng.normal(0, NOISE, paths.shape)).astype("f4")
    model.compile(gc.optim.Adam(0.01), batch_size=BATCH_SIZE)
    falling = gc.callbacks.LearningRateSchedule(gc.schedules.cosine(0.01, chosen.epochs))
    model.fit(paths[:, 0], paths[:, 1:], epochs=chosen.epochs, verbose=0, callbacks=[falling])
    truth = true_paths(rng, 100, LONG)
    found = go_on(truth[:, 0].astype("f4"))
    error = np.abs(found - truth[:, 1:]).mean((0, 2))
    for seconds in (1, 5, 15):
        print(f"error after {seconds} seconds: {error[round(seconds / DT) - 1]:.4f}")
    if chosen.png:
        draw(found, truth[:, 1:], chosen.png)
