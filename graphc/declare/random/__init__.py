"""Random numbers in a graph: functions of the keys of random streams, which steps advance.

Each call declares a random stream, the state `<name>.key`, from which with an element's place
follows its number: the same in a loop, on any thread and when a step is run again, until the stream
is advanced. An optimizer's updates advance the streams that the loss reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from graphc.declare.graphs.graph import Graph, graph_of
from graphc.declare.graphs.training_forms import training_updates
from graphc.declare.hyperparameters import check_number, integer_of
from graphc.declare.random import draws
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir.arguments.given import as_number, check_tensors, is_tensor, shown
from graphc.ir.functions import build
from graphc.ir.functions.ordering import argsort, cumsum, sort
from graphc.ir.functions.ordering import top_k as greatest_of
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops import random
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import DType, Shape, as_dtype, as_shape, f32, f64, i32, i64

__all__ = [
    "advanced",
    "bernoulli",
    "categorical",
    "exponential",
    "gamma",
    "gumbel",
    "normal",
    "permutation",
    "randint",
    "sample_logits",
    "truncated_normal",
    "uniform",
]

# Integers are made of 53 bits: in so wide a range one is more frequent than another by 2^-21.
WIDEST_RANGE = 2**32


def uniform(
    graph: Graph,
    shape: Any,
    dtype: object = f32,
    name: str | None = None,
    *,
    low: Any = 0.0,
    high: Any = 1.0,
) -> Node:
    """Numbers evenly from [low, high): of [0, 1), multiples of 2^-24 in f32 and of 2^-53 in f64.

    Declares the random stream `<name>.key`; the name is "uniform", "uniform_1", ... unless given.
    They are the same numbers until the stream is advanced. `shape` may name open dimensions; `low`
    and `high` are numbers or tensors that stretch to it, by which there are derivatives. Raises
    DTypeError for another dtype, GraphError when the name is taken, TypeError for what is no
    parameter, ValueError for one that is NaN or infinite.

        noise = gc.random.uniform(graph, ("batch", 3))
    """
    key, extents, kind = _stream("uniform", graph, shape, dtype, name)
    u, _ = draws.even(key, extents, kind)
    for end, value in (("low", low), ("high", high)):
        _check_parameter(f"uniform: {end}", value, kind)
    width = 1.0 if _is_number(high, 1) and _is_number(low, 0) else high - low
    return _located_at("uniform", u, low, width)


def normal(
    graph: Graph,
    shape: Any,
    dtype: object = f32,
    name: str | None = None,
    *,
    loc: Any = 0.0,
    scale: Any = 1.0,
) -> Node:
    """Normal numbers of mean `loc` and standard deviation `scale`, by Box and Muller's method.

    They reach 5.7 deviations in f32 and 8.5 in f64. `loc` and `scale` are numbers or tensors that
    stretch to `shape`, by which there are derivatives. Declares a stream and raises as `uniform`,
    and ValueError for a negative scale.

        noise = gc.random.normal(graph, ("batch", 3), scale=0.1)
    """
    key, extents, kind = _stream("normal", graph, shape, dtype, name)
    return _scaled("normal", draws.standard_normal(key, extents, kind), loc, scale)


def truncated_normal(
    graph: Graph,
    shape: Any,
    dtype: object = f32,
    name: str | None = None,
    *,
    loc: Any = 0.0,
    scale: Any = 1.0,
) -> Node:
    """Normal numbers of which those beyond two standard deviations are drawn again, as Keras has
    it: `scale` is the deviation before, 0.88 of it that after.

    Of eight draws the first within is taken; where none is, in one of 10^10, `loc`. `loc` and
    `scale` as in `normal`. Declares a stream and raises as `normal`.

        noise = gc.random.truncated_normal(graph, (64, 3), scale=0.1)
    """
    key, extents, kind = _stream("truncated_normal", graph, shape, dtype, name)
    return _scaled("truncated_normal", draws.truncated_normal(key, extents, kind), loc, scale)


def exponential(
    graph: Graph, shape: Any, dtype: object = f32, name: str | None = None, *, scale: Any = 1.0
) -> Node:
    """Exponential numbers of mean `scale`, 1/rate: at most 16.6 times it in f32, 36.7 in f64.

    `scale` is a number or a tensor that stretches to `shape`, by which there are derivatives.
    Declares a stream and raises as `normal`.

        waiting = gc.random.exponential(graph, ("batch",), scale=2.0)
    """
    key, extents, kind = _stream("exponential", graph, shape, dtype, name)
    draw = draws.standard_exponential(key, extents, kind)
    return _scaled("exponential", draw, 0.0, scale)


def gumbel(
    graph: Graph,
    shape: Any,
    dtype: object = f32,
    name: str | None = None,
    *,
    loc: Any = 0.0,
    scale: Any = 1.0,
) -> Node:
    """Gumbel numbers, of density e^-(z + e^-z) with z = (x - loc) / scale.

    `gc.softmax((logits + gc.random.gumbel(...)) / temperature)` is a categorical draw that has a
    derivative. `loc` and `scale` as in `normal`. Declares a stream and raises as `normal`.

        noise = gc.random.gumbel(graph, ("batch", 10))
    """
    key, extents, kind = _stream("gumbel", graph, shape, dtype, name)
    return _scaled("gumbel", draws.standard_gumbel(key, extents, kind), loc, scale)


def gamma(
    graph: Graph,
    shape: Any,
    concentration: float,
    dtype: object = f32,
    name: str | None = None,
    *,
    scale: Any = 1.0,
) -> Node:
    """Gamma numbers of density x^(a-1) e^-(x/scale), with a the `concentration`, a number above 0.

    Method: Marsaglia and Tsang, 2000, with six candidates. In one element of 10^8 at most none of
    them is taken, and a - 1/3 stands there. `scale` is a number or a tensor that stretches to
    `shape`, by which there are derivatives; by the concentration there are none. Declares a stream
    and raises as `normal`, and GraphError for another concentration.

        waiting = gc.random.gamma(graph, ("batch",), 2.5)
    """
    key, extents, kind = _stream("gamma", graph, shape, dtype, name)
    a = _number_of("gamma: concentration", concentration)
    if not 0 < a < float("inf"):
        raise _error(f"gamma: concentration: a number above 0 expected, not {a}")
    return _scaled("gamma", draws.standard_gamma(key, extents, kind, a), 0.0, scale)


def bernoulli(graph: Graph, shape: Any, probability: Any = 0.5, name: str | None = None) -> Node:
    """Bools, True with the `probability`: a number, or a tensor of floats that stretches to
    `shape`. In steps of 2^-24, of 2^-53 by probabilities of f64.

    There is no derivative. Declares a stream and raises as `uniform`, and GraphError for a number
    outside of 0 to 1.

        mask = gc.random.bernoulli(graph, ("batch", 3), 0.8)
    """
    kind = probability.dtype if is_tensor(probability) else f32
    key, extents, kind = _stream("bernoulli", graph, shape, kind, name)
    is_number = not is_tensor(probability) and not np.ndim(probability)
    if is_number and not 0 <= _number_of("bernoulli: probability", probability) <= 1:
        raise _error(f"bernoulli: a probability from 0 to 1 expected, not {probability!r}")
    u, _ = draws.even(key, extents, kind)
    return _of_shape("bernoulli", ops.less(u, probability), extents)


def categorical(logits: Node, axis: int = -1, name: str | None = None) -> Node:
    """The numbers (i64) of categories along `axis`, drawn with the probabilities softmax(logits).

    The largest of logits plus Gumbel numbers; the result has one axis less. There is no derivative:
    see `gumbel` for a draw that has one. Declares a stream; raises DTypeError unless the logits are
    of floats, ShapeError for an axis that there is not.

        action = gc.random.categorical(gc.nn.dense(x, 4))
    """
    check_tensors("categorical", logits)
    key, extents, kind = _stream("categorical", graph_of(logits), logits.shape, logits.dtype, name)
    return build.argmax(logits + draws.standard_gumbel(key, extents, kind), axis)


def sample_logits(
    logits: Node,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    name: str | None = None,
) -> Node:
    """The numbers (i64) of categories along the last axis, as language models draw the next token.

    temperature: what logits are divided by; 0 takes the greatest and draws nothing.
    top_k: only the k most probable categories are drawn, and those that are equal to the last.
    top_p: only the most probable categories that together reach this probability (Holtzman et al.,
        The curious case of neural text degeneration, 2020), of those that `top_k` leaves.

    Declares a stream as `categorical` does. Raises DTypeError unless the logits are of floats,
    ValueError for a temperature below 0 and a top_p that is not above 0 and at most 1, ShapeError
    for a top_k that is not from 1 to the number of categories.

        token = gc.random.sample_logits(scores, temperature=0.8, top_k=20)
    """
    check_tensors("sample_logits", logits)
    if not logits.dtype.is_float:
        raise DTypeError(_located(f"sample_logits: f32 or f64 expected, not {logits.type}"))
    check_number("sample_logits: temperature", temperature, 0.0)
    if temperature == 0:
        return build.argmax(logits, -1)
    scaled = logits if temperature == 1 else logits / float(temperature)
    if top_k is not None:
        if integer_of("sample_logits: top_k", top_k) < 1:
            raise ShapeError(
                _located(f"sample_logits: a top_k of at least 1 expected, not {top_k}")
            )
        best, _ = greatest_of(scaled, top_k)
        scaled = ops.where(ops.less(scaled, best[..., -1:]), -math.inf, scaled)
    if top_p is not None:
        check_number("sample_logits: top_p", top_p, 0.0)
        if not 0 < top_p <= 1:
            problem = f"sample_logits: top_p: above 0 and at most 1 expected, not {top_p!r}"
            raise ValueError(_located(problem))
        ordered = sort(scaled, -1, descending=True)
        shares = build.softmax(ordered)
        # Of the more probable ones alone: the first is always among those that are left.
        before = cumsum(shares, -1) - shares
        kept = ops.where(ops.less(before, float(top_p)), ordered, math.inf)
        least = build.min(kept, -1, keepdims=True)
        scaled = ops.where(ops.less(scaled, least), -math.inf, scaled)
    return categorical(scaled, -1, name)


def randint(
    graph: Graph,
    shape: Any,
    low: int,
    high: int,
    dtype: object = i32,
    name: str | None = None,
) -> Node:
    """Integers from `low` up to `high`, which is excluded, each as often.

    Declares a stream and raises as `uniform`; GraphError for a range that is empty, does not fit
    the dtype (i32 or i64), or is wider than 2^32, where one in 2^21 would not be as frequent.

        rows = gc.random.randint(graph, (32,), 0, 60_000)
    """
    wanted = as_dtype(dtype)
    if not wanted.is_integer or not wanted.has_arithmetic:
        raise DTypeError(_located(f"randint: i32 or i64 expected, not {wanted}"))
    first, end = integer_of("randint: low", low), integer_of("randint: high", high)
    limits = np.iinfo(wanted.numpy)
    if not (limits.min <= first < end <= limits.max + 1 and end - first <= WIDEST_RANGE):
        raise _error(f"randint: a range of 1 to 2^32 numbers of {wanted}, not {first} to {end}")
    key, extents, _ = _stream("randint", graph, shape, f64, name)
    u, _ = draws.even(key, extents, f64)
    # u * n is below n: u is at most 1 - 2^-53, and n at most 2^32.
    return build.cast(u * float(end - first), wanted) + first


def permutation(graph: Graph, count: Any, name: str | None = None) -> Node:
    """The numbers 0 to `count` - 1 (i64) in random order: `gc.take(x, order)` is x, shuffled.

    The order in which 64 random bits each stand, so all orders are as frequent. `count` may be an
    open dimension. Declares a stream and raises as `uniform`.

        order = gc.random.permutation(graph, 1000)
    """
    key, extents, _ = _stream("permutation", graph, (count,), f64, name)
    return argsort(random.random_bits(key, graph.iota(extents, i32), dtype=i64))


def advanced(roots: Iterable[Node]) -> dict[Node, Node]:
    """The next key of each random stream that `roots` read: updates for a step of one's own.

    `gc.training_updates` has them, and what else a training step changes. Raises as that does.

        draw = gc.function([], noise, gc.random.advanced([noise]))
    """
    updates = training_updates(roots)
    return {state: value for state, value in updates.items() if _is_stream(state)}


def _is_stream(state: Node) -> bool:
    return state.name in graph_of(state).streams


def _stream(
    what: str, graph: Graph, shape: Any, dtype: object, name: str | None
) -> tuple[Node, Shape, DType]:
    """A new stream's key, the shape, and the dtype, which is of floats."""
    if not isinstance(graph, Graph):
        raise TypeError(_located(f"{what}: a graphc.Graph expected, not {shown(graph)}"))
    wanted = as_dtype(dtype)
    if not wanted.is_float:
        raise DTypeError(_located(f"{what}: f32 or f64 expected, not {wanted}"))
    extents = as_shape(shape)
    return graph.random_stream(f"{graph.name_for(what, name)}.key"), extents, wanted


def _check_parameter(name: str, value: Any, dtype: DType, least: float = -math.inf) -> None:
    """Raises TypeError for what is neither tensor, array nor number, ValueError for a number that
    is less than `least`, NaN or infinite."""
    if not is_tensor(value) and not np.ndim(value):
        check_number(name, value, least, dtype)


def _scaled(what: str, draw: Node, loc: Any, scale: Any) -> Node:
    """loc + scale * draw, of the draw's type. Raises as `_check_parameter` does."""
    _check_parameter(f"{what}: loc", loc, draw.dtype)
    _check_parameter(f"{what}: scale", scale, draw.dtype, least=0)
    return _located_at(what, draw, loc, scale)


def _located_at(what: str, draw: Node, loc: Any, scale: Any) -> Node:
    result = draw if _is_number(scale, 1) else draw * scale
    result = result if _is_number(loc, 0) else result + loc
    return _of_shape(what, result, draw.shape)


def _is_number(value: Any, number: float) -> bool:
    return not is_tensor(value) and isinstance(value, int | float) and value == number


def _of_shape(what: str, result: Node, shape: Shape) -> Node:
    if result.shape != shape:
        wider = f"{what}: its parameters make {result!r} of a draw of shape {shape}"
        raise ShapeError(_located(f"{wider}; give the whole shape"))
    return result


def _number_of(name: str, value: Any) -> float:
    """`value` as a number. Raises GraphError for what is none."""
    try:
        return as_number(value)
    except (TypeError, OverflowError) as error:
        raise _error(f"{name}: {error}") from None


def _error(problem: str) -> GraphError:
    return GraphError(_located(problem))


def _located(problem: str) -> str:
    return located(problem, callers_location())
