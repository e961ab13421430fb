"""Results of convolutions that nothing reads, such as those which pooling leaves over at an edge.

They are not computed: neither by the convolution nor by what is made of its results element by
element. It takes more than a node to see, since each reader may leave out other elements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from graphc.ir.dims import Dim
from graphc.ir.graph import Node, Program, rebuild
from graphc.ir.nodes.lowering import Scalar
from graphc.ir.ops.movement import movement
from graphc.ir.ops.windows import reach, windows
from graphc.ir.rewriting.match import operand_of
from graphc.ir.rewriting.rewrite import Firing, OnFire
from graphc.ir.rewriting.rules.windows import slice_of_convolution
from graphc.ir.types import static_shape

# Of each axis the first element that somebody reads, and that behind the last.
Box = tuple[tuple[int, int], ...]


def drop_unread(program: Program, on_fire: OnFire | None = None) -> Program:
    """The program, in the same graph, without results of convolutions that nothing reads.

    `slice_of_convolution` is what happens where they are made: the same values, and a product with
    fewer rows.
    """
    less = _with_less(program)
    if not less:
        return program

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        made = dict(zip(node.operands, operands, strict=True))

        def part(x: Node, box: Box) -> Node:
            return _cut(made[x], box, less.get(x) or _whole(x))

        with node.graph.at(node.location):
            if node not in less:
                return _reading(node, operands, less, part)
            if operand_of(node, movement.reshape) is None:
                parts = [part(x, _broadcast_box(x, less[node])) for x in node.operands]
                return node.graph.apply(node.op, parts, node.attributes)
            whole = node.graph.apply(node.op, operands, node.attributes)
            return _fired(_cut(whole, less[node], _whole(node)), on_fire)

    changed = rebuild(program.roots, make)
    return program.map_roots(changed.__getitem__)


def _reading(
    node: Node,
    operands: tuple[Node, ...],
    less: Mapping[Node, Box],
    part: Callable[[Node, Box], Node],
) -> Node:
    """A node all of which is needed, made of what is left of its operands."""
    attributes = dict(node.attributes)
    if any(x in less for x in node.operands):
        (x,) = node.operands
        box = _box_read(node, x, _whole(node))
        operands = (part(x, box),)
        if node.op is movement.slice_:
            pairs = zip(attributes["starts"], box, strict=True)
            attributes["starts"] = tuple(start - first for start, (first, _) in pairs)
    return node.graph.apply(node.op, operands, attributes)


def _fired(cut: Node, on_fire: OnFire | None) -> Node:
    after = slice_of_convolution.apply(cut)
    if after is None:
        raise AssertionError(f"no convolution: {cut!r}")
    if on_fire is not None:
        rule = slice_of_convolution
        on_fire(Firing(rule.name, rule.equation, cut, after, cut.location))
    return after


# --- what is read ----------------------------------------------------------------------------


def _with_less(program: Program) -> dict[Node, Box]:
    """Convolutions, and values made of them element by element, of which a part alone is read."""
    read = _read_boxes(program)
    uses = Counter(operand for node in program.nodes for operand in node.operands)
    uses.update(program.roots)
    less: dict[Node, Box] = {}
    for node in program.nodes:
        box = read.get(node)
        if box is None or box == _whole(node):
            continue
        if _is_elementwise(node):
            if any(x in less for x in node.operands):
                less[node] = box
        elif _is_convolution(node, box) and uses[node.operands[0]] == 1:
            less[node] = box
    return less


def _is_convolution(node: Node, box: Box) -> bool:
    """Whether `node` is one, as images, of which `box` may be computed alone."""
    if node.op is not movement.reshape:
        return False
    return slice_of_convolution.apply(_cut(node, box, _whole(node))) is not None


def _read_boxes(program: Program) -> dict[Node, Box]:
    """For each value of static shape the box of all that is read of it."""
    boxes = {root: _whole(root) for root in program.roots}
    for node in reversed(program.nodes):
        if node not in boxes:
            continue
        for x in node.operands:
            box = _box_read(node, x, boxes[node])
            boxes[x] = _around(boxes[x], box) if x in boxes else box
    return boxes


def _box_read(node: Node, x: Node, box: Box) -> Box:
    """What `node` reads of its operand x where `box` of it is needed."""
    if _is_elementwise(node):
        return _broadcast_box(x, box)
    if 0 in x.shape or 0 in node.shape or any(isinstance(extent, Dim) for extent in x.shape):
        return _whole(x)
    read = list(_whole(x))
    if node.op is movement.slice_:
        starts, steps = node.attributes["starts"], node.attributes["steps"]
        for axis, (first, end) in enumerate(box):
            ends = [starts[axis] + steps[axis] * place for place in (first, end - 1)]
            read[axis] = (min(ends), max(ends) + 1)
    if node.op is windows:
        keys = ("axes", "sizes", "strides", "dilations")
        slid = zip(*(node.attributes[key] for key in keys), strict=True)
        for number, (axis, size, stride, dilation) in enumerate(slid):
            _, end = box[axis + number]
            read[axis] = (0, (end - 1) * stride + reach(size, dilation))
    return tuple(read)


def _is_elementwise(node: Node) -> bool:
    return isinstance(node.op.lowering, Scalar)


def _whole(x: Node) -> Box:
    """All of a value; of an open axis, of which a part is never taken, no more than one element."""
    return tuple((0, 1 if isinstance(extent, Dim) else extent) for extent in x.shape)


def _broadcast_box(x: Node, box: Box) -> Box:
    """The part of x that is broadcast to the elements in `box`."""
    along = box[len(box) - x.rank :]
    whole = _whole(x)
    return tuple(
        all_of_it if extent == 1 else part
        for extent, part, all_of_it in zip(x.shape, along, whole, strict=True)
    )


def _around(one: Box, other: Box) -> Box:
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))


def _cut(x: Node, box: Box, of: Box) -> Node:
    """The elements in `box` of a value of which x is the part `of`."""
    if box == of:
        return x
    (*starts,) = (first - start for (first, _), (start, _) in zip(box, of, strict=True))
    counts = tuple(end - first for first, end in box)
    assert static_shape(x.shape) == tuple(end - first for first, end in of)
    return movement.slice_(x, starts=tuple(starts), counts=counts, steps=(1,) * x.rank)
