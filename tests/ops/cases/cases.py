"""Every op's cases and refused uses: the one list that all tests of ops share.

CASES and ERRORS map an op's name to its cases; `build_case` and `build_gradient_case` turn one
into a program and its inputs; `graphc.testing.tolerance` says how close results must be.
"""

from collections.abc import Mapping

from graphc.ir.ops import OPS
from graphc.ir.types import DType
from graphc.testing.cases import (
    Case,
    ErrorCase,
    apply_case,
    build_case,
    build_gradient_case,
    differentiable,
    operand_arrays,
    operand_names,
)
from tests.ops.cases.attention_cases import ATTENTION_CASES, ATTENTION_ERRORS
from tests.ops.cases.custom.custom_cases import CUSTOM_CASES, CUSTOM_ERRORS
from tests.ops.cases.elementwise.bitwise_cases import BITWISE_CASES, BITWISE_ERRORS
from tests.ops.cases.elementwise.elementwise_cases import ELEMENTWISE_CASES
from tests.ops.cases.elementwise.elementwise_errors import ELEMENTWISE_ERRORS
from tests.ops.cases.elementwise.math_cases import MATH_CASES, MATH_ERRORS
from tests.ops.cases.loop_cases import LOOP_CASES, LOOP_ERRORS
from tests.ops.cases.random_cases import RANDOM_CASES, RANDOM_ERRORS
from tests.ops.cases.tensors.composite_cases import COMPOSITE_CASES
from tests.ops.cases.tensors.movement_cases import MOVEMENT_CASES
from tests.ops.cases.tensors.ordered_cases import ORDERED_CASES, ORDERED_ERRORS
from tests.ops.cases.tensors.statistics_cases import STATISTICS_CASES, STATISTICS_ERRORS
from tests.ops.cases.tensors.tensor_cases import TENSOR_CASES
from tests.ops.cases.tensors.tensor_errors import TENSOR_ERRORS
from tests.ops.cases.training_cases import TRAINING_CASES, TRAINING_ERRORS
from tests.ops.cases.window_cases import WINDOW_CASES, WINDOW_ERRORS

__all__ = [
    "CASES", "ERRORS", "Case", "ErrorCase", "apply_case", "build_case", "build_gradient_case",
    "differentiable", "every_case", "every_case_and_dtype", "operand_arrays", "operand_names",
]  # fmt: skip

_CASES = (
    *ELEMENTWISE_CASES, *TENSOR_CASES, *MOVEMENT_CASES, *COMPOSITE_CASES, *RANDOM_CASES,
    *CUSTOM_CASES, *TRAINING_CASES, *MATH_CASES, *BITWISE_CASES, *ORDERED_CASES, *WINDOW_CASES,
    *STATISTICS_CASES, *ATTENTION_CASES, *LOOP_CASES,
)  # fmt: skip
CASES: Mapping[str, tuple[Case, ...]] = {
    name: tuple(case for case in _CASES if case.op == name) for name in OPS
}

ERRORS: Mapping[str, tuple[ErrorCase, ...]] = {
    name: tuple(
        case
        for case in (
            *ELEMENTWISE_ERRORS,
            *TENSOR_ERRORS,
            *RANDOM_ERRORS,
            *CUSTOM_ERRORS,
            *TRAINING_ERRORS,
            *MATH_ERRORS,
            *BITWISE_ERRORS,
            *ORDERED_ERRORS,
            *WINDOW_ERRORS,
            *STATISTICS_ERRORS,
            *ATTENTION_ERRORS,
            *LOOP_ERRORS,
        )
        if case.op == name
    )
    for name in OPS
}


def every_case() -> list[object]:
    """For pytest.mark.parametrize("case", every_case(), ids=str)."""
    return [case for cases in CASES.values() for case in cases]


def every_case_and_dtype() -> list[tuple[Case, DType]]:
    """For pytest.mark.parametrize(("case", "dtype"), every_case_and_dtype(), ids=str)."""
    return [(case, dtype) for cases in CASES.values() for case in cases for dtype in case.dtypes]
