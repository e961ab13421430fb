"""A classifier of texts: embeddings, attention that a padding mask keeps off what is no word.

python examples/text_classifier.py

Sentences are made by a small grammar, since no text comes with the libraries: is the verdict on
the dish good or bad? "not" and "hardly" turn what stands behind them, so a bag of words is not
enough: the attention reads pairs of neighbouring words.
"""

import argparse

import numpy as np

import graphc as gc

LONGEST, SIZE, BATCH_SIZE, SEED = 16, 16, 50, 0
GOOD = ["tasty", "fresh", "crisp", "tender", "fragrant", "perfect", "rich", "lovely"]
BAD = ["stale", "bland", "soggy", "burnt", "cold", "greasy", "sour", "dull"]
TURN = ["not", "hardly"]
FILL = ["the", "soup", "bread", "fish", "was", "and", "very", "quite", "we", "had", "it", "rather"]
PADDING = 0
WORDS = ["", *GOOD, *BAD, *TURN, *FILL]
NUMBER = {word: number for number, word in enumerate(WORDS)}


def sentence(rng):
    """Words, and 1 where the verdict is good."""
    is_good, is_turned = rng.integers(0, 2, 2)
    verdict = rng.choice(GOOD if is_good else BAD)
    # A word of the verdict's kind stands behind "was", and a turning word behind a filling one.
    words = [str(rng.choice(TURN)), str(verdict)] if is_turned else [str(verdict)]
    stray = [] if is_turned else [str(rng.choice(TURN)), str(rng.choice(FILL))]
    before, after = ([str(word) for word in rng.choice(FILL, rng.integers(1, 6))] for _ in range(2))
    return [*stray, *before, *words, *after][:LONGEST], int(is_good != is_turned)


def load(count, rng):
    rows = np.full((count, LONGEST), PADDING, "i4")
    labels = np.zeros(count, "f4")
    for row in range(count):
        words, labels[row] = sentence(rng)
        rows[row, : len(words)] = [NUMBER[word] for word in words]
    return rows, labels


graph = gc.Graph(seed=SEED)
tokens = graph.input("tokens", ("batch", LONGEST), "i32")
labels = graph.input("labels", ("batch",))
is_word = tokens != PADDING
vectors = gc.nn.embedding(tokens, len(WORDS), SIZE, padding_index=PADDING)
bag_vectors = gc.sum(vectors, 1) / gc.sum(gc.cast(is_word, "f32"), 1)[:, None]
# Each word beside the one before it.
nothing = gc.broadcast_to(graph.constant(0.0), ("batch", 1, SIZE))
before = gc.concatenate([nothing, vectors[:, :-1]], 1)
pairs = gc.nn.dense(gc.concatenate([before, vectors], 2), 32, "relu")
weights = gc.softmax(gc.where(is_word, gc.nn.dense(pairs, 1)[:, :, 0], -np.inf))
read = gc.sum(pairs * weights[:, :, None], 1)


def model_of(features):
    """A model of a logit that is linear in the features."""
    logit = gc.nn.dense(features, 1)[:, 0]
    loss = gc.losses.sigmoid_cross_entropy(logit, labels)
    right = gc.mean(gc.cast((logit > 0) == (labels > 0.5), "f32"))
    return gc.Model(tokens, logit, labels, loss, {"accuracy": right})


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    train, test = load(4000, rng), load(1000, rng)
    found = {}
    for name, features in (("bag of words", bag_vectors), ("attention to pairs", read)):
        model = model_of(features)
        model.compile(gc.optim.Adam(5e-3), batch_size=BATCH_SIZE)
        model.fit(*train, epochs=options.epochs, verbose=0)
        found[name] = model.evaluate(*test)["accuracy"]
    look = gc.function([tokens], weights)
    shown = look(test[0][:1])[0]
    words = [
        f"{WORDS[token]} {share:.0%}"
        for token, share in zip(test[0][0], shown, strict=True)
        if token
    ]
    print("where the attention goes:", ", ".join(words))
    for name, accuracy in found.items():
        print(f"test accuracy, {name}: {accuracy:.3f}")


if __name__ == "__main__":
    main()
