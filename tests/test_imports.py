"""Who may import whom: graphc -> graphc.kernels -> graphc.ir; three files import numba."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMPILERS = {"numba", "llvmlite"}
IMPORTERS = {
    Path("kernels/jit.py"): {"numba", "llvmlite"},
    Path("kernels/jit_primitives.py"): {"numba", "llvmlite"},
    Path("kernels/jit_target.py"): {"numba", "llvmlite"},
    # Loads what is on disk, without the time that importing numba takes.
    Path("kernels/llvm.py"): {"llvmlite"},
    # Reads the sections of object code.
    Path("kernels/perf_map.py"): {"llvmlite"},
}
# The packages that the distribution depends on, and the extras of drawing and examples.
OF_THE_USER = {
    "numpy", "click", "rich", "safetensors", "matplotlib", "sklearn", "py_mini_racer",
    "tensorboardX",
}  # fmt: skip


def _sources(room: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / room).rglob("*.py"))


def imported_modules(source: str, package: str) -> Iterator[str]:
    """The full names of the modules that `source`, a module of `package`, imports anywhere.

    `from a import b` counts as a.b as well, since b may be a module; import_module with a literal
    counts too.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if called in ("import_module", "__import__") and node.args:
                first = node.args[0]
                yield first.value if isinstance(first, ast.Constant) else "<computed>"


def _room(module: str) -> str:
    """The room of ours that a module stands in, or its outermost package."""
    for room in ("graphc.ir", "graphc.kernels"):
        if module == room or module.startswith(room + "."):
            return room
    return module.partition(".")[0]


def forbidden_imports(source: str, path: Path) -> list[str]:
    """What the file at `path` imports and its room may not."""
    room = path.parts[0]
    package = {"ir": "graphc.ir", "kernels": "graphc.kernels", "graphc": "graphc"}[room]
    package = ".".join([package, *path.parent.parts[1:]])
    allowed = {
        "ir": {"numpy", "graphc.ir"},
        "kernels": {"numpy", "graphc.ir", "graphc.kernels"},
        "graphc": {*OF_THE_USER, "graphc", "graphc.ir", "graphc.kernels"},
    }[room] | IMPORTERS.get(path, set())
    return [
        module
        for module in imported_modules(source, package)
        if _room(module) not in allowed and _room(module) not in sys.stdlib_module_names
    ]


@pytest.mark.parametrize(
    "path", [p for r in ("ir", "kernels", "graphc") for p in _sources(r)], ids=str
)
def test_imports_go_one_way(path: Path) -> None:
    assert forbidden_imports((ROOT / path).read_text(), path) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ir/graph.py", "import graphc.kernels.jit"),
        ("ir/graph.py", "from graphc import kernels"),
        ("ir/graph.py", "from graphc.frontend import Tensor"),
        ("ir/ops/leaf.py", "from ...kernels import jit"),
        ("ir/graph.py", "import scipy.special"),
        ("ir/graph.py", "def late():\n    import numba"),
        ("kernels/emit.py", "from numba import njit"),
        ("kernels/llvm.py", "from numba import njit"),
        ("kernels/primitives.py", "from numba import njit"),
        ("kernels/emit.py", "import graphc.model"),
        ("kernels/emit.py", "from importlib import import_module\nimport_module('llvmlite')"),
        ("kernels/emit.py", "from click import echo"),
        ("kernels/jit.py", "from graphc.compiler import fuse"),
        ("graphc/model.py", "import llvmlite.binding"),
        ("graphc/compiler/fuse.py", "import importlib\nimportlib.import_module(name)"),
        ("graphc/model.py", "import kernels"),
    ],
)  # fmt: skip
def test_a_forbidden_import_is_seen(path: str, source: str) -> None:
    assert forbidden_imports(source, Path(path)) != []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ir/graph.py", "import math\nimport numpy as np\nfrom graphc.ir import types"),
        ("ir/ops/leaf.py", "from . import movement\nfrom ..types import DType"),
        ("kernels/jit.py", "import llvmlite.binding\nfrom numba.core import types"),
        ("graphc/model.py", "from graphc.kernels import executor\nfrom .compiler import fuse"),
    ],
)
def test_an_allowed_import_is_not(path: str, source: str) -> None:
    assert forbidden_imports(source, Path(path)) == []


@pytest.mark.parametrize("module", ["graphc.ir", "graphc.ir.ops", "graphc.ir.autodiff", "graphc"])
def test_importing_leaves_the_compiler_out(module: str) -> None:
    """A process that finds plans and kernels on disk pays neither for numba nor for passes."""
    compiler = COMPILERS | {"graphc.compiler.pipeline", "graphc.kernels.emit"}
    report = f"import sys, {module}; print(sorted({compiler!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, cwd=ROOT.anchor
    )
    assert done.stdout.strip() == "[]"
