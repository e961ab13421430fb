"""Products that add up very many terms, such as gradients of weights over a large batch.

x^T y of x [rows, m] and y [rows, n] with a small result is computed in blocks of rows, whose
results are added up after them. Each thread then takes blocks of its own, whose rows it has mostly
computed itself: cut by its columns instead, the product would fetch half of all rows from the cache
of another core, and its tiles would go through all rows again and again. Other products whose depth
is great beside their result have too few tiles for threads to share, and are cut likewise. So are
sums of windows times something, which are no products. The shape alone says what the blocks are, so
the bits do not depend on the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from graphc.ir.graph import Node
from graphc.ir.ops import contract
from graphc.ir.ops.elementwise import elementwise
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.ops.windows import windows
from graphc.ir.rewriting.rewrite import SUM_ULPS, Rule, rule
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.access import digits_in_memory
from graphc.kernels.nests.node_kinds import contracted_axes
from graphc.kernels.nests.row_blocks import even_cut
from graphc.kernels.products.contraction import LONGEST_WINDOWED_DEPTH

# Fewer rows are added up as quickly in one piece.
FEWEST_ROWS = 1024
# Rows of a block at most: some columns of them stay in the second cache.
BLOCK_ROWS = 512
FEWEST_BLOCKS = 4
# The depth from which on any product is cut whose result has few tiles, and that of its blocks.
GREAT_DEPTH = 1 << 15
GREAT_BLOCK_DEPTH = 4096
FEW_TILES_ELEMENTS = 64 * 64
# Blocks that a few threads share evenly; what is left of the depth is a block of its own.
EVEN_BLOCKS = 12


@dataclass(frozen=True)
class _Cut:
    """Blocks of so many steps of the depth; fewer steps may be left behind them."""

    blocks: int
    steps: int


@rule(contract.matmul)
def add_up_in_blocks(node: Node) -> Node | None:
    """matmul(x, y) = sum over blocks b of the depth (matmul(x_b, y_b)), of very many terms"""
    x, y = node.operands
    if x.rank != 2 or y.rank != 2:
        return None
    (of_x,), (of_y,) = (contracted_axes(node, position).depth for position in (0, 1))
    axes = (of_x, of_y)
    depth = x.type.dims[of_x]
    cut = None
    if axes == (0, 0):
        cut = _blocks_of_images(node, depth) or _blocks_of_rows(node, depth)
    cut = cut or _blocks_of_depth(node, depth)
    if cut is None:
        return None
    whole = cut.blocks * cut.steps
    parts = [_in_blocks(*each, cut) for each in zip((x, y), axes, strict=True)]
    results = contract.matmul(*parts, **node.attributes)
    total = movement.reshape(reduce.sum_(results, axes=(0,)), shape=node.shape)
    if whole == depth:
        return total
    rest = [_part(*each, whole, depth) for each in zip((x, y), axes, strict=True)]
    return total + contract.matmul(*rest, **node.attributes)


@rule(reduce.sum_, ulps=SUM_ULPS)
def add_up_images_apart(node: Node) -> Node | None:
    """sum(windows(x) * y, batch and positions) = sum(sum(windows(x) * y, positions), batch)

    The gradient of a kernel of each channel by itself: it goes through all positions once for each
    element of a window, and what it reads of one image stays in the second cache meanwhile.
    """
    (terms,) = node.operands
    axes = node.attributes["axes"]
    if terms.op is not elementwise.multiply or len(axes) < 2 or axes[0] != 0:
        return None
    positions = list(axes[1:])
    if not any(_is_windows(x, terms) for x in terms.operands) or terms.type.dims[0] == 1:
        return None
    if positions != [*range(1, 2 * len(positions), 2)] or terms.rank < 2 * len(positions) + 2:
        return None
    return reduce.sum_(reduce.sum_(terms, axes=tuple(positions)), axes=(0,))


RULES: tuple[Rule, ...] = (add_up_in_blocks, add_up_images_apart)


def _is_windows(x: Node, terms: Node) -> bool:
    """Whether x is all windows of `terms`, or those with an axis more of one element."""
    inner = x.operands[0] if x.op is movement.reshape else x
    whole = inner.shape == terms.shape[: inner.rank]
    return inner.op is windows and whole and x.shape in (inner.shape, (*inner.shape, 1))


def _in_blocks(operand: Node, axis: int, cut: _Cut) -> Node:
    """The operand as a matrix for each block of the depth, which is its axis `axis`."""
    whole = cut.blocks * cut.steps
    if whole < operand.type.dims[axis]:
        operand = _part(operand, axis, 0, whole)
    shape = [*operand.type.dims]
    shape[axis : axis + 1] = [cut.blocks, cut.steps]
    split = movement.reshape(operand, shape=tuple(shape))
    return split if axis == 0 else movement.transpose(split, axes=(1, 0, 2))


def _part(operand: Node, axis: int, first: int, last: int) -> Node:
    """The operand from one place of an axis to before another."""
    counts = list(operand.type.dims)
    counts[axis] = last - first
    starts = tuple(first if each == axis else 0 for each in range(operand.rank))
    return movement.slice_(operand, starts=starts, counts=tuple(counts), steps=(1,) * operand.rank)


def _blocks_of_rows(product: Node, rows: int) -> _Cut | None:
    """How the rows are cut that x^T y adds up; None where they are not.

    The results of all blocks take no more memory than the operands.
    """
    # Threads that share the tiles of a larger result each have enough to do with what they fetch.
    largest = MACHINE.second_cache_share_bytes
    if rows < FEWEST_ROWS or not 0 < product.type.nbytes <= largest:
        return None
    least = max(FEWEST_BLOCKS, ceil(rows / BLOCK_ROWS))
    most = sum(x.type.size for x in product.operands) // product.type.size
    blocks = even_cut(rows, range(least, min(2 * least, most) + 1))
    return None if blocks is None else _Cut(blocks, rows // blocks)


def _blocks_of_images(product: Node, rows: int) -> _Cut | None:
    """Blocks of whole images, where the rows are the windows of several: a block's windows are then
    read where they stand. None of other rows, and where a block would be too long or too short."""
    if rows < FEWEST_ROWS or not 0 < product.type.nbytes <= MACHINE.second_cache_share_bytes:
        return None
    at = digits_in_memory(product.operands[0])
    if at is None or len(at.axes[0]) < 2:
        return None
    images, *positions = at.axes[0]
    each = prod(digit.extent for digit in positions)
    counts = [n for n in range(1, images.extent + 1) if images.extent % n == 0]
    fitting = [n for n in counts if max(product.type.dims) <= n * each <= LONGEST_WINDOWED_DEPTH]
    if not fitting:
        return None
    taken = min(fitting, key=lambda n: abs(n * each - BLOCK_ROWS))
    return _Cut(images.extent // taken, taken * each) if taken < images.extent else None


def _blocks_of_depth(product: Node, depth: int) -> _Cut | None:
    """How a great depth is cut; None of a small one, or of a result with tiles to share."""
    if depth < GREAT_DEPTH or not 0 < product.type.size <= FEW_TILES_ELEMENTS:
        return None
    blocks = ceil(depth / GREAT_BLOCK_DEPTH / EVEN_BLOCKS) * EVEN_BLOCKS
    return _Cut(blocks, depth // blocks)
