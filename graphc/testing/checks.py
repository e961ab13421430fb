"""What is checked of an op on its cases: type, value, derivatives, text, refusals, kernels."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from graphc.compiler.load.native import LoadedProgram, native
from graphc.compiler.load.plan_cache import compiled_or_stored
from graphc.compiler.options import Options
from graphc.ir.derive.autodiff import gradients
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.nodes.lowering import Composite
from graphc.ir.nodes.op import Array
from graphc.ir.programs.lower import specialize
from graphc.ir.reference import evaluate, run_program
from graphc.ir.text.parsing import parse_program, print_program
from graphc.ir.types import DType, bind_shape, f64, static_shape
from graphc.kernels.run.memory import data_address
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
from graphc.testing.tolerance import assert_close

EPS = float(np.finfo(np.float64).eps)
# Central differences with step h err by about h^2 |f'''| + eps |f| / h, least at h = eps^(1/3),
# where both are eps^(2/3) of the terms' size; third derivatives of the ops on the samplers' ranges
# stay below this factor.
STEP = EPS ** (1 / 3)
DIFFERENCE_TOLERANCE = 100 * EPS ** (2 / 3)

# An operand is below 2 and a weight below 1.5 in magnitude: no term of a sum is larger than 4.
LARGEST_TERM = 4.0
# Each op of a formula may err by this many units in the last place.
ULPS_OF_AN_OP = 4.0

Values = Mapping[str, Array]


def check_type_and_value(case: Case, dtype: DType) -> None:
    """The reference gives the type that is inferred, and what the case expects."""
    program, inputs = build_case(case, dtype)
    (result,) = (node for _, node in program.outputs)
    value = run_case(program, inputs, case)["result"]
    shape = static_shape(bind_shape(result.shape, case.bindings))
    assert value.dtype == result.dtype.numpy, f"{result.dtype} inferred, {value.dtype} computed"
    assert value.shape == shape, f"shape {shape} inferred, {value.shape} computed"
    if case.expect is not None:
        expected = np.asarray(case.expect(*operand_arrays(case, inputs)))
        assert expected.shape == shape
        assert_close(value, expected, result.dtype, reduction_length=case.reduction_length)


def run_case(program: Program, inputs: Values, case: Case) -> dict[str, Array]:
    """The outputs of the program in numpy, with the case's extents."""
    outputs, _ = run_program(program, inputs, inputs, case.bindings)
    return outputs


# --- derivatives -----------------------------------------------------------------------------


def check_gradient(case: Case) -> None:
    """The gradient of sum(result * weights) is its change along a random direction, in f64."""
    program, inputs = build_gradient_case(case, f64)
    outputs = run_case(program, inputs, case)
    size = float(np.sum(np.abs(outputs["result"] * inputs["weights"])))
    for number in differentiable(case):
        name = operand_names(case)[number]
        node = program.graph.inputs[name]
        assert dict(program.outputs)[f"d_{name}"].type == node.type
        _check_slope(program, inputs, case, "loss", f"d_{name}", name, size)


def check_second_order(case: Case) -> None:
    """The gradient of (first gradient . direction), by every operand."""
    first, inputs = build_gradient_case(case, f64)
    graph = first.graph
    names = [operand_names(case)[number] for number in differentiable(case)]
    rng = np.random.default_rng(2)
    directed: list[Node] = []
    for name in names:
        # Squared, so that the slope depends on the operands even where the op is linear.
        towards = graph.input(f"towards_{name}", graph.inputs[name].shape, f64)
        inputs[towards.name] = np.asarray(rng.uniform(0.5, 1.5, inputs[name].shape))
        directed.append(build.sum(dict(first.outputs)[f"d_{name}"] * graph.inputs[name] * towards))
    slope = sum(directed[1:], directed[0])
    given = [graph.inputs[name] for name in names]
    second = gradients(slope, given)
    outputs = (("slope", slope), *zip([f"dd_{name}" for name in names], second, strict=True))
    program = Program(f"dd-{case}", tuple(graph.inputs.values()), outputs)
    first_values = run_case(first, inputs, case)
    size = sum(
        float(np.sum(np.abs(first_values[f"d_{name}"] * inputs[name] * inputs[f"towards_{name}"])))
        for name in names
    )
    for name in names:
        _check_slope(program, inputs, case, "slope", f"dd_{name}", name, size)


def _check_slope(
    program: Program, inputs: Values, case: Case, value: str, slope: str, by: str, size: float
) -> None:
    """Compares output `slope`, the gradient of the scalar output `value` by input `by`, with the
    change of `value` along a random direction. `size` is that of the terms of `value`."""
    rng = np.random.default_rng(len(program.name))
    direction = rng.choice([-1.0, 1.0], inputs[by].shape)
    analytic = run_case(program, inputs, case)[slope]
    assert analytic.shape == inputs[by].shape
    ahead, behind = (
        float(run_case(program, {**inputs, by: inputs[by] + h * direction}, case)[value])
        for h in (STEP, -STEP)
    )
    measured = (ahead - behind) / (2 * STEP)
    derived = float(np.sum(analytic * direction))
    terms = 1 + size + float(np.sum(np.abs(analytic)))
    assert abs(derived - measured) <= DIFFERENCE_TOLERANCE * terms, (
        f"derived {derived!r}, measured {measured!r} by {by}"
    )


# --- text, expansion, refusals ---------------------------------------------------------------


def check_text(case: Case, dtype: DType) -> None:
    """The text form is read back as the same program."""
    program, _ = build_case(case, dtype)
    added = [] if case.record is None else [case.record]
    assert parse_program(print_program(program), ops=added) == program


def check_expansion(case: Case, dtype: DType) -> None:
    """What a composite op is made of has its type and its value."""
    applied = apply_case(case, dtype)
    lowering = applied.result.op.lowering
    assert isinstance(lowering, Composite)
    expanded = lowering.expand(*applied.operands, **applied.result.attributes)
    assert expanded.type == applied.result.type, f"{expanded.type} is made, not {applied.result}"
    values = {node: applied.inputs[node.name] for node in applied.given}
    results = evaluate((applied.result, expanded), values, case.bindings)
    assert_close(
        results[expanded], results[applied.result], expanded.dtype,
        reduction_length=case.reduction_length,
    )  # fmt: skip


def check_refusal(case: ErrorCase) -> None:
    """The use is refused with the error and the message that the case says."""
    graph = Graph()
    try:
        node = case.build(graph)
        if case.inputs is not None:
            given = {graph.inputs[name]: np.asarray(v) for name, v in case.inputs.items()}
            evaluate((node,), given)
    except case.error as error:
        message = str(error)
        assert type(error) is case.error, message
        assert re.search(case.match, message), message
        assert case.inputs is not None or "\n  at " in message, f"no line is named: {message}"
    else:
        raise AssertionError(f"{case}: {case.error.__name__} expected, and nothing was raised")


# --- kernels ---------------------------------------------------------------------------------


def compared_program(case: Case, dtype: DType) -> tuple[Program, dict[str, Array]]:
    """The case with its gradients, where it has some, and fixed extents; and values for it."""
    has_gradient = case.gradient and bool(differentiable(case))
    program, values = (build_gradient_case if has_gradient else build_case)(case, dtype)
    return specialize(program, case.bindings), values


def check_kernels(case: Case, dtype: DType, *, fuse: bool) -> None:
    """Compiled kernels give the values of the reference, within what rounding explains."""
    program, values = compared_program(case, dtype)
    expected, _ = run_program(program, values, values)
    options = Options({}, fuse, native().vector_bits)
    states = {node.name: np.array(values[node.name], order="C") for node in program.states}
    loaded = LoadedProgram(compiled_or_stored(program, options, None), states)
    arrays = [np.ascontiguousarray(values[node.name]) for node in program.inputs]
    loaded.run([data_address(array) for array in arrays])
    assert_reference(loaded.outputs, expected, program, case)


def assert_reference(actual: Values, expected: Values, program: Program, case: Case) -> None:
    """Fails unless the outputs of a case's program are those of the reference."""
    length = case.reduction_length
    for name, wanted in expected.items():
        got = actual[name]
        assert got.dtype == wanted.dtype, name
        # The loss sums once more over all elements of the result.
        terms = length * (expected["result"].size if name == "loss" else 1)
        assert_close(
            got,
            wanted,
            wanted.dtype,
            reduction_length=terms,
            ulps=ULPS_OF_AN_OP * len(program.nodes),
            scale=LARGEST_TERM * terms if terms > 1 else 1.0,
        )
