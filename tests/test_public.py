"""What users may use: in `__all__`, in completion, and explained by `help`."""

from __future__ import annotations

import importlib
import inspect
import pydoc
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import graphc as gc
from graphc.instead import INSTEAD, INSTEAD_IN
from graphc.ir.nodes.op import Op
from graphc.ir.ops.elementwise import elementwise as ops

ROOT = Path(__file__).parent.parent
MODULES = (
    "callbacks", "data", "init", "loggers", "losses", "metrics", "nn", "optim", "random",
    "schedules", "testing",
)  # fmt: skip
PUBLIC = {"gc": gc, **{f"gc.{m}": importlib.import_module(f"graphc.{m}") for m in MODULES}}
# Functions that refuse nothing that they are given.
NEVER_RAISE = {
    "gc.testing.away_from_zero", "gc.testing.bools", "gc.testing.fixed", "gc.testing.integers",
    "gc.testing.uniform",
}  # fmt: skip
# A line that assigns, decorates, enters or calls.
EXAMPLE = re.compile(r"^ +(?:(?:@|with |[\w\[\], ]+ = ).*\bgc\.|gc\.[\w.]+\()", re.MULTILINE)
NAME = re.compile(r"\bgc((?:\.[A-Za-z_]\w*)+)")

every_module = pytest.mark.parametrize("name", PUBLIC)


def named(module: str) -> dict[str, Any]:
    """The public names of a module that are no modules, in full."""
    found = {f"{module}.{name}": getattr(PUBLIC[module], name) for name in PUBLIC[module].__all__}
    return {name: value for name, value in found.items() if not inspect.ismodule(value)}


FUNCTIONS = {
    name: value
    for module in PUBLIC
    for name, value in named(module).items()
    if inspect.isfunction(value) or isinstance(value, Op)
}


@every_module
def test_completion_shows_public_names_alone(name: str) -> None:
    module = PUBLIC[name]
    assert dir(module) == sorted(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, each) for each in module.__all__)


def test_every_public_module_is_a_name_of_graphc() -> None:
    modules = {name for name in gc.__all__ if isinstance(getattr(gc, name), ModuleType)}
    assert modules == set(MODULES)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_what_pages_name_is_public(page: Path) -> None:
    for dotted in NAME.findall(page.read_text()):
        module, _, name = f"gc{dotted}".rpartition(".")
        if module in PUBLIC:
            assert name in PUBLIC[module].__all__, f"{module}.{name}"


@every_module
def test_every_name_is_explained(name: str) -> None:
    """By its own words where it is called, by those of its class where it is data."""
    for full, value in named(name).items():
        if callable(value):
            assert (value.__doc__ or "").strip(), full


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_it_refuses(name: str) -> None:
    # Layers are explained by their classes.
    if name not in NEVER_RAISE and not name.startswith("gc.nn."):
        assert re.search(r"\b[Rr]aises?\b", FUNCTIONS[name].__doc__), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_line_of_example(name: str) -> None:
    if not name.startswith(("gc.nn.", "gc.testing.")):
        assert EXAMPLE.search(FUNCTIONS[name].__doc__), name


@pytest.mark.parametrize("name", ("callbacks", "loggers", "metrics", "nn", "optim", "schedules"))
def test_a_wrong_word_names_what_was_called(name: str) -> None:
    for full, value in named(f"gc.{name}").items():
        if callable(value) and full != "gc.callbacks.Logs":
            with pytest.raises(TypeError, match=rf"\b{full.rpartition('.')[2]}\b"):
                value(no_such_word=1)


def test_a_layers_short_form_names_itself_and_the_line() -> None:
    x = gc.Graph().input("x", ("batch", 8, 8, 3))
    for wrong in ({"no_such_word": 1}, {}):
        with pytest.raises(TypeError, match=r"^conv2d: .*\n  at test_public.py:"):
            gc.nn.conv2d(x, kernel_size=3, **wrong)

    class Stem(gc.nn.Conv2D):
        """A layer of a user's, whose constructor is another's."""

    with pytest.raises(TypeError, match=r"Stem\.__init__\(\) got an unexpected keyword argument"):
        Stem(4, 3, no_such_word=1)
    assert Stem(4, 3)(x).shape == (gc.Dim("batch"), 6, 6, 4)


def test_help_explains_an_op_and_not_the_record() -> None:
    shown = pydoc.plain(pydoc.render_doc(gc.exp))
    assert "e^x, elementwise" in shown and "f32 or f64" in shown and "gc.exp(x)" in shown
    assert "vjp" not in shown and "lowering" not in shown
    assert "One operation." in pydoc.plain(pydoc.render_doc(gc.Op))
    assert str(inspect.signature(gc.maximum)) == "(x, y, /)"
    assert str(inspect.signature(ops.elu)) == "(x, /, *, alpha)"


def test_every_public_op_has_its_formula() -> None:
    public = {name: value for name, value in FUNCTIONS.items() if isinstance(value, Op)}
    assert len(public) > 30
    for name, op in public.items():
        first, rest = op.doc.split("\n", 1)
        assert first.endswith(", elementwise.") and f"{name}(" in rest
        assert all(len(line) <= 92 for line in op.doc.splitlines())


def test_an_op_is_itself() -> None:
    x = gc.Graph().input("x", (3,))
    assert gc.exp(x).op is gc.exp is ops.exp


def test_names_of_other_libraries_say_what_there_is() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'float32'; instead: gc\.f32$"):
        gc.float32  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        gc.nothing  # noqa: B018
    with pytest.raises(
        AttributeError, match=r"^module 'graphc\.nn' has .*; instead: gc\.nn\.Dense$"
    ):
        gc.nn.Linear  # noqa: B018
    with pytest.raises(
        AttributeError, match=r"^module 'graphc\.optim' has no attribute 'nothing'$"
    ):
        gc.optim.nothing  # noqa: B018
    assert not INSTEAD.keys() & set(gc.__all__)
    for module, names in INSTEAD_IN.items():
        assert not names.keys() & set(PUBLIC[f"gc.{module}"].__all__)
    for text in [*INSTEAD.values(), *(t for names in INSTEAD_IN.values() for t in names.values())]:
        for dotted in NAME.findall(text):
            value: Any = gc
            for part in dotted.split(".")[1:]:
                value = getattr(value, part)
