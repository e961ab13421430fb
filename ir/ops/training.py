"""A value that is one thing while a network is trained and another where it is used."""

from __future__ import annotations

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.nodes.lowering import Composite
from graphc.ir.nodes.op import Op, Stopped
from graphc.ir.types import TensorType, shape_text


def _infer(training: TensorType, inference: TensorType) -> TensorType:
    if training.dtype != inference.dtype:
        raise DTypeError("two values of one dtype expected; cast one")
    if training.shape != inference.shape:
        shapes = f"{shape_text(training.shape)} and {shape_text(inference.shape)}"
        raise ShapeError(f"two values of one shape expected, not of {shapes}")
    return training


# The first operand; in inference the second. Derivatives are those of the first.
training_form: Op = Op(
    "training_form",
    arity=2,
    infer=_infer,
    reference=lambda result, training, inference: training,
    vjp=[lambda ct, r, training, inference: ct, Stopped()],
    lowering=Composite(lambda training, inference: training),
    inference=lambda training, inference: inference,
)

OPS = (training_form,)
