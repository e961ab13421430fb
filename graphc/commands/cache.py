"""`graphc cache`: the plans and the machine code that are kept on disk."""

from __future__ import annotations

from pathlib import Path

import click

from graphc.commands.common import (
    BATCH_SIZE,
    DIMENSIONS,
    MODEL,
    SCRIPT,
    console,
    one_line_errors,
)
from graphc.commands.script import load_subject
from graphc.commands.subject import extents_of, function_of
from graphc.compiler.load.native import native
from graphc.compiler.load.plan_cache import PLAN
from graphc.compiler.pipeline import compile_program
from graphc.functions.variants import check_extents, options_of
from graphc.inspect.explain_cache import CACHE_OFF, cached_entries
from graphc.inspect.report import print_cache
from graphc.kernels.native.cache import KERNEL, DiskCache


@click.group()
def cache() -> None:
    """List, explain and remove what is kept on disk.

    That is plans and machine code, in GRAPHC_CACHE_DIR, else in the user's directory of caches;
    GRAPHC_CACHE=off turns the cache off.
    """


@cache.command(name="path")
def cache_path() -> None:
    """Print the directory of the cache."""
    with one_line_errors():
        click.echo(_cache()[KERNEL].directory)


@cache.command(name="list")
@click.option("--all", "whole", is_flag=True, help="List every entry, not the last used alone.")
def cache_list(whole: bool) -> None:
    """Say what the cache holds, and list the entries that were used last.

    Shown are kind, name, size, age, and whether it is used now. An entry is used as long as
    versions, processor and compiler are what it was made with.
    """
    with one_line_errors():
        opened = _cache()
        builds = {kind: cache.build for kind, cache in opened.items()}
        print_cache(opened[KERNEL].entries(), builds, console(), whole)


@cache.command(name="clear")
def cache_clear() -> None:
    """Remove all entries."""
    with one_line_errors():
        opened = _cache()[KERNEL]
        click.echo(f"{opened.clear()} entries removed from {opened.directory}")


@cache.command(name="explain")
@SCRIPT
@MODEL
@BATCH_SIZE
@DIMENSIONS
def cache_explain(
    script: Path, name: str | None, batch_size: int | None, dimensions: dict[str, int]
) -> None:
    """Say why the plan and each kernel of SCRIPT is on disk or not.

    A plan is found by the whole step and what it is compiled for, extents and threads among it.
    """
    with one_line_errors():
        _cache()
        subject = load_subject(script, name)
        step = function_of(subject)
        extents = extents_of(subject, batch_size, dimensions)
        check_extents(step.program, extents)
        options = options_of(step, extents)
        plan = compile_program(step.program, options).plan
        for each in cached_entries(step.program, options, plan, native()):
            name = each.kind if each.kind == PLAN else each.name
            click.echo(f"{name}: {each.reason or 'on disk'}")


def _cache() -> dict[str, DiskCache]:
    """The caches of each kind, which are one directory."""
    machine = native()
    if machine.cache is None or machine.plans is None:
        raise click.ClickException(CACHE_OFF)
    return {KERNEL: machine.cache, PLAN: machine.plans}
