"""`graphc draw`: the graph at a stage, as SVG and as a page that works offline."""

from __future__ import annotations

from pathlib import Path

import click

from graphc.commands.common import (
    BATCH_SIZE,
    DIMENSIONS,
    FUNCTION,
    MODEL,
    SCRIPT,
    UNFUSED,
    one_line_errors,
    write_output,
)
from graphc.commands.script import load_names
from graphc.commands.script_diagrams import Request, script_diagrams
from graphc.drawing.engine import svg_text
from graphc.drawing.page import page_text
from graphc.drawing.stage_diagrams import STAGES
from graphc.errors import MissingExtraError
from graphc.inspect.stage import Stage

_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command()
@SCRIPT
@click.option(
    "--stage",
    type=click.Choice([stage.value for stage in STAGES]),
    help="How far the program is compiled; unless given, SVG shows the declared graph and the "
    "page every stage.",
)
@click.option("--svg", "svg_file", type=_FILE, help="Write the drawing to this file.")
@click.option("--html", "html_file", type=_FILE, help="Write a page that needs nothing else.")
@click.option("--values", "with_values", is_flag=True, help="Run a batch and draw its values.")
@click.option(
    "--decimals",
    type=click.IntRange(min=0),
    metavar="N",
    help="Decimals of values; four significant digits unless given.",
)
@MODEL
@UNFUSED
@FUNCTION
@BATCH_SIZE
@DIMENSIONS
def draw(
    script: Path,
    stage: str | None,
    svg_file: Path | None,
    html_file: Path | None,
    with_values: bool,
    decimals: int | None,
    name: str | None,
    unfused: bool,
    which: str,
    batch_size: int | None,
    dimensions: dict[str, int],
) -> None:
    """Draw SCRIPT's graph at any stage, as SVG and as an HTML page.

    The page pans, zooms, searches, and collapses layers and kernels.

    --values runs one batch in numpy and writes the value of each use above its edge and the
    gradient below it: the derivative of the loss (of the first output, where that is a float
    scalar) through that use. The inputs are those of a module-level `sample_batch`, a mapping of
    their names to arrays; without one they are random.
    """
    if svg_file is None and html_file is None:
        raise click.UsageError("--svg FILE, --html FILE or both say where to draw")
    with one_line_errors():
        names = load_names(script)
        request = Request(
            name=name,
            which=which,
            batch_size=batch_size,
            dimensions=dimensions,
            unfused=unfused,
            with_values=with_values,
            decimals=decimals,
        )
        chosen = [Stage(stage)] if stage is not None else [Stage.DECLARED]
        try:
            all_stages = html_file is not None and stage is None
            drawn = script_diagrams(names, script, request, STAGES if all_stages else chosen)
            if svg_file is not None:
                write_output(svg_file, svg_text(drawn[chosen[0]][-1]))
            if html_file is not None:
                write_output(html_file, page_text(script.name, drawn))
        except MissingExtraError as error:
            raise click.ClickException(str(error)) from error
