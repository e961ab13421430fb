"""The report in the terminal at several widths."""

import re
from dataclasses import replace

import pytest

from graphc.profiling.results import KernelProfile, Profile
from graphc.profiling.shown.figures import microseconds, scaled, significant
from graphc.profiling.shown.layout import Column, table
from graphc.profiling.shown.page import profile_page
from graphc.profiling.shown.terminal import profile_lines


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("name", ["net", "shared"])
def test_no_line_is_wider_than_the_terminal(
    request: pytest.FixtureRequest, name: str, width: int
) -> None:
    measured: Profile = request.getfixturevalue(name)
    lines = [line.plain for line in profile_lines(measured, width)]
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for kernel in measured.fused.kernels:
        row = re.escape(kernel.name) + r"\s+" + re.escape(microseconds(kernel.nanoseconds))
        assert re.search(rf"^{row}\s", text, re.MULTILINE), kernel.name
        assert scaled(kernel.bytes, "B") in text and scaled(kernel.flops) in text
        assert significant(kernel.gigaflops_per_second) in text
        assert f"conftest.py:{kernel.lines[0].line}" in text


def test_wide_rows_hold_all(net: Profile) -> None:
    lines = [line.plain for line in profile_lines(net, 200)]
    row = next(line for line in lines if line.startswith("matmul_tanh_multiply "))
    assert re.search(
        r"548 B\s+520\s.*matmul add tanh tanh_tail subtract multiply · conftest.py:\d+$", row
    )


def test_long_lists_of_ops_end(net: Profile) -> None:
    kernel = replace(net.fused.kernels[1], ops=tuple(f"op{n}" for n in range(40)))
    lines = _lines(_with_kernels(net, kernel))
    row = next(line for line in lines if line.startswith(f"{kernel.name} "))
    assert " op0 op1 op2 op3 op4 op5 op6 op7 and 32 more · " in row


def test_the_title_says_what_is_shared(net: Profile, shared: Profile) -> None:
    """A step of kernels that all run alone has no columns of threads, whatever it might use."""
    for measured in (shared, replace(net, threads=2)):
        lines = _lines(measured)
        assert ", at most 2 threads, " in lines[0]
        count = sum(kernel.threads == 2 for kernel in measured.fused.kernels)
        title = next(n for n, line in enumerate(lines) if line.startswith("fused: "))
        assert (
            f"{len(measured.fused.kernels)} kernels ({count or 'none'} on 2 threads)"
            in lines[title]
        )
        assert ("wait us" in lines[title + 1]) == (count > 0) == (measured is shared)
    assert ", 1 thread, " in _lines(net)[0]


@pytest.mark.parametrize(
    ("nanoseconds", "share", "shown", "note"),
    [
        (61.0, 1.17, "~117%", "~ under 300 ns"),
        (299.0, 0.5, "~50%", "~ under 300 ns"),
        (300.0, 0.5, "50%", ""),
        (5000.0, 1.31, "131%", "roof over 100%: "),
    ],
)
def test_a_roof_that_is_passed_is_explained(
    net: Profile, nanoseconds: float, share: float, shown: str, note: str
) -> None:
    kernel = replace(net.fused.kernels[1], nanoseconds=nanoseconds, roofline_share=share)
    lines = _lines(_with_kernels(net, kernel))
    row = next(line for line in lines if line.startswith(f"{kernel.name} "))
    assert f"  {shown}  " in row
    notes = [line for line in lines if line.startswith(("~", "roof over"))]
    assert [line.startswith(note) for line in notes] == ([True] if note else [])


def _lines(measured: Profile) -> list[str]:
    return [line.plain for line in profile_lines(measured, 200)]


def _with_kernels(measured: Profile, *kernels: KernelProfile) -> Profile:
    """As if both steps had these kernels alone."""
    return replace(
        measured,
        fused=replace(measured.fused, kernels=kernels),
        unfused=replace(measured.unfused, kernels=kernels),
    )


def test_what_fusions_save_is_listed(net: Profile) -> None:
    lines = [line.plain for line in profile_lines(net, 200)]
    start = next(n for n, line in enumerate(lines) if line.startswith("what each fusion saves"))
    (row,) = [line for line in lines[start:] if line.startswith("matmul_tanh_multiply ")]
    assert row.split()[1] == "6"
    kept = ("matmul", "add", "tanh_tail", "subtract")
    assert "1.60 kB" in row and row.endswith(", ".join(f"{name}: f32[8,5]" for name in kept))


def rendered(width: int) -> list[str]:
    names = Column("kernel", ("first", "second"))
    figures = [Column("us", ("1.00", "20.0")), Column("calls", ("1", "1"), drop=1)]
    return [line.plain for line in table(names, figures, ["a b c", "net.py:1"], width)]


def test_a_table_gives_way() -> None:
    assert rendered(80) == [
        "kernel    us  calls",
        "first   1.00      1  a b c",
        "second  20.0      1  net.py:1",
    ]
    assert rendered(22) == [
        "kernel    us",
        "first   1.00  a b c",
        "second  20.0  net.py:1",
    ]
    assert rendered(20) == [
        "kernel    us  calls",
        "first   1.00      1",
        "    a b c",
        "second  20.0      1",
        "    net.py:1",
    ]
    assert rendered(13) == [
        "kernel    us",
        "first   1.00",
        "    a b c",
        "second  20.0",
        "    net.py:1",
    ]
    assert rendered(10) == [
        "      us",
        "first",
        "    1.00",
        "    a b c",
        "second",
        "    20.0",
        "    net.py:1",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1540, "1.54 kB"), (235e6, "235 MB"), (-2500, "-2.50 kB")],
)
def test_scaled(value: float, text: str) -> None:
    assert scaled(value, "B") == text


def test_a_busy_machine_is_named(net: Profile) -> None:
    quiet, busy = replace(net, lost_share=0.01), replace(net, lost_share=0.48)
    assert quiet.busy_text is None
    assert "the machine was busy" not in "\n".join(_lines(quiet))
    assert "other processes had processors for 48% of the time" in " ".join(_lines(busy))
    assert "the machine was busy" in profile_page(busy, "a net")
