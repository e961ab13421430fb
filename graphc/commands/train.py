"""`graphc train`: run a script."""

from __future__ import annotations

from pathlib import Path

import click

from graphc.commands.common import SCRIPT, one_line_errors
from graphc.commands.script import run_script


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@SCRIPT
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(script: Path, arguments: tuple[str, ...]) -> None:
    """Run SCRIPT with ARGUMENTS, as `python SCRIPT ARGUMENTS` does."""
    with one_line_errors():
        run_script(script, arguments)
