"""The picture of a roofline: what lies above what, and what it says of a busy machine."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from graphc.profiling.results import MEASURED_BUSY, Profile
from graphc.profiling.shown.roofline_chart import roofline_chart
from graphc.profiling.shown.terminal import profile_lines


def chart(profile: Profile) -> str:
    return roofline_chart(profile, 700, 420)


def with_roof_share(profile: Profile, share: float) -> Profile:
    """The profile with one kernel that takes a microsecond and `share` of its roof."""
    first, *others = profile.fused.kernels
    kernel = replace(first, roofline_share=share, nanoseconds=1e3)
    rest = [replace(other, roofline_share=0.5) for other in others]
    unfused = [replace(other, roofline_share=0.5) for other in profile.unfused.kernels]
    return replace(
        profile,
        fused=replace(profile.fused, kernels=(kernel, *rest)),
        unfused=replace(profile.unfused, kernels=tuple(unfused)),
    )


def test_names_are_drawn_behind_all_lines_so_they_lie_above(net: Profile) -> None:
    shapes = re.findall(r"<(path|circle|text) class=\"([^\"]*)\"", chart(net))
    names = [n for n, (_, kind) in enumerate(shapes) if kind.split()[0].endswith("-name")]
    lines = [n for n, (shape, _) in enumerate(shapes) if shape in ("path", "circle")]
    assert names and min(names) > max(lines)


@pytest.mark.parametrize("share", [0.9, 1.3])
def test_a_point_above_the_roof_was_measured_on_a_busy_machine(net: Profile, share: float) -> None:
    profile = with_roof_share(net, share)
    assert (MEASURED_BUSY in chart(profile)) == (share > 1)
    report = "\n".join(line.plain for line in profile_lines(profile, 200))
    assert (MEASURED_BUSY in report) == (share > 1)
