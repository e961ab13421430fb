"""The smallest net worth training: two bits in, their exclusive or out."""

import numpy as np

import graphc as gc

graph = gc.Graph(seed=0)
bits = graph.input("bits", ("batch", 2))
target = graph.input("target", ("batch", 1))
hidden = gc.nn.dense(bits, 8, activation=gc.tanh)
logit = gc.nn.dense(hidden, 1)
loss = gc.losses.sigmoid_cross_entropy(logit, target)

model = gc.Model(bits, gc.sigmoid(logit), target, loss)
model.compile(gc.optim.Adam(0.05), batch_size=4)

if __name__ == "__main__":
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    model.fit(x, x[:, :1] ^ x[:, 1:], epochs=200, verbose=0)
    print(model.predict(x).round(2).ravel())
