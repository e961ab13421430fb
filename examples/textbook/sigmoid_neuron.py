"""A neuron of two inputs, its sigmoid written out: the worked example of CS231n, 0.73.

graphc draw examples/textbook/sigmoid_neuron.py --values --decimals 2 --html neuron.html
"""

import graphc as gc

graph = gc.Graph()
w0, x0, w1, x1, w2 = (graph.input(name) for name in ("w0", "x0", "w1", "x1", "w2"))
f = 1 / (1 + gc.exp(-(w0 * x0 + w1 * x1 + w2)))

model = gc.function([w0, x0, w1, x1, w2], {"f": f})
sample_batch = {"w0": 2, "x0": -1, "w1": -3, "x1": -2, "w2": -3}
