"""Deep Q-learning of a pole on a cart: a replay memory, and a target network that follows slowly.

python examples/dqn.py

All it is told is that falling is bad. Source: Mnih et al., Human-Level Control through Deep
Reinforcement Learning, 2015, with the double estimator of van Hasselt, Guez and Silver, 2016.
"""

import argparse
import time

import numpy as np
from cart_pole import LONGEST, CartPoles

import graphc as gc

CARTS, MEMORY, BATCH, HIDDEN, DISCOUNT, SEED = 8, 50_000, 64, 64, 0.99, 0
RATE, SLOWNESS, FIRST_STEPS, LEAST_EXPLORING, EXPLORED = 1e-3, 0.1, 200, 0.05, 0.3
STEPS_OF_ONE_RATE, JUDGED = 100, 50

graph = gc.Graph(seed=SEED)
state, following = graph.input("state", (BATCH, 4)), graph.input("following", (BATCH, 4))
action, fell = graph.input("action", (BATCH,), "i32"), graph.input("fell", (BATCH,))


widths = ((HIDDEN, "relu"), (HIDDEN, "relu"), (2,))
online, slow = (
    gc.nn.Sequential([gc.nn.Dense(*each) for each in widths], name=name)
    for name in ("online", "slow")
)
best = gc.argmax(online(following), axis=1)
goal = DISCOUNT * (1 - fell) * gc.pick(slow(following), best) - fell
error = gc.pick(online(state), action) - gc.stop_gradient(goal)
# Huber's loss: no goal pulls with more than a slope of 1.
loss = gc.mean(gc.sqrt(1 + gc.square(error)) - 1)
pairs = dict(zip(slow.parameters, online.parameters, strict=True))
follow = {target: target + SLOWNESS * (own - target) for target, own in pairs.items()}
updates = gc.optim.Adam(RATE).updates(loss, online.parameters)
learn = gc.function([state, action, following, fell], loss, updates | follow)
carts_seen = graph.input("carts_seen", ("carts", 4))
act = gc.function([carts_seen], gc.argmax(online(carts_seen), axis=1))


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


def judged(count):
    """For how many steps poles stand on average where nothing is tried out."""
    carts, ages = CartPoles(count, SEED + 1), np.full(count, LONGEST)
    for age in range(1, LONGEST):
        is_over = carts.step(act(carts.states))[2]
        ages[is_over & (ages == LONGEST)] = age
    return ages.mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=12_000)
    options = parser.parse_args()
    gc.function([], [], pairs)()  # both begin alike
    rng, carts, memory = np.random.default_rng(SEED), CartPoles(CARTS, SEED), Memory()
    lives, seconds = [], 0.0
    for number in range(options.steps):
        done = number / options.steps
        actions = act(carts.states)
        is_random = rng.random(CARTS) < max(LEAST_EXPLORING, 1 - done / EXPLORED)
        actions[is_random] = rng.integers(0, 2, is_random.sum())
        before = carts.states.copy()
        after, fallen, _, ages = carts.step(actions)
        memory.add(before, actions, after, fallen)
        lives.extend(ages)
        if number >= FIRST_STEPS:
            if number % STEPS_OF_ONE_RATE == 0:
                learn.variables["adam.learning_rate"] = RATE * (1 - done)
            batch, started = memory.batch(rng), time.perf_counter()
            learn(*batch)
            seconds += time.perf_counter() - started
    print(f"steps of learning a second: {(options.steps - FIRST_STEPS) / seconds:,.0f}")
    print(f"first fifty poles stood for {np.mean(lives[:50]):.0f} steps")
    print(f"in the end {JUDGED} poles stand for {judged(JUDGED):.0f} of {LONGEST} steps")


if __name__ == "__main__":
    main()
