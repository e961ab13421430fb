"""Burgers' equation solved by a network: u_t + u u_x = nu u_xx, Adam first and L-BFGS after it.

python examples/pinn.py --png pinn.png

u(0, x) = -sin(pi x), u = 0 at x = -1 and 1, nu = 0.01 / pi: a wave that becomes steep. The factors
of u make sure of both conditions, so the loss is the equation's residual alone. Source: Raissi,
Perdikaris and Karniadakis, Physics Informed Deep Learning, 2017. The exact solution is Cole's.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import graphc as gc

VISCOSITY, POINTS, UNITS, SEED = 0.01 / np.pi, 2000, 20, 0

graph = gc.Graph(seed=SEED)
t, x = (graph.input(name, ("points", 1), "f64") for name in ("t", "x"))
h = gc.concatenate([2 * t - 1, x], 1)
for _ in range(4):
    h = gc.nn.dense(h, UNITS, "tanh")
u = -gc.sin(np.pi * x) + t * (1 - x * x) * gc.nn.dense(h, 1)
u_t, u_x = gc.grad(gc.sum(u), [t, x])
u_xx = gc.grad(gc.sum(u_x), x)
residual = gc.mean(gc.square(u_t + u * u_x - VISCOSITY * u_xx))
solve = gc.function([t, x], u)


def exact(time, places):
    """Cole's solution, an integral over a Gaussian, by Hermite's quadrature."""
    nodes, weights = np.polynomial.hermite.hermgauss(100)
    z = places[:, None] - np.sqrt(4 * VISCOSITY * time) * nodes
    kernel = weights * np.exp(-np.cos(np.pi * z) / (2 * np.pi * VISCOSITY))
    return -(np.sin(np.pi * z) * kernel).sum(1) / kernel.sum(1)


def train(adam_steps, newton_steps):
    """The residual after each of both methods."""
    rng = np.random.default_rng(SEED)
    # Half of the points where the wave becomes steep.
    near = rng.normal(0, 0.1, POINTS // 2).clip(-1, 1)
    places = np.concatenate([rng.uniform(-1, 1, POINTS - len(near)), near])[:, None]
    times = rng.uniform(0, 1, (POINTS, 1))
    step = gc.function([t, x], residual, gc.optim.Adam(5e-3).updates(residual))
    for _ in range(adam_steps):
        step(times, places)
    by_adam = float(step(times, places))
    method = gc.optim.LBFGS(max_iter=newton_steps)
    return by_adam, float(gc.minimize(residual, {"t": times, "x": places}, method).loss)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--adam", type=int, default=1000, help="steps")
    parser.add_argument("--lbfgs", type=int, default=1500, help="steps")
    parser.add_argument("--png", help="where solutions at four times go")
    options = parser.parse_args()
    by_adam, by_both = train(options.adam, options.lbfgs)
    line = np.linspace(-1, 1, 256)
    errors = []
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    for time, axis in zip((0.25, 0.5, 0.75, 1.0), figure.subplots(1, 4), strict=True):
        found = solve(np.full((256, 1), time), line[:, None])[:, 0]
        true = exact(time, line)
        errors.append(np.linalg.norm(found - true) / np.linalg.norm(true))
        axis.plot(line, true, color="silver", linewidth=4, label="exact")
        axis.plot(line, found, color="C3", linewidth=1, label="network")
        axis.set(title=f"t = {time}", xlabel="x")
    figure.axes[0].legend()
    if options.png:
        figure.savefig(options.png, dpi=120)
    print(f"residual after Adam: {by_adam:.1e}")
    print(f"residual after L-BFGS: {by_both:.1e}")
    print(f"relative error: {np.mean(errors):.1e}")


if __name__ == "__main__":
    main()
