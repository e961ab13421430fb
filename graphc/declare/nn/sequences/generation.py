"""Texts that a model writes, token after token, in one compiled loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from graphc.declare.functional.loop_states import by_count, by_slices
from graphc.declare.hyperparameters import as_count
from graphc.declare.nn.layer import Layer
from graphc.declare.nn.sequences.cache import KeyValueCache
from graphc.declare.random import sample_logits
from graphc.errors import DTypeError, ShapeError
from graphc.ir.arguments.given import as_integer, check_tensors, shown
from graphc.ir.functions import build
from graphc.ir.functions.arrays.shaping import swapaxes
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.programs import loops
from graphc.ir.programs.custom_vjp import formal_of
from graphc.ir.programs.loops import Complete, Late
from graphc.ir.types import TensorType, i32


def generate(
    scores_of: Callable[[Node, KeyValueCache], Node],
    prompt: Node,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    end: int | None = None,
    given: Node | None = None,
    window: int | None = None,
) -> Node:
    """The prompt and what a model writes behind it, i32 [batch, length].

    prompt: tokens, i32 [batch, n] with n from 1 to `length`; of them the first `given` count, an
    i32 [] of at least 1, all unless given. `scores_of(token, cache)` gives the logits of the next
    token, [batch, 1, tokens] of a token [batch, 1], with layers of attention that are called with
    `cache`; the place of the token is `cache.position`. It is called once, and the loop of all
    tokens is compiled once: nothing of it is made in Python, and keys and values last as long as
    the call. `temperature`, `top_k` and `top_p` are those of `gc.random.sample_logits`.

    end: a text that has this token behind the prompt is at its end, and filled up with it; the loop
    stops where all texts are. window: attention sees the last so many tokens alone, all unless
    given; places should then be relative, as rotary ones are.

        text = gc.nn.generate(scores_of, prompt, 1000, temperature=0.8, top_k=20)
        write = gc.function(prompt, text, gc.random.advanced([text]))

    Raises TypeError for what is no tensor, DTypeError for tokens that are no i32, ShapeError for
    those of another shape, and as `gc.random.sample_logits` does.
    """
    count = as_count("generate: length", length, 1)
    last = None if end is None else as_integer(end)
    room = count if window is None else as_count("generate: window", window, 1)
    start, is_given = _start(prompt, given, count, 0 if last is None else last)
    graph = prompt.graph
    none_ended = build.broadcast_to(graph.constant(False), prompt.shape[:1])
    carries = [start, graph.constant(0, i32), none_ended]
    one = _Step(scores_of, is_given, min(room, count), temperature, top_k, top_p, last)
    if last is None:
        complete = _with_caches(by_slices(graph, count - 1), one.caches)
        (tokens, *_), _ = loops.scan(
            lambda given, _: (one(given), []), carries, [], count - 1, complete=complete
        )
        return tokens

    def holds(carries: Sequence[Node]) -> Node:
        _, position, ended = carries
        return ops.logical_and(position < count - 1, build.any(ops.logical_not(ended)))

    return loops.while_loop(holds, one, carries, _with_caches(by_count(graph), one.caches))[0]


def _start(prompt: Node, given: Node | None, count: int, filling: int) -> tuple[Node, Node]:
    """The tokens before the first step, [batch, count], and which places are given, [count]."""
    known = _check(prompt, given, count)
    graph = prompt.graph
    is_given = graph.iota((count,), i32) < (known if given is None else given)
    rest = build.broadcast_to(graph.constant(0, i32), (prompt.shape[0], count - known))
    return ops.where(is_given, build.concatenate([prompt, rest], 1), filling), is_given


@dataclass
class _Step:
    """One more token of each text: what the loop carries is the tokens, the place that is read,
    and which texts have ended.

    is_given: the places of the prompt, [count]. room: how many tokens a cache has. last: the token
    that ends a text. caches: those that have been made, one for each time that it is called.
    """

    scores_of: Callable[[Node, KeyValueCache], Node]
    is_given: Node
    room: int
    temperature: float
    top_k: int | None
    top_p: float | None
    last: int | None
    caches: list[_CarriedCache] = field(default_factory=list)

    def __call__(self, carries: Sequence[Node]) -> list[Node]:
        tokens, position, ended = carries
        places = tokens.graph.iota((tokens.shape[1],), i32)
        token = build.sum(ops.where(ops.equal(places, position), tokens, 0), 1, keepdims=True)
        drawn = self._drawn(token, position)
        is_next = ops.logical_and(ops.equal(places, position + 1), ops.logical_not(self.is_given))
        if self.last is not None:
            drawn = ops.where(ended, self.last, drawn)
            at_end = ops.logical_and(build.any(is_next), ops.equal(drawn, self.last))
            ended = ops.logical_or(ended, at_end)
        tokens = ops.where(is_next, build.expand_dims(drawn, 1), tokens)
        return [tokens, position + 1, ended]

    def _drawn(self, token: Node, position: Node) -> Node:
        """The token that follows each text's, [batch, 1], at a position: [batch]."""
        cache = _CarriedCache(self.room, position)
        self.caches.append(cache)
        scores = self.scores_of(token, cache)
        if not isinstance(scores, Node):
            raise TypeError(_located(f"scores of the next token expected, not {shown(scores)}"))
        if scores.shape[:2] != (token.shape[0], 1) or scores.rank != 3:
            raise ShapeError(_located(f"scores [batch, 1, tokens] expected, not {scores.type}"))
        rows = scores[:, 0]
        return build.cast(sample_logits(rows, self.temperature, self.top_k, self.top_p), i32)


def _check(prompt: Node, given: Node | None, length: int) -> int:
    """The extent of the prompt."""
    check_tensors("generate", prompt, *([] if given is None else [given]))
    for what, value, rank in ("prompt", prompt, 2), ("given", given, 0):
        if value is not None and value.dtype != i32:
            raise DTypeError(_located(f"{what}: i32 expected, not {value.type}"))
        if value is not None and value.rank != rank:
            wanted = "[batch, tokens]" if rank else "[]"
            raise ShapeError(_located(f"{what}: {wanted} expected, not {value.type}"))
    extent = prompt.shape[1]
    if not isinstance(extent, int) or not 1 <= extent <= length:
        problem = f"a prompt of 1 to {length} tokens expected, not {prompt.type}"
        raise ShapeError(_located(problem))
    return extent


class _CarriedCache(KeyValueCache):
    """A cache that begins empty with each call: what it has is carried from step to step."""

    def __init__(self, length: int, position: Node) -> None:
        super().__init__(length, position)
        self.carries: list[tuple[Node, Node, Node]] = []

    def extended(self, layer: Layer, k: Node, v: Node) -> tuple[Node, Node]:
        """As that of any cache; keys are carried as columns, [..., features, length], so that the
        scores of one query go along memory."""
        columns = self._with(layer, "keys", swapaxes(k, -1, -2), axis=-1)
        return swapaxes(columns, -1, -2), self._with(layer, "values", v)

    def _before(self, layer: Layer, name: str, of: TensorType) -> Node:
        graph = self.position.graph
        before = formal_of(graph, of)
        zeros = build.broadcast_to(graph.constant(0.0, of.dtype), of.shape)
        self.carries.append((before, zeros, before))
        return before

    def _keep(self, before: Node, after: Node) -> None:
        _, zeros, _ = self.carries[-1]
        self.carries[-1] = (before, zeros, after)


def _with_caches(complete: Complete, caches: Sequence[_CarriedCache]) -> Complete:
    def completed(roots: Sequence[Node], first: int) -> Late:
        kept = [carry for cache in caches for carry in cache.carries]
        after = [value for _, _, value in kept]
        late = complete([*roots, *after], first)
        made, changed = late.roots[: len(roots)], late.roots[len(roots) :]
        carries = [(x, start, y) for (x, start, _), y in zip(kept, changed, strict=True)]
        return Late(made, [*carries, *late.carries], late.slices, late.finish)

    return completed


def _located(problem: str) -> str:
    return located(f"generate: {problem}", callers_location())
