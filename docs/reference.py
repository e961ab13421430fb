"""Pages of the API reference, made of public names and their docstrings: a hook of mkdocs.

A module's public names are those of its `__all__`. `python -m mkdocs build` calls `on_files`, which
adds a page for each module, and `on_config`, which lists the pages.
"""

from __future__ import annotations

import html
import inspect
import re
import types
from collections.abc import Iterable, Iterator
from typing import Any

import graphc as gc
import graphc.sklearn

FOLDER = "reference"
# Those that `import graphc as gc` does not bring along.
FURTHER_MODULES: tuple[types.ModuleType, ...] = (graphc.sklearn,)

# Kinds of names in the order of a page, with the heading of each.
HEADINGS = ("Classes", "Functions", "Ops", "Dtypes", "Errors")

LONGEST_LINE = 90

_PARAMETERS = re.compile(r"^(\*{0,2}[a-z_]\w*(?:, \*{0,2}[a-z_]\w*)*): ")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def public_modules() -> dict[str, types.ModuleType]:
    """The package itself and the modules that users find in it, by the name that users write."""
    found: dict[str, types.ModuleType] = {"gc": gc}
    for name in gc.__all__:
        value = getattr(gc, name)
        if isinstance(value, types.ModuleType):
            found[f"gc.{name}"] = value
    found |= {module.__name__: module for module in FURTHER_MODULES}
    return found


def public_names(module: types.ModuleType) -> list[str]:
    """What `__all__` lists, but for modules, which have pages of their own."""
    return [n for n in module.__all__ if not isinstance(getattr(module, n), types.ModuleType)]


def reference_pages() -> dict[str, str]:
    """The text of each page by its file name, in Markdown; first the index."""
    modules = public_modules()
    rows = [
        f"| [`{name}`]({name}.md) | {_escaped(_first_sentence(module))} |"
        for name, module in modules.items()
    ]
    index = ["# Reference", "", "| module | what is in it |", "| --- | --- |", *rows]
    pages = {"index.md": "\n".join(index) + "\n"}
    return pages | {f"{name}.md": module_page(name, module) for name, module in modules.items()}


def module_page(name: str, module: types.ModuleType) -> str:
    """The page of a module: its docstring, then its names by kind."""
    lines = [f"# {name}", "", docstring_text(module), ""]
    named = [(each, getattr(module, each)) for each in public_names(module)]
    for heading in HEADINGS:
        entries = [(each, value) for each, value in named if _heading(value) == heading]
        if entries:
            lines += [f"## {heading}", ""]
            for each, value in entries:
                lines += _entry(f"{name}.{each}", value)
    return "\n".join(lines)


def _heading(value: Any) -> str:
    if isinstance(value, type):
        return "Errors" if issubclass(value, BaseException) else "Classes"
    if isinstance(value, gc.Op):
        return "Ops"
    return "Dtypes" if isinstance(value, gc.DType) else "Functions"


def _entry(name: str, value: Any, level: int = 3) -> list[str]:
    lines = [f"{'#' * level} {name} {{ #{name} }}", ""]
    signature = _signature(name.rpartition(".")[2], value)
    if signature:
        lines += ["```python", signature, "```", ""]
    lines += [docstring_text(value), ""]
    if isinstance(value, type):
        for member, each in _members(value):
            lines += _entry(f"{name}.{member}", each, level + 1)
    return lines


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that graphc defines, those of base classes too."""
    for name in sorted(dir(cls)):
        if name.startswith("_"):
            continue
        value = inspect.getattr_static(cls, name)
        if isinstance(value, classmethod | staticmethod):
            value = value.__func__
        described = value.fget if isinstance(value, property) else value
        is_ours = str(getattr(described, "__module__", "")).startswith("graphc")
        if (callable(value) or isinstance(value, property)) and is_ours and described.__doc__:
            yield name, value


def _signature(name: str, value: Any) -> str:
    """As a call would be written; nothing for what is not called."""
    if isinstance(value, property) or not callable(value):
        return ""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    returned = inspect.Signature.empty if isinstance(value, type) else signature.return_annotation
    parameters = [
        each.replace(annotation=_Plain(each.annotation))
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    whole = signature.replace(parameters=parameters, return_annotation=_Plain(returned))
    one_line = f"{name}{whole}"
    lines = one_line if len(one_line) <= LONGEST_LINE else _broken(name, whole)
    return _ADDRESS.sub("", lines)


class _Plain:
    """An annotation that is shown as it was written: modules keep theirs as text."""

    def __new__(cls, annotation: Any) -> Any:
        is_text = isinstance(annotation, str)
        return super().__new__(cls) if is_text else annotation

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation

    def __repr__(self) -> str:
        return str(self.annotation)


def _broken(name: str, signature: inspect.Signature) -> str:
    """The signature with a line for each parameter."""
    returned = signature.return_annotation
    end = "" if returned is inspect.Signature.empty else f" -> {returned}"
    lines, has_star = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not has_star:
            lines.append("    *,")
        has_star |= parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        lines.append(f"    {parameter},")
    return "\n".join([f"{name}(", *lines, f"){end}"])


def docstring_text(value: Any) -> str:
    """A docstring as Markdown: lines such as `name: what it is` become items of a list."""
    text = inspect.getdoc(value) or ""
    made: list[str] = []
    in_list = False
    for line in text.splitlines():
        is_code = line.startswith("    ")
        found = None if is_code else _PARAMETERS.match(line)
        if found is not None:
            if made and made[-1] and not in_list:
                made.append("")
            made.append(f"- `{found[1]}`: {_escaped(line[found.end() :])}")
            in_list = True
        elif not line:
            made.append("")
            in_list = False
        elif is_code:
            made.append(line)
        else:
            made.append(f"  {_escaped(line.strip())}" if in_list else _escaped(line))
    return "\n".join(made)


def _escaped(text: str) -> str:
    """The text with what Markdown or HTML would take for its own made plain, outside of code."""
    parts = text.split("`")
    for place in range(0, len(parts), 2):
        plain = html.escape(parts[place], quote=False)
        parts[place] = re.sub(r"(?<!\\)([*_|\[])", r"\\\1", plain)
    return "`".join(parts)


def _first_sentence(module: types.ModuleType) -> str:
    return (inspect.getdoc(module) or "").partition("\n\n")[0].replace("\n", " ")


# --- called by mkdocs --------------------------------------------------------------------------


def on_config(config: Any) -> Any:
    """Lists the pages of the reference below its index."""
    for entry in config.nav:
        if isinstance(entry, dict) and f"{FOLDER}/index.md" in entry.values():
            (title,) = entry
            pages: Iterable[str] = reference_pages()
            entry[title] = [f"{FOLDER}/{page}" for page in pages]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages of the reference to those of the folder."""
    from mkdocs.structure.files import File

    for page, text in reference_pages().items():
        files.append(File.generated(config, f"{FOLDER}/{page}", content=text))
    return files
