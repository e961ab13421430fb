"""The small network that architecture.md follows through the compiler."""

import graphc as gc

graph = gc.Graph(seed=0)
x = graph.input("x", ("batch", 8))
labels = graph.input("labels", ("batch",), "i32")
hidden = gc.nn.dense(x, 16, gc.sigmoid)
scores = gc.nn.dense(hidden, 3)
loss = gc.losses.softmax_cross_entropy(scores, labels)

model = gc.Model(x, scores, labels, loss)
model.compile(gc.optim.SGD(learning_rate=0.1))
