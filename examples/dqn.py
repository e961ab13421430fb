"""Deep Q-learning of a pole on a cart: a replay memory, and a target network that follows slowly.

python examples/dqn.py

Source: Mnih et al., Human-Level Control through Deep Reinforcement Learning, 2015, with the double
estimator of van Hasselt, Guez and Silver, 2016.
"""

import argparse
import time

import numpy as np
from cart_pole import CartPoles

import graphc as gc

CARTS, MEMORY, BATCH, HIDDEN, DISCOUNT, SEED = 8, 20_000, 64, 64, 0.99, 0
SLOWNESS, FIRST_STEPS, LEAST_EXPLORING = 0.01, 200, 0.02

graph = gc.Graph(seed=SEED)
state, following = graph.input("state", (BATCH, 4)), graph.input("following", (BATCH, 4))
action, fell = graph.input("action", (BATCH,), "i32"), graph.input("fell", (BATCH,))


def network(name):
    layers = [gc.nn.Dense(HIDDEN, "relu"), gc.nn.Dense(HIDDEN, "relu"), gc.nn.Dense(2)]
    return gc.nn.Sequential(layers, name=name)


online, slow = network("online"), network("slow")
best = gc.argmax(online(following), axis=1)
goal = 1 + DISCOUNT * (1 - fell) * gc.pick(slow(following), best)
error = gc.pick(online(state), action) - gc.stop_gradient(goal)
# Huber's loss: no goal pulls with more than a slope of 1.
loss = gc.mean(gc.sqrt(1 + gc.square(error)) - 1)
pairs = dict(zip(slow.parameters, online.parameters, strict=True))
follow = {target: target + SLOWNESS * (own - target) for target, own in pairs.items()}
updates = gc.optim.Adam(5e-4).updates(loss, online.parameters)
learn = gc.function([state, action, following, fell], loss, updates | follow)
carts_seen = graph.input("carts_seen", (CARTS, 4))
judge = gc.function([carts_seen], online(carts_seen))


class Memory:
    """The last MEMORY transitions; `columns` are what `learn` takes."""

    def __init__(self):
        shapes = ((4,), "f4"), ((), "i4"), ((4,), "f4"), ((), "f4")
        self.columns = [np.zeros((MEMORY, *shape), dtype) for shape, dtype in shapes]
        self.seen = 0

    def add(self, *values):
        rows = (self.seen + np.arange(CARTS)) % MEMORY
        for column, value in zip(self.columns, values, strict=True):
            column[rows] = value
        self.seen += CARTS

    def batch(self, rng):
        rows = rng.integers(0, min(self.seen, MEMORY), BATCH)
        return [column[rows] for column in self.columns]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=12_000)
    options = parser.parse_args()
    gc.function([], [], pairs)()  # both begin alike
    rng, carts, memory = np.random.default_rng(SEED), CartPoles(CARTS, SEED), Memory()
    lives, seconds = [], 0.0
    for number in range(options.steps):
        exploring = max(LEAST_EXPLORING, 1 - 4 * number / options.steps)
        actions = judge(carts.states).argmax(1)
        is_random = rng.random(CARTS) < exploring
        actions[is_random] = rng.integers(0, 2, is_random.sum())
        before = carts.states.copy()
        after, fallen, _, ages = carts.step(actions)
        memory.add(before, actions, after, fallen)
        lives.extend(ages)
        if number >= FIRST_STEPS:
            batch = memory.batch(rng)
            started = time.perf_counter()
            learn(*batch)
            seconds += time.perf_counter() - started
    last = lives[-50:]
    taught = options.steps - FIRST_STEPS
    print(f"steps of learning a second: {taught / seconds:,.0f}")
    print(f"first fifty poles stood for {np.mean(lives[:50]):.0f} steps")
    print(f"last fifty poles stood for {np.mean(last):.0f} steps")


if __name__ == "__main__":
    main()
