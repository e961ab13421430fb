"""The diagrams of a script's model at the stages of its compilation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graphc.arrays import matched
from graphc.compiler.grouping import computed_nodes
from graphc.compiler.pipeline import Compilation, Trace, compile_program
from graphc.drawing.build import program_diagram
from graphc.drawing.diagram import Diagram
from graphc.drawing.kernels import fusion_diagrams, kernels_of
from graphc.drawing.plan import plan_diagram
from graphc.drawing.values import Values, run_batch
from graphc.errors import DataError
from graphc.function import Function
from graphc.ir.graph import Node, Program
from graphc.ir.lower import specialize
from graphc.ir.op import Array
from graphc.ir.types import Dim
from graphc.model import Model
from graphc.profile import as_function, check_dimensions, random_inputs
from graphc.script import chosen
from graphc.stages import Stage, options_of
from graphc.subject import Subject, extents_of, function_of

STAGES = (Stage.DECLARED, Stage.BACKWARD, Stage.SIMPLIFIED, Stage.FUSED, Stage.PLAN)

# Where a script keeps the inputs that are drawn.
SAMPLE_NAME = "sample_batch"


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


def stage_diagrams(
    names: Mapping[str, Any], script: Path, request: Request, stages: Sequence[Stage]
) -> dict[Stage, tuple[Diagram, ...]]:
    """The diagrams of each stage, those that belong side by side together.

    names: of the script's module. Raises ScriptError as `script.chosen` does, DataError for a
    sample that does not fit or has an index out of range, and for a dimension without an extent.
    Of a model without optimizer there is no training step, and without loss nothing but the
    outputs.
    """
    subject = chosen(names, script, request.name)
    step, declared = _functions(subject, request.which)
    sample = names.get(SAMPLE_NAME)
    extents = _extents(subject, step, request, sample)
    check_dimensions(step.program, extents)
    source = _Source(step, declared, extents, request, sample)
    return {stage: source.diagrams(stage) for stage in stages}


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
            for extent, actual in zip(node.shape, array.shape, strict=True):
                if isinstance(extent, Dim):
                    extents[extent.name] = actual
    if request.batch_size is not None:
        extents |= extents_of(subject, request.batch_size, {})
    return {**extents, **request.dimensions}


class _Source:
    """Makes what the stages share once: compilations and the batch."""

    def __init__(
        self,
        step: Function,
        declared: Function,
        extents: dict[str, int],
        request: Request,
        sample: Any,
    ) -> None:
        self.step = as_function(step, fuse=not request.unfused)
        self.declared, self.extents, self.request = declared, extents, request
        self.traces: list[Trace] = []
        options = options_of(self.step, extents)
        self.compiled = compile_program(step.program, options, self.traces.append)
        self.inputs = self._inputs(sample) if request.with_values else {}

    def diagrams(self, stage: Stage) -> tuple[Diagram, ...]:
        compiled, decimals = self.compiled, self.request.decimals
        if stage is Stage.PLAN:
            return (plan_diagram(compiled),)
        if stage is Stage.FUSED:
            unfused = self._unfused()
            of_fused, of_unfused = map(self._values, (compiled.program, unfused.program))
            both = (of_fused, of_unfused) if of_fused and of_unfused else None
            return fusion_diagrams(compiled, unfused, both, decimals)
        program = self._program(stage)
        values = self._values(program)
        kernels = kernels_of(compiled)
        title = f"{stage.value}: {len(computed_nodes(program))} values are computed"
        return (program_diagram(program, title, kernels, values, decimals),)

    def _program(self, stage: Stage) -> Program:
        if stage is Stage.SIMPLIFIED:
            (simplified,) = (t.after for t in self.traces if t.name == "simplify")
            return simplified.program
        program = (self.declared if stage is Stage.DECLARED else self.step).program
        return specialize(program, self.extents) if self.request.with_values else program

    def _unfused(self) -> Compilation:
        options = replace(self.compiled.options, fuse=False)
        return compile_program(self.step.program, options)

    # --- the batch -------------------------------------------------------------------------

    def _inputs(self, sample: Any) -> dict[str, Array]:
        """The batch by name: that of the script, else a random one."""
        compiled = self.compiled.program
        if sample is None:
            arrays = random_inputs(compiled)
        else:
            arrays = matched(compiled.inputs, sample, SAMPLE_NAME)
        return {node.name: array for node, array in zip(compiled.inputs, arrays, strict=True)}

    def _values(self, program: Program) -> Values | None:
        if not self.request.with_values:
            return None
        states = {node.name: self.step.variables[node.name] for node in program.states}
        try:
            return run_batch(program, {**self.inputs, **states}, _loss_of(program))
        except IndexError as error:
            raise DataError(str(error)) from error


def _loss_of(program: Program) -> Node | None:
    """The first output where it is a float scalar."""
    for _, value in program.outputs[:1]:
        if value.shape == () and value.dtype.is_float:
            return value
    return None
