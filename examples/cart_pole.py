"""A pole on a cart, many at once in numpy: the task of Barto, Sutton and Anderson, 1983."""

import numpy as np

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
FARTHEST, STEEPEST, LONGEST = 2.4, np.radians(12), 500


class CartPoles:
    """`count` carts. A state is place, speed, angle and turning speed; action 1 pushes right."""

    def __init__(self, count, seed):
        self.rng = np.random.default_rng(seed)
        self.states = self._fresh(count)
        self.ages = np.zeros(count, int)

    def _fresh(self, count):
        return self.rng.uniform(-0.05, 0.05, (count, 4)).astype("f4")

    def step(self, actions):
        """The states that follow, which carts fell, and the ages of those that begin anew.

        `states` holds the states to act in next; what follows is before a new beginning.
        """
        _, speed, angle, turning = self.states.T
        push = np.where(actions == 1, FORCE, -FORCE)
        total, sine, cosine = CART + POLE, np.sin(angle), np.cos(angle)
        pulled = (push + POLE * HALF_LENGTH * turning**2 * sine) / total
        inertia = HALF_LENGTH * (4 / 3 - POLE * cosine**2 / total)
        turned = (GRAVITY * sine - cosine * pulled) / inertia
        moved = pulled - POLE * HALF_LENGTH * turned * cosine / total
        change = np.stack([speed, moved, turning, turned], 1)
        following = (self.states + SECONDS * change).astype("f4")
        self.ages += 1
        fell = (np.abs(following[:, 0]) > FARTHEST) | (np.abs(following[:, 2]) > STEEPEST)
        is_over = fell | (self.ages >= LONGEST)
        ages = self.ages[is_over]
        self.states = following.copy()
        self.states[is_over] = self._fresh(len(ages))
        self.ages[is_over] = 0
        return following, fell, is_over, ages
