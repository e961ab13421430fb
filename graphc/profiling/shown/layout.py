"""A table that fits the terminal: columns are dropped or stacked, figures are never cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

GAP = "  "
INDENT = "    "

# The least room in which a row's details stand beside its figures.
LEAST_BESIDE = 24


@dataclass(frozen=True)
class Column:
    """A heading, a cell a row. drop: those of the greatest number go first where room is short; of
    0 never."""

    heading: str
    cells: tuple[str, ...]
    drop: int = 0

    @property
    def width(self) -> int:
        return max(len(text) for text in (self.heading, *self.cells))


def table(
    names: Column, figures: Sequence[Column], details: Sequence[str], width: int
) -> Iterator[Text]:
    """The lines of a table no wider than `width`, where figures allow it.

    Names are aligned left, figures right. Each row's details stand beside it where there is room
    for them, else on lines of their own below it. When names and figures together are too wide,
    columns that may be dropped are, also for details that are short; then names stand on lines of
    their own.
    """
    kept = _fitting(names, figures, width)
    longest = max(map(len, details), default=0)
    if longest <= LEAST_BESIDE:
        room = width - longest - len(GAP)
        narrower = _fitting(names, figures, room)
        if _width([names, *narrower]) <= room:
            kept = narrower
    is_stacked = _width([names, *kept]) > width
    columns = kept if is_stacked else [names, *kept]
    room = width - _width(columns) - len(GAP) - (len(INDENT) if is_stacked else 0)
    beside = room >= min(longest, max(LEAST_BESIDE, width // 3))
    yield _line(columns, [column.heading for column in columns], names, is_stacked, "dim")
    for row, detail in enumerate(details):
        if is_stacked:
            yield Text(names.cells[row], style="bold")
        line = _line(columns, [column.cells[row] for column in columns], names, is_stacked, "")
        pieces = list(_pieces(detail, room if beside else width - len(INDENT)))
        if beside and pieces:
            line.append(GAP + pieces[0], style="dim")
            margin = " " * (line.cell_len - len(pieces[0]))
            yield line
            yield from (Text(margin + piece, style="dim") for piece in pieces[1:])
        else:
            yield line
            yield from (Text(INDENT + piece, style="dim") for piece in pieces)


def _fitting(names: Column, figures: Sequence[Column], width: int) -> list[Column]:
    """The columns of figures that are left when as many as need be are dropped."""
    kept = list(figures)
    while _width([names, *kept]) > width and any(column.drop for column in kept):
        kept.remove(max(kept, key=lambda column: column.drop))
    return kept


def wrapped(line: Text, width: int) -> Iterator[Text]:
    """The line, or where it is too long its words on several lines of its style."""
    if line.cell_len <= width:
        yield line
    else:
        yield from (Text(piece, style=line.style) for piece in _pieces(line.plain, width))


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _line(
    columns: Sequence[Column], cells: Sequence[str], names: Column, is_stacked: bool, style: str
) -> Text:
    line = Text(INDENT if is_stacked else "", style=style)
    for number, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        line.append(GAP if number else "")
        if column is names:
            line.append(cell.ljust(column.width), style=style or "bold")
        else:
            line.append(cell.rjust(column.width))
    return line


def _pieces(text: str, width: int) -> Iterator[str]:
    """The words of `text` on lines of at most `width`; a longer word has a line of its own."""
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and len(longer) > width:
            yield line
            line = word
        else:
            line = longer
    if line:
        yield line
