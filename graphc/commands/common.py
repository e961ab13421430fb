"""What commands share: arguments, options, errors and the console."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from graphc.commands.script import OWN_ERRORS, ScriptError, ScriptFailedError
from graphc.files.whole_file import write_whole
from graphc.inspect.stage_text import UnknownKernelError
from graphc.kernels.host.cache_entry import RefusedError

# Wider than any line: nothing is wrapped or cut in a file or a pipe.
UNLIMITED_WIDTH = 10_000

# 128 and the number of SIGINT.
INTERRUPTED = 130

SCRIPT = click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
MODEL = click.option(
    "--model",
    "name",
    metavar="NAME",
    help="A Model, or what gc.function returns; `model`, or the only one, unless given.",
)
BATCH_SIZE = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Rows of a batch; that of the model unless given.",
)
UNFUSED = click.option("--unfused", is_flag=True, help="Compile one kernel an op.")
FUNCTION = click.option(
    "--function",
    "which",
    type=click.Choice(["train", "test", "predict"]),
    default="train",
    show_default=True,
    help="Of a Model: the training step, loss and metrics alone, or the outputs alone.",
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
    help="The extent of an open dimension; once for each that has none.",
)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What a user can mend is said without a traceback of ours; exit status 1.

    Ctrl-C ends with the status that shells have for it.
    """
    try:
        yield
    except KeyboardInterrupt:
        # Another one ends the process at once, with the same status.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        # Where Python ends it gives handlers up, and the next one would kill the process.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
        click.echo("Interrupted", err=True)
        sys.exit(INTERRUPTED)
    except ScriptFailedError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except (ScriptError, UnknownKernelError, RefusedError, OSError, *OWN_ERRORS) as error:
        raise click.ClickException(str(error)) from error


def write_output(path: Path, text: str) -> None:
    """Replaces the file at `path` whole. What is no file, such as a pipe, is written to."""
    if path.exists() and not path.is_file():
        path.write_text(text, "utf-8")
    else:
        write_whole(path, text.encode())


def console() -> Console:
    """Standard output; where it is no terminal, lines of any length."""
    shown = Console(highlight=False)
    return shown if shown.is_terminal else Console(highlight=False, width=UNLIMITED_WIDTH)
