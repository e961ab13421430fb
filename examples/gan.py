"""A generative adversarial net in the plane: a ring of eight Gaussians from noise.

python examples/gan.py --png gan.png

One discriminator, called twice, judges what is real and what is made; two sets of parameters have
an optimizer each, and take turns. Source: Goodfellow et al., 2014, with the loss that does not
saturate; gradient penalty at real points of Mescheder, Geiger and Nowozin, 2018.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import graphc as gc

MODES, DEVIATION, NOISE, BATCH, SEED = 8, 0.05, 8, 256, 0
PENALTY = 0.1

graph = gc.Graph(seed=SEED)
real = graph.input("real", (BATCH, 2))
noise = gc.random.normal(graph, (BATCH, NOISE))
generator = gc.nn.Sequential(
    [gc.nn.Dense(64, "relu"), gc.nn.Dense(64, "relu"), gc.nn.Dense(2)], name="generator"
)
critic = gc.nn.Sequential(
    [gc.nn.Dense(64, "relu"), gc.nn.Dense(64, "relu"), gc.nn.Dense(1)], name="critic"
)
made = generator(noise)
on_real, on_made = critic(real), critic(made)
steepness = gc.grad(gc.sum(on_real), real)
penalty = PENALTY * gc.mean(gc.sum(gc.square(steepness), 1))
critic_loss = gc.mean(gc.softplus(-on_real)) + gc.mean(gc.softplus(on_made)) + penalty
generator_loss = gc.mean(gc.softplus(-on_made))
judge = gc.function(
    [real],
    critic_loss,
    gc.optim.Adam(1e-3, betas=(0.5, 0.99)).updates(critic_loss, critic.parameters),
)
forge = gc.function(
    [],
    generator_loss,
    gc.optim.Adam(1e-3, betas=(0.5, 0.99)).updates(generator_loss, generator.parameters),
)
draw_some = gc.function([], made, gc.random.advanced([made]))

angles = 2 * np.pi * np.arange(MODES) / MODES
CENTRES = np.stack([np.cos(angles), np.sin(angles)], 1)


def ring(rng):
    spread = DEVIATION * rng.normal(size=(BATCH, 2))
    return (CENTRES[rng.integers(0, MODES, BATCH)] + spread).astype("f4")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--png", help="where real and made points go")
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    for _ in range(options.steps):
        judge(ring(rng))
        forge()
    points = np.concatenate([draw_some() for _ in range(8)])
    distances = np.linalg.norm(points[:, None] - CENTRES, axis=2)
    nearest, is_near = distances.argmin(1), distances.min(1) < 4 * DEVIATION
    shares = np.bincount(nearest[is_near], minlength=MODES) / len(points)
    if options.png:
        figure = Figure(figsize=(8, 4), layout="constrained")
        shown = {"real": np.concatenate([ring(rng) for _ in range(8)]), "made": points}
        for axis, (name, dots) in zip(figure.subplots(1, 2), shown.items(), strict=True):
            axis.scatter(*dots.T, s=3, alpha=0.4)
            axis.set(title=name, xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
        figure.savefig(options.png, dpi=120)
    print(f"modes found: {np.count_nonzero(shares > 0.2 / MODES)} of {MODES}")
    print(f"points within four deviations of a mode: {is_near.mean():.3f}")


if __name__ == "__main__":
    main()
