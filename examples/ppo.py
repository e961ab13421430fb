"""Proximal policy optimisation of a pole on a cart, 32 carts at once.

python examples/ppo.py

Source: Schulman et al., Proximal Policy Optimization Algorithms, 2017; advantages of their
High-Dimensional Continuous Control, 2016.
"""

import argparse
import time

import numpy as np
from cart_pole import CartPoles

import graphc as gc

CARTS, HORIZON, BATCH, PASSES, HIDDEN, SEED = 32, 128, 512, 4, 64, 0
DISCOUNT, TRACE, CLIP, VALUE_WEIGHT, ENTROPY_WEIGHT, RATE = 0.99, 0.95, 0.2, 0.5, 0.01, 2e-3

graph = gc.Graph(seed=SEED)
policy = gc.nn.Sequential([gc.nn.Dense(HIDDEN, "tanh"), gc.nn.Dense(2)], name="policy")
critic = gc.nn.Sequential([gc.nn.Dense(HIDDEN, "tanh"), gc.nn.Dense(1)], name="critic")

# Acting: the chance of each action is drawn from inside of the graph.
carts_seen = graph.input("carts_seen", (CARTS, 4))
seen_logits = policy(carts_seen)
drawn = gc.random.categorical(seen_logits)
outputs = [drawn, gc.pick(gc.log_softmax(seen_logits), drawn), critic(carts_seen)[:, 0]]
act = gc.function([carts_seen], outputs, gc.random.advanced([drawn]))

# Learning: the ratio of chances, now and when the action was drawn, is not worth leaving 1 +- CLIP.
state = graph.input("state", (BATCH, 4))
action = graph.input("action", (BATCH,), "i64")
old, advantage, goal = (graph.input(name, (BATCH,)) for name in ("old", "advantage", "goal"))
log_chances = gc.log_softmax(policy(state))
ratio = gc.exp(gc.pick(log_chances, action) - old)
clipped = gc.minimum(gc.maximum(ratio, 1 - CLIP), 1 + CLIP)
gained = gc.mean(gc.minimum(ratio * advantage, clipped * advantage))
entropy = -gc.mean(gc.sum(gc.exp(log_chances) * log_chances, 1))
missed = gc.mean(gc.square(critic(state)[:, 0] - goal))
loss = VALUE_WEIGHT * missed - gained - ENTROPY_WEIGHT * entropy
learn = gc.function([state, action, old, advantage, goal], loss, gc.optim.Adam(RATE).updates(loss))


def rollout(carts):
    """HORIZON steps of every cart: states, actions, log chances, advantages and goals; lives."""
    states, actions, chances, values, ends, lives = [], [], [], [], [], []
    for _ in range(HORIZON):
        states.append(carts.states.copy())
        taken, chance, value = act(carts.states)
        _, _, is_over, ages = carts.step(taken)
        actions.append(taken)
        chances.append(chance)
        values.append(value)
        ends.append(is_over)
        lives.extend(ages)
    following = act(carts.states)[2]
    advantages, trace = np.zeros((HORIZON, CARTS), "f4"), np.zeros(CARTS, "f4")
    for step in reversed(range(HORIZON)):
        goes_on = ~ends[step]
        surprise = 1 + DISCOUNT * following * goes_on - values[step]
        trace = surprise + DISCOUNT * TRACE * goes_on * trace
        advantages[step], following = trace, values[step]
    columns = states, actions, chances, advantages, advantages + values
    return [np.concatenate(column) for column in columns], lives


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    rng, carts, lives, started = np.random.default_rng(SEED), CartPoles(CARTS, SEED), [], None
    for _ in range(options.rounds):
        columns, ended = rollout(carts)
        lives.extend(ended)
        columns[3] = (columns[3] - columns[3].mean()) / (columns[3].std() + 1e-8)
        for _ in range(PASSES):
            for rows in rng.permutation(HORIZON * CARTS).reshape(-1, BATCH):
                learn(*(column[rows] for column in columns))
        started = started or time.perf_counter()  # what came before has compiled
    seconds = time.perf_counter() - started
    steps = (options.rounds - 1) * HORIZON * CARTS
    print(f"steps of carts a second, learning included: {steps / seconds:,.0f}")
    print(f"first fifty poles stood for {np.mean(lives[:50]):.0f} steps")
    print(f"last fifty poles stood for {np.mean(lives[-50:]):.0f} steps")


if __name__ == "__main__":
    main()
