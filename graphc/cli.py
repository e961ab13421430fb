"""The `graphc` command: train a script's model, look at its stages, profile its step, and look
after the cache of machine code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.syntax import Syntax

from graphc.compiler.native import EXECUTOR_DIGEST, kernel_digest, native
from graphc.compiler.pipeline import compile_program
from graphc.function import Function
from graphc.kernels.cache import ObjectCache, RefusedError
from graphc.model import Model
from graphc.profile import ROUNDS, as_function, check_dimensions, profile
from graphc.report import print_cache, print_profile
from graphc.script import OWN_ERRORS, ScriptError, ScriptFailedError, load_model, run_script
from graphc.stages import OF_KERNELS, Stage, StageText, UnknownKernelError, options_of, stage_text

SCRIPT = click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
BATCH_SIZE = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Rows of a batch; that of the model unless given.",
)


def _dimensions(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, int]:
    """`NAME=EXTENT` as a mapping. Raises BadParameter for anything else."""
    found = {}
    for text in given:
        name, _, extent = text.partition("=")
        if not name or not extent.isdecimal():
            raise click.BadParameter(f"NAME=EXTENT expected, not {text!r}")
        found[name] = int(extent)
    return found


DIMENSIONS = click.option(
    "--dim",
    "dimensions",
    multiple=True,
    metavar="NAME=EXTENT",
    callback=_dimensions,
    help="The extent of an open dimension other than the batch.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="graphc")
def main() -> None:
    """Compile neural networks that are declared as static graphs.

    A SCRIPT is an ordinary Python file with a module-level `model`, compiled with an optimizer.
    It trains below `if __name__ == "__main__":`, which `inspect` and `profile` do not run.
    """


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@SCRIPT
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(script: Path, arguments: tuple[str, ...]) -> None:
    """Run SCRIPT with ARGUMENTS, as `python SCRIPT ARGUMENTS` does."""
    with _one_line_errors():
        run_script(script, arguments)


@main.command()
@SCRIPT
@click.option(
    "--stage",
    type=click.Choice([stage.value for stage in Stage]),
    required=True,
    help="How far the program is compiled.",
)
@click.option("--kernel", metavar="NAME", help="Show this kernel alone (fused, source, llvm, asm).")
@click.option("--unfused", is_flag=True, help="Compile one kernel an op.")
@click.option(
    "--function",
    "which",
    type=click.Choice(["train", "test", "predict"]),
    default="train",
    show_default=True,
    help="The training step, loss and metrics alone, or the outputs alone.",
)
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
    with _one_line_errors():
        model = load_model(script)
        is_forward = wanted is Stage.DECLARED and which == "train"
        step = _function(model, "test" if is_forward else which)
        if unfused:
            step = as_function(step, fuse=False)
        extents = _extents(model, batch_size, dimensions)
        if wanted not in (Stage.DECLARED, Stage.BACKWARD):
            check_dimensions(step.program, extents)
        _print(stage_text(step, extents, wanted, kernel))


@main.group()
def cache() -> None:
    """Look at the machine code that is kept on disk.

    It is kept in GRAPHC_CACHE_DIR, else in the user's directory of caches; GRAPHC_CACHE=off turns
    the cache off.
    """


@cache.command(name="path")
def cache_path() -> None:
    """Print the directory of the cache."""
    with _one_line_errors():
        click.echo(_cache().directory)


@cache.command(name="list")
def cache_list() -> None:
    """List the entries, those used last first: kernel, size, age, and whether it is used now.

    An entry is used as long as versions, processor and code generator are what it was made with.
    """
    with _one_line_errors():
        opened = _cache()
        print_cache(opened.entries(), opened.build, _console())


@cache.command(name="clear")
def cache_clear() -> None:
    """Remove all entries."""
    with _one_line_errors():
        opened = _cache()
        click.echo(f"{opened.clear()} entries removed from {opened.directory}")


@cache.command(name="explain")
@SCRIPT
@BATCH_SIZE
@DIMENSIONS
def cache_explain(script: Path, batch_size: int | None, dimensions: dict[str, int]) -> None:
    """Say for each kernel of SCRIPT's training step whether it is on disk, and if not why."""
    with _one_line_errors():
        opened = _cache()
        model = load_model(script)
        step = model.train_function
        extents = _extents(model, batch_size, dimensions)
        check_dimensions(step.program, extents)
        compilation = compile_program(step.program, options_of(step, extents))
        assert compilation.plan is not None
        stored = opened.entries()
        rows = [("executor", EXECUTOR_DIGEST)]
        rows += [(row.name, kernel_digest(row.source)) for row in compilation.plan.instructions]
        for name, digest in rows:
            click.echo(f"{name}: {opened.explain(digest, stored) or 'on disk'}")


def _cache() -> ObjectCache:
    try:
        found = native().cache
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if found is None:
        raise click.ClickException("the cache is off, or has no directory")
    return found


@main.command(name="profile")
@SCRIPT
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the figures to this file as well.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=ROUNDS, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), help="Steps of one measurement.")
@BATCH_SIZE
@DIMENSIONS
def profile_script(
    script: Path,
    json_file: Path | None,
    rounds: int,
    repeats: int | None,
    batch_size: int | None,
    dimensions: dict[str, int],
) -> None:
    """Time every kernel of SCRIPT's training step on random data, fused beside unfused.

    Fused and unfused steps are measured in turns, ROUNDS times, and medians are shown.
    """
    with _one_line_errors():
        model = load_model(script)
        measured = profile(model, batch_size, dimensions=dimensions, rounds=rounds, repeats=repeats)
        if json_file is not None:
            text = json.dumps({"script": str(script), **measured.as_dict()}, indent=2)
            json_file.write_text(text + "\n")
        print_profile(measured, _console())


def _function(model: Model, which: str) -> Function:
    if which == "predict":
        return model.predict_function
    return model.test_function if which == "test" else model.train_function


def _extents(model: Model, batch_size: int | None, others: dict[str, int]) -> dict[str, int]:
    batch = model.batch_size if batch_size is None else batch_size
    return {**others, model.batch_dimension: batch}


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """What a user can mend is said without a traceback of ours; exit status 1."""
    try:
        yield
    except ScriptFailedError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except (ScriptError, UnknownKernelError, RefusedError, OSError, *OWN_ERRORS) as error:
        raise click.ClickException(str(error)) from error


def _console() -> Console:
    """Standard output; where it is no terminal, lines of any length."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=UNLIMITED_WIDTH)


# Wider than any line: nothing is wrapped or cut in a file or a pipe.
UNLIMITED_WIDTH = 10_000


def _print(shown: StageText) -> None:
    console = _console()
    if not console.is_terminal:
        click.echo(shown.text, nl=False)
        return
    console.print(
        Syntax(shown.text.rstrip("\n"), shown.lexer, theme="ansi_dark", background_color="default"),
        soft_wrap=True,
    )
