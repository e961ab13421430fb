"""The `graphc` command: train a script's model, look at its stages, profile its step, and look
after the cache of machine code."""

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
    """Compile neural networks that are declared as static graphs.

    A SCRIPT is an ordinary Python file with a module-level `model`, compiled with an optimizer.
    It trains below `if __name__ == "__main__":`, which `inspect` and `profile` do not run.
    """


for command in (train, inspect, explain_script, draw, profile_script, cache):
    main.add_command(command)
