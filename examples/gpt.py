"""A GPT that reads Python's own help, character by character, and writes on.

python examples/gpt.py [--epochs 4] [--length 300] [--prompt "The class "]

Blocks of causal attention, norms first, with rotary places. The text is drawn in one call of
compiled code: its loop carries the keys and values of the last 64 characters from each to the next.
"""

import argparse
import pydoc_data.topics
import time

import numpy as np

import graphc as gc

TOKENS, WIDTH, HEADS, LAYERS, BATCH_SIZE, SEED = 64, 64, 4, 2, 32, 0

text = "\n".join(topic for _, topic in sorted(pydoc_data.topics.topics.items()))
vectorize = gc.data.TextVectorization(standardize=None, split="character")
vectorize.adapt(text)
SYMBOLS = vectorize.vocabulary_size()

graph = gc.Graph(seed=SEED)
tokens = graph.input("tokens", ("batch", TOKENS), "i32")
targets = graph.input("targets", ("batch", TOKENS), "i32")

embed = gc.nn.Embedding(SYMBOLS, WIDTH)
blocks = [
    gc.nn.TransformerDecoderBlock(
        4 * WIDTH, HEADS, activation="gelu", normalize_first=True, rotary=gc.nn.RotaryEmbedding()
    )
    for _ in range(LAYERS)
]
norm, head = gc.nn.LayerNorm(), gc.nn.Dense(SYMBOLS)


def scores_of(tokens, cache=None):
    """Logits of the characters that follow: [batch, n] -> [batch, n, SYMBOLS]."""
    x = embed(tokens)
    for block in blocks:
        x = block(x, cache=cache)
    return head(norm(x))


scores = scores_of(tokens)
loss = gc.losses.softmax_cross_entropy(
    gc.reshape(scores, (-1, SYMBOLS)), gc.reshape(targets, (-1,))
)


def writer(prompt, length):
    """A function that writes on behind a prompt, up to so many characters."""
    begun = gc.cast(graph.constant(prompt[None]), "i32")
    written = gc.nn.generate(scores_of, begun, length, temperature=0.7, top_k=20, window=TOKENS)
    return gc.function([], written, gc.random.advanced([written]), name="write")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--length", type=int, default=300)
    parser.add_argument("--prompt", default="The class ")
    chosen = parser.parse_args()
    numbers_of_text = vectorize.encode(text)
    windows = gc.data.timeseries_windows(numbers_of_text, TOKENS + 1, TOKENS // 2)
    model = gc.Model(tokens, scores, targets, loss)
    model.compile(gc.optim.AdamW(2e-3))
    history = model.fit(
        windows[:, :-1], windows[:, 1:], epochs=chosen.epochs, batch_size=BATCH_SIZE, verbose=0
    )
    write = writer(np.asarray(vectorize.encode(chosen.prompt)), chosen.length)
    write()  # compiled here, before the clock runs
    begin = time.perf_counter()
    print(vectorize.decode(write()[0]))
    print(f"seconds of writing: {time.perf_counter() - begin:.3f}")
    print(f"bits a character: {history.history['loss'][-1] / np.log(2):.3f}")
