"""A GPT in PyTorch that writes with caches; each line that is read asks for one text.

python -m benchmarks.peers.in_torch.generation TOKENS THREADS
"""

from __future__ import annotations

import sys
import time

import torch
from torch.nn import functional

from benchmarks.peers.problem import (
    GENERATED_HEADS,
    GENERATED_LAYERS,
    GENERATED_TOP_K,
    GENERATED_VOCABULARY,
    GENERATED_WIDTH,
    TEMPERATURE,
)


class Block(torch.nn.Module):
    """Norms first, GELU, and keys and values in memory that is allocated once."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        width = GENERATED_WIDTH
        self.first, self.second = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.project, self.back = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
        self.up, self.down = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)
        shape = (1, GENERATED_HEADS, tokens, width // GENERATED_HEADS)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)

    def forward(self, x: torch.Tensor, position: int) -> torch.Tensor:
        projected = self.project(self.first(x)).view(1, 1, 3, GENERATED_HEADS, -1)
        q, k, v = (each.transpose(1, 2) for each in projected.unbind(2))
        self.keys[:, :, position : position + 1] = k
        self.values[:, :, position : position + 1] = v
        seen = slice(0, position + 1)
        mixed = functional.scaled_dot_product_attention(
            q, self.keys[:, :, seen], self.values[:, :, seen]
        )
        x = x + self.back(mixed.transpose(1, 2).reshape(1, 1, -1))
        return x + self.down(functional.gelu(self.up(self.second(x))))


class Writer(torch.nn.Module):
    """Learned places, blocks, a norm and a layer to the tokens."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(GENERATED_VOCABULARY, GENERATED_WIDTH)
        self.places = torch.nn.Embedding(tokens, GENERATED_WIDTH)
        self.blocks = torch.nn.ModuleList(Block(tokens) for _ in range(GENERATED_LAYERS))
        self.norm = torch.nn.LayerNorm(GENERATED_WIDTH)
        self.head = torch.nn.Linear(GENERATED_WIDTH, GENERATED_VOCABULARY)
        self.tokens = tokens

    def write(self) -> list[int]:
        """A text of as many tokens as there are places, behind the token 0."""
        text = [0]
        for position in range(self.tokens - 1):
            x = self.embed(torch.tensor([[text[-1]]])) + self.places.weight[position]
            for block in self.blocks:
                x = block(x, position)
            logits = self.head(self.norm(x))[0, 0] / TEMPERATURE
            best, numbers = torch.topk(logits, GENERATED_TOP_K)
            drawn = torch.multinomial(functional.softmax(best, -1), 1)
            text.append(int(numbers[drawn]))
        return text


def main() -> None:
    """Answers each line with the seconds of a text."""
    tokens, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    writer = Writer(tokens).eval()
    with torch.inference_mode():
        for _ in sys.stdin:
            begin = time.perf_counter()
            writer.write()
            print(time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main()
