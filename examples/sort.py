"""A transformer that learns to sort: every place says which digit stands there in order.

python examples/sort.py [--steps 1500]

Nothing tells it what sorting is: examples of digits in random order and in order are all it has.
"""

import argparse

import numpy as np

import graphc as gc

LENGTH, SYMBOLS, WIDTH, HEADS, BATCH_SIZE, SEED = 12, 10, 64, 4, 64, 0


def examples(count, rng):
    digits = rng.integers(0, SYMBOLS, (count, LENGTH), dtype="i4")
    return digits, np.sort(digits, axis=1)


graph = gc.Graph(seed=SEED)
digits = graph.input("digits", ("batch", LENGTH), "i32")
ordered = graph.input("ordered", ("batch", LENGTH), "i32")
x = gc.nn.embedding(digits, SYMBOLS, WIDTH, table_init=gc.init.normal(0.0, 0.1))
x = x + gc.nn.PositionEmbedding(LENGTH)(x)
for _ in range(2):
    x = gc.nn.TransformerEncoderBlock(2 * WIDTH, HEADS, normalize_first=True)(x)
scores = gc.nn.dense(gc.nn.layer_norm(x), SYMBOLS)
loss = gc.losses.softmax_cross_entropy(
    gc.reshape(scores, (-1, SYMBOLS)), gc.reshape(ordered, (-1,))
)
model = gc.Model(digits, scores, ordered, loss)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500)
    steps = parser.parse_args().steps
    rng = np.random.default_rng(SEED)
    model.compile(gc.optim.Adam(2e-3))
    model.fit(*examples(steps * BATCH_SIZE, rng), epochs=1, batch_size=BATCH_SIZE, verbose=0)
    unseen, wanted = examples(1000, rng)
    found = model.predict(unseen).argmax(-1)
    for row in range(3):
        print(*unseen[row], "->", *found[row])
    print(f"digits in their place: {(found == wanted).mean():.3f}")
    print(f"rows sorted: {(found == wanted).all(1).mean():.3f}")
