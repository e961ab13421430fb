"""Texts as numbers: words or characters and the vocabulary that they are counted in."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.declare.hyperparameters import as_count
from graphc.errors import DataError
from graphc.ir.arguments.given import shown
from graphc.train.data.sequences import Array, pad_sequences

# The first two numbers of every vocabulary: what fills a row up, and what stands for other symbols.
PADDING, UNKNOWN = 0, 1
RESERVED = ("", "[UNK]")
STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation", None)
SPLIT = ("whitespace", "character")
_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}]")


class TextVectorization:
    """Texts as rows of i32, the number of each word or character in a vocabulary.

    max_tokens: numbers that there are at most, those of padding (0) and of unknown symbols (1)
        included; the most frequent symbols of the texts that it is adapted to have one. None for
        as many as there are.
    standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", or None for texts as
        they are.
    split: "whitespace" for words, or "character".
    output_sequence_length: of each row, cut or filled up behind; the longest text's unless given.
    vocabulary: the symbols from number 2 on, in the place of adapting.

    Words and defaults are those of keras.layers.TextVectorization; numpy alone does it.

        vectorize = gc.data.TextVectorization(split="character", standardize=None)
        vectorize.adapt([text])
        tokens = vectorize([text])[0]

    Raises ValueError for another word, DataError for a vocabulary that is none.
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | None = "lower_and_strip_punctuation",
        split: str = "whitespace",
        output_sequence_length: int | None = None,
        vocabulary: Sequence[str] | None = None,
    ) -> None:
        for name, value, known in (
            ("standardize", standardize, STANDARDIZE), ("split", split, SPLIT)
        ):  # fmt: skip
            if value not in known:
                expected = ", ".join(map(repr, known))
                raise ValueError(f"TextVectorization: {name}: one of {expected}, not {value!r}")
        least = len(RESERVED) + 1
        self.max_tokens = None if max_tokens is None else as_count("max_tokens", max_tokens, least)
        self.standardize, self.split = standardize, split
        self.output_sequence_length = (
            None
            if output_sequence_length is None
            else as_count("output_sequence_length", output_sequence_length, 1)
        )
        self._symbols: list[str] = []
        self._numbers: dict[str, int] = {}
        if vocabulary is not None:
            self._know(vocabulary)

    def adapt(self, data: str | Iterable[str]) -> None:
        """Makes the vocabulary of what occurs in the texts, the most frequent symbols first, and
        equally frequent ones in the order of the alphabet. Raises DataError unless they are texts.
        """
        counts = Counter(symbol for text in _texts(data) for symbol in self.symbols(text))
        ordered = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
        room = None if self.max_tokens is None else self.max_tokens - len(RESERVED)
        self._know(ordered[:room])

    def __call__(self, data: str | Iterable[str]) -> Array:
        """The rows [texts, length] of i32. Raises DataError before it has a vocabulary."""
        rows = [self.encode(text) for text in _texts(data)]
        return pad_sequences(
            rows, self.output_sequence_length, padding="post", truncating="post", value=PADDING
        )

    def encode(self, text: str) -> Array:
        """The numbers of one text, as many as it has symbols: i32."""
        if not self._numbers:
            raise DataError("TextVectorization: no vocabulary; adapt it to texts first")
        numbers = [self._numbers.get(symbol, UNKNOWN) for symbol in self.symbols(text)]
        return np.array(numbers, np.int32)

    def decode(self, tokens: Any) -> str:
        """The text of a row of numbers, without padding. Raises DataError for other numbers than
        the vocabulary has."""
        numbers = np.asarray(tokens).ravel()
        known = self.get_vocabulary()
        if numbers.size and numbers.dtype.kind not in "iu":
            raise DataError(f"TextVectorization: integers expected, not {shown(tokens)}")
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(known):
            raise DataError(f"TextVectorization: numbers from 0 to {len(known) - 1} expected")
        between = " " if self.split == "whitespace" else ""
        return between.join(known[number] for number in numbers if number != PADDING)

    def get_vocabulary(self) -> list[str]:
        """All symbols in the order of their numbers: "" for padding and "[UNK]" first."""
        return [*RESERVED, *self._symbols]

    def vocabulary_size(self) -> int:
        """How many numbers there are."""
        return len(RESERVED) + len(self._symbols)

    def symbols(self, text: str) -> list[str]:
        """The words or characters of a text."""
        if self.standardize is not None and self.standardize.startswith("lower"):
            text = text.lower()
        if self.standardize is not None and self.standardize.endswith("strip_punctuation"):
            text = _PUNCTUATION.sub("", text)
        return text.split() if self.split == "whitespace" else list(text)

    def _know(self, symbols: Sequence[str]) -> None:
        known = list(symbols)
        if isinstance(symbols, str) or not all(isinstance(each, str) for each in known):
            problem = f"a sequence of symbols expected, not {shown(symbols)}"
            raise DataError(f"TextVectorization: vocabulary: {problem}")
        if len(set(known)) != len(known) or set(known) & set(RESERVED) or not known:
            problem = "different symbols expected, at least one, and none of them '' or '[UNK]'"
            raise DataError(f"TextVectorization: vocabulary: {problem}")
        if self.max_tokens is not None and len(known) > self.max_tokens - len(RESERVED):
            problem = f"{len(known)} symbols for {self.max_tokens} tokens"
            raise DataError(f"TextVectorization: vocabulary: {problem}")
        self._symbols = known
        self._numbers = {symbol: n for n, symbol in enumerate(known, len(RESERVED))}


def _texts(data: str | Iterable[str]) -> list[str]:
    is_several = isinstance(data, Iterable) and not isinstance(data, str)
    texts: list[Any] = list(data) if is_several else [data]
    for text in texts:
        if not isinstance(text, str):
            raise DataError(f"TextVectorization: texts expected, not {shown(text)}")
    return texts
