"""What --help says, at 80 columns."""

from collections.abc import Callable, Iterator

import click
import pytest
from click.testing import Result

from graphc.cli import main

WIDTH = 80


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from _commands(each, (*path, name))


@pytest.mark.parametrize("path", list(_commands(main)), ids=" ".join)
def test_help_is_whole_at_80_columns(graphc: Callable[..., Result], path: tuple[str, ...]) -> None:
    result = graphc(*path, "--help")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= WIDTH
    # click cuts a first sentence that is too long for a list of commands.
    assert not [line for line in lines if line.endswith("...") and "Usage:" not in line]
    options = [line for line in lines if line.startswith("  --")]
    assert not [line for line in options if "INTEGER RANGE" in line]
