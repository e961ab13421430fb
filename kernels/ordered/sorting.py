"""How lines are sorted: as integers that are in order as the elements are.

Where the places of elements are asked for they go along: in the lower half of a key of 64 bits, or
beside it. So no two keys are equal, and equal elements keep their order. Lines side by side go
through a sorting network, longer ones are sorted by digits one by one, and where the first few of a
line are asked for only those are kept in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Sorting, Strided
from graphc.ir.types import DType, i32, i64
from graphc.kernels.loops.language.exchanges import BLOCK_SIZE, MOST_IN_REGISTERS
from graphc.kernels.loops.language.expressions import (
    Element,
    Expression,
    Infix,
    Name,
    Operand,
    Parenthesized,
    applied,
    of,
    texts,
)
from graphc.kernels.loops.language.indices import ADVANCE, THREAD, ZERO
from graphc.kernels.loops.language.scalar import number
from graphc.kernels.loops.language.source import Arguments, ScratchParts, Storage
from graphc.kernels.loops.language.statements import Block, Call, Stack, Statement, assigned
from graphc.kernels.machine import lanes_of
from graphc.kernels.nests.names import label
from graphc.kernels.ordered.lines import LINE, PLACE, LineArray, line_groups
from graphc.kernels.ordered.radix_sort import RADIX_VARIABLES, Digits, Line, radix_sort
from graphc.kernels.ordered.selection import BEST_PLACES, SELECTION_VARIABLES, select_first
from graphc.kernels.ordered.sorting_network import (
    NETWORK_VARIABLES,
    first_by_network,
    padded,
    sorting_network,
)

KEYS, PLACES, LINE_KEYS = Name("keys"), Name("places"), Name("line_keys")
SORTING_VARIABLES = (
    RADIX_VARIABLES | SELECTION_VARIABLES | NETWORK_VARIABLES | texts(KEYS, PLACES, LINE_KEYS)
)

# A network has longest lines of so many elements, and of so many where lanes stay empty.
LONGEST_IN_NETWORK = 1024
LONGEST_ALONE = 64
# A selection keeps at most so many of a line that has at least so many elements.
MOST_SELECTED = 16
SHORTEST_SELECTED_FROM = 64

PLACE_BITS = 32


@dataclass(frozen=True)
class SortedLines:
    """What a kernel that sorts has besides its lines: groups of lines, cycles, scratch memory."""

    groups: int = 0
    cycles: float = 0.0
    scratch: tuple[Storage, ...] = ()
    parts: tuple[ScratchParts, ...] = ()


@dataclass(frozen=True)
class Keys:
    """The keys of a line's elements.

    dtype: of the elements. places: whether where they stood is asked for.
    """

    dtype: DType
    places: bool
    descending: bool

    @property
    def bare(self) -> DType:
        """The dtype of a key without a place."""
        return i64 if self.dtype.itemsize == i64.itemsize else i32

    @property
    def holds_place(self) -> bool:
        """Whether a key holds the place in its lower half."""
        return self.places and self.bare == i32

    @property
    def stored(self) -> DType:
        return i64 if self.holds_place else self.bare

    @property
    def has_places_beside(self) -> bool:
        return self.places and not self.holds_place

    @property
    def digits(self) -> Digits:
        """The digits by which keys are sorted."""
        low = PLACE_BITS if self.holds_place else 0
        is_byte = self.dtype.itemsize == 1
        return Digits(low, low + (8 if is_byte else 8 * self.bare.itemsize), signed=not is_byte)

    def alone(self, element: Expression) -> Expression:
        """The key of an element, without a place."""
        if self.dtype.is_float:
            zero = number(0.0, self.dtype)
            key: Expression = applied(
                "order_key", Infix("+", element, zero) if self.places else element
            )
        else:
            key = element if self.dtype == self.bare else applied(f"cast_{self.bare}", element)
        return applied(f"cast_{self.bare}", ~key) if self.descending else key

    def of(self, element: Expression, place: Expression) -> Expression:
        """The key that is sorted."""
        key = self.alone(element)
        if not self.holds_place:
            return key
        return (applied("cast_i64", key) << PLACE_BITS) | Parenthesized(place)

    def result(self, key: Expression) -> Expression:
        """What the result has of a key, or of the place beside it."""
        if self.holds_place:
            return key & ((1 << PLACE_BITS) - 1)
        if self.places:
            return key
        bare = applied(f"cast_{self.bare}", ~key) if self.descending else key
        if self.dtype.is_float:
            return applied("float_of_key", bare)
        return bare if self.dtype == self.bare else applied(f"cast_{self.dtype}", bare)


def sorted_lines(
    node: Node,
    places: Sequence[Strided],
    buffers: Sequence[Name],
    arguments: Arguments,
    block: Block,
    vector_bits: int,
    threads: int,
) -> SortedLines:
    """Appends the loops of an op that sorts lines."""
    lowering, axis = node.op.lowering, node.attributes["axis"]
    assert isinstance(lowering, Sorting)
    (operand,) = node.operands
    keys = Keys(operand.dtype, lowering.places, node.attributes["descending"])
    length, kept = operand.type.dims[axis], node.type.dims[axis]
    lanes = lanes_of(vector_bits, keys.stored.itemsize)
    beside = line_groups(operand.type.dims, axis, places, lanes)
    fills_lanes = beside.beside >= lanes
    in_network = length <= (LONGEST_IN_NETWORK if fills_lanes else LONGEST_ALONE)
    is_selection = kept < length and kept <= MOST_SELECTED and length >= SHORTEST_SELECTED_FROM
    if is_selection:
        in_network = in_network and fills_lanes and kept <= BLOCK_SIZE
    groups = beside if in_network else line_groups(operand.type.dims, axis, places, 1)
    arrays = [groups.array(k, buffer) for k, buffer in enumerate(buffers)]
    body, made = Block(), SortedLines()
    if in_network:
        _in_network(body, keys, arrays, (length, kept), lanes, groups.lines)
    elif is_selection:
        _selected(body, keys, arrays, (length, kept))
    else:
        made = _by_digits(body, keys, arrays, (length, kept), node, arguments, threads)
    groups.wrap(block, [(array, 0) for array in arrays], body)
    cycles = operand.type.size * 2.0 * length.bit_length()
    return SortedLines(groups.count, cycles, made.scratch, made.parts)


def _in_network(
    into: Block,
    keys: Keys,
    arrays: Sequence[LineArray],
    extents: tuple[int, int],
    lanes: int,
    lines: Expression,
) -> None:
    """Appends what sorts a group of lines in the lanes of vectors."""
    x, y = arrays
    length, kept = extents
    # What lines are made of, and whole blocks for the transposition.
    sorted_length, rows = padded(length), -(-length // lanes) * lanes
    memory = max(sorted_length, rows) * lanes
    into.add(Stack(KEYS, keys.stored.name, memory))
    if keys.has_places_beside:
        into.add(Stack(PLACES, "i64", memory))
    has_lines = x.apart != 1 or y.apart != 1
    if has_lines:
        into.add(Stack(LINE_KEYS, keys.stored.name, rows * lanes))
    key = keys.of(x.element(PLACE), PLACE)
    if x.apart == 1:
        beside = Element(KEYS, PLACE * lanes + LINE)
        _each(into, PLACE, length, LINE, lines, assigned(beside, key))
    else:
        along = Element(LINE_KEYS, LINE * rows + PLACE)
        _each(into, LINE, lines, PLACE, length, assigned(along, key))
        target, source = (KEYS, PLACE * lanes, lanes), (LINE_KEYS, PLACE, rows)
        _transposed(into, rows, lanes, target, source)
    if keys.has_places_beside:
        place = Element(PLACES, PLACE * lanes + LINE)
        _each(into, PLACE, sorted_length, LINE, lanes, assigned(place, PLACE))
    if sorted_length > length:
        greatest = (1 << (8 * keys.stored.itemsize - 1)) - 1
        rest = Block.of(assigned(Element(KEYS, PLACE), greatest))
        into.loop(PLACE, (length * lanes, sorted_length * lanes), rest)

    def call(name: str, at: Sequence[Expression], *others: int) -> Call:
        buffers = (KEYS, PLACES) if keys.has_places_beside else (KEYS,)
        indices = [i if i == ZERO else Parenthesized(i) * lanes for i in at]
        primitive = f"{name}_pairs" if keys.has_places_beside else name
        return Call(primitive, (*buffers, *indices, *map(of, (*others, lanes))))

    if kept <= BLOCK_SIZE and sorted_length > MOST_IN_REGISTERS:
        first_by_network(into, sorted_length, call)
    else:
        sorting_network(into, sorted_length, call)
    made = PLACES if keys.has_places_beside else KEYS
    if y.apart == 1:
        element = Element(made, PLACE * lanes + LINE)
        stored = assigned(y.element(PLACE), keys.result(element))
        _each(into, PLACE, kept, LINE, lines, stored)
        return
    extent = -(-kept // lanes) * lanes
    _transposed(into, extent, lanes, (LINE_KEYS, PLACE, rows), (made, PLACE * lanes, lanes))
    element = Element(LINE_KEYS, LINE * rows + PLACE)
    _each(into, LINE, lines, PLACE, kept, assigned(y.element(PLACE), keys.result(element)))


def _each(
    into: Block,
    outer: Name,
    outer_extent: Operand,
    inner: Name,
    inner_extent: Operand,
    statement: Statement,
) -> None:
    body = Block()
    body.loop(inner, inner_extent, Block.of(statement))
    into.loop(outer, outer_extent, body)


def _transposed(
    into: Block,
    extent: int,
    lanes: int,
    target: tuple[Name, Expression, int],
    source: tuple[Name, Expression, int],
) -> None:
    """Appends the transposition of blocks of keys. target, source: buffer, index, and elements from
    one row to the next."""
    places = ((buffer, index, of(apart)) for buffer, index, apart in (target, source))
    arguments = (*(each for place in places for each in place), of(lanes))
    block = Block.of(Call("transpose_block", arguments))
    into.loop(PLACE, (0, extent, lanes), block)


def _selected(
    into: Block, keys: Keys, arrays: Sequence[LineArray], extents: tuple[int, int]
) -> None:
    x, y = arrays
    length, kept = extents
    select_first(into, length, kept, keys.alone(x.element(PLACE, ZERO)), str(keys.bare))
    stored = Block.of(assigned(y.element(PLACE, ZERO), Element(BEST_PLACES, PLACE)))
    into.loop(PLACE, kept, stored)


def _by_digits(
    into: Block,
    keys: Keys,
    arrays: Sequence[LineArray],
    extents: tuple[int, int],
    node: Node,
    arguments: Arguments,
    threads: int,
) -> SortedLines:
    x, y = arrays
    length, kept = extents
    stored = keys.stored
    wanted = [(KEYS, stored), *([(PLACES, i64)] if keys.has_places_beside else [])]
    storages, parts, names = [], [], []
    for kind, dtype in wanted:
        storage = Storage(f"{label(node)}_{kind.text}", dtype, 2 * length * threads, node)
        part = ScratchParts(storage, THREAD, threads, 2 * length, ((0, 2 * length),))
        name = arguments.name(storage)
        into.assign(kind, applied(ADVANCE, name, part.start()))
        storages.append(storage)
        parts.append(part)
        names.append(kind)
    line = Line(
        length,
        lambda place: keys.of(x.element(place, ZERO), place),
        tuple(names),
        lambda place, found: assigned(y.element(place, ZERO), keys.result(found)),
    )
    radix_sort(into, keys.digits, line, kept)
    return SortedLines(scratch=tuple(storages), parts=tuple(parts))
