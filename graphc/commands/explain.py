"""`graphc explain`: why the compiled step is what it is."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from graphc.commands.common import (
    BATCH_SIZE,
    DIMENSIONS,
    MODEL,
    SCRIPT,
    one_line_errors,
    write_output,
)
from graphc.commands.script import load_subject
from graphc.commands.subject import extents_of, function_of
from graphc.functions.variants import check_extents
from graphc.inspect.explain import compiled_for_explaining, explain
from graphc.inspect.explain_report import print_explanation, print_values
from graphc.inspect.explain_value import UnknownValueError, explain_values


@click.command(name="explain")
@SCRIPT
@click.option(
    "--why",
    metavar="NODE",
    help="Explain this value alone: a name that a stage prints, or a line such as net.py:12.",
)
@click.option("--all", "whole", is_flag=True, help="Show every decision, not a summary alone.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write everything to this file as well.",
)
@MODEL
@BATCH_SIZE
@DIMENSIONS
def explain_script(
    script: Path,
    why: str | None,
    whole: bool,
    json_file: Path | None,
    name: str | None,
    batch_size: int | None,
    dimensions: dict[str, int],
) -> None:
    """Say why SCRIPT's step is compiled as it is.

    A summary comes first; with --all everything follows.

    Shown are the fusions that were made and refused, with reasons and bytes; the rewrites; the
    buffers and their lives; the tiles of matrix products; what is in the disk cache.
    """
    with one_line_errors():
        subject = load_subject(script, name)
        step = function_of(subject)
        extents = extents_of(subject, batch_size, dimensions)
        check_extents(step.program, extents)
        made = compiled_for_explaining(step, extents)
        if why is None:
            explained = explain(made)
            print_explanation(explained, Console(highlight=False), whole)
            found = {"script": str(script), **explained.as_dict()}
        else:
            try:
                values = explain_values(made, why)
            except UnknownValueError as error:
                raise click.ClickException(str(error)) from error
            print_values(values, Console(highlight=False))
            found = {"script": str(script), "values": [value.as_dict() for value in values]}
        if json_file is not None:
            write_output(json_file, json.dumps(found, indent=2) + "\n")
