"""All checks of an op at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from graphc.ir.arguments.given import shown
from graphc.ir.nodes.lowering import Composite
from graphc.ir.nodes.op import Op
from graphc.testing import checks
from graphc.testing.cases import Case, ErrorCase, differentiable


def check_op(op: Op, cases: Sequence[Case], errors: Sequence[ErrorCase] = ()) -> None:
    """Checks an op as graphc's tests check its own, on each case and in each of its dtypes.

    - The reference gives the shape and dtype that are inferred, and what the case expects.
    - First and second derivatives are the change along a random direction, in f64.
    - The text form is read back as the same program.
    - An expansion has the op's type and value.
    - Kernels give the reference's values and gradients, fused and unfused.
    - Each operand with a VJP rule has a case that derives by it.
    - `errors` are refused, with their message and the user's line.

    Raises AssertionError, with the case and the check in its notes, ValueError without cases, and
    TypeError for what are none.
    """
    if not all(isinstance(case, Case) for case in cases):
        problem = 'cases expected, such as [Case("", "matrix", (Operand((3, 4)),))]'
        raise TypeError(f"check_op: {op.name}: {problem}, not {shown(cases)}")
    if not cases:
        raise ValueError(f"check_op: {op.name}: at least one case expected")
    own = [replace(case, op=op.name, record=op) for case in cases]
    for case in own:
        for name, check in _checks(case):
            _noted(f"{name} of the case {case}", check)
    for error in errors:
        refusal = partial(checks.check_refusal, replace(error, op=op.name))
        _noted(f"refusal of the case {op.name}-{error.name}", refusal)
    derived = {number for case in own if case.gradient for number in differentiable(case)}
    for number, rule in enumerate(op.vjp):
        if callable(rule) and number not in derived:
            raise AssertionError(f"{op.name}: no case derives by operand {number}")


def _checks(case: Case) -> Iterator[tuple[str, Callable[[], None]]]:
    """The checks of a case by what they are called."""
    for dtype in case.dtypes:
        yield f"type and value ({dtype})", partial(checks.check_type_and_value, case, dtype)
        yield f"text ({dtype})", partial(checks.check_text, case, dtype)
        if isinstance(case.applied.lowering, Composite) and case.build is None:
            yield f"expansion ({dtype})", partial(checks.check_expansion, case, dtype)
    if case.gradient and differentiable(case):
        yield "gradient", partial(checks.check_gradient, case)
        if case.smooth:
            yield "second derivative", partial(checks.check_second_order, case)
    for dtype in case.dtypes:
        yield f"fused kernels ({dtype})", partial(checks.check_kernels, case, dtype, fuse=True)
        yield f"unfused kernels ({dtype})", partial(checks.check_kernels, case, dtype, fuse=False)


def _noted(what: str, check: Callable[[], None]) -> None:
    """Runs the check; what it raises says of which check and case it is."""
    try:
        check()
    except BaseException as error:
        error.add_note(f"in the {what}")
        raise
