"""Two layers of two sigmoid units: the worked example of Mazur, A Step by Step Backpropagation
Example, 2015, whose error is 0.298371.

    graphc draw examples/textbook/two_layer_net.py --values --html net.html
"""

import graphc as gc

graph = gc.Graph()
x = graph.input("x", ("batch", 2))
target = graph.input("target", ("batch", 2))

# A column holds the weights of a unit, so w1 and w2 of the text are the first column.
w_hidden = graph.parameter("hidden.kernel", (2, 2), [[0.15, 0.25], [0.20, 0.30]])
b_hidden = graph.parameter("hidden.bias", (2,), [0.35, 0.35])
w_output = graph.parameter("output.kernel", (2, 2), [[0.40, 0.50], [0.45, 0.55]])
b_output = graph.parameter("output.bias", (2,), [0.60, 0.60])

hidden = gc.sigmoid(x @ w_hidden + b_hidden)
output = gc.sigmoid(hidden @ w_output + b_output)
error = gc.sum(0.5 * gc.square(target - output))

model = gc.Model(x, output, target, error)
model.compile(gc.optim.SGD(learning_rate=0.5))
sample_batch = {"x": [[0.05, 0.10]], "target": [[0.01, 0.99]]}
