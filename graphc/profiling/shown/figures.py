"""Figures as text: three significant digits or more, never cut."""

from __future__ import annotations

_PREFIXES = ("", "k", "M", "G", "T")
_STEP = 1000


def microseconds(nanoseconds: float) -> str:
    """With three significant digits or more, no unit."""
    return significant(nanoseconds / 1e3)


def significant(value: float) -> str:
    """`0.12`, `1.23`, `12.3`, `1,234`."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def scaled(value: float, unit: str = "") -> str:
    """`0 B`, `512 B`, `1.54 kB`, `235 MB`: by powers of 1000."""
    size, number = abs(value), 0
    while number + 1 < len(_PREFIXES) and size >= _STEP:
        size, number = size / _STEP, number + 1
    text = f"{size:.0f}" if number == 0 else significant(size)
    sign = "-" if value < 0 else ""
    return f"{sign}{text} {_PREFIXES[number]}{unit}".rstrip()


def roof(share: float, is_rough: bool) -> str:
    """`87%`, and `~117%` where the time is too short for an exact figure."""
    return f"{'~' if is_rough else ''}{share:.0%}"


def percent(share: float) -> str:
    """`12.3%`, and `0.12%` where that would lose digits."""
    return f"{share:.2%}" if abs(share) < 0.01 else f"{share:.1%}"
