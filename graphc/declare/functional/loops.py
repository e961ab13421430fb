"""Loops over tensors: a function becomes the body of a loop, which is compiled once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from graphc.declare.functional.loop_states import by_count, by_slices
from graphc.declare.graphs.forms import Form, Nodes, form_of, in_form, listed
from graphc.declare.hyperparameters import as_count
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import as_integer, is_tensor, shown
from graphc.ir.dims import Dim, Extent
from graphc.ir.functions.build import broadcast_to
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops.elementwise.elementwise import logical_and
from graphc.ir.programs import loops
from graphc.ir.types import as_shape, shape_text


@checks_flags
def scan(
    body: Callable[..., Any],
    carry: Nodes,
    inputs: Nodes | None = None,
    length: int | str | Dim | None = None,
    reverse: bool = False,
    checkpoint: int | None = None,
) -> tuple[Any, Any]:
    """The last carry and the stacked outputs of a loop whose body is compiled once.

    `body(carry, slice)` returns the next carry and what is stacked, or None for nothing. Carry,
    inputs and outputs are each a tensor, several, or several by name, and come back in that form;
    a carry keeps its shape and dtype from step to step. Step t is given the slices t of `inputs`
    along axis 0, None without inputs, and its outputs stand at place t of theirs, whose axis 0 is
    new. `length` is the number of steps, which inputs say by themselves; `reverse` goes from the
    last slice to the first. `body` is called once, when the loop is declared, and may read any
    tensor of the graph, such as weights. Derivatives are loops too; they keep of each step what is
    costly, or with `checkpoint=k` the carry of every k-th step alone, from which they make the
    others again. That takes a fixed length.

    Random numbers that the body draws, such as those of dropout, are others in each step; what is
    drawn before the loop, as for variational dropout, is the same in all. States that layers in the
    body change in training, such as running averages, change in each step.

        def step(h, x):
            h = gc.tanh(x @ w_in + h @ w)
            return h, h

        last, all_steps = gc.scan(step, start, sequence)

    Raises ShapeError where lengths differ or none is given, and where a carry changes its shape,
    DTypeError where it changes its dtype, TypeError for a body that is no function or does not
    return a pair, and DataError for a `checkpoint` that is no integer of at least 1.
    """
    _check_function("body", body)
    carries, stacks = _tensors("carry", carry), _tensors("inputs", inputs)
    if not carries:
        raise _error("a carry of one tensor at least expected", TypeError)
    steps = _length_of(stacks, length)
    forms: list[Form | None] = []

    def step(given: list[Node], slices: list[Node]) -> tuple[list[Node], list[Node]]:
        x = None if inputs is None else in_form(form_of(inputs), slices)
        made = body(in_form(form_of(carry), given), x)
        if not isinstance(made, tuple) or len(made) != 2:
            raise _error(
                f"a pair expected of the body: carry, outputs; not {shown(made)}", TypeError
            )
        after, outputs = made
        forms.append(None if outputs is None else form_of(outputs))
        return _next_carries(after, carry, given), _tensors("outputs", outputs)

    if checkpoint is None:
        complete = by_slices(carries[0].graph, steps)
        last, stacked = loops.scan(step, carries, stacks, steps, reverse=reverse, complete=complete)
    else:
        if not isinstance(steps, int):
            raise _error(f"checkpoint: a fixed length expected, not {steps}", ShapeError)
        every = as_count("checkpoint", checkpoint, 1)
        last, stacked = loops.scan_in_parts(
            step, carries, stacks, steps, every, reverse=reverse,
            complete=partial(by_slices, carries[0].graph),
        )  # fmt: skip
    form = forms[0]
    return in_form(form_of(carry), last), None if form is None else in_form(form, stacked)


def fori_loop(lower: int, upper: int, body: Callable[..., Any], carry: Nodes) -> Any:
    """The carry after `carry = body(i, carry)` for each i from `lower` up to `upper`, excluded.

    i is a tensor, i32 []. The carry is a tensor, several, or several by name, and comes back in
    that form; it keeps its shape and dtype. As `gc.scan`: the body is compiled once, may read any
    tensor of the graph, and derivatives are loops too.

        tenth_power = gc.fori_loop(0, 10, lambda i, p: p * x, gc.ones_like(x))

    Raises TypeError for bounds that are no integers, and as `gc.scan` does.
    """
    _check_function("body", body)
    first, behind = _bound("lower", lower), _bound("upper", upper)
    carries = _tensors("carry", carry)
    if not carries:
        raise _error("a carry of one tensor at least expected", TypeError)
    count = max(behind - first, 0)
    numbers = carries[0].graph.iota((count,), "i32") + first

    def step(given: list[Node], slices: list[Node]) -> tuple[list[Node], list[Node]]:
        after = body(slices[0], in_form(form_of(carry), given))
        return _next_carries(after, carry, given), []

    complete = by_slices(numbers.graph, count)
    last, _ = loops.scan(step, carries, [numbers], count, complete=complete)
    return in_form(form_of(carry), last)


def while_loop(
    cond: Callable[[Any], Any],
    body: Callable[[Any], Any],
    carry: Nodes,
    max_steps: int | None = None,
) -> Any:
    """The carry after `carry = body(carry)` for as long as `cond(carry)` is true.

    The carry is a tensor, several, or several by name, and comes back in that form; it keeps its
    shape and dtype. `cond` gives a bool [], which is asked before the first step too. Both
    functions are called once, when the loop is declared, and may read any tensor of the graph. A
    loop whose condition stays true never ends, and nothing interrupts it: `max_steps` ends it after
    so many.

    There is no derivative, since how many steps are made is known at the end alone: `gc.scan` and
    `gc.fori_loop`, whose number is known, have one. Steps that shall change nothing any more select
    by `gc.where` there.

        root = gc.while_loop(
            lambda x: gc.abs(x * x - a) > 1e-6, lambda x: 0.5 * (x + a / x), gc.ones_like(a)
        )

    Raises TypeError for a condition that is no tensor, DTypeError and ShapeError for one that is no
    bool [] and for a carry that changes its type, and DataError for a `max_steps` that is no
    integer of at least 0.
    """
    _check_function("cond", cond)
    _check_function("body", body)
    carries = _tensors("carry", carry)
    if not carries:
        raise _error("a carry of one tensor at least expected", TypeError)
    limit = None if max_steps is None else as_count("max_steps", max_steps, 0)
    form, counted = form_of(carry), len(carries)

    def condition(given: list[Node]) -> Node:
        holds = cond(in_form(form, given[:counted]))
        if not is_tensor(holds):
            raise _error(f"a condition that is a tensor expected, not {shown(holds)}", TypeError)
        if not holds.dtype.is_bool:
            raise _error(f"a condition of bool expected, not {holds.type}", DTypeError)
        if holds.shape != ():
            wanted = "a condition of shape [] expected; reduce it with gc.any or gc.all"
            raise _error(f"{wanted}, not {holds.type}", ShapeError)
        return holds if limit is None else logical_and(holds, given[-1] < limit)

    def step(given: list[Node]) -> list[Node]:
        after = body(in_form(form, given[:counted]))
        made = _next_carries(after, carry, given[:counted])
        return made if limit is None else [*made, given[-1] + 1]

    count = [] if limit is None else [carries[0].graph.constant(0, "i64")]
    complete = by_count(carries[0].graph)
    last = loops.while_loop(condition, step, [*carries, *count], complete)
    return in_form(form, last[:counted])


def _check_function(role: str, value: Any) -> None:
    if not callable(value):
        raise _error(f"{role}: a function expected, not {shown(value)}", TypeError)


def _bound(role: str, value: Any) -> int:
    try:
        return as_integer(value)
    except TypeError as error:
        raise _error(f"{role}: {error}", TypeError) from None


def _tensors(role: str, values: Any) -> list[Node]:
    try:
        found = listed(values)
    except TypeError as error:
        raise _error(f"{role}: {error}", TypeError) from None
    for value in found:
        if not is_tensor(value):
            raise _error(f"{role}: a tensor expected, not {shown(value)}", TypeError)
    return found


def _next_carries(after: Any, carry: Nodes, given: Sequence[Node]) -> list[Node]:
    """What the body returns as the next carry, in the order of the carry; numbers become tensors of
    the carry's type."""
    if isinstance(carry, Mapping) and isinstance(after, Mapping):
        if after.keys() != carry.keys():
            raise _error(f"a carry named {list(carry)} expected, not {list(after)}")
        after = [after[name] for name in carry]
    values = list(after) if isinstance(after, tuple | list) else [after]
    if len(values) != len(given):
        raise _error(f"a carry of {len(given)} tensors expected of the body, not of {len(values)}")
    return [_of_type(number, *pair) for number, pair in enumerate(zip(values, given, strict=True))]


def _of_type(number: int, value: Any, before: Node) -> Node:
    if not is_tensor(value):
        value = broadcast_to(before.graph.constant(value, before.dtype), before.shape)
    what = f"carry {number} after a step"
    if value.dtype != before.dtype:
        raise _error(f"{what}: {before.dtype} expected, not {value.dtype}; cast it", DTypeError)
    if value.shape != before.shape:
        expected, found = shape_text(before.shape), shape_text(value.shape)
        raise _error(f"{what}: shape {expected} expected, not {found}", ShapeError)
    made: Node = value
    return made


def _length_of(stacks: Sequence[Node], length: Any) -> Extent:
    """The number of steps, of which all inputs have slices."""
    found = [] if length is None else list(as_shape((length,)))
    for stack in stacks:
        if stack.rank == 0:
            raise _error(f"inputs with an axis of steps expected, not {stack!r}", ShapeError)
        found.append(stack.shape[0])
    if not found:
        raise _error("inputs or a length expected", ShapeError)
    if any(each != found[0] for each in found):
        counts = ", ".join(map(str, found))
        raise _error(f"one length expected of all inputs and `length`, not {counts}", ShapeError)
    return found[0]


def _error(problem: str, kind: type[Exception] = GraphError) -> Exception:
    return kind(located(f"loop: {problem}", callers_location()))
