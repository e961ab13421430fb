"""A forecast: an LSTM learns the next value of a chaotic series, then goes on by itself.

python examples/forecast.py --png forecast.png

The series is that of Mackey and Glass (1977) with a delay of 17, with which recurrent networks are
compared. The forecast is a loop over the trained layer: each step reads what the one before made.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import graphc as gc

LENGTH, TRAINED, WINDOW, UNITS, DELAY, SEED = 3000, 2000, 100, 48, 17, 0
AHEAD = 60
# 84 units of time, the horizon by which networks are compared.
HORIZON = 14


def load():
    """The series, every sixth unit of time, of mean 0 and deviation 1."""
    values = [1.2] * (DELAY * 10 + 1)
    for _ in range(60 * LENGTH + 10_000):
        past = values[-DELAY * 10 - 1]
        values.append(values[-1] + 0.1 * (0.2 * past / (1 + past**10) - 0.1 * values[-1]))
    series = np.array(values[-60 * LENGTH :: 60])
    return ((series - series.mean()) / series.std()).astype("f4")


graph = gc.Graph(seed=SEED)
x = graph.input("x", ("batch", WINDOW, 1))
following = graph.input("following", ("batch", WINDOW, 1))
layer = gc.nn.LSTM(UNITS, return_sequences=True, return_state=True)
output = gc.nn.Dense(1)
states, *last = layer(x)
predicted = output(states)
# The first values of a window have too little behind them.
loss = gc.losses.mean_squared_error(predicted[:, 20:], following[:, 20:])
model = gc.Model(x, predicted, following, loss)


def go_on(carry, _):
    """One step from a value and the layer's states to the next value."""
    value, *states = carry
    made, *states = layer(value[:, None], initial_state=states)
    after = output(made)[:, 0]
    return [after, *states], after


_, ahead = gc.scan(go_on, [predicted[:, -1], *last], length=AHEAD)
forecast = gc.function(x, gc.concatenate([predicted[None, :, -1], ahead], 0))


def draw(series, starts, made, path):
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axis = figure.subplots()
    begin = starts[0]
    axis.plot(np.arange(-WINDOW, AHEAD), series[begin : begin + WINDOW + AHEAD], color="silver")
    axis.plot(np.arange(AHEAD), made[:AHEAD, 0, 0], color="C3")
    axis.axvline(0, color="black", linewidth=0.5)
    axis.legend(["series", "forecast"], loc="upper left")
    axis.set(xlabel="steps ahead", ylabel="value")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--png", help="where the forecast goes")
    options = parser.parse_args()
    series = load()
    windows = np.lib.stride_tricks.sliding_window_view(series[:TRAINED], WINDOW + 1)[::2, :, None]
    model.compile(gc.optim.Adam(5e-3), batch_size=50)
    model.fit(windows[:, :-1], windows[:, 1:], epochs=options.epochs, verbose=0)
    starts = np.arange(TRAINED, LENGTH - WINDOW - AHEAD, 20)
    given = np.stack([series[start : start + WINDOW, None] for start in starts])
    made = forecast(given)
    for steps in (1, HORIZON, AHEAD):
        right = series[starts + WINDOW + steps - 1]
        error = np.sqrt(np.mean((made[steps - 1, :, 0] - right) ** 2))
        print(f"error {steps} ahead: {error:.3f} of the deviation")
    if options.png:
        draw(series, starts, made, options.png)


if __name__ == "__main__":
    main()
