"""Tables of a few columns as HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def html_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A title and a table below it; texts are taken as they are."""
    from html import escape

    cells = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return f"<p>{escape(title)}</p><table><tr>{cells}</tr>{body}</table>"


def counted(number: int, what: str) -> str:
    """`1 input`, `2 inputs`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
