"""The reference has every public name, and the pages of `make docs` work without a server."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _load()


@pytest.mark.parametrize("name", reference.public_modules())
def test_every_public_name_has_an_entry_and_says_what_it_is(name: str) -> None:
    module = reference.public_modules()[name]
    page = reference.module_page(name, module)
    entries = re.split(r"^### (\S+) \{ #\S+ \}$", page, flags=re.MULTILINE)[1:]
    texts = dict(zip(entries[::2], entries[1::2], strict=True))
    assert set(texts) == {f"{name}.{each}" for each in reference.public_names(module)}
    bare = [each for each, text in texts.items() if not re.search(r"\w", _prose(text))]
    assert not bare


def _prose(text: str) -> str:
    """Without signatures and headings of members."""
    return re.sub(r"^(```python\n.*?^```|#+ .*?)$", "", text, flags=re.MULTILINE | re.DOTALL)


def test_a_docstring_becomes_markdown() -> None:
    def documented() -> None:
        """x * y and <name>, `a_b`.

        one, two: what they are
            and code
        more of it

            example(one)
        """

    assert reference.docstring_text(documented).splitlines() == [
        r"x \* y and &lt;name&gt;, `a_b`.",
        "",
        "- `one, two`: what they are",
        "    and code",
        "  more of it",
        "",
        "    example(one)",
    ]


class _Links(HTMLParser):
    """What a page refers to, and the places in it that may be referred to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        self.places |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag in ("link", "script", "img", "iframe"):
            self.loaded += [found[name] for name in ("href", "src") if name in found]


def _read(page: Path) -> _Links:
    links = _Links()
    links.feed(page.read_text())
    return links


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


def test_links_lead_somewhere_and_nothing_is_loaded_from_afar(site: Path) -> None:
    pages = {page: _read(page) for page in site.rglob("*.html") if page.name != "404.html"}
    assert site / "guide.html" in pages and site / "reference" / "gc.nn.html" in pages
    wrong = []
    for page, found in pages.items():
        wrong += [each for each in found.loaded if urlsplit(each).scheme in ("http", "https")]
        for link in (*found.links, *found.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            is_missing = not target.exists()
            known = pages[target].places if target in pages else None
            if is_missing or (known is not None and parts.fragment and
                              unquote(parts.fragment) not in known):  # fmt: skip
                wrong.append(f"{page.name}: {link}")
    assert not wrong
