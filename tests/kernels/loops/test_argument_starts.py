"""Arguments begin where kernels first touch them, and kernels of other slices are the same."""

from __future__ import annotations

from graphc.ir.types import f32
from graphc.kernels.loops.language.expressions import Element, Expression, Name, applied
from graphc.kernels.loops.language.indices import advanced
from graphc.kernels.loops.language.source import (
    Arguments,
    KernelSource,
    Storage,
    function_statements,
    kernel_digest,
)
from graphc.kernels.loops.language.statements import Block, Call, Prefetch, assigned
from graphc.kernels.loops.rewrites.argument_starts import from_first_elements
from graphc.kernels.nests.names import Names

ROW = Name("i")

MOVED = """\
def kernel(arguments, thread, threads):
    # x: from element 5 on
    y = buffer(arguments, 0, 2, f32)
    x = buffer(arguments, 1, 2, f32)
    for i in range(8):
        y[i] = x[i * 3 + 2] + x[i] * x[i + i * 4 + 95]
    return 0
"""


def _kernel(*values: Expression, body: Block | None = None) -> KernelSource:
    """A loop that stores the sum of products that `values` are."""
    storages = Storage("y", f32, 8), Storage("x", f32, 200)
    arguments = Arguments(Names())
    for storage in storages:
        arguments.name(storage)
    inner, whole = Block(), body or Block()
    for value in values:
        inner.assign(Element(Name("y"), ROW), value)
    whole.loop(ROW, 8, inner)
    return KernelSource("kernel", function_statements(arguments, whole), storages)


def _x(index: Expression) -> Element:
    return Element(Name("x"), index)


def test_an_argument_begins_at_the_first_element_that_all_places_skip() -> None:
    source = _kernel(_x(ROW * 3 + 7) + _x(ROW + 5) * _x(ROW + 40 + ROW * 4 + 60))
    moved = from_first_elements(source)
    assert moved.text == MOVED
    assert moved.starts == (0, 5)


def test_kernels_of_other_slices_are_one() -> None:
    one, other = (_kernel(_x(ROW + n) * _x(ROW * 2 + (n + 3))) for n in (16, 48))
    assert kernel_digest(one) != kernel_digest(other)
    assert kernel_digest(from_first_elements(one)) == kernel_digest(from_first_elements(other))
    # At places that differ among themselves they are two.
    third = _kernel(_x(ROW + 16) * _x(ROW * 2 + 20))
    assert kernel_digest(from_first_elements(third)) != kernel_digest(from_first_elements(one))


def test_what_skips_nothing_stays() -> None:
    for value in (
        _x(ROW) * _x(ROW + 5),
        _x(ROW * 5),
        _x((ROW + 5) * 3),
        _x(ROW + 5) * _x(ROW - 3),
        # The buffer as it is.
        applied("sum_of", Name("x"), 8) + _x(ROW + 5),
    ):
        source = _kernel(value)
        assert from_first_elements(source) is source


def test_places_stand_in_all_kinds_of_statements() -> None:
    body = Block.of(
        Prefetch(_x(ROW + 64)),
        Call("multiply", (advanced(Name("x"), ROW * 2 + 9), _x(ROW + 8))),
        assigned(Name("limit"), _x(Name("y_index") + 11)),
    )
    moved = from_first_elements(_kernel(body=body))
    assert moved.starts == (0, 8)
    for line in ("prefetch(x, i + 56)", "multiply(advance(x, i * 2 + 1), x[i])", "x[y_index + 3]"):
        assert line in moved.text


def test_a_buffer_that_is_named_anew_begins_where_it_did() -> None:
    body = Block.of(assigned(Name("x"), advanced(Name("x"), ROW + 9)))
    source = _kernel(_x(ROW + 9), body=body)
    assert from_first_elements(source) is source
