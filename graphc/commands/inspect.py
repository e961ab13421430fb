"""`graphc inspect`: what a model has become at a stage of its compilation."""

from __future__ import annotations

from pathlib import Path

import click
from rich.syntax import Syntax

from graphc.commands.common import (
    BATCH_SIZE,
    DIMENSIONS,
    FUNCTION,
    SCRIPT,
    UNFUSED,
    console,
    extents_of,
    one_line_errors,
)
from graphc.function import Function
from graphc.model import Model
from graphc.profile import as_function, check_dimensions
from graphc.script import load_model
from graphc.stages import OF_KERNELS, Stage, StageText, stage_text


@click.command()
@SCRIPT
@click.option(
    "--stage",
    type=click.Choice([stage.value for stage in Stage]),
    required=True,
    help="How far the program is compiled.",
)
@click.option("--kernel", metavar="NAME", help="Show this kernel alone (fused, source, llvm, asm).")
@UNFUSED
@FUNCTION
@BATCH_SIZE
@DIMENSIONS
def inspect(
    script: Path,
    stage: str,
    kernel: str | None,
    unfused: bool,
    which: str,
    batch_size: int | None,
    dimensions: dict[str, int],
) -> None:
    """Print what SCRIPT's model has become at a stage of its compilation.

    declared: what the script declares, without derivatives. backward: with gradients and updates.
    simplified: after rewriting. fused: the nodes of each kernel, and why. plan: instructions and
    memory. source, llvm, asm: the code of the kernels.
    """
    wanted = Stage(stage)
    if kernel is not None and wanted not in OF_KERNELS:
        names = ", ".join(each.value for each in OF_KERNELS)
        raise click.UsageError(f"--kernel is for the stages {names}")
    with one_line_errors():
        model = load_model(script)
        is_forward = wanted is Stage.DECLARED and which == "train"
        step = model.declared_function if is_forward else _function(model, which)
        if unfused:
            step = as_function(step, fuse=False)
        extents = extents_of(model, batch_size, dimensions)
        if wanted not in (Stage.DECLARED, Stage.BACKWARD):
            check_dimensions(step.program, extents)
        _print(stage_text(step, extents, wanted, kernel))


def _function(model: Model, which: str) -> Function:
    if which == "predict":
        return model.predict_function
    return model.test_function if which == "test" else model.train_function


def _print(shown: StageText) -> None:
    out = console()
    if not out.is_terminal:
        click.echo(shown.text, nl=False)
        return
    out.print(
        Syntax(shown.text.rstrip("\n"), shown.lexer, theme="ansi_dark", background_color="default"),
        soft_wrap=True,
    )
