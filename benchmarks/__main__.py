"""Lists the benchmarks and runs the quick ones, each in a process of its own.

python -m benchmarks
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

from rich.console import Console

# Every benchmark, and the arguments with which it takes at most about a minute.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "start": ("--rounds", "3"),
    "overhead": (),
    "elementwise": (),
    "steps": (),
    "contract": (),
    "generation": ("--rounds", "3"),
    "predict": (),
    "estimators": ("--rounds", "5", "--seeds", "2"),
    "busy": ("--workloads", "S,A,E", "--seconds", "2"),
    "ulp": ("--all", "--stride", "1021"),
    "ulp_f64": ("--count", "1000000"),
}


def main() -> int:
    """Returns the number of benchmarks that failed."""
    console = Console()
    for name in BENCHMARKS:
        summary = (import_module(f"benchmarks.{name}").__doc__ or "").splitlines()[0]
        console.print(f"[bold]{name:12}[/bold] {summary}", highlight=False, soft_wrap=True)
    failed = 0
    for name, arguments in BENCHMARKS.items():
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
        console.print(f"\n$ {' '.join(['python', *command[1:]])}", highlight=False, markup=False)
        failed += subprocess.run(command, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
