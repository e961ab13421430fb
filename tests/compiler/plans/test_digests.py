"""What compiled programs and kernels go by on disk: nothing that matters may be left out."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from graphc.compiler.load.executable import Buffer, BufferRole, Executable, Output, Row
from graphc.compiler.load.executable_text import read_executable, write_executable
from graphc.compiler.load.plan_cache import program_digest
from graphc.compiler.options import Options
from graphc.ir.graph import Node, Program
from graphc.ir.nodes.attributes import Literal
from graphc.ir.ops import OPS
from graphc.ir.types import DType, bool_, f32, f64, i64, u8
from graphc.kernels.loops.language.expressions import Name, of
from graphc.kernels.loops.language.scalar import number
from graphc.kernels.loops.language.source import KernelSource, kernel_digest
from graphc.kernels.loops.language.statements import For, LoopKind, Return, assigned
from graphc.kernels.products.microkernels.microkernel import microkernel
from tests.compiler.execution import VECTOR_BITS
from tests.ops.cases.cases import CASES, apply_case

OPTIONS = Options({}, True, VECTOR_BITS)


def others(value: Any) -> Iterator[Any]:
    """Values of the same kind that differ as little as they can."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value + 2**40)
    elif isinstance(value, float):
        yield from (np.nextafter(value, np.inf).item(), np.nextafter(value, -np.inf).item())
    elif isinstance(value, str):
        yield from (value + "_", value.upper() if value.islower() else value.lower() + "_")
    elif isinstance(value, DType):
        yield f64 if value is not f64 else f32
    elif isinstance(value, enum.Enum):
        yield next(each for each in type(value) if each is not value)
    elif isinstance(value, Literal):
        yield from _other_literals(value)
    elif isinstance(value, Program):
        yield replace(value, name=f"{value.name}_")
        yield replace(value, outputs=value.outputs[:-1])
    elif isinstance(value, tuple):
        yield (*value, 1)
        for number, each in enumerate(value):
            for other in others(each):
                yield (*value[:number], other, *value[number + 1 :])
    else:
        raise TypeError(f"no other value is known of {value!r}")


def _other_literals(value: Literal) -> Iterator[Literal]:
    """The last element moved by one unit in the last place, or by one; another dtype and shape."""
    array = value.array.copy()
    if array.size:
        last = array.reshape(-1)[-1:]
        if array.dtype.kind == "f":
            last[...] = np.nextafter(last, array.dtype.type(np.inf))
        else:
            last[...] = ~last if array.dtype.kind == "b" else last + 1
        yield Literal(array)
    yield Literal(value.array.astype("f8" if value.array.dtype != np.float64 else "f4"))
    yield Literal(value.array[np.newaxis])


# --- programs --------------------------------------------------------------------------------


def _digest(value: Node) -> str:
    return program_digest(Program("case", (), (("result", value),)), OPTIONS)


def _applied(op: str) -> Node:
    """A node of the op among those of its cases."""
    for case in CASES[op]:
        graph = apply_case(case, f64).graph
        for node in graph.nodes:
            if node.op is OPS[op]:
                return node
    raise LookupError(f"no case of {op} holds a node of it")


@pytest.mark.parametrize(
    ("op", "attribute"), [(name, each) for name, op in OPS.items() for each in op.attributes]
)
def test_every_attribute_of_every_op_is_part_of_a_program(op: str, attribute: str) -> None:
    node = _applied(op)
    changed = [
        replace(node, attributes={**node.attributes, attribute: other})
        for other in others(_shown(node.attributes[attribute]))
    ]
    assert changed
    digests = [_digest(each) for each in (node, *changed)]
    assert len(set(digests)) == len(digests)


def _shown(value: Any) -> Any:
    """Named dimensions as their names, which is how they print."""
    if isinstance(value, tuple):
        return tuple(each if isinstance(each, int) else str(each) for each in value)
    return value


@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "i64", "u8", "bool"])
def test_every_element_of_a_constant_is_part_of_a_program(dtype: str) -> None:
    graph = apply_case(CASES["add"][0], f64).graph
    array = np.zeros((40, 50), graph.constant(0, dtype).dtype.numpy)
    digests = {_digest(graph.constant(array, dtype))}
    for place in ((0, 0), (20, 0), (39, 49)):
        changed = array.copy()
        changed[place] = np.nextafter(changed[place], 1) if array.dtype.kind == "f" else 1
        digests.add(_digest(graph.constant(changed, dtype)))
    assert len(digests) == 4


@pytest.mark.parametrize("name", [each.name for each in fields(Options)])
def test_every_option_is_part_of_a_program(name: str) -> None:
    program = Program("case", (), (("result", _applied("tanh")),))
    value = getattr(OPTIONS, name)
    changed = [{"batch": 1}, {"batch": 2}] if name == "bindings" else list(others(value))
    digests = [program_digest(program, replace(OPTIONS, **{name: each})) for each in changed]
    assert len({program_digest(program, OPTIONS), *digests}) == 1 + len(changed)


# --- plans -----------------------------------------------------------------------------------

# Every field is away from what it is by default.
BUFFERS = (
    Buffer(BufferRole.INPUT, u8, 3, "x"),
    Buffer(BufferRole.PARAMETER, f32, 5, "w"),
    Buffer(BufferRole.STATE, i64, 1, "rate"),
    Buffer(BufferRole.CONSTANT, f64, 2, "", 0, Literal(np.array([[np.nan], [-0.0]]))),
    Buffer(BufferRole.CONSTANT, bool_, 1, "", 0, Literal(np.array(True))),
    Buffer(BufferRole.ARENA, f32, 7, "tile", 64),
)
ROW = Row("kernel", "digest", (0, 5, 1), True, True, True, True, (1, 24, 4))
OUTPUT = Output("y", 5, (2, 3), 6, (-3, -1))
EXECUTABLE = Executable(BUFFERS, (ROW,), (OUTPUT,), 128, 3)
# What these fields may be is checked against others.
FITTING: dict[tuple[type, str], Any] = {
    (Buffer, "role"): BufferRole.STATE,
    (Buffer, "size"): 6,
    (Buffer, "value"): None,
    (Row, "arguments"): (0, 5, 2),
    (Row, "starts"): (1, 24, 8),
    (Output, "buffer"): 1,
    (Output, "shape"): (2, 2),
    (Output, "strides"): (-2, -1),
}


def _variants() -> Iterator[Executable]:
    """The executable with each field of each record changed, one at a time."""
    for each in fields(Buffer):
        if each.name == "value":
            for other in _other_literals(Literal(np.array([[1.0], [2.0]]))):
                if other.array.dtype == np.float64:
                    changed = replace(BUFFERS[3], value=other)
                    yield replace(EXECUTABLE, buffers=(*BUFFERS[:3], changed, *BUFFERS[4:]))
            continue
        changed = _changed(BUFFERS[1], each.name)
        yield replace(EXECUTABLE, buffers=(BUFFERS[0], changed, *BUFFERS[2:]))
    for each in fields(Row):
        yield replace(EXECUTABLE, rows=(_changed(ROW, each.name),))
    for each in fields(Output):
        first = replace(OUTPUT, offset=3, shape=(1, 3), strides=(0, -1))
        base = first if each.name in ("buffer", "offset") else OUTPUT
        yield replace(EXECUTABLE, outputs=(_changed(base, each.name),))
    yield replace(EXECUTABLE, rows=(ROW, ROW), outputs=(OUTPUT, OUTPUT))
    yield replace(EXECUTABLE, arena_bytes=129)
    yield replace(EXECUTABLE, threads=4)


def _changed(record: Any, name: str) -> Any:
    value = FITTING.get((type(record), name))
    if value is None:
        value = next(others(getattr(record, name)))
    return dataclasses.replace(record, **{name: value})


def test_every_field_of_a_plan_comes_back() -> None:
    variants = [EXECUTABLE, *_variants()]
    assert len(variants) >= sum(len(fields(kind)) for kind in (Buffer, Row, Output))
    for variant in variants:
        assert read_executable(write_executable(variant)) == variant
    for one, other in itertools.combinations(variants, 2):
        assert one != other and write_executable(one) != write_executable(other)


@pytest.mark.parametrize("starts", [(0, 28, 0), (3, 0, 0), (0, -4, 0), (0, 4), (0, 4, 0, 0)])
def test_arguments_begin_in_their_buffers(starts: tuple[int, ...]) -> None:
    broken = replace(EXECUTABLE, rows=(replace(ROW, starts=starts),))
    with pytest.raises(ValueError, match=r"start|begins"):
        read_executable(write_executable(broken))


# --- kernels ---------------------------------------------------------------------------------

SOURCE = KernelSource("kernel", (Return(0),), ())


@pytest.mark.parametrize("dtype", [f32, f64])
@pytest.mark.parametrize("is_term", [True, False])
@pytest.mark.parametrize("value", [0.1, 1e-45, 2.0**-1074, 1e300, 3])
def test_every_bit_of_a_number_is_part_of_a_kernel(
    dtype: DType, is_term: bool, value: float
) -> None:
    def digest(value: float) -> str:
        constant = number(value, dtype)
        made = number(math.inf, dtype) + constant if is_term else constant
        return kernel_digest(replace(SOURCE, statements=(assigned(Name("x"), made), Return(0))))

    digests = [digest(each) for each in (value, *others(value))]
    assert len(set(digests)) == len(digests)


def test_every_flag_and_microkernel_is_part_of_a_kernel() -> None:
    """The machine code is of the text, and of how and with what that is compiled."""
    microkernels = [microkernel("f32", 1, columns, 4) for columns in (4, 8)]
    several = [(), *((each,) for each in microkernels), tuple(microkernels)]
    digests = {
        kernel_digest(replace(SOURCE, unroll=unroll, long_rows=long_rows, microkernels=found))
        for unroll in (True, False)
        for long_rows in (True, False)
        for found in several
    }
    assert len(digests) == 4 * len(several)


def test_whether_a_loop_is_unrolled_is_part_of_a_kernel() -> None:
    body = (assigned(Name("x"), Name("i")),)
    kernels = [
        replace(SOURCE, statements=(For(Name("i"), (of(9),), body, kind), Return(0)))
        for kind in (LoopKind.PLAIN, LoopKind.UNROLLED)
    ]
    assert len(set(map(kernel_digest, kernels))) == 2
