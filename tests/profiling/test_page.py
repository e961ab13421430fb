"""The page of a profile, opened in a headless Chromium; what it logs or asks for fails the test."""

import html
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from graphc.errors import MissingExtraError
from graphc.profiling.results import Profile
from graphc.profiling.shown import page as page_module
from graphc.profiling.shown.page import profile_page
from tests.browser import OpenPage


@pytest.fixture(scope="session")
def file(net: Profile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "profile.html"
    path.write_text(profile_page(net, "net.py"))
    return path


def test_what_the_page_shows(open_page: OpenPage, file: Path, net: Profile) -> None:
    page = open_page(file)
    assert page.title() == "net.py: profile"
    names = [kernel.name for kernel in net.fused.kernels]
    assert page.locator(".bar-name").all_inner_texts() == names
    assert page.locator("table.fused tbody tr td:first-child").all_inner_texts() == names
    unfused = [kernel.name for kernel in net.unfused.kernels]
    page.get_by_text(f"the unfused step: {len(unfused)} kernels").click()
    # The table is made when the fold opens, which the browser tells a moment later.
    page.locator("table.unfused tbody tr").first.wait_for()
    assert page.locator("table.unfused tbody tr td:first-child").all_text_contents() == unfused
    assert page.locator(".wide .point.fused").count() == len(names)
    assert page.locator(".wide .point.unfused").count() == len(unfused)
    roofs = page.locator(".wide .roof title").all_text_contents()
    assert {text.partition(":")[0] for text in roofs} == {
        *(level.name for level in net.roofline.levels),
        "f32",
    }
    for which, step in (("fused", net.fused), ("unfused", net.unfused)):
        areas = page.locator(f".arena-map.{which} rect")
        assert areas.count() == len(step.loaded.plan.arena.ranges)
        assert page.locator(f".thread-map.{which} rect").count() == len(step.timeline)
    assert page.locator("#graph svg").count() == 2


def shown(page: Any) -> tuple[str, str]:
    """The heading and the source in the panel that shows a kernel."""
    return page.locator("#detail h2").inner_text(), page.locator("#detail code").inner_text()


def test_the_source_of_a_kernel_at_a_click(open_page: OpenPage, file: Path, net: Profile) -> None:
    page = open_page(file)
    row, kernel = next(
        (n, k) for n, k in enumerate(net.fused.kernels) if k.name == "matmul_tanh_multiply"
    )
    source = net.fused.loaded.plan.instructions[row].source.text
    for place in (
        f'.bar-row[data-kernel="fused-{row}"]',
        f'table.fused tr[data-kernel="fused-{row}"]',
        f'.wide .point[data-kernel="fused-{row}"]',
    ):
        page.keyboard.press("Escape")
        assert not page.locator("#detail").is_visible()
        page.locator(place).click()
        assert shown(page) == (f"{kernel.name} (fused)", source)
    assert page.locator("#detail .comment").count() > 0
    figures = page.locator("#detail dl").inner_text()
    assert f"{kernel.bytes:,} at" in figures and "matmul add tanh" in figures
    assert "matmul: f32[8,5], add: f32[8,5]" in figures
    page.get_by_text(f"the unfused step: {len(net.unfused.kernels)} kernels").click()
    page.locator('table.unfused tr[data-kernel="unfused-2"]').click()
    expected = net.unfused.loaded.plan.instructions[2].source
    assert shown(page) == (f"{expected.name} (unfused)", expected.text)


def test_hover(open_page: OpenPage, file: Path, net: Profile) -> None:
    page = open_page(file)
    page.locator('.wide .point[data-kernel="fused-0"]').hover()
    assert net.fused.kernels[0].name in page.locator("#tip").inner_text()
    assert "of the roofline" in page.locator("#tip").inner_text()
    live = net.fused.loaded.plan.arena.ranges[0]
    page.locator(".arena-map.fused rect").first.hover()
    assert page.locator("#tip b").inner_text() == live.storage.name
    assert f"f32[{live.storage.size}]" in page.locator("#tip").inner_text()


def test_on_a_phone(open_page: OpenPage, file: Path) -> None:
    page = open_page(file, width=390, height=800, dark=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert not page.locator("#detail").is_visible()
    assert page.locator(".narrow svg.roofline").is_visible()
    assert not page.locator(".wide svg.roofline").is_visible()
    page.locator(".bar-row").nth(1).click()
    box = page.locator("#detail").bounding_box()
    assert box["x"] == 0 and box["width"] == 390 and box["y"] > 800 / 3
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, dark.removeprefix("rgb(").removesuffix(")").split(","))) < 100


def test_nothing_in_a_name_is_markup(net: Profile, open_page: OpenPage, tmp_path: Path) -> None:
    name = "</script><b>&amp;"
    kernels = (replace(net.fused.kernels[0], name=name), *net.fused.kernels[1:])
    odd = replace(net, fused=replace(net.fused, kernels=kernels))
    path = tmp_path / "odd.html"
    path.write_text(profile_page(odd, name))
    page = open_page(path)
    assert page.title() == f"{name}: profile"
    page.locator(".bar-row").first.click()
    assert page.locator("#detail h2").inner_text() == f"{name} (fused)"


def test_a_page_without_a_layout_engine(net: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise MissingExtraError("pip install '.[draw]'")

    monkeypatch.setattr(page_module, "graph_panel", fail)
    assert "pip install &#x27;.[draw]&#x27;" in profile_page(net, "net.py")


def test_in_a_notebook(net: Profile) -> None:
    """The page in a frame, and tables for rich."""
    text = net._repr_html_()
    assert text.startswith("<iframe srcdoc=") and "</iframe>" in text
    assert html.escape("<title>train step: profile</title>") in text
    console = Console(width=100, file=io.StringIO())
    console.print(net)
    assert "fused over unfused: " in console.file.getvalue()
