"""README and docs are true: their code runs, their output is the compiler's, their names exist.

`pytest tests/test_docs.py --update-golden` writes anew what pages show: the output of `graphc`
commands and of Python, and drawings.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import graphc as gc
from graphc import cli
from graphc.functions import variants

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# The width of vectors that pages show, whatever the machine has; and one thread.
VECTOR_BITS = 512

CODE_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSPECTION = re.compile(
    r"^```console\n\$ (?P<command>graphc (?:inspect|explain) [^\n]*)\n(?P<output>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# Python, and what it prints where the page shows that.
SESSION = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:\n\n```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
DRAWING = re.compile(r"^    (?P<command>graphc draw .*) --svg (?P<file>docs/\S+)$", re.MULTILINE)
SETTING = re.compile(r"\bGRAPHC_[A-Z_]+\b")
CODE_SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
API_NAME = re.compile(r"\bgc((?:\.[A-Za-z_]\w*)+)")
FILE_NAME = re.compile(r"\b(?:graphc|ir|kernels|benchmarks|examples|tests|docs)/[\w/]+\.\w+")
ABSOLUTE_PATH = re.compile(r"(?<![\w./:<-])/[a-z]+/[\w.-]")

# Those with more than a minute of blocks, most of it compilation.
LONG_PAGES = [page for page in PAGES if page.name in ("guide.md", "recipes.md")]

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code_of(page: Path) -> list[str]:
    """Everything that the page sets as code: lines of blocks, and spans."""
    text = page.read_text()
    lines = [line for _, block in CODE_BLOCK.findall(text) for line in block.splitlines()]
    return [*lines, *CODE_SPAN.findall(CODE_BLOCK.sub("", text))]


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.long] * (p in LONG_PAGES)) for p in PAGES],
    ids=lambda page: page.name,
)
def test_python_blocks_run_in_order(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": page.stem}
    text = page.read_text()

    def run(found: re.Match[str]) -> str:
        # A file for each block: messages name a line of it, and quote the line.
        file = tmp_path / str(found.start()) / f"{page.stem}.py"
        file.parent.mkdir()
        file.write_text(found["code"])
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(found["code"], file, "exec"), namespace)
        if found["output"] is None:
            return found[0]
        return f"```python\n{found['code']}```\n\n```text\n{printed.getvalue()}```"

    actual = SESSION.sub(run, text)
    if request.config.getoption("--update-golden"):
        page.write_text(actual)
        return
    assert text == actual


@every_page
def test_inspections_show_what_the_compiler_prints(
    page: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("GRAPHC_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(variants, "native", lambda: SimpleNamespace(vector_bits=VECTOR_BITS))

    def printed(found: re.Match[str]) -> str:
        result = CliRunner().invoke(cli.main, shlex.split(found["command"])[1:])
        assert result.exit_code == 0, result.output
        return f"```console\n$ {found['command']}\n{result.output}```"

    text = page.read_text()
    actual = INSPECTION.sub(printed, text)
    if request.config.getoption("--update-golden"):
        page.write_text(actual)
        return
    assert text == actual


@pytest.mark.parametrize("pattern", [INSPECTION, SESSION, DRAWING, SETTING])
def test_pages_have_what_is_checked(pattern: re.Pattern[str]) -> None:
    assert any(pattern.search(page.read_text()) for page in PAGES)


@every_page
def test_drawings_are_what_their_commands_draw(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list(DRAWING.finditer(page.read_text()))
    if found:
        pytest.importorskip("py_mini_racer", reason="drawing needs the extra 'draw'")
    monkeypatch.chdir(ROOT)
    for number, drawing in enumerate(found):
        made = tmp_path / f"{number}.svg"
        words = [*shlex.split(drawing["command"])[1:], "--svg", str(made)]
        result = CliRunner().invoke(cli.main, words)
        assert result.exit_code == 0, result.output
        if request.config.getoption("--update-golden"):
            (ROOT / drawing["file"]).write_text(made.read_text())
        assert (ROOT / drawing["file"]).read_text() == made.read_text()


def test_the_guide_lists_all_settings() -> None:
    rooms = [path for room in ("graphc", "ir", "kernels") for path in (ROOT / room).rglob("*.py")]
    known = {name for path in rooms for name in SETTING.findall(path.read_text())}
    listed = re.findall(r"^\| `(GRAPHC_[A-Z_]+)` \|", (ROOT / "docs/guide.md").read_text(), re.M)
    assert sorted(listed) == sorted(known)


@every_page
def test_commands_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for code in code_of(page):
        words = code.removeprefix("$ ").split()
        if words[:1] == ["make"]:
            assert set(words[1:]) <= set(targets), code
        if words[:1] == ["graphc"] and len(words) > 1:
            assert words[1] in cli.main.commands or words[1].startswith("-"), code
        if words[:2] == ["python", "-m"] and words[2].startswith("benchmarks"):
            assert importlib.util.find_spec(words[2]) is not None, code


@every_page
def test_links_lead_to_files(page: Path) -> None:
    for target in LINK.findall(CODE_BLOCK.sub("", page.read_text())):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@every_page
def test_named_files_exist(page: Path) -> None:
    for code in code_of(page):
        for name in FILE_NAME.findall(code):
            assert (ROOT / name).exists(), name


@every_page
def test_names_of_the_package_exist(page: Path) -> None:
    for code in code_of(page):
        for dotted in API_NAME.findall(code):
            value: object = gc
            for name in dotted.split(".")[1:]:
                assert hasattr(value, name), f"gc{dotted}"
                value = getattr(value, name)
                if isinstance(value, type):
                    break


@every_page
def test_no_path_of_one_machine(page: Path) -> None:
    assert not ABSOLUTE_PATH.search(page.read_text())
