"""Apples and oranges: 2 apples at 100 and 3 oranges at 150, with a tax of 10 %, cost 715.

    graphc draw examples/textbook/apples_and_oranges.py --values --html fruit.html

The gradients below the edges say what the total gains when a value grows by 1: chapter 5 of
Saitoh, Deep Learning from Scratch.
"""

import graphc as gc

graph = gc.Graph()
apple, apples, orange, oranges, tax = (
    graph.input(name) for name in ("apple", "apples", "orange", "oranges", "tax")
)
total = (apple * apples + orange * oranges) * tax

model = gc.function([apple, apples, orange, oranges, tax], {"total": total})
sample_batch = {"apple": 100, "apples": 2, "orange": 150, "oranges": 3, "tax": 1.1}
