"""`graphc profile`: the time of every kernel."""

from __future__ import annotations

import json
from pathlib import Path

import click

from graphc.commands.common import (
    BATCH_SIZE,
    DIMENSIONS,
    MODEL,
    SCRIPT,
    console,
    one_line_errors,
    write_output,
)
from graphc.commands.script import load_subject
from graphc.commands.subject import extents_of, function_of
from graphc.drawing.engine import check_engine
from graphc.errors import MissingExtraError
from graphc.profiling.measuring.profile import ROUNDS, profile
from graphc.profiling.shown.terminal import print_profile
from graphc.profiling.shown.trace import chrome_trace

_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command(name="profile")
@SCRIPT
@click.option("--json", "json_file", type=_FILE, help="Write the figures to this file as well.")
@click.option(
    "--trace",
    "trace_file",
    type=_FILE,
    help="Write what each thread did in one step, for Perfetto or speedscope.",
)
@click.option("--html", "html_file", type=_FILE, help="Write a report as one page.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many threads run it, at most; those of the model unless given.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    metavar="N",
    default=ROUNDS,
    show_default=True,
    help="How often fused and unfused steps take turns.",
)
@click.option(
    "--repeats", type=click.IntRange(min=1), metavar="N", help="Steps of one measurement."
)
@MODEL
@BATCH_SIZE
@DIMENSIONS
def profile_script(
    script: Path,
    json_file: Path | None,
    trace_file: Path | None,
    html_file: Path | None,
    threads: int | None,
    rounds: int,
    repeats: int | None,
    name: str | None,
    batch_size: int | None,
    dimensions: dict[str, int],
) -> None:
    """Time every kernel of SCRIPT's step, fused beside unfused.

    Fused and unfused steps are measured on random data in turns, --rounds times, and medians are
    shown. A kernel's time is that of one step, from its start until the first thread goes on; wait
    is what a thread spends on average waiting for others behind it. roof is the least time in which
    this machine could move the kernel's bytes and compute its FLOPs, both measured now, over the
    time it took, and bound what sets that least time: arithmetic, or the nearest memory that holds
    all that the kernel works on.
    """
    with one_line_errors():
        subject = load_subject(script, name)
        measured = profile(
            function_of(subject),
            extents_of(subject, batch_size, dimensions),
            threads=threads,
            rounds=rounds,
            repeats=repeats,
        )
        if json_file is not None:
            text = json.dumps({"script": str(script), **measured.as_dict()}, indent=2)
            write_output(json_file, text + "\n")
        if trace_file is not None:
            write_output(trace_file, json.dumps(chrome_trace(measured), indent=1) + "\n")
        if html_file is not None:
            from graphc.profiling.shown.page import profile_page

            write_output(html_file, profile_page(measured, script.name))
            _say_what_is_left_out(html_file)
        print_profile(measured, console())


def _say_what_is_left_out(page: Path) -> None:
    """A page without its graph is a surprise that is better found in the terminal."""
    try:
        check_engine()
    except MissingExtraError as error:
        click.echo(f"{page} is written without the graph: {error}", err=True)
