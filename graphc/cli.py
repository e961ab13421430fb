"""The `graphc` command: run a script, and show what became of its model or function."""

from __future__ import annotations

import click

from graphc.commands.cache import cache
from graphc.commands.draw import draw
from graphc.commands.explain import explain_script
from graphc.commands.inspect import inspect
from graphc.commands.profile import profile_script
from graphc.commands.train import train


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="graphc")
def main() -> None:
    """Train neural networks that are declared as static graphs, and see what they compile to.

    A SCRIPT is an ordinary Python file with a gc.Model, compiled with an optimizer, or what
    gc.function returns, at module level: `model`, or that which --model names.

    What stands below `if __name__ == "__main__":` is run by `train` alone.
    """


for command in (train, inspect, explain_script, draw, profile_script, cache):
    main.add_command(command)
