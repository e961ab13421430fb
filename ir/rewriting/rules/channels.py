"""Rules of channels first: transposes that bring channels to the front move towards the results.

`first(x)` brings the last axis of x to the place behind the batch, and `last(x)` brings it back.
A convolution has its channels last, so a layer with channels first is first(conv(last(x))). What
lies between two layers lets `first` through until it meets the `last` of the next layer, and both
are gone. Only `first` moves, and only towards results, so the rules end.
"""

from __future__ import annotations

from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Scalar
from graphc.ir.nodes.op import Op
from graphc.ir.ops import OPS, leaf
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.ops.windows import add_windows, windows
from graphc.ir.rewriting.rewrite import CHOICE_ULPS, SUM_ULPS, Rule, rule
from graphc.ir.types import Shape

# But for a copy, which a rule must not make of another value.
_ELEMENTWISE: tuple[Op, ...] = tuple(
    op for op in OPS.values() if isinstance(op.lowering, Scalar) and op is not ops.copy
)
# A batch, channels, and one spatial axis. Of so few axes `first` and `last` are the same.
LEAST_RANK = 3


def first(x: Node) -> Node:
    """[batch, ..., channels] -> [batch, channels, ...]"""
    return movement.transpose(x, axes=_to_first(x.rank))


def last(x: Node) -> Node:
    """[batch, channels, ...] -> [batch, ..., channels]"""
    return movement.transpose(x, axes=_to_last(x.rank))


def _to_first(rank: int) -> tuple[int, ...]:
    return (0, rank - 1, *range(1, rank - 1))


def _to_last(rank: int) -> tuple[int, ...]:
    return (0, *range(2, rank), 1)


def _behind_first(node: Node) -> Node | None:
    """x where `node` is first(x); None for any other node."""
    if node.op is not movement.transpose or node.rank < LEAST_RANK:
        return None
    return node.operands[0] if node.attributes["axes"] == _to_first(node.rank) else None


def _shape_last(shape: Shape) -> Shape:
    return tuple(shape[axis] for axis in _to_last(len(shape)))


def _keeps_elements(shape: Shape, axes: tuple[int, ...]) -> bool:
    """Whether a transpose to `axes` moves axes of one element only."""
    longer = [axis for axis in axes if shape[axis] != 1]
    return longer == sorted(longer)


@rule(*_ELEMENTWISE)
def draw_out_first(node: Node) -> Node | None:
    """f(first(x), y) = first(f(x, last(y)))

    last(y) is a reshape where y is one number a channel, such as a bias, or of one channel. Any
    other y is transposed, unless it is a state, whose update is stored where the state stands, or
    has three axes: there `first` and `last` are the same, and both operands would move in turns.
    """
    if not any(x.shape == node.shape and _behind_first(x) is not None for x in node.operands):
        return None
    plain = [_with_channels_last(x, node.rank) for x in node.operands]
    if any(x is None for x in plain):
        return None
    return first(node.op(*plain, **node.attributes))


def _with_channels_last(x: Node, rank: int) -> Node | None:
    """last(x) of an operand that is broadcast to `rank` axes; None where x must not be moved."""
    found = _behind_first(x) if x.rank == rank else None
    if found is not None or x.rank == 0:
        return x if found is None else found
    shape = (1,) * (rank - x.rank) + x.shape
    if _keeps_elements(shape, _to_last(rank)):
        return build.reshape(x, _shape_last(shape))
    if rank == LEAST_RANK or x.op is leaf.state:
        return None
    return last(x if x.rank == rank else build.reshape(x, shape))


# --- movement --------------------------------------------------------------------------------


@rule(movement.reshape)
def reshape_of_single(node: Node) -> Node | None:
    """reshape(first(x)) = reshape(x) where channels or what they pass are one element"""
    (moved,) = node.operands
    x = _behind_first(moved)
    if x is None or not _keeps_elements(x.shape, moved.attributes["axes"]):
        return None
    return build.reshape(x, node.shape)


@rule(movement.reshape)
def reshape_of_first(node: Node) -> Node | None:
    """reshape(first(x)) = first(reshape(x)) where the batch and the channels stay as they are

    One spatial axis gets no more than axes of one element beside it: a transpose of matrices whose
    rows are split is left to the rules of products.
    """
    (moved,) = node.operands
    x = _behind_first(moved)
    if x is None or node.rank < LEAST_RANK or node.shape[:2] != moved.shape[:2]:
        return None
    if moved.rank == LEAST_RANK and _longer(moved.shape[2:]) != _longer(node.shape[2:]):
        return None
    return first(build.reshape(x, _shape_last(node.shape)))


def _longer(shape: Shape) -> Shape:
    return tuple(extent for extent in shape if extent != 1)


@rule(movement.slice_)
def slice_of_first(node: Node) -> Node | None:
    """slice(first(x)) = first(slice(x))"""
    x = _behind_first(node.operands[0])
    if x is None:
        return None
    return first(movement.slice_(x, **{k: _shape_last(v) for k, v in node.attributes.items()}))


@rule(movement.embed)
def embed_of_first(node: Node) -> Node | None:
    """embed(first(x)) = first(embed(x))"""
    x = _behind_first(node.operands[0])
    if x is None:
        return None
    return first(movement.embed(x, **{k: _shape_last(v) for k, v in node.attributes.items()}))


@rule(movement.concatenate)
def concatenate_of_first(node: Node) -> Node | None:
    """concatenate(first(x), first(y)) = first(concatenate(x, y))"""
    plain = [_behind_first(x) for x in node.operands]
    if any(x is None for x in plain):
        return None
    axis = _to_first(node.rank)[node.attributes["axis"]]
    return first(movement.concatenate(*plain, axis=axis))


@rule(windows)
def windows_of_first(node: Node) -> Node | None:
    """windows(first(x)) = first(windows(x)) along spatial axes"""
    x = _behind_first(node.operands[0])
    axes = _spatial_last(node)
    if x is None or axes is None:
        return None
    return first(windows(x, **{**node.attributes, "axes": axes}))


@rule(add_windows)
def add_windows_of_first(node: Node) -> Node | None:
    """add_windows(first(x)) = first(add_windows(x)) along spatial axes"""
    x = _behind_first(node.operands[0])
    axes = _spatial_last(node)
    if x is None or axes is None:
        return None
    changed = {**node.attributes, "axes": axes, "shape": _shape_last(node.shape)}
    return first(add_windows(x, **changed))


def _spatial_last(node: Node) -> tuple[int, ...] | None:
    """The axes of windows where channels are last; None where windows are not of spatial axes."""
    axes = node.attributes["axes"]
    return None if any(axis < 2 for axis in axes) else tuple(axis - 1 for axis in axes)


# --- reductions ------------------------------------------------------------------------------


@rule(reduce.sum_, ulps=SUM_ULPS)
def sum_of_first(node: Node) -> Node | None:
    """sum(first(x), axes) = first(sum(x, axes of these))"""
    return _reduced(node)


@rule(reduce.max_, reduce.min_, reduce.any_, reduce.all_)
def extreme_of_first(node: Node) -> Node | None:
    """max(first(x), axes) = first(max(x, axes of these)); the same for min, any and all"""
    return _reduced(node)


@rule(reduce.greatest, reduce.least, ulps=CHOICE_ULPS)
def greatest_of_first(node: Node) -> Node | None:
    """greatest(first(x), axes) = first(greatest(x, axes of these)); the same for least"""
    return _reduced(node)


def _reduced(node: Node) -> Node | None:
    x = _behind_first(node.operands[0])
    if x is None:
        return None
    axes = (_to_first(node.rank)[axis] for axis in node.attributes["axes"])
    return first(node.op(x, axes=tuple(sorted(axes))))


RULES: tuple[Rule, ...] = (
    draw_out_first,
    reshape_of_single,
    reshape_of_first,
    slice_of_first,
    embed_of_first,
    concatenate_of_first,
    windows_of_first,
    add_windows_of_first,
    sum_of_first,
    extreme_of_first,
    greatest_of_first,
)
