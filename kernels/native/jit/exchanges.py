"""The primitives that sort vectors: lane by lane, of integers that stand in a buffer.

Each loads all its vectors, and stores them when all exchanges are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from graphc.kernels.loops.language.exchanges import (
    BLOCK_SIZE,
    EXCHANGES,
    Pairs,
    odd_even_merge_sort,
)
from graphc.kernels.native.jit.buffers import BufferType, mark_scope

# Of a buffer of keys and the address of its elements.
Buffer = tuple[Any, Any]


class _Vectors:
    """The vectors at some places of a buffer of keys, and of one of what goes with them."""

    def __init__(
        self, builder: Any, buffers: Sequence[Buffer], places: Sequence[Any], lanes: int
    ) -> None:
        self.builder, self.buffers = builder, buffers
        self.addresses = [
            [self._address(pointer, place, lanes) for place in places] for _, pointer in buffers
        ]
        self.values = [
            [self._loaded(kind, address) for address in addresses]
            for (kind, _), addresses in zip(buffers, self.addresses, strict=True)
        ]

    def _address(self, pointer: Any, place: Any, lanes: int) -> Any:
        element = self.builder.gep(pointer, [place])
        return self.builder.bitcast(
            element, ir.VectorType(pointer.type.pointee, lanes).as_pointer()
        )

    def _loaded(self, kind: Any, address: Any) -> Any:
        loaded = self.builder.load(address, align=_itemsize(address))
        mark_scope(self.builder, loaded, kind)
        return loaded

    def exchange(self, i: int, j: int) -> None:
        """The lesser at i, in each lane; of equal keys that with which the lesser goes."""
        builder, keys = self.builder, self.values[0]
        is_wrong = builder.icmp_signed(">", keys[i], keys[j])
        for others in self.values[1:]:
            is_equal = builder.icmp_signed("==", keys[i], keys[j])
            is_later = builder.icmp_signed(">", others[i], others[j])
            is_wrong = builder.or_(is_wrong, builder.and_(is_equal, is_later))
        for values in self.values:
            if len(values) == 2:
                # Of choices between what was loaded and what is stored there LLVM makes stores
                # under a mask, which take ten times as long.
                difference = builder.xor(values[i], values[j])
                mask = builder.sext(is_wrong, difference.type)
                change = builder.and_(difference, mask)
                values[i], values[j] = (builder.xor(x, change) for x in (values[i], values[j]))
                continue
            lesser = builder.select(is_wrong, values[j], values[i])
            values[j] = builder.select(is_wrong, values[i], values[j])
            values[i] = lesser

    def store(self, count: int | None = None) -> None:
        """All of them, or the first `count`."""
        for (kind, _), addresses, values in zip(
            self.buffers, self.addresses, self.values, strict=True
        ):
            for address, value in list(zip(addresses, values, strict=True))[:count]:
                stored = self.builder.store(value, address, align=_itemsize(address))
                mark_scope(self.builder, stored, kind)


def _itemsize(address: Any) -> int:
    """The bytes of an element of the vector that stands there."""
    return int(address.type.pointee.element.width) // 8


def _lower(
    context: Any, builder: Any, buffers: Sequence[Buffer], places: Sequence[Any], lanes: int,
    pairs: Pairs, stored: int | None,
) -> Any:  # fmt: skip
    vectors = _Vectors(builder, buffers, places, lanes)
    for i, j in pairs:
        vectors.exchange(i, j)
    vectors.store(stored)
    return context.get_dummy_value()


def _block_places(builder: Any, begin: Any, count: int, lanes: int) -> list[Any]:
    return [builder.add(begin, begin.type(number * lanes)) for number in range(count)]


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Vectors of as many lanes as there are of them: element i of vector k becomes k of vector i.

    Blocks of 1, 2, 4, ... lanes off the diagonal change places.
    """
    lanes = len(rows)
    distance = 1
    while distance < lanes:
        kept = [lane & distance == 0 for lane in range(lanes)]
        masks = [
            [lane if is_low else lane - distance + lanes for lane, is_low in enumerate(kept)],
            [lane + distance if is_low else lane + lanes for lane, is_low in enumerate(kept)],
        ]
        made = list(rows)
        for row in (row for row in range(lanes) if kept[row]):
            for number, mask in enumerate(masks):
                constant = ir.Constant(ir.VectorType(ir.IntType(32), lanes), mask)
                pair = (rows[row], rows[row + distance])
                made[row + number * distance] = builder.shuffle_vector(*pair, constant)
        rows, distance = made, 2 * distance
    return rows


@intrinsic(prefer_literal=True)
def _transpose_block(
    _: Any, y: Any, i: Any, y_apart: Any, x: Any, j: Any, x_apart: Any, lanes: Any
) -> Any:
    """`transpose_block(y, i, y_apart, x, j, x_apart, lanes)`: the square block of `lanes` rows of x
    from element j on, `x_apart` apart, as rows of y, `y_apart` apart, that are its columns."""
    size: Any = types.intp
    none: Any = types.none
    if not (isinstance(y, BufferType) and isinstance(x, BufferType)):
        return None
    count = lanes.literal_value

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        def rows_at(first: Any, apart: Any) -> list[Any]:
            steps = [builder.mul(apart, apart.type(number)) for number in range(count)]
            return [builder.add(first, step) for step in steps]

        loaded = _Vectors(builder, [(x, values[3])], rows_at(*values[4:6]), count)
        stored = _Vectors(builder, [(y, values[0])], rows_at(*values[1:3]), count)
        stored.values = [_transposed(builder, loaded.values[0])]
        stored.store()
        return context.get_dummy_value()

    return none(y, size, size, x, size, size, lanes), lower


# --- exchanges -----------------------------------------------------------------------------------

# In two forms each, with and without others that go with the keys: numba reads the number of
# operands from a primitive's signature.


def _typed(
    buffers: Sequence[Any], places: int, rest: Sequence[Any], pairs: Pairs, lanes: Any,
    count: int = 0, stored: int | None = None,
) -> Any:  # fmt: skip
    """Signature and lowering, None for what are no buffers. `count` vectors of a block begin at
    each place, if that is not 0. stored: how many are stored, all of them unless given."""
    if not all(isinstance(kind, BufferType) for kind in buffers):
        return None
    size: Any = types.intp
    none: Any = types.none
    width = lanes.literal_value

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        given = list(zip(buffers, values[: len(buffers)], strict=True))
        at = list(values[len(buffers) : len(buffers) + places])
        if count:
            at = [each for place in at for each in _block_places(builder, place, count, width)]
        return _lower(context, builder, given, at, width, pairs, stored)

    return none(*buffers, *(size,) * places, *rest, lanes), lower


def _two(name: str) -> dict[str, Any]:
    """`exchange(keys, i, j, lanes)`"""
    pairs = EXCHANGES[name]

    @intrinsic(prefer_literal=True)
    def alone(_: Any, keys: Any, i: Any, j: Any, lanes: Any) -> Any:
        return _typed((keys,), 2, (), pairs, lanes)

    @intrinsic(prefer_literal=True)
    def paired(_: Any, keys: Any, others: Any, i: Any, j: Any, lanes: Any) -> Any:
        return _typed((keys, others), 2, (), pairs, lanes)

    return {name: alone, f"{name}_pairs": paired}


def _four(name: str) -> dict[str, Any]:
    """`exchange_four(keys, i, j, k, m, lanes)`, and `exchange_mirrored`"""
    pairs = EXCHANGES[name]

    @intrinsic(prefer_literal=True)
    def alone(_: Any, keys: Any, i: Any, j: Any, k: Any, m: Any, lanes: Any) -> Any:
        return _typed((keys,), 4, (), pairs, lanes)

    @intrinsic(prefer_literal=True)
    def paired(_: Any, keys: Any, others: Any, i: Any, j: Any, k: Any, m: Any, lanes: Any) -> Any:
        return _typed((keys, others), 4, (), pairs, lanes)

    return {name: alone, f"{name}_pairs": paired}


def _block(name: str) -> dict[str, Any]:
    """`merge_block(keys, begin, lanes)`"""
    pairs = EXCHANGES[name]

    @intrinsic(prefer_literal=True)
    def alone(_: Any, keys: Any, begin: Any, lanes: Any) -> Any:
        return _typed((keys,), 1, (), pairs, lanes, BLOCK_SIZE)

    @intrinsic(prefer_literal=True)
    def paired(_: Any, keys: Any, others: Any, begin: Any, lanes: Any) -> Any:
        return _typed((keys, others), 1, (), pairs, lanes, BLOCK_SIZE)

    return {name: alone, f"{name}_pairs": paired}


def _two_blocks(name: str) -> dict[str, Any]:
    """`keep_first(keys, first, second, lanes)`; of the second nothing is stored."""
    pairs = EXCHANGES[name]

    @intrinsic(prefer_literal=True)
    def alone(_: Any, keys: Any, i: Any, j: Any, lanes: Any) -> Any:
        return _typed((keys,), 2, (), pairs, lanes, BLOCK_SIZE, BLOCK_SIZE)

    @intrinsic(prefer_literal=True)
    def paired(_: Any, keys: Any, others: Any, i: Any, j: Any, lanes: Any) -> Any:
        return _typed((keys, others), 2, (), pairs, lanes, BLOCK_SIZE, BLOCK_SIZE)

    return {name: alone, f"{name}_pairs": paired}


def _few(name: str) -> dict[str, Any]:
    """`sort_few(keys, begin, count, lanes)`"""

    @intrinsic(prefer_literal=True)
    def alone(_: Any, keys: Any, begin: Any, count: Any, lanes: Any) -> Any:
        number = count.literal_value
        return _typed((keys,), 1, (count,), odd_even_merge_sort(number), lanes, number)

    @intrinsic(prefer_literal=True)
    def paired(_: Any, keys: Any, others: Any, begin: Any, count: Any, lanes: Any) -> Any:
        number = count.literal_value
        return _typed((keys, others), 1, (count,), odd_even_merge_sort(number), lanes, number)

    return {name: alone, f"{name}_pairs": paired}


# Under its name each is of keys alone; under one that ends in `_pairs`, of keys and of others that
# go with them, which stand behind the keys.
EXCHANGE_PRIMITIVES: dict[str, Any] = {
    **_two("exchange"), **_four("exchange_four"), **_four("exchange_mirrored"),
    **_block("merge_block"), **_two_blocks("keep_first"), **_few("sort_few"),
    "transpose_block": _transpose_block,
}  # fmt: skip
