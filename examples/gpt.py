"""A GPT that reads Python's own help, character by character, and writes on.

python examples/gpt.py [--epochs 4] [--length 300] [--prompt "The class "]

Blocks of causal attention, norms first. The text is drawn in compiled code alone: keys and values
of the characters before are states, and so are the text and the place in it, so one call repeats
the step for all characters. What is written at another temperature is another function.
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
places = gc.nn.PositionEmbedding(TOKENS)
blocks = [
    gc.nn.TransformerDecoderBlock(4 * WIDTH, HEADS, activation="gelu", normalize_first=True)
    for _ in range(LAYERS)
]
norm, head = gc.nn.LayerNorm(), gc.nn.Dense(SYMBOLS)


def scores_of(tokens, start=0, cache=None):
    """Logits of the characters that follow: [batch, n] -> [batch, n, SYMBOLS]."""
    x = embed(tokens)
    x = x + places(x, start)
    for block in blocks:
        x = block(x, cache=cache)
    return head(norm(x))


scores = scores_of(tokens)
loss = gc.losses.softmax_cross_entropy(
    gc.reshape(scores, (-1, SYMBOLS)), gc.reshape(targets, (-1,))
)

# Generation: the text so far, how much of it is given, and where the next character is read.
written = graph.variable("written", np.zeros(TOKENS), (TOKENS,), "i32")
given = graph.variable("given", 1, (), "i32")
position = graph.variable("position", 0, (), "i32")
cache = gc.nn.KeyValueCache(TOKENS, position)
numbers = gc.cast(gc.arange(TOKENS, like=graph), "i32")
current = gc.sum(gc.where(numbers == position, written, 0))
logits = scores_of(gc.reshape(current, (1, 1)), position, cache)[0, 0]
drawn = gc.cast(gc.random.sample_logits(logits, temperature=0.7, top_k=20), "i32")
is_next = gc.logical_and(numbers == position + 1, numbers >= given)
updates = {written: gc.where(is_next, drawn, written), position: position + 1}
write = gc.function(
    [], drawn, {**updates, **cache.updates, **gc.random.advanced([drawn])}, name="write"
)


def written_on(prompt, length):
    """The prompt and what follows, window by window: the last half of one begins the next."""
    result = vectorize.encode(prompt)
    while len(result) < length:
        window = result[-TOKENS // 2 :]
        graph.variables["written"] = np.resize(window, TOKENS)
        graph.variables["given"], graph.variables["position"] = len(window), 0
        write.repeat(TOKENS - 1)
        result = np.concatenate([result, graph.variables["written"][len(window) :]])
    return vectorize.decode(result[:length])


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
    write()  # compiled here, before the clock runs
    begin = time.perf_counter()
    print(written_on(chosen.prompt, chosen.length))
    print(f"seconds of writing: {time.perf_counter() - begin:.3f}")
    print(f"bits a character: {history.history['loss'][-1] / np.log(2):.3f}")
