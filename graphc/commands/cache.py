"""`graphc cache`: the machine code that is kept on disk."""

from __future__ import annotations

from pathlib import Path

import click

from graphc.commands.common import (
    BATCH_SIZE,
    DIMENSIONS,
    SCRIPT,
    console,
    extents_of,
    one_line_errors,
)
from graphc.compiler.native import native
from graphc.compiler.pipeline import compile_program
from graphc.explain import CACHE_OFF, cached_kernels
from graphc.kernels.cache import DiskCache
from graphc.profile import check_dimensions
from graphc.report import print_cache
from graphc.script import load_model
from graphc.stages import options_of


@click.group()
def cache() -> None:
    """Look at the machine code that is kept on disk.

    It is kept in GRAPHC_CACHE_DIR, else in the user's directory of caches; GRAPHC_CACHE=off turns
    the cache off.
    """


@cache.command(name="path")
def cache_path() -> None:
    """Print the directory of the cache."""
    with one_line_errors():
        click.echo(_cache().directory)


@cache.command(name="list")
def cache_list() -> None:
    """List the entries, those used last first: kernel, size, age, and whether it is used now.

    An entry is used as long as versions, processor and code generator are what it was made with.
    """
    with one_line_errors():
        opened = _cache()
        print_cache(opened.entries(), opened.build, console())


@cache.command(name="clear")
def cache_clear() -> None:
    """Remove all entries."""
    with one_line_errors():
        opened = _cache()
        click.echo(f"{opened.clear()} entries removed from {opened.directory}")


@cache.command(name="explain")
@SCRIPT
@BATCH_SIZE
@DIMENSIONS
def cache_explain(script: Path, batch_size: int | None, dimensions: dict[str, int]) -> None:
    """Say for each kernel of SCRIPT's training step whether it is on disk, and if not why."""
    with one_line_errors():
        opened = _cache()
        model = load_model(script)
        step = model.train_function
        extents = extents_of(model, batch_size, dimensions)
        check_dimensions(step.program, extents)
        compilation = compile_program(step.program, options_of(step, extents))
        assert compilation.plan is not None
        for each in cached_kernels(compilation.plan, opened):
            click.echo(f"{each.kernel}: {each.reason or 'on disk'}")


def _cache() -> DiskCache:
    try:
        found = native().cache
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if found is None:
        raise click.ClickException(CACHE_OFF)
    return found
