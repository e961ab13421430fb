"""The two convolutions that architecture.md follows through the compiler."""

import graphc as gc

graph = gc.Graph(seed=0)
images = graph.input("images", (16, 10, 10, 4))
targets = graph.input("targets", (16, 6, 6, 8))
hidden = gc.nn.conv2d(images, 8, 3, activation="relu")
result = gc.nn.conv2d(hidden, 8, 3)
loss = gc.losses.mean_squared_error(result, targets)

step = gc.function([images, targets], loss, gc.optim.SGD(learning_rate=0.1).updates(loss))
