"""The roofline as a chart: log-log, kernels as points below the roofs of this machine."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphc.profiling.results import MEASURED_BUSY, KernelProfile, Profile
from graphc.profiling.roofline import Level, Roofline
from graphc.profiling.shown.figures import scaled, significant

MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 46, 14, 22, 40

# Points are circles whose area tells the share of the step.
LEAST_RADIUS, RADIUS_OF_WHOLE = 3.0, 20.0

# How far under the slowest kernel the chart begins at the lowest: what hardly computes is drawn at
# the edge and leaves the room to others.
MOST_DECADES = 4

# Kernels that take more than this share of the step have their name beside them, if it fits.
LABELLED_SHARE = 0.04
CHARACTER_WIDTH, LABEL_HEIGHT = 6.6, 14


@dataclass(frozen=True)
class Axes:
    """The plane of a chart: operations a byte to the right, GFLOP/s up, both as logarithms of 10.
    width, height: of the whole chart in pixels."""

    width: int
    height: int
    x_from: float
    x_to: float
    y_from: float
    y_to: float

    def x(self, intensity: float) -> float:
        """Pixels from the left; what is beyond the axis is at its end."""
        part = (math.log10(intensity) - self.x_from) / (self.x_to - self.x_from)
        return MARGIN_LEFT + _inside(part) * (self.width - MARGIN_LEFT - MARGIN_RIGHT)

    def y(self, gigaflops: float) -> float:
        """Pixels from the top; what is beyond the axis is at its end."""
        part = (math.log10(gigaflops) - self.y_from) / (self.y_to - self.y_from)
        return (
            self.height - MARGIN_BOTTOM - _inside(part) * (self.height - MARGIN_TOP - MARGIN_BOTTOM)
        )


@dataclass(frozen=True)
class Point:
    """A kernel in the chart. key: `fused-3`, the step and the row."""

    key: str
    name: str
    intensity: float
    gigaflops: float
    share: float


def roofline_chart(profile: Profile, width: int, height: int) -> str:
    """An <svg> of the roofline of all threads with the kernels of both steps."""
    points = [
        *_points("unfused", profile.unfused.kernels),
        *_points("fused", profile.fused.kernels),
    ]
    kernels = (*profile.fused.kernels, *profile.unfused.kernels)
    dtypes = sorted({kernel.dtype for kernel in kernels})
    axes = _axes(profile.rooflines, points, width, height)
    single = profile.rooflines[0]
    parts = [
        *_grid(axes),
        *(_roofs(single, dtypes, axes, "single") if profile.threads > 1 else ()),
        *_roofs(profile.roofline, dtypes, axes, ""),
        *(_circle(point, axes) for point in points),
        # Last, since what comes later lies above.
        *_roof_names(profile.roofline, dtypes, axes),
        *_labels([point for point in points if point.key.startswith("fused-")], axes),
        *(_busy_note(axes) if profile.has_kernels_above_roof else ()),
    ]
    return (
        f'<svg class="roofline" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Roofline: operations a byte, and operations a second">{"".join(parts)}</svg>'
    )


def _inside(part: float) -> float:
    return min(max(part, 0.0), 1.0)


def _points(step: str, kernels: Sequence[KernelProfile]) -> Iterator[Point]:
    for row, kernel in enumerate(kernels):
        if kernel.bytes and kernel.flops and kernel.nanoseconds:
            intensity = kernel.flops / kernel.bytes
            rate = kernel.gigaflops_per_second
            yield Point(f"{step}-{row}", kernel.name, intensity, rate, kernel.share)


def _axes(rooflines: Sequence[Roofline], points: Sequence[Point], width: int, height: int) -> Axes:
    """Whole decades that hold all points, the peak, and the ridge where the slowest memory meets
    it."""
    peak = max(rate for roofline in rooflines for rate in roofline.peaks.values())
    slowest = min(level.gigabytes_per_second for level in rooflines[-1].levels)
    intensities = [point.intensity for point in points] + [peak / slowest]
    y_to = math.log10(2 * peak)
    lowest = min((point.gigaflops for point in points), default=peak / 10)
    return Axes(
        width,
        height,
        x_from=math.floor(math.log10(min(intensities))),
        x_to=math.ceil(math.log10(max(intensities))),
        y_from=max(math.floor(math.log10(lowest)), math.ceil(y_to) - MOST_DECADES),
        y_to=y_to,
    )


def _grid(axes: Axes) -> Iterator[str]:
    left, right = MARGIN_LEFT, axes.width - MARGIN_RIGHT
    top, bottom = MARGIN_TOP, axes.height - MARGIN_BOTTOM
    for decade in range(math.ceil(axes.x_from), math.floor(axes.x_to) + 1):
        x = axes.x(10.0**decade)
        yield f'<path class="grid" d="M{x:.1f} {top}V{bottom}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{bottom + 15}">{_power(decade)}</text>'
    for decade in range(math.ceil(axes.y_from), math.floor(axes.y_to) + 1):
        y = axes.y(10.0**decade)
        yield f'<path class="grid" d="M{left} {y:.1f}H{right}"/>'
        yield f'<text class="tick left" x="{left - 6}" y="{y + 4:.1f}">{_power(decade)}</text>'
    middle = (left + right) / 2
    yield f'<text class="axis" x="{middle:.0f}" y="{axes.height - 6}">FLOPs a byte</text>'
    yield '<text class="axis start" x="4" y="13">GFLOP/s</text>'


def _power(decade: int) -> str:
    return f"{10.0**decade:g}" if decade < 0 else scaled(10.0**decade).replace(" ", "")


def _roofs(roofline: Roofline, dtypes: Sequence[str], axes: Axes, style: str) -> Iterator[str]:
    """A slope a level of memory up to the highest peak, and the peaks of `dtypes`."""
    threads = "" if not style else ", 1 thread"
    for level, (x1, y1, x2, y2) in _slopes(roofline, dtypes, axes):
        yield _roof(
            f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}",
            f"{level.name}: {significant(level.gigabytes_per_second)} GB/s{threads}",
            style,
        )
    for dtype, rate in _peaks(roofline, dtypes):
        ridge, y = axes.x(rate / _fastest(roofline)), axes.y(rate)
        yield _roof(
            f"M{ridge:.1f} {y:.1f}H{axes.width - MARGIN_RIGHT}",
            f"{dtype}: {significant(rate)} GFLOP/s{threads}",
            style,
        )


def _roof_names(roofline: Roofline, dtypes: Sequence[str], axes: Axes) -> Iterator[str]:
    """The levels along their slopes, and the peaks above their ridges."""
    ridge = axes.x(min(10**axes.x_to, _highest(roofline, dtypes) / _fastest(roofline)))
    for level, (x1, y1, x2, y2) in _slopes(roofline, dtypes, axes):
        # Slopes are close to each other: each has its name further to the right.
        along = (roofline.levels.index(level) + 0.5) / len(roofline.levels)
        slope = (y2 - y1) / (x2 - x1)
        x = x1 + along * (ridge - x1)
        turned = f"translate({x:.1f} {y1 + slope * (x - x1) - 4:.1f}) "
        turned += f"rotate({math.degrees(math.atan(slope)):.1f})"
        yield f'<text class="roof-name" transform="{turned}">{html.escape(level.name)}</text>'
    for dtype, rate in _peaks(roofline, dtypes):
        x, y = axes.x(rate / _fastest(roofline)) + 4, axes.y(rate) - 5
        text = f"{dtype} {significant(rate)} GFLOP/s"
        yield f'<text class="roof-name" x="{x:.1f}" y="{y:.1f}">{text}</text>'


def _peaks(roofline: Roofline, dtypes: Sequence[str]) -> list[tuple[str, float]]:
    """The peak of each dtype, the highest first."""
    rates = ((dtype, roofline.peaks[dtype]) for dtype in dtypes)
    return sorted(rates, key=lambda each: each[1], reverse=True)


def _highest(roofline: Roofline, dtypes: Sequence[str]) -> float:
    return max((roofline.peaks[dtype] for dtype in dtypes), default=max(roofline.peaks.values()))


def _slopes(
    roofline: Roofline, dtypes: Sequence[str], axes: Axes
) -> Iterator[tuple[Level, tuple[float, float, float, float]]]:
    """The levels of memory whose slope is in the plane, from its left or lower edge (x, y) up to
    the highest peak (x, y)."""
    for level in roofline.levels:
        rate = level.gigabytes_per_second
        start = max(10**axes.x_from, 10**axes.y_from / rate)
        end = min(10**axes.x_to, _highest(roofline, dtypes) / rate)
        if start < end:
            yield level, (axes.x(start), axes.y(start * rate), axes.x(end), axes.y(end * rate))


def _busy_note(axes: Axes) -> Iterator[str]:
    x, y = axes.width - MARGIN_RIGHT, MARGIN_TOP - 9
    yield f'<text class="axis end busy" x="{x}" y="{y}">above the roof: {MEASURED_BUSY}</text>'


def _roof(path: str, title: str, style: str) -> str:
    return f'<path class="roof {style}" d="{path}"><title>{html.escape(title)}</title></path>'


def _fastest(roofline: Roofline) -> float:
    return max(level.gigabytes_per_second for level in roofline.levels)


def _circle(point: Point, axes: Axes) -> str:
    return (
        f'<circle class="point {point.key.partition("-")[0]}" data-kernel="{point.key}" '
        f'cx="{axes.x(point.intensity):.1f}" cy="{axes.y(point.gigaflops):.1f}" '
        f'r="{_radius(point):.1f}"/>'
    )


def _radius(point: Point) -> float:
    return max(LEAST_RADIUS, RADIUS_OF_WHOLE * math.sqrt(point.share))


def _labels(points: Sequence[Point], axes: Axes) -> Iterator[str]:
    """Names of the kernels that take most time, where they cover neither each other nor a point."""
    boxes = [_box(point, axes) for point in points]
    for point in sorted(points, key=lambda each: -each.share):
        if point.share < LABELLED_SHARE:
            return
        own = _box(point, axes)
        width = CHARACTER_WIDTH * len(point.name)
        middle = (own[1] + own[3]) / 2 - LABEL_HEIGHT / 2
        for x, y in (
            (own[2] + 3, middle),
            (own[0] - 3 - width, middle),
            (own[0], own[1] - LABEL_HEIGHT),
            (own[0], own[3]),
        ):
            box = (x, y, x + width, y + LABEL_HEIGHT)
            fits = x >= MARGIN_LEFT and box[2] <= axes.width and y >= MARGIN_TOP
            if fits and not any(_overlap(box, other) for other in boxes):
                boxes.append(box)
                yield (
                    f'<text class="point-name" x="{x:.1f}" y="{y + LABEL_HEIGHT - 3:.1f}">'
                    f"{html.escape(point.name)}</text>"
                )
                break


def _box(point: Point, axes: Axes) -> tuple[float, float, float, float]:
    x, y, radius = axes.x(point.intensity), axes.y(point.gigaflops), _radius(point)
    return x - radius, y - radius, x + radius, y + radius


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
