"""What kernels are built by: files that generate code, versions installed, and the processor."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from graphc.kernels.host.cache_entry import Build, files_digest

if TYPE_CHECKING:
    from graphc.kernels.native.llvm import Target

KERNELS = Path(__file__).parent.parent

# The files that turn kernel source into machine code.
CODE_GENERATORS = (
    *(
        KERNELS / "mathematics" / f"{name}.py"
        for name in (
            "math_ir",
            "vecmath",
            "vector_variants",
        )
    ),
    *(
        KERNELS / "mathematics" / "arithmetic" / f"{name}.py"
        for name in (
            "compensated",
            "polynomial",
            "primitives",
        )
    ),
    *(
        KERNELS / "mathematics" / "constants" / f"{name}.py"
        for name in (
            "error_constants",
            "gamma_constants",
            "trigonometry_constants",
            "vecmath_constants",
        )
    ),
    *(
        KERNELS / "mathematics" / "functions" / f"{name}.py"
        for name in (
            "angles",
            "error_functions",
            "exponentials",
            "gamma_functions",
            "gates",
            "hyperbolic",
            "logarithms",
            "other_bases",
            "remainder",
            "sin_cos",
        )
    ),
    *(
        KERNELS / "loops" / "language" / f"{name}.py"
        for name in (
            "exchanges",
            "expressions",
            "scalar",
        )
    ),
    *(KERNELS / "host" / f"{name}.py" for name in ("forks",)),
    *(
        KERNELS / "native" / f"{name}.py"
        for name in (
            "finishing",
            "interleave",
            "llvm",
            "loop_hints",
        )
    ),
    *(
        KERNELS / "native" / "jit" / f"{name}.py"
        for name in (
            "buffers",
            "conversions",
            "exchanges",
            "integers",
            "kernel_compiler",
            "lowering",
            "primitives",
            "target",
            "threefry",
        )
    ),
    # The constants of random numbers.
    KERNELS.parent / "ir" / "ops" / "random.py",
)
DISTRIBUTIONS = ("graphc", "numba", "llvmlite")


def this_build(target: Target) -> Build:
    """The build of kernels: the installed versions and this machine's system, for a target.

    Raises OSError, ImportError where the code generators' files or the versions are not found.
    """
    return Build(
        versions=", ".join(f"{name} {installed_version(name)}" for name in DISTRIBUTIONS),
        generators=files_digest(CODE_GENERATORS),
        platform=sys.platform,
        cpu=target.cpu,
        features=target.features,
        vector_bits=str(target.vector_bits),
    )


def installed_version(distribution: str) -> str:
    """Its version, from the name of its metadata directory, or from importlib.metadata, which takes
    20 ms to import. Raises PackageNotFoundError."""
    pattern = re.compile(re.escape(distribution) + r"-([^-]+)\.dist-info")
    for directory in sys.path:
        found: list[str] = []
        with contextlib.suppress(OSError):
            found = [m[1] for m in map(pattern.fullmatch, os.listdir(directory or ".")) if m]
        if len(found) == 1:
            return found[0]
        if found:
            break
    from importlib.metadata import version

    return version(distribution)
