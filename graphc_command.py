"""The `graphc` command before graphc is imported, which takes longer than anything else of its
start: Ctrl-C meanwhile ends it as it does later, without a traceback of whatever was imported.

It stands beside the package, since whatever is inside is imported after the package itself.
"""

import os
import signal
from types import FrameType

# The status that shells have for a program that Ctrl-C ended.
INTERRUPTED = 130


def main() -> None:
    """Imports the commands and runs them."""
    handler = signal.getsignal(signal.SIGINT)
    # Where somebody lets interrupts pass unheard, as `nohup` and shells' background do, they do.
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from graphc.cli import main as commands

    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, handler)
    commands()


def _end(signum: int, frame: FrameType | None) -> None:
    """At once: nothing was opened yet, and modules that are half imported need not be left."""
    os.write(2, b"Interrupted\n")
    os._exit(INTERRUPTED)
