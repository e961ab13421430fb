"""An LSTM that reads Python's own help, character by character, and writes on.

python examples/char_lstm.py [--epochs 6] [--length 300] [--prompt "The class "]

Training reads windows of the text. Writing reads the prompt, and a loop inside of one call goes on
from its states: it draws a character, and steps once more.
"""

import argparse
import pydoc_data.topics

import numpy as np

import graphc as gc

STEPS, WIDTH, UNITS, BATCH_SIZE, SEED = 64, 32, 192, 32, 0

text = "\n".join(topic for _, topic in sorted(pydoc_data.topics.topics.items()))
vectorize = gc.data.TextVectorization(standardize=None, split="character")
vectorize.adapt(text)
SYMBOLS = vectorize.vocabulary_size()

graph = gc.Graph(seed=SEED)
characters = graph.input("characters", ("batch", STEPS), "i32")
targets = graph.input("targets", ("batch", STEPS), "i32")

embed = gc.nn.Embedding(SYMBOLS, WIDTH)
lstm = gc.nn.LSTM(UNITS, return_sequences=True, return_state=True)
head = gc.nn.Dense(SYMBOLS)


def scores_of(characters, states=None):
    """Logits of the characters that follow, [batch, n, SYMBOLS], and the states behind them."""
    hidden, *states = lstm(embed(characters), initial_state=states)
    return head(hidden), states


scores, _ = scores_of(characters)
loss = gc.losses.softmax_cross_entropy(
    gc.reshape(scores, (-1, SYMBOLS)), gc.reshape(targets, (-1,))
)


def writer(prompt, length):
    """A function that writes so many characters behind a prompt."""
    begun = gc.cast(graph.constant(prompt[None]), "i32")
    first, states = scores_of(begun)

    def step(carry, _):
        logits, *states = carry
        drawn = gc.cast(gc.random.sample_logits(logits, temperature=0.6), "i32")
        after, states = scores_of(gc.expand_dims(drawn, 1), states)
        return [after[:, 0], *states], drawn

    _, written = gc.scan(step, [first[:, -1], *states], length=length)
    return gc.function([], written[:, 0], gc.random.advanced([written]), name="write")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--length", type=int, default=300)
    parser.add_argument("--prompt", default="The class ")
    chosen = parser.parse_args()
    windows = gc.data.timeseries_windows(vectorize.encode(text), STEPS + 1, STEPS // 2)
    model = gc.Model(characters, scores, targets, loss)
    model.compile(gc.optim.Adam(3e-3))
    history = model.fit(
        windows[:, :-1], windows[:, 1:], epochs=chosen.epochs, batch_size=BATCH_SIZE, verbose=0
    )
    write = writer(np.asarray(vectorize.encode(chosen.prompt)), chosen.length)
    print(chosen.prompt + vectorize.decode(write()))
    print(f"bits a character: {history.history['loss'][-1] / np.log(2):.3f}")
