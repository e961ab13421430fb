"""Arrays that a user hands over, matched with the inputs that they are for and checked whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.declare.graphs.variables import converts
from graphc.errors import DataError, DTypeError, GraphError
from graphc.ir.arguments.given import as_array
from graphc.ir.dims import Dim, bindings_of
from graphc.ir.graph import Node, check_fits, topological
from graphc.ir.nodes.location import located
from graphc.ir.nodes.lowering import View
from graphc.ir.ops import leaf
from graphc.ir.ops.elementwise import elementwise
from graphc.ir.ops.movement.indexed import as_given
from graphc.ir.types import bind_places

Array = np.ndarray[Any, np.dtype[Any]]


def batch_dimension(inputs: Sequence[Node]) -> str:
    """The named dimension that is the first of every input. Raises GraphError without one."""
    names = {_first_dimension(node) for node in inputs}
    if len(names) != 1:
        raise GraphError(f"inputs of one batch dimension expected, not of {sorted(names)}")
    return names.pop()


def _first_dimension(node: Node) -> str:
    first = node.shape[0] if node.rank else None
    if not (isinstance(first, Dim) and first.is_named):
        raise GraphError(
            located(f"{node!r}: a named first dimension, the batch, expected", node.location)
        )
    return first.name


def matched(inputs: Sequence[Node], given: Any, role: str) -> list[Array]:
    """The arrays in the order of `inputs`, of their dtypes, contiguous, their shapes checked.

    `given` is an array for a single input, else a sequence in order or a mapping by name. Floats
    take any numbers, integers take integers that fit; nothing else is converted. `role` names the
    argument in errors. Raises DataError.
    """
    values = _in_order(inputs, given, role)
    return [as_input(node, value) for node, value in zip(inputs, values, strict=True)]


def _in_order(inputs: Sequence[Node], given: Any, role: str) -> list[Any]:
    names = [node.name for node in inputs]
    if isinstance(given, Mapping):
        missing = [name for name in names if name not in given]
        unknown = [str(name) for name in given if name not in names]
        if missing or unknown:
            parts = [f"missing {', '.join(missing)}"] if missing else []
            parts += [f"unknown {', '.join(unknown)}"] if unknown else []
            raise DataError(f"{role}: {'; '.join(parts)}; expected: {', '.join(names)}")
        return [given[name] for name in names]
    if given is None and names:
        raise DataError(f"{role}: missing {', '.join(names)}")
    if len(names) == 1:
        return [given]
    if not names and given is None:
        return []
    if not isinstance(given, list | tuple) or len(given) != len(names):
        raise DataError(f"{role}: {len(names)} arrays expected, for {', '.join(names)}")
    return list(given)


def as_input(node: Node, value: Any) -> Array:
    """`value` as contiguous, aligned memory of the input's dtype. Raises DataError as `matched`."""
    try:
        array = as_array(value)
    except (TypeError, ValueError) as error:
        raise DataError(_message(node, str(error))) from None
    _check_shape(node, array)
    if array.dtype == node.dtype.numpy and array.flags.c_contiguous and array.flags.aligned:
        return array  # what follows takes as long as a small step
    if not converts(array.dtype, node.dtype):
        raise DataError(_message(node, f"an array of dtype {array.dtype} does not fit"))
    if array.dtype != node.dtype.numpy:
        try:
            check_fits(array, node.dtype)
        except DTypeError as error:
            raise DataError(_message(node, str(error))) from None
    return np.require(array, node.dtype.numpy, ["C", "A"]).reshape(array.shape)


def _check_shape(node: Node, array: Array) -> None:
    fits = array.ndim == node.rank and all(
        isinstance(wanted, Dim) or wanted == extent
        for wanted, extent in zip(node.shape, array.shape, strict=True)
    )
    if not fits:
        raise DataError(_message(node, f"an array of shape {array.shape} does not fit"))


def misfit(node: Node, array: Array, found: Mapping[str, int] | None = None) -> str:
    """What is said of an array of another shape than its input; `found` are extents so far."""
    known = f" with {dict(found)}" if found else ""
    problem = f"input {node.name!r}: shape {node.type.shape}{known} expected, {array.shape} given"
    return located(problem, node.location)


def solved_extents(
    inputs: Sequence[Node], arrays: Sequence[Array], dimensions: Sequence[str]
) -> dict[str, int]:
    """The extents of open dimensions where those of inputs are sums or products of them.

    Raises DataError where shapes do not fit, and for a dimension that none of them tells.
    """
    given = [
        pair
        for node, array in zip(inputs, arrays, strict=True)
        for pair in zip(node.shape, array.shape, strict=True)
    ]
    found = bindings_of(given)
    unknown = [name for name in dimensions if name not in found]
    if unknown:
        raise DataError(f"no input says how long the dimension {unknown[0]} is")
    for node, array in zip(inputs, arrays, strict=True):
        if bind_places(node.shape, found) != array.shape or min(found.values()) < 0:
            raise DataError(misfit(node, array, found))
    return found


def row_count(inputs: Sequence[Node], arrays: Sequence[Array]) -> int:
    """The number of rows that all arrays have.

    Raises DataError when there are none, and when a named dimension has two extents.
    """
    extents: dict[str, tuple[int, Node]] = {}
    for node, array in zip(inputs, arrays, strict=True):
        for wanted, extent in zip(node.shape, array.shape, strict=True):
            if not (isinstance(wanted, Dim) and wanted.is_named):
                continue
            known, first = extents.setdefault(wanted.name, (extent, node))
            if known != extent:
                raise DataError(
                    f"dimension {wanted.name} is {known} in {first.name} and {extent} in "
                    f"{node.name}"
                )
    rows = arrays[0].shape[0]
    if rows == 0:
        raise DataError(f"no data: {inputs[0].name} has no rows")
    return rows


def check_labels(roots: Sequence[Node], inputs: Sequence[Node], arrays: Sequence[Array]) -> None:
    """Checks every input that `roots` use as indices against the range of its use.

    Raises IndexError naming the input, the first bad row, and the line that uses it.
    """
    values = dict(zip(inputs, arrays, strict=True))
    for node in topological(roots):
        if node.op.indices is None:
            continue
        position, limit_of = node.op.indices
        limit = limit_of(*(operand.type for operand in node.operands), **node.attributes)
        if not isinstance(limit, int):
            continue
        index, least = as_given(node.operands[position], limit)
        source = _source(index)
        if source not in values:
            continue
        array = values[source]
        if array.size and (array.min() < least or array.max() >= limit):
            bad = np.argwhere((array < least) | (array >= limit))[0]
            raise IndexError(
                located(
                    f"{node.op.name}: {source.name}[{', '.join(map(str, bad))}] is "
                    f"{array[tuple(bad)]}, outside {least} to {limit - 1}",
                    node.location,
                )
            )


def _source(node: Node) -> Node:
    """The input that holds the same integers, or the node itself where something changes them."""
    while node.op is not leaf.input_ and node.operands:
        is_same = (isinstance(node.op.lowering, View) and _shows_all(node)) or (
            node.op is elementwise.cast
            and node.operands[0].dtype.is_integer
            # from i32 to u8 it is not
            and np.can_cast(node.operands[0].dtype.numpy, node.dtype.numpy, "same_kind")
        )
        if not is_same:
            break
        node = node.operands[0]
    return node


def _shows_all(view: Node) -> bool:
    """Whether the view leaves out no element: it only moves, adds and repeats axes, or orders as
    many elements in another way."""
    lowering, operand = view.op.lowering, view.operands[0]
    assert isinstance(lowering, View)
    if lowering.axes(operand.type, view.type, **view.attributes) is not None:
        return True
    return not lowering.repeats and math.prod(view.shape) == math.prod(operand.shape)


def _message(node: Node, problem: str) -> str:
    return located(f"{node.name} : {node.type}: {problem}", node.location)
