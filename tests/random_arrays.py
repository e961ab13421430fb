"""What random programs draw beside arithmetic: numpy's array functions, ops in scan order,
special functions, convolutions and pooling."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

from graphc.ir.functions import activations, build, einsum, ordering
from graphc.ir.functions.arrays import elements, filling, joining
from graphc.ir.functions.arrays.shaping import swapaxes
from graphc.ir.functions.spatial import convolution
from graphc.ir.functions.spatial import pooling as pools
from graphc.ir.functions.spatial.padding import pad
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import activations as gates
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.elementwise import log_sums, mathematics, special
from graphc.ir.ops.movement import movement

# Beyond so many elements a node is not copied any further.
MOST_ELEMENTS = 2000
MOST_AXES = 4
# What is sorted differs by about a whole, so that rounding changes no order.
NEARNESS = 0.3

# A node and a bound for its magnitude.
Made = tuple[Node, float]


class Pool(Protocol):
    """Where the operands of a random program come from."""

    rng: random.Random
    bounds: dict[Node, float]

    def pick(self, accepts: Callable[[Node], bool] = ...) -> Node: ...
    def offset(self, node: Node) -> Node: ...


def special_function(pool: Pool) -> Made:
    """One of the functions of an element that are no arithmetic, where it is smooth."""
    x = pool.pick()
    bound, tame = pool.bounds[x], ops.tanh(x)
    table: tuple[tuple[Callable[[], Node], float], ...] = (
        (lambda: gates.silu(x), bound),
        (lambda: gates.mish(x), bound),
        (lambda: special.gelu(x), bound),
        (lambda: activations.gelu(x, "tanh"), bound),
        (lambda: gates.softsign(x), 1.0),
        (lambda: activations.selu(pool.offset(x)), 1.1 * bound + 2),
        (lambda: activations.log_sigmoid(x), bound + 1),
        (lambda: activations.hard_tanh(pool.offset(x)), 1.0),
        (lambda: activations.hard_sigmoid(pool.offset(x)), 1.0),
        (lambda: activations.prelu(pool.offset(x), 0.25), bound + 1),
        (lambda: elements.clip(pool.offset(x), -1.5, 1.7), 1.7),
        (lambda: elements.nan_to_num(x), bound),
        (lambda: special.erf(x), 1.0),
        (lambda: special.erfc(x), 2.0),
        (lambda: special.lgamma(1.5 + ops.square(tame)), 1.0),
        (lambda: special.digamma(1.5 + ops.square(tame)), 1.0),
        (lambda: mathematics.exp2(tame), 2.0),
        (lambda: mathematics.log2(1 + ops.square(x)), 2 * bound),
        (lambda: mathematics.log10(1 + ops.square(x)), bound),
        (lambda: mathematics.tan(tame), 1.6),
        (lambda: mathematics.sinh(tame), 1.2),
        (lambda: mathematics.cosh(tame), 1.6),
        (lambda: mathematics.asin(0.9 * tame), 1.6),
        (lambda: mathematics.acos(0.9 * tame), 3.2),
        (lambda: mathematics.atan(x), 1.6),
        (lambda: mathematics.asinh(x), bound),
        (lambda: mathematics.acosh(1.5 + ops.square(x)), bound + 1),
        (lambda: mathematics.atanh(0.9 * tame), 1.5),
    )
    make, largest = pool.rng.choice(table)
    return make(), largest


def function_of_two(pool: Pool) -> Made:
    """Of one tensor and of what broadcasts along its last axis."""
    x = pool.pick(lambda node: node.rank > 0)
    y = pool.rng.choice((x, 0.5 * x, x[..., :1]))
    table: tuple[tuple[Callable[[], Node], float], ...] = (
        (lambda: mathematics.atan2(x, 1 + ops.square(y)), 1.6),
        (lambda: mathematics.hypot(1 + ops.square(x), y), pool.bounds[x] ** 2 + 1),
        (lambda: log_sums.logaddexp(x, ops.sin(y)), pool.bounds[x] + 1),
        (lambda: log_sums.logaddexp2(x, ops.sin(y)), pool.bounds[x] + 1),
        (lambda: ops.weigh(x, ops.cos(y)), pool.bounds[x]),
    )
    make, largest = pool.rng.choice(table)
    return make(), largest


def rearranged(pool: Pool) -> Made:
    """The elements in other places, again, or beside others."""
    x = pool.pick(lambda node: node.rank > 0)
    rng, axis = pool.rng, pool.rng.randrange(x.rank)
    extent, bound = _extent(x, axis), pool.bounds[x]
    few, deep = x.type.size <= MOST_ELEMENTS, x.rank < MOST_AXES
    shift = rng.randint(-4, 4)
    widths = [(rng.randint(0, 2), rng.randint(0, 2)) for _ in range(x.rank)]
    modes = ["constant"] if 0 in x.shape else ["constant", "edge", "symmetric", "wrap", "reflect"]
    mode, value = rng.choice(modes), rng.choice((0, 0.5))
    table: tuple[Callable[[], Node], ...] = (
        lambda: joining.stack([x, -x, x], rng.randint(0, x.rank)) if few and deep else -x,
        lambda: _one_part(pool, x, axis),
        lambda: joining.repeat(x, 2, axis) if few else x,
        lambda: joining.repeat(x, [n % 3 for n in range(extent)], axis) if extent > 1 else x,
        lambda: joining.tile(x, (1,) * axis + (2,) + (1,) * (x.rank - axis - 1)) if few else x,
        lambda: joining.roll(x, shift, axis),
        lambda: joining.roll(x, shift),
        lambda: joining.flip(x, axis),
        lambda: joining.flip(x),
        lambda: swapaxes(x, 0, axis),
        lambda: filling.tril(x, shift) if x.rank > 1 else x,
        lambda: filling.triu(x, shift) if x.rank > 1 else x,
        lambda: filling.diagonal(x) if x.rank > 1 else x,
        lambda: pad(x, widths, mode, *([value] if mode == "constant" else [])) if few else x,
        lambda: (
            build.take(x, [rng.randrange(-extent, extent) for _ in range(3)], axis) if extent else x
        ),
        lambda: x[..., [extent_ // 2, -1]] if (extent_ := _extent(x, x.rank - 1)) else x,
    )
    return rng.choice(table)(), bound


def _one_part(pool: Pool, x: Node, axis: int) -> Node:
    parts = joining.array_split(x, pool.rng.randint(1, 3), axis)
    return pool.rng.choice(parts)


def summed_product(pool: Pool) -> Made:
    """What `einsum` and `outer` make of a matrix, a vector and themselves."""
    x = pool.pick(lambda node: node.rank in (1, 2) and node.type.size <= 200)
    bound, most = pool.bounds[x], max((_extent(x, axis) for axis in range(x.rank)), default=1)
    largest = max(most * most, 1) * bound * bound
    if x.rank == 1:
        subscripts = pool.rng.choice(("i,i->", "i,i->i", "i,j->ji", "i,j,j->i"))
        operands = [x] * subscripts.count(",") + [ops.cos(x)]
        return einsum.einsum(subscripts, *operands), largest
    subscripts = pool.rng.choice(
        ("ij,kj->ik", "ij,ik->jk", "ij,ij->j", "ij,ij->ij", "ij,kj->", "ij")
    )
    operands = [x] + [ops.cos(x)] * subscripts.count(",")
    return einsum.einsum(subscripts, *operands), largest


def in_scan_order(pool: Pool) -> Made:
    x = pool.pick(lambda node: node.rank > 0)
    rng, axis = pool.rng, pool.rng.randrange(x.rank)
    extent, bound = _extent(x, axis), pool.bounds[x]
    kinds = ["cumsum", "cumprod", "variance", "product"]
    kind = rng.choice([*kinds, "sort", "top_k", "argsort", "deviation"] if extent else kinds[:2])
    if kind == "cumsum":
        return ordering.cumsum(x, axis), bound * max(extent, 1)
    if kind == "cumprod":
        return ordering.cumprod(ops.tanh(x), axis), 1.0
    if kind == "product":
        return build.prod(ops.tanh(x), axis), 1.0
    if kind == "variance":
        return build.var(x, axis, keepdims=rng.random() < 0.5), bound * bound
    if kind == "deviation":
        return ops.sqrt(0.1 + build.var(x, axis)), bound + 1
    apart = _apart(pool, x, axis)
    if kind == "sort":
        return ordering.sort(apart, axis, descending=rng.random() < 0.5), extent
    if kind == "top_k":
        values, places = ordering.top_k(apart, rng.randint(1, extent), axis, rng.random() < 0.5)
        return rng.choice((values, ordering.take_along_axis(x, places, axis))), extent + bound
    return ordering.take_along_axis(x, ordering.argsort(apart, axis), axis), bound


def _apart(pool: Pool, x: Node, axis: int) -> Node:
    """x made small beside whole numbers in a random order along the axis."""
    order = list(range(_extent(x, axis)))
    pool.rng.shuffle(order)
    shape = [1] * x.rank
    shape[axis] = len(order)
    whole = movement.reshape(x.graph.constant(order, x.dtype), shape=tuple(shape))
    return NEARNESS * ops.tanh(x) + whole


def convolved(pool: Pool) -> Made:
    """A convolution of one axis or two, by a kernel made of what is convolved."""
    x, steps, channels = _with_channels(pool)
    rng, bound = pool.rng, pool.bounds[x]
    size, filters = rng.randint(1, min(steps, 3)), rng.randint(1, 3)
    image = _as_image(x, steps, channels)
    kernel = ops.cos(_some(x, (size, channels, filters)))
    options: dict[str, Any] = {
        "strides": rng.randint(1, 2),
        "padding": rng.choice(("valid", "same", "causal")),
    }
    largest = bound * size * channels
    kind = rng.choice(("conv", "depthwise", "transposed", "plane", "channels first"))
    if kind == "conv":
        return convolution.conv(image, kernel, **options), largest
    if kind == "channels first":
        turned = swapaxes(image, 1, 2)
        return convolution.conv(turned, kernel, data_format="channels_first", **options), largest
    if kind == "depthwise":
        return convolution.depthwise_conv(image, kernel, **options), largest
    if kind == "transposed":
        kernel = ops.cos(_some(x, (size, filters, channels)))
        return convolution.conv_transpose(image, kernel, options["strides"]), largest
    plane = movement.reshape(image, shape=(*image.shape[:2], 1, channels))
    kernel = movement.reshape(kernel, shape=(size, 1, channels, filters))
    return convolution.conv(plane, kernel, padding="same"), largest


def pooled(pool: Pool) -> Made:
    x, steps, channels = _with_channels(pool)
    rng, bound = pool.rng, pool.bounds[x]
    image, size = _as_image(x, steps, channels), rng.randint(1, min(steps, 4))
    options: dict[str, Any] = {
        "strides": rng.randint(1, 3),
        "padding": rng.choice(("valid", "same")),
    }
    table: tuple[Callable[[], Node], ...] = (
        lambda: pools.max_pool(image, size, **options),
        lambda: pools.average_pool(image, size, **options),
        lambda: pools.average_pool(image, size, count_include_pad=True, **options),
        lambda: pools.adaptive_max_pool(image, size),
        lambda: pools.adaptive_average_pool(image, size),
    )
    return rng.choice(table)(), bound


def _with_channels(pool: Pool) -> tuple[Node, int, int]:
    """A tensor with elements, and how many steps of how many channels each of its rows has."""
    x = pool.pick(lambda node: node.rank > 0 and 0 < node.type.size <= MOST_ELEMENTS)
    if x.rank == 1:
        return x, x.type.size, 1
    channels = _extent(x, x.rank - 1)
    return x, _extent(x, x.rank - 2), channels


def _as_image(x: Node, steps: int, channels: int) -> Node:
    """[batch, steps, channels]"""
    return movement.reshape(x, shape=(x.type.size // (steps * channels), steps, channels))


def _some(x: Node, shape: tuple[int, ...]) -> Node:
    """Elements of x, again and again, in this shape."""
    size = shape[0] * shape[1] * shape[2]
    line = movement.reshape(x, shape=(x.type.size,))
    return movement.reshape(joining.tile(line, -(-size // x.type.size))[:size], shape=shape)


def _extent(x: Node, axis: int) -> int:
    return int(str(x.shape[axis]))


MAKERS: tuple[Callable[[Pool], Made], ...] = (
    special_function,
    special_function,
    function_of_two,
    rearranged,
    rearranged,
    summed_product,
    in_scan_order,
    convolved,
    pooled,
)
