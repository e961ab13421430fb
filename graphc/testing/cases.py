"""What a case of an op is, and how it becomes a program with inputs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.ir.derive.autodiff import gradients
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.nodes.op import Array, Op
from graphc.ir.ops import OPS
from graphc.ir.types import DType, as_dtype, bind_shape, f32, f64, static_shape

FLOAT = "float"  # in the place of a dtype: the case runs in f32 and in f64
BATCH = {"batch": 3}  # the extents of open dimensions

Sampler = Callable[[np.random.Generator, tuple[int, ...]], Any]


# --- values ----------------------------------------------------------------------------------


def uniform(low: float, high: float) -> Sampler:
    """Numbers evenly from [low, high)."""
    return lambda rng, shape: rng.uniform(low, high, shape)


def integers(low: int, high: int) -> Sampler:
    """Integers from `low` up to `high`, which is excluded."""
    return lambda rng, shape: rng.integers(low, high, shape)


def away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Either sign, at least 0.3 from the kink at zero."""
    return np.asarray(rng.uniform(0.3, 2.0, shape) * rng.choice([-1.0, 1.0], shape))


def apart(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All different, at least 0.1 apart, so that a small step changes no order."""
    size = int(np.prod(shape))
    return np.reshape(0.1 * (rng.permutation(size) - size // 2), shape)


def bools(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """True or False, each as often."""
    return np.asarray(rng.integers(0, 2, shape), dtype=bool)


def fixed(values: Any) -> Sampler:
    """Always `values`, repeated to fill the shape."""
    return lambda rng, shape: np.resize(np.asarray(values), shape)


BYTES = integers(0, 256)
spread = uniform(-2.0, 2.0)
positive = uniform(0.5, 2.0)
TINY = 1e-40  # denormal in f32
SPECIAL_VALUES = (
    0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, TINY, -TINY, 0.5, -0.5, 80.0, -80.0, 3e38, -3e38,
    1e-30, -1e-30,
)  # fmt: skip
special = fixed(SPECIAL_VALUES)
# Beside `special`: every value of it meets its neighbour, and NaN a number.
special_rotated = fixed(SPECIAL_VALUES[5:] + SPECIAL_VALUES[:5])


# --- layouts ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How an operand lies in memory: `stored` is the shape of the input, `read` the operand.

    `read` uses nothing that nodes and numpy arrays do not share.
    """

    name: str
    stored: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    read: Callable[[Any], Any]


def _double(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(2 * e + 1 if isinstance(e, int) else e for e in shape)


def _every_second(x: Any) -> Any:
    return x[tuple(slice(1, None, 2) if isinstance(e, int) else slice(None) for e in x.shape)]


def _backwards(x: Any) -> Any:
    return x[tuple(slice(None, None, -1) if isinstance(e, int) else slice(None) for e in x.shape)]


PLAIN = Layout("plain", lambda shape: shape, lambda x: x)
TRANSPOSED = Layout("transposed", lambda shape: shape[::-1], lambda x: x.T)
STEPPED = Layout("stepped", _double, _every_second)
REVERSED = Layout("reversed", lambda shape: shape, _backwards)


# --- cases -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operand:
    """One operand: shape (names are open dimensions), dtype, distribution, place in memory."""

    shape: tuple[Any, ...] = ()
    dtype: str = FLOAT
    sample: Sampler = spread
    layout: Layout = PLAIN
    is_state: bool = False


@dataclass(frozen=True)
class Case:
    """One application of an op.

    build: (graph, operands, dtype) -> node; None applies the op with `attributes`, in which a
        value of FLOAT stands for the dtype.
    expect: the result from the operands as numpy arrays (floats as f64), by another road than the
        op's own reference; None where there is none.
    gradient: whether derivatives are compared with differences (no special values, no kinks).
    smooth: whether that holds for second derivatives too.
    bindings: extents of the named dimensions.
    reduction_length: greatest number of terms in an element of the result or of a gradient.
    record: the op, where it is none of graphc's own.
    """

    op: str
    name: str
    operands: tuple[Operand, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    expect: Callable[..., Any] | None = None
    gradient: bool = True
    smooth: bool = True
    bindings: Mapping[str, int] = field(default_factory=dict)
    reduction_length: int = 1
    build: Callable[[Graph, tuple[Node, ...], DType], Node] | None = None
    record: Op | None = None

    @property
    def applied(self) -> Op:
        """The op's record."""
        return OPS[self.op] if self.record is None else self.record

    @property
    def dtypes(self) -> tuple[DType, ...]:
        """The dtypes that FLOAT stands for, one after the other; f32 alone where it is not used."""
        kinds = [operand.dtype for operand in self.operands] + list(self.attributes.values())
        uses_float = self.build is not None or any(
            isinstance(kind, str) and kind == FLOAT for kind in kinds
        )
        return (f32, f64) if uses_float else (f32,)

    def __str__(self) -> str:
        return f"{self.op}-{self.name}"


def case_name(*parts: Any) -> str:
    """A case's name from shapes, axes and words."""
    return "_".join(
        "x".join(map(str, part)) or "none" if isinstance(part, tuple) else str(part)
        for part in parts
    )


@dataclass(frozen=True)
class ErrorCase:
    """A use that must be refused.

    build: graph -> node; the error names its line.
    match: regular expression for the message.
    inputs: where given, `build` succeeds and evaluating on these fails.
    """

    op: str
    name: str
    build: Callable[[Graph], Node]
    error: type[Exception]
    match: str
    inputs: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.op}-{self.name}"


@dataclass(frozen=True)
class Applied:
    """A case as nodes: what is given, what the op is applied to, and the op's result."""

    graph: Graph
    given: tuple[Node, ...]
    operands: tuple[Node, ...]
    result: Node
    inputs: dict[str, Array]


def apply_case(case: Case, dtype: DType) -> Applied:
    """The nodes of `case` with `dtype` for FLOAT, and values for what is given, by name."""
    graph = Graph()
    given, operands, inputs = [], [], {}
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    for operand, name in zip(case.operands, operand_names(case), strict=True):
        stored = as_dtype(dtype if operand.dtype == FLOAT else operand.dtype)
        declare = graph.state if operand.is_state else graph.input
        node = declare(name, operand.layout.stored(operand.shape), stored)
        shape = static_shape(bind_shape(node.shape, case.bindings))
        with np.errstate(over="ignore"):
            inputs[name] = np.asarray(operand.sample(rng, shape)).astype(stored.numpy)
        given.append(node)
        operands.append(operand.layout.read(node))
    if case.build is not None:
        result = case.build(graph, tuple(operands), dtype)
    else:
        attributes = {
            name: dtype if isinstance(value, str) and value == FLOAT else value
            for name, value in case.attributes.items()
        }
        result = graph.apply(case.applied, operands, attributes)
    return Applied(graph, tuple(given), tuple(operands), result, inputs)


def operand_names(case: Case) -> tuple[str, ...]:
    return tuple("xyzuvw"[number] for number in range(len(case.operands)))


def build_case(case: Case, dtype: DType) -> tuple[Program, dict[str, Array]]:
    """A program with the output "result", and the values of its inputs (and states) by name."""
    applied = apply_case(case, dtype)
    given = tuple(applied.graph.inputs.values())
    return Program(str(case), given, (("result", applied.result),)), applied.inputs


def differentiable(case: Case) -> tuple[int, ...]:
    """The numbers of the float operands that the op's result has a derivative by."""
    applied = apply_case(case, f64)
    rules = case.applied.vjp
    if not applied.result.dtype.is_float or case.build is not None:
        return ()
    return tuple(
        number
        for number, node in enumerate(applied.operands)
        if node.dtype.is_float and callable(rules[number % len(rules)])
    )


def build_gradient_case(case: Case, dtype: DType) -> tuple[Program, dict[str, Array]]:
    """A program with "result" and "d_<name>" of sum(result * weights) by each such operand.

    The weights are one more input, "weights". Operands that lie otherwise than plainly are
    derived by the input that they are read from.
    """
    applied = apply_case(case, dtype)
    graph, result = applied.graph, applied.result
    weights = graph.input("weights", result.shape, result.dtype)
    shape = static_shape(bind_shape(result.shape, case.bindings))
    rng = np.random.default_rng(zlib.crc32(f"weights of {case}".encode()))
    inputs = applied.inputs | {"weights": rng.uniform(0.5, 1.5, shape).astype(result.dtype.numpy)}
    numbers = differentiable(case)
    loss = build.sum(result * weights)
    derived = gradients(loss, [applied.given[number] for number in numbers])
    names = operand_names(case)
    slopes = zip((f"d_{names[number]}" for number in numbers), derived, strict=True)
    outputs = (("result", result), ("loss", loss), *slopes)
    return Program(f"d-{case}", tuple(graph.inputs.values()), outputs), inputs


def operand_arrays(case: Case, inputs: Mapping[str, Array]) -> list[Array]:
    """The operands as the op sees them, floats as f64: what `expect` is given."""
    arrays = [
        operand.layout.read(inputs[name])
        for operand, name in zip(case.operands, operand_names(case), strict=True)
    ]
    return [array.astype(np.float64) if array.dtype.kind == "f" else array for array in arrays]
