"""A peer's process: limits itself to some cores, then answers requests until it is told to quit.

python -m benchmarks.peers SYSTEM --threads N

Both sides write one JSON object a line. Requests come on stdin, `benchmarks.peers.server` lists
them; the first line of output says {"ready": "torch 2.13.0"}, or {"missing": reason} from a
system that is not installed. What libraries print goes to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys

# Read by OpenMP, OpenBLAS, MKL, numba and XLA when they load.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NPROC",
)


def limit_threads(threads: int) -> None:
    """Thread counts for what is imported from here on, and as many cores, where that exists."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def main() -> None:
    """Serves one system."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("system")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    limit_threads(options.threads)
    # Replies keep the real stdout; whatever else is printed must not stand between them.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    # Only now: numpy reads the thread counts when it loads.
    from benchmarks.peers.server import serve

    serve(options.system, options.threads, sys.stdin, replies)


if __name__ == "__main__":
    main()
