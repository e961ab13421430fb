"""Who may import whom: rooms in one order, no circle of modules, and few files import numba.

Imports inside functions and for types alone count as all others.
"""

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMPILERS = {"numba", "llvmlite"}
IMPORTERS = {
    Path("kernels/native/jit/kernel_compiler.py"): {"numba", "llvmlite"},
    Path("kernels/native/jit/buffers.py"): {"numba", "llvmlite"},
    Path("kernels/native/jit/exchanges.py"): {"numba", "llvmlite"},
    Path("kernels/native/jit/conversions.py"): {"numba", "llvmlite"},
    Path("kernels/native/jit/integers.py"): {"numba", "llvmlite"},
    Path("kernels/native/jit/lowering.py"): {"numba", "llvmlite"},
    Path("kernels/native/jit/threefry.py"): {"numba", "llvmlite"},
    Path("kernels/native/jit/primitives.py"): {"numba", "llvmlite"},
    Path("kernels/native/jit/target.py"): {"numba", "llvmlite"},
    # Does what LLVM does for a kernel that numba has translated in another process.
    Path("kernels/native/finishing.py"): {"llvmlite"},
    # Loads what is on disk, without the time that importing numba takes.
    Path("kernels/native/llvm.py"): {"llvmlite"},
    # Reads the sections of object code.
    Path("kernels/native/perf_map.py"): {"llvmlite"},
}
# The packages that the distribution depends on, and the extras of drawing and examples.
OF_THE_USER = {
    "numpy", "click", "rich", "safetensors", "matplotlib", "sklearn", "scipy", "py_mini_racer",
    "tensorboardX", "IPython",
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
        ("ir/graph.py", "import graphc.kernels.native.jit.kernel_compiler"),
        ("ir/graph.py", "from graphc import kernels"),
        ("ir/graph.py", "from graphc.declare.graphs.graph import Graph"),
        ("ir/ops/leaf.py", "from ...kernels import jit"),
        ("ir/graph.py", "import scipy.special"),
        ("ir/graph.py", "def late():\n    import numba"),
        ("kernels/loops/emit.py", "from numba import njit"),
        ("kernels/native/llvm.py", "from numba import njit"),
        ("kernels/mathematics/arithmetic/primitives.py", "from numba import njit"),
        ("kernels/loops/emit.py", "import graphc.train.model"),
        ("kernels/loops/emit.py", "from importlib import import_module\nimport_module('llvmlite')"),
        ("kernels/loops/emit.py", "from click import echo"),
        ("kernels/native/jit/kernel_compiler.py", "from graphc.compiler import fuse"),
        ("graphc/train/model.py", "import llvmlite.binding"),
        ("graphc/compiler/fusion/fuse.py", "import importlib\nimportlib.import_module(name)"),
        ("graphc/train/model.py", "import kernels"),
    ],
)  # fmt: skip
def test_a_forbidden_import_is_seen(path: str, source: str) -> None:
    assert forbidden_imports(source, Path(path)) != []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ir/graph.py", "import math\nimport numpy as np\nfrom graphc.ir import types"),
        ("ir/ops/leaf.py", "from . import movement\nfrom ..types import DType"),
        (
            "kernels/native/jit/kernel_compiler.py",
            "import llvmlite.binding\nfrom numba.core import types",
        ),
        (
            "graphc/train/model.py",
            "from graphc.kernels import executor\nfrom ..compiler import fuse",
        ),
    ],
)
def test_an_allowed_import_is_not(path: str, source: str) -> None:
    assert forbidden_imports(source, Path(path)) == []


# --- rooms -----------------------------------------------------------------------------------

# Each imports from those before it and from itself. Last is the face of the package, with the names
# that users import: nothing inside knows it.
ROOMS = (
    "graphc.ir",
    "graphc.ir.ops.elementwise",
    "graphc.ir.ops.movement",
    "graphc.ir.ops.reductions",
    "graphc.ir.ops",
    "graphc.ir.functions.arrays",
    "graphc.ir.functions",
    "graphc.ir.functions.spatial",
    "graphc.ir.functions.as_numpy",
    "graphc.ir.graph",
    "graphc.ir.reference",
    "graphc.ir.text",
    "graphc.ir.programs",
    "graphc.ir.rewriting.match",
    "graphc.ir.rewriting.rewrite",
    "graphc.ir.rewriting.rules",
    "graphc.ir.rewriting",
    "graphc.ir.rewriting.loops",
    "graphc.ir.derive",
    "graphc.kernels",
    "graphc.kernels.host",
    "graphc.kernels.mathematics.constants",
    "graphc.kernels.mathematics.arithmetic",
    "graphc.kernels.mathematics.functions",
    "graphc.kernels.mathematics",
    "graphc.kernels.nests",
    "graphc.kernels.loops.language",
    "graphc.kernels.loops.rewrites",
    "graphc.kernels.loops",
    "graphc.kernels.loops.movement",
    "graphc.kernels.ordered",
    "graphc.kernels.products.microkernels",
    "graphc.kernels.products",
    "graphc.kernels.products.tilings",
    "graphc.kernels.products.operands",
    "graphc.kernels.products.epilogues",
    "graphc.kernels.products.tiles",
    "graphc.kernels.groups",
    "graphc.kernels.native",
    "graphc.kernels.native.jit",
    "graphc.kernels.run.executor_code",
    "graphc.kernels.run",
    "graphc.nan_report", "graphc.errors", "graphc.files",
    "graphc.display",
    "graphc.declare",
    "graphc.compiler",
    "graphc.compiler.legalize",
    "graphc.compiler.fusion",
    "graphc.compiler.plan",
    "graphc.compiler.pipeline",
    "graphc.compiler.load",
    "graphc.functions", "graphc.testing",
    "graphc.inspect", "graphc.drawing",
    "graphc.profiling",
    "graphc.profiling.shown",
    "graphc.profiling.measuring",
    "graphc.train.callbacks",
    "graphc.train.network",
    "graphc.train.data",
    "graphc.train.epochs",
    "graphc.train.model_functions",
    "graphc.train.files",
    "graphc.train",
    "graphc.sklearn", "graphc.commands", "graphc.cli", "graphc",
)  # fmt: skip

# Side by side: what is declared is compiled by `graphc.functions` alone.
APART = "graphc.compiler", "graphc.declare"

PACKAGES = {"ir": "graphc.ir", "kernels": "graphc.kernels", "graphc": "graphc"}


def room_of(module: str) -> str:
    """The innermost of the rooms that a module stands in."""
    return max((r for r in ROOMS if module == r or module.startswith(r + ".")), key=len)


def module_of(path: Path) -> str:
    """The full name of the module in a file of this repository."""
    parts = [PACKAGES[path.parts[0]], *path.with_suffix("").parts[1:]]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path: Path) -> str:
    module = module_of(path)
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def _are_apart(room: str, other: str) -> bool:
    return all(r == a or r.startswith(a + ".") for r, a in zip((room, other), APART, strict=True))


def against_the_order(source: str, path: Path) -> list[str]:
    """What the file at `path` imports from rooms that it must not know."""
    room = room_of(module_of(path))
    ours = (m for m in imported_modules(source, package_of(path)) if m.split(".")[0] == "graphc")
    return [
        module
        for module in ours
        if ROOMS.index(room_of(module)) > ROOMS.index(room) or _are_apart(room, room_of(module))
    ]


ALL_SOURCES = [path for folder in PACKAGES for path in _sources(folder)]


@pytest.mark.parametrize("path", ALL_SOURCES, ids=str)
def test_rooms_are_in_order(path: Path) -> None:
    assert against_the_order((ROOT / path).read_text(), path) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("graphc/declare/init.py", "from graphc.train.model import Model"),
        ("graphc/declare/init.py", "from ..train import model"),
        ("graphc/declare/nn/layer.py", "def late():\n    from graphc.functions import function"),
        ("graphc/compiler/load/native.py", "from graphc.declare.graphs.variables import Variables"),
        (
            "graphc/errors.py",
            "if TYPE_CHECKING:\n    from graphc.inspect.nan_search import find_nan",
        ),
        ("graphc/inspect/explain.py", "import graphc.profiling.measuring.profile"),
        ("graphc/drawing/plan.py", "from graphc.profiling import rows"),
        ("graphc/profiling/measuring/profile.py", "from graphc.train.model import Model"),
        ("graphc/train/model.py", "from graphc.commands import script"),
        ("graphc/train/model.py", "from graphc.sklearn import mlp"),
        ("graphc/train/model.py", "import graphc as gc"),
        ("graphc/train/model.py", "from graphc import nn"),
    ],
)
def test_an_import_against_the_order_is_seen(path: str, source: str) -> None:
    assert against_the_order(source, Path(path)) != []


def test_an_import_in_the_order_is_not() -> None:
    source = "from graphc import errors\nfrom ..functions import function\nimport graphc.ir.graph"
    assert against_the_order(source, Path("graphc/train/model.py")) == []


def test_every_folder_of_modules_is_installed() -> None:
    """`pyproject.toml` names them: the folders stand in other places than their packages."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {package_of(path) for path in ALL_SOURCES}
    assert set(settings["packages"]) == folders


# --- circles ---------------------------------------------------------------------------------


def circles(imports: Mapping[str, set[str]]) -> set[str]:
    """The modules that are in a circle, or on a way from one circle to another.

    Modules that import nothing of the rest, and those that nothing of the rest imports, are taken
    away until there are none.
    """
    left = {module: set(imported) for module, imported in imports.items()}
    while True:
        imported = set().union(*left.values())
        gone = {module for module in left if not left[module] or module not in imported}
        if not gone:
            return set(left)
        left = {m: left[m] - gone for m in left.keys() - gone}


def import_graph(sources: Mapping[Path, str]) -> dict[str, set[str]]:
    """The modules that each module of `sources` imports, of these alone."""
    modules = {module_of(path) for path in sources}

    def known(name: str) -> str:
        while name and name not in modules:
            name = name.rpartition(".")[0]
        return name

    return {
        module_of(path): {known(m) for m in imported_modules(source, package_of(path))} - {""}
        for path, source in sources.items()
    }


def test_no_modules_import_each_other_in_a_circle() -> None:
    sources = {path: (ROOT / path).read_text() for path in ALL_SOURCES}
    assert circles(import_graph(sources)) == set()


@pytest.mark.parametrize(
    "back",
    [
        "from graphc.train import model",
        "from . import model",
        "from .model import Model",
        "def late():\n    import graphc.train.model",
        "if TYPE_CHECKING:\n    from graphc.train.model import Model",
    ],
)
def test_a_circle_is_seen(back: str) -> None:
    sources = {
        Path("graphc/train/model.py"): "from graphc.train.loop import Training",
        Path("graphc/train/loop.py"): "from graphc.train.data import Batches",
        Path("graphc/train/data.py"): back,
        Path("graphc/train/plots.py"): "from graphc.train.model import Model",
    }
    of_circle = {"graphc.train.model", "graphc.train.loop", "graphc.train.data"}
    assert circles(import_graph(sources)) == of_circle


def test_a_line_is_no_circle() -> None:
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == set()


@pytest.mark.parametrize("module", ["graphc.nn", "graphc.optim", "graphc.callbacks", "graphc.data"])
def test_public_modules_are_imported_as_users_write_them(module: str) -> None:
    public = importlib.import_module(module)
    assert getattr(importlib.import_module("graphc"), module.partition(".")[2]) is public


@pytest.mark.parametrize(
    "module", ["graphc.ir", "graphc.ir.ops", "graphc.ir.derive.autodiff", "graphc"]
)
def test_importing_leaves_the_compiler_out(module: str) -> None:
    """A process that finds plans and kernels on disk pays neither for numba nor for passes."""
    compiler = COMPILERS | {"graphc.compiler.pipeline", "graphc.kernels.loops.emit"}
    report = f"import sys, {module}; print(sorted({compiler!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, cwd=ROOT.anchor
    )
    assert done.stdout.strip() == "[]"
