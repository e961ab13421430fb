"""The diagrams of what a script declares, at the stages of its compilation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphc.commands.script import chosen
from graphc.commands.subject import Subject, extents_of, function_of
from graphc.drawing.diagram import Diagram
from graphc.drawing.stage_diagrams import SAMPLE_NAME, Look, stage_diagrams
from graphc.functions.arrays import matched
from graphc.functions.function import Function
from graphc.inspect.stage import Stage
from graphc.ir.dims import bindings_of
from graphc.train.model import Model


@dataclass(frozen=True)
class Request:
    """What is drawn of a model.

    name: of the Model or Function, unless it is `model` or the only one of the script.
    which: train, test or predict. batch_size: that of the sample or the model unless given.
    dimensions: extents of other open dimensions. with_values, decimals: whether a batch is run,
    and how its values are printed.
    """

    name: str | None = None
    which: str = "train"
    batch_size: int | None = None
    dimensions: Mapping[str, int] = field(default_factory=dict)
    unfused: bool = False
    with_values: bool = False
    decimals: int | None = None


def script_diagrams(
    names: Mapping[str, Any], script: Path, request: Request, stages: Sequence[Stage]
) -> dict[Stage, tuple[Diagram, ...]]:
    """The diagrams of each stage, those that belong side by side together.

    names: of the script's module; `sample_batch` is the batch that is drawn. Raises ScriptError as
    `script.chosen` does, and as `stage_diagrams` does. Of a model without optimizer there is no
    training step, and without loss nothing but the outputs.
    """
    subject = chosen(names, script, request.name)
    step, declared = _functions(subject, request.which)
    sample = names.get(SAMPLE_NAME)
    extents = _extents(subject, step, request, sample)
    look = Look(request.unfused, request.with_values, request.decimals, sample)
    return stage_diagrams(step, declared, extents, look, stages)


def _functions(subject: Subject, which: str) -> tuple[Function, Function]:
    """What is compiled, and what of it is declared: the part without derivatives."""
    if isinstance(subject, Model) and which == "train":
        if subject.loss is None:
            which = "predict"
        elif subject.optimizer is None:
            which = "test"
    step = function_of(subject, which)
    return step, function_of(subject, "declared") if which == "train" else step


def _extents(subject: Subject, step: Function, request: Request, sample: Any) -> dict[str, int]:
    """Extents of the open dimensions: those asked for, else the sample's, else the model's."""
    extents = extents_of(subject, None, {})
    if sample is not None and request.with_values:
        arrays = matched(step.program.inputs, sample, SAMPLE_NAME)
        for node, array in zip(step.program.inputs, arrays, strict=True):
            extents |= bindings_of(zip(node.shape, array.shape, strict=True))
    if request.batch_size is not None:
        extents |= extents_of(subject, request.batch_size, {})
    return {**extents, **request.dimensions}
