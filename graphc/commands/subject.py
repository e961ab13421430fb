"""What is looked at: a function of a model, or a function as it is, and its open dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from graphc.errors import DataError
from graphc.functions.function import Function
from graphc.ir.types import named_dimensions
from graphc.train.model import Model

Subject: TypeAlias = Model | Function


def function_of(subject: Subject, which: str = "train") -> Function:
    """A model's training step (train), what of it is declared (declared), loss and metrics alone
    (test) or outputs alone (predict); a function is itself, whatever `which` says.

    Raises NotCompiledError for the training step of a model without optimizer.
    """
    if isinstance(subject, Function):
        return subject
    if which == "predict":
        return subject.predict_function
    if which == "declared":
        return subject.declared_function
    return subject.test_function if which == "test" else subject.train_function


def extents_of(
    subject: Subject, batch_size: int | None, others: Mapping[str, int]
) -> dict[str, int]:
    """The extents of the open dimensions: `batch_size` rows, unless given those of the model, and
    what `others` says by name.

    Raises DataError for a batch size where a function's inputs have no single first dimension that
    is open.
    """
    if isinstance(subject, Model):
        size = subject.batch_size if batch_size is None else batch_size
        return {subject.batch_dimension: size, **others}
    if batch_size is None:
        return dict(others)
    return {_batch_dimension(subject): batch_size, **others}


def _batch_dimension(subject: Function) -> str:
    first = [node.shape[0] for node in subject.program.inputs if node.rank]
    names = sorted(named_dimensions([tuple(first)]))
    if len(names) != 1:
        found = f"more than one: {', '.join(names)}" if names else "none"
        raise DataError(
            f"{subject.program.name}: a batch size is for one open first dimension of the inputs, "
            f"but there is {found}"
        )
    return names[0]
