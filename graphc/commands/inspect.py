"""`graphc inspect`: what a model has become at a stage of its compilation."""

from __future__ import annotations

from pathlib import Path

import click
from rich.syntax import Syntax

from graphc.commands.common import (
    BATCH_SIZE,
    DIMENSIONS,
    FUNCTION,
    MODEL,
    SCRIPT,
    UNFUSED,
    console,
    one_line_errors,
)
from graphc.commands.script import load_subject
from graphc.commands.subject import extents_of, function_of
from graphc.functions.variants import as_function, check_extents
from graphc.inspect.stage import OF_KERNELS, Stage
from graphc.inspect.stage_text import StageText, stage_text


@click.command()
@SCRIPT
@click.option(
    "--stage",
    type=click.Choice([stage.value for stage in Stage]),
    required=True,
    help="How far the program is compiled.",
)
@click.option("--kernel", metavar="NAME", help="Show this kernel alone (fused, source, llvm, asm).")
@MODEL
@UNFUSED
@FUNCTION
@BATCH_SIZE
@DIMENSIONS
def inspect(
    script: Path,
    stage: str,
    kernel: str | None,
    name: str | None,
    unfused: bool,
    which: str,
    batch_size: int | None,
    dimensions: dict[str, int],
) -> None:
    """Print SCRIPT's step at any stage, down to machine code.

    declared: what the script declares, without derivatives. backward: with gradients and updates.
    simplified: after rewriting. fused: the nodes of each kernel, and why. plan: instructions and
    memory. source, llvm, asm: the code of the kernels.
    """
    wanted = Stage(stage)
    if kernel is not None and wanted not in OF_KERNELS:
        names = ", ".join(each.value for each in OF_KERNELS)
        raise click.UsageError(f"--kernel is for the stages {names}")
    with one_line_errors():
        subject = load_subject(script, name)
        is_forward = wanted is Stage.DECLARED and which == "train"
        step = function_of(subject, "declared" if is_forward else which)
        if unfused:
            step = as_function(step, fuse=False)
        extents = extents_of(subject, batch_size, dimensions)
        if wanted not in (Stage.DECLARED, Stage.BACKWARD):
            check_extents(step.program, extents)
        _print(stage_text(step, extents, wanted, kernel))


def _print(shown: StageText) -> None:
    out = console()
    if not out.is_terminal:
        click.echo(shown.text, nl=False)
        return
    out.print(
        Syntax(shown.text.rstrip("\n"), shown.lexer, theme="ansi_dark", background_color="default"),
        soft_wrap=True,
    )
