"""Two apples at 100, with a tax of 10 %, cost 220.

    graphc draw examples/textbook/apples.py --values --html apples.html

The gradients below the edges say what the total gains when a value grows by 1: chapter 5 of
Saitoh, Deep Learning from Scratch.
"""

import graphc as gc

graph = gc.Graph()
apple, apples, tax = (graph.input(name) for name in ("apple", "apples", "tax"))
total = apple * apples * tax

model = gc.function([apple, apples, tax], {"total": total})
sample_batch = {"apple": 100, "apples": 2, "tax": 1.1}
