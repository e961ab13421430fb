"""Random values of a key and a shape: how each distribution is made of even numbers.

Every draw of a key is numbered, and number n takes the blocks of the key moved on by n * 2^56,
which no stream reaches by its steps. In each block an element's counter is its place.
"""

from __future__ import annotations

import math

from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops import random
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import DType, Shape, f32, i32, i64

# Between the keys of one stream's draws.
KEY_DISTANCE = 2**56
# A candidate of the gamma distribution is refused with a probability of 0.048 at most, one of the
# truncated normal with 0.0455. All are in one element of 10^8, or of 10^10.
GAMMA_TRIES = 6
TRUNCATED_TRIES = 8
TRUNCATED_AT = 2.0
# The method of `standard_gamma` is for concentrations from here on.
LEAST_CONCENTRATION = 1.0


def even(key: Node, shape: Shape, dtype: DType, number: int = 0) -> tuple[Node, Node]:
    """Two independent numbers an element, evenly from [0, 1).

    In f32 they are of the two words of one block, in f64 each has a block.
    """
    index = key.graph.iota(shape, i32)
    if dtype == f32:
        moved = _moved(key, number)
        bits = random.random_bits(moved, index, dtype=i32), random.second_bits(moved, index)
    else:
        first, second = _moved(key, 2 * number), _moved(key, 2 * number + 1)
        bits = (
            random.random_bits(first, index, dtype=i64),
            random.random_bits(second, index, dtype=i64),
        )
    return random.unit_interval(bits[0]), random.unit_interval(bits[1])


def _moved(key: Node, number: int) -> Node:
    return key + number * KEY_DISTANCE if number else key


def standard_normal(key: Node, shape: Shape, dtype: DType) -> Node:
    """sqrt(-2 log(1 - u)) cos(2 pi v), of Box and Muller (1958).

    With u in steps of 2^-24 it reaches 5.7 deviations in f32, and 8.5 in f64, of 2^-53.
    """
    return _normal_pair(key, shape, dtype, 0)[0]


def _normal_pair(key: Node, shape: Shape, dtype: DType, number: int) -> tuple[Node, Node]:
    """Two independent normal numbers an element."""
    u, v = even(key, shape, dtype, number)
    radius = ops.sqrt(-2.0 * ops.log(1.0 - u))
    angle = (2 * math.pi) * v
    return radius * ops.cos(angle), radius * ops.sin(angle)


def truncated_normal(key: Node, shape: Shape, dtype: DType) -> Node:
    """The first of TRUNCATED_TRIES normal numbers within two deviations; 0 after as many others."""
    candidates = [
        z for n in range(TRUNCATED_TRIES // 2) for z in _normal_pair(key, shape, dtype, n)
    ]
    result = 0.0 * candidates[0]
    for z in reversed(candidates):
        result = ops.where(ops.absolute(z) <= TRUNCATED_AT, z, result)
    return result


def standard_exponential(key: Node, shape: Shape, dtype: DType) -> Node:
    """-log(1 - u), at most 16.6 in f32 and 36.7 in f64."""
    return -ops.log1p(-even(key, shape, dtype)[0])


def standard_gumbel(key: Node, shape: Shape, dtype: DType) -> Node:
    """-log(-log(1 - u)), the largest of many exponential numbers; half a step stands for a u of 0,
    of which it would be infinite."""
    half_a_step = 2.0**-25 if dtype == f32 else 2.0**-54
    return -ops.log(-ops.log1p(-ops.maximum(even(key, shape, dtype)[0], half_a_step)))


def standard_gamma(key: Node, shape: Shape, dtype: DType, concentration: float) -> Node:
    """Marsaglia and Tsang, A Simple Method for Generating Gamma Variables, 2000.

    d (1 + c x)^3 of a normal x, with d = a - 1/3 and c = 1 / sqrt(9 d), is taken where log u is
    less than x^2 / 2 + d - d v + d log v. Of GAMMA_TRIES candidates the first that is taken
    counts, d where none is. Below a = 1 the number of a + 1 is multiplied with u^(1/a).
    """
    a = concentration + 1 if concentration < LEAST_CONCENTRATION else concentration
    d = a - 1 / 3
    c = 1 / math.sqrt(9 * d)
    pairs = GAMMA_TRIES // 2
    tried: list[tuple[Node, Node]] = []
    for number in range(pairs):
        normals = _normal_pair(key, shape, dtype, number)
        tried += zip(normals, even(key, shape, dtype, pairs + number), strict=True)
    result = build.broadcast_to(key.graph.constant(d, dtype), shape)
    for x, u in reversed(tried):
        root = 1.0 + c * x
        v = root * root * root
        # Where v is not positive its logarithm is NaN or -inf, and the comparison false.
        is_taken = ops.log(1.0 - u) < 0.5 * ops.square(x) + d - d * v + d * ops.log(v)
        result = ops.where(is_taken, d * v, result)
    if concentration < LEAST_CONCENTRATION:
        u, _ = even(key, shape, dtype, 2 * pairs)
        result = result * ops.exp(ops.log(1.0 - u) * (1 / concentration))
    return result
