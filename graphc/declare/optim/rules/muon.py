"""Muon: momentum made orthogonal, for matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from graphc.declare.hyperparameters import as_count, check_number
from graphc.declare.optim.base import NO_NUMBER, Optimizer, decayed, unless_faded
from graphc.declare.optim.clipping import greatest_magnitude
from graphc.declare.optim.slots import Slots
from graphc.errors import ShapeError
from graphc.ir.arguments.given import is_one_of, shown
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import f64

# A root mean square of updates that is usual for AdamW.
USUAL_SIZE = 0.2


@dataclass(frozen=True)
class Muon(Optimizer):
    """Muon as torch.optim.Muon has it, but in the parameter's dtype: momentum, made orthogonal.

    m' = momentum m + (1 - momentum) g; u = m', or with nesterov momentum m' + (1 - momentum) g;
    x = u / |u|, then `ns_steps` times x' = a x + (b x x^T + c (x x^T)^2) x, with (a, b, c) the
    `ns_coefficients`; w' = w (1 - rate decay) - rate s x. adjust_lr_fn: "original" has
    s = sqrt(max(1, rows / columns)), "match_rms_adamw" s = 0.2 sqrt(max(rows, columns)).
    Source: Jordan and others, Muon, 2024.

    It trains matrices. What else a network has, and usually embeddings and the last layer, another
    optimizer trains:

        muon = gc.optim.Muon(0.02, groups={"*.bias": gc.optim.AdamW(1e-3)})

    Raises ValueError for another `adjust_lr_fn`, unless there are three coefficients, and
    DataError for a negative number of steps. `updates` raise ShapeError for what is no matrix.
    """

    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = field(
        default=(3.4445, -4.775, 2.0315), metadata=NO_NUMBER
    )
    epsilon: float = 1e-7
    ns_steps: int = field(default=5, metadata=NO_NUMBER)
    adjust_lr_fn: Literal["original", "match_rms_adamw"] = field(
        default="original", metadata=NO_NUMBER
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        as_count("Muon: ns_steps", self.ns_steps, 0)
        if not (isinstance(self.ns_coefficients, tuple | list) and len(self.ns_coefficients) == 3):
            given = shown(self.ns_coefficients)
            raise ValueError(f"Muon: ns_coefficients: three numbers expected, not {given}")
        for number in self.ns_coefficients:
            check_number("Muon: ns_coefficients", number)
        if not is_one_of(self.adjust_lr_fn, ("original", "match_rms_adamw")):
            expected = "'original' or 'match_rms_adamw' expected"
            raise ValueError(f"Muon: adjust_lr_fn: {expected}, not {shown(self.adjust_lr_fn)}")

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        if parameter.rank != 2:
            problem = f"Muon: {parameter.name!r} of {parameter.type} is no matrix; another "
            problem += 'optimizer trains it: groups={"*.bias": gc.optim.AdamW(1e-3)}'
            raise ShapeError(problem)
        momentum = slots.scalar("momentum", self.momentum, parameter)
        mean = slots.slot("mean", parameter)
        mean = slots.set(mean, momentum * unless_faded(mean) + (1 - momentum) * gradient)
        ahead = momentum * mean + (1 - momentum) * gradient if self.nesterov else mean
        step_size = rate * self._scale(*parameter.type.dims)
        start = decayed(parameter, rate, self.weight_decay, slots)
        return start - step_size * self._orthogonal(ahead)

    def _scale(self, rows: int, columns: int) -> float:
        if self.adjust_lr_fn == "match_rms_adamw":
            return USUAL_SIZE * math.sqrt(max(rows, columns))
        return math.sqrt(max(1.0, rows / max(columns, 1)))

    def _orthogonal(self, x: Node) -> Node:
        """A matrix near U V^T, where x = U S V^T: by Newton and Schulz's iteration, whose odd
        polynomials draw singular values towards 1."""
        a, b, c = self.ns_coefficients
        rows, columns = x.type.dims
        x = _of_length_1(x, self.epsilon)
        is_tall = rows > columns
        for _ in range(int(self.ns_steps)):
            # The smaller of x x^T and x^T x.
            gram = build.matmul(x, x, transpose_x=is_tall, transpose_y=not is_tall)
            factor = b * gram + c * (gram @ gram)
            x = a * x + (x @ factor if is_tall else factor @ x)
        return x


def _of_length_1(x: Node, epsilon: float) -> Node:
    """x / max(|x|, epsilon). Squares of f32 are those of f64, where none overflows; f64 is divided
    by the greatest element first."""
    wide: Node = build.cast(x, f64)
    least: float | Node = epsilon
    if x.dtype is f64:
        unit = greatest_magnitude([x])
        wide, least = x / unit, epsilon / unit
    length = ops.sqrt(build.sum(ops.square(wide)))
    return build.cast(wide / ops.maximum(length, least), x.dtype)
