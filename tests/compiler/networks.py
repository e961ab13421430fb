"""Small networks that several tests of the compiler look at."""

from __future__ import annotations

from typing import Any

import graphc as gc


def elementwise_workload(rows: int = 4096, columns: int = 1024) -> gc.Function:
    """mean((tanh(a*x+b) * sigmoid(c*x+d) - t)^2) and its four gradients."""
    graph = gc.Graph()
    x, t = graph.input("x", (rows, columns)), graph.input("t", (rows, columns))
    a, b, c, d = (graph.parameter(name, (columns,)) for name in "abcd")
    error = gc.tanh(a * x + b) * gc.sigmoid(c * x + d) - t
    loss = gc.mean(gc.square(error))
    return gc.function([x, t], [loss, *gc.grad(loss, [a, b, c, d])])


def classifier(rows: int = 64, features: int = 20, classes: int = 10) -> gc.Function:
    """One layer with softmax cross-entropy, trained by a step along its gradient."""
    graph = gc.Graph()
    x, labels = graph.input("x", (rows, features)), graph.input("labels", (rows,), "i64")
    w = graph.parameter("w", (features, classes))
    b = graph.parameter("b", (classes,), 0.0)
    loss = -gc.mean(gc.pick(gc.log_softmax(x @ w + b), labels))
    slopes = gc.grad(loss, [w, b])
    updates = [(p, p - 0.1 * slope) for p, slope in zip([w, b], slopes, strict=True)]
    return gc.function([x, labels], loss, updates)


def layer_normalization(rows: int = 256, columns: int = 64) -> gc.Function:
    """Written out of primitives, with a loss and the gradients by input, scale and shift."""
    graph = gc.Graph()
    x, t = graph.input("x", (rows, columns)), graph.input("t", (rows, columns))
    scale = graph.parameter("scale", (columns,), 1.0)
    shift = graph.parameter("shift", (columns,), 0.0)
    centered = x - gc.mean(x, -1, keepdims=True)
    variance = gc.mean(gc.square(centered), -1, keepdims=True)
    y = centered / gc.sqrt(variance + 1e-5) * scale + shift
    loss = gc.mean(gc.square(y - t))
    return gc.function([x, t], [loss, *gc.grad(loss, [x, scale, shift])])


def dense(
    activation: Any = gc.relu, rows: int = 64, depth: int = 48, columns: int = 32
) -> gc.Function:
    """activation(x w + b)"""
    graph = gc.Graph()
    x = graph.input("x", (rows, depth))
    w, b = graph.parameter("w", (depth, columns)), graph.parameter("b", (columns,), 0.0)
    return gc.function([x], activation(x @ w + b))


def scaled_bytes(rows: int, columns: int) -> gc.Function:
    """Pixels from 0 to 255 as f32 from 0 to 1."""
    graph = gc.Graph()
    pixels = graph.input("pixels", (rows, columns), "u8")
    return gc.function([pixels], gc.cast(pixels, "f32") * (1 / 255))


def dropout_layer(rows: int = 64, depth: int = 48, columns: int = 32) -> gc.Function:
    """dropout(relu(x w + b))"""
    graph = gc.Graph()
    x = graph.input("x", (rows, depth))
    return gc.function([x], gc.dropout(gc.nn.dense(x, columns, gc.relu), 0.5))


def dropout_step(activation: Any = gc.relu, rows: int = 24) -> gc.Function:
    """A step of two layers with dropout between."""
    graph = gc.Graph()
    x, labels = graph.input("x", (rows, 20)), graph.input("labels", (rows,), "i64")
    hidden = gc.dropout(gc.nn.dense(x, 37, activation), 0.25)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(hidden, 4), labels)
    return gc.function([x, labels], loss, gc.optim.SGD(0.5).updates(loss))


def scaled_dense(rows: int = 4096, depth: int = 64, columns: int = 8) -> gc.Function:
    """relu(((x - mean) * scale) w + bias)"""
    graph = gc.Graph()
    x, w = graph.input("x", (rows, depth)), graph.parameter("w", (depth, columns))
    mean, scale = graph.input("mean", (depth,)), graph.input("scale", (depth,))
    bias = graph.parameter("bias", (columns,), 0.0)
    return gc.function([x, mean, scale], gc.relu(((x - mean) * scale) @ w + bias))


def softmax(rows: int = 64, columns: int = 1000) -> gc.Function:
    graph = gc.Graph()
    x = graph.input("x", (rows, columns))
    return gc.function([x], gc.softmax(x))


def cross_entropy(rows: int = 64, classes: int = 1000) -> gc.Function:
    """The gradient of scores by which labels are predicted, and the loss."""
    graph = gc.Graph()
    scores = graph.parameter("scores", (rows, classes))
    labels = graph.input("labels", (rows,), "i32")
    loss = gc.losses.softmax_cross_entropy(scores, labels)
    return gc.function([labels], [loss, gc.grad(loss, scores)])


def relu_chain(rows: int = 64, columns: int = 1000) -> gc.Function:
    graph = gc.Graph()
    x = graph.input("x", (rows, columns))
    return gc.function([x], gc.relu(gc.relu(x * 2 - 1) * 0.5 - 0.1))


def adam(size: int = 10_000) -> gc.Function:
    """Adam's update (Kingma and Ba, 2015) of one large parameter by a gradient that is given."""
    graph = gc.Graph()
    slope = graph.input("slope", (size,))
    w = graph.parameter("w", (size,), 0.5)
    first, second = graph.variable("first", 0.0, (size,)), graph.variable("second", 0.0, (size,))
    step = graph.variable("step", 0.0, ())
    next_step = step + 1
    next_first = 0.9 * first + 0.1 * slope
    next_second = 0.999 * second + 0.001 * gc.square(slope)
    corrected = next_first / (1 - 0.9**next_step)
    scaled = corrected / (gc.sqrt(next_second / (1 - 0.999**next_step)) + 1e-8)
    updates = [
        (first, next_first),
        (second, next_second),
        (step, next_step),
        (w, w - 1e-3 * scaled),
    ]
    return gc.function([slope], [], updates)


def sgd(size: int = 10_000) -> gc.Function:
    """The update of one large parameter by a gradient that is given, with momentum."""
    graph = gc.Graph()
    slope = graph.input("slope", (size,))
    w = graph.parameter("w", (size,), 0.5)
    velocity = graph.variable("velocity", 0.0, (size,))
    next_velocity = 0.9 * velocity + slope
    return gc.function([slope], [], [(velocity, next_velocity), (w, w - 0.1 * next_velocity)])
