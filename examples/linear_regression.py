"""Linear regression twice: solved in closed form, and by gradient descent, as features grow.

python examples/linear_regression.py --features 10 100 1000

The normal equations take rows * features^2 operations once, a step of gradient descent
rows * features each time. Data are drawn from a line in many dimensions with noise.
"""

import argparse
import time

import numpy as np

import graphc as gc

ROWS, NOISE, SEED = 4000, 0.1, 0


def data_of(features):
    """Rows, targets on a hyperplane but for noise, and the slopes of that."""
    rng = np.random.default_rng(SEED)
    slopes = rng.normal(size=features) / np.sqrt(features)
    x = rng.normal(size=(ROWS, features))
    return x, x @ slopes + 0.5 + NOISE * rng.normal(size=ROWS)


def closed_form(x, t):
    """The weights of least squares: (X^T X) w = X^T t, with a column of ones for the intercept."""
    with_ones = np.concatenate([x, np.ones((len(x), 1))], 1)
    return np.linalg.solve(with_ones.T @ with_ones, with_ones.T @ t)


def gradient_descent(x, t, steps):
    """The weights after some steps over all rows, the intercept last, and seconds a step."""
    graph = gc.Graph(seed=SEED)
    rows, targets = graph.input("x", x.shape, "f64"), graph.input("t", t.shape, "f64")
    prediction = gc.nn.dense(rows, 1)[:, 0]
    loss = gc.losses.mean_squared_error(prediction, targets)
    step = gc.function([rows, targets], loss, gc.optim.SGD(0.2).updates(loss))
    step.prepare()
    started = time.perf_counter()
    for _ in range(steps):
        step(x, t)
    seconds = (time.perf_counter() - started) / steps
    kernel, bias = (step.variables[p.name] for p in graph.parameters)
    return np.concatenate([kernel[:, 0], bias]), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--features", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    print("features   closed form   a step   difference of weights   mean squared error")
    for features in options.features:
        x, t = data_of(features)
        started = time.perf_counter()
        solved = closed_form(x, t)
        seconds = time.perf_counter() - started
        descended, a_step = gradient_descent(x, t, options.steps)
        error = np.mean((x @ descended[:-1] + descended[-1] - t) ** 2)
        difference = np.abs(descended - solved).max()
        print(
            f"{features:8d} {1e3 * seconds:10.2f} ms {1e3 * a_step:7.3f} ms"
            f" {difference:23.1e} {error:20.5f}"
        )


if __name__ == "__main__":
    main()
