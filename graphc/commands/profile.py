"""`graphc profile`: the time of every kernel."""

from __future__ import annotations

import json
from pathlib import Path

import click

from graphc.commands.common import BATCH_SIZE, DIMENSIONS, SCRIPT, console, one_line_errors
from graphc.profile import ROUNDS, profile
from graphc.report import print_profile
from graphc.script import load_model


@click.command(name="profile")
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
    with one_line_errors():
        model = load_model(script)
        measured = profile(model, batch_size, dimensions=dimensions, rounds=rounds, repeats=repeats)
        if json_file is not None:
            text = json.dumps({"script": str(script), **measured.as_dict()}, indent=2)
            json_file.write_text(text + "\n")
        print_profile(measured, console())
