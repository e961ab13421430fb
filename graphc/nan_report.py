"""What a search for NaN and infinity found: the record that `NotFiniteError` carries."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphc.ir.nodes.location import Location


@dataclass(frozen=True)
class ValueRange:
    """What an array holds.

    minimum, maximum: of its finite elements, None where there is none. nans, infinities: counts.
    there: the element that the first bad element of a result was computed from; None where that
    is not one element, and for results.
    """

    value: str
    dtype: str
    shape: tuple[int, ...]
    minimum: float | None
    maximum: float | None
    nans: int
    infinities: int
    there: float | None = None

    def __str__(self) -> str:
        shape = ",".join(map(str, self.shape))
        parts = [f"{self.value} {self.dtype}[{shape}]:"]
        if self.minimum is None or self.maximum is None:
            parts.append("no finite element")
        elif self.shape == ():
            parts.append(f"{self.minimum:.8g}")
        else:
            parts.append(f"{self.minimum:.8g} to {self.maximum:.8g}")
        for count, name in ((self.nans, "NaN"), (self.infinities, "infinite")):
            if count:
                parts.append(f"with {count} {name}")
        if self.there is not None and self.shape != ():
            parts.append(f"({self.there:.8g} there)")
        return " ".join(parts)


@dataclass(frozen=True)
class BadValue:
    """An op whose result is not finite, or an input or state that is not.

    op: the op's name, or "input" or "state". location: the user's line. index: of the first bad
    element in row-major order, of the first NaN where that is asked for; it is `element`. bad: how
    many elements are not finite. steps: of a value in the body of a loop, the step in which that
    was, from 0, behind that of the loop around it.
    """

    op: str
    name: str
    location: Location | None
    result: ValueRange
    index: tuple[int, ...]
    element: float
    bad: int
    operands: tuple[ValueRange, ...]
    steps: tuple[int, ...] = ()

    def __str__(self) -> str:
        what = f"{self.op} {self.name!r}" if self.name else self.op
        where = f" at {self.location}: {self.location.text}" if self.location else ""
        where = f" in step {' > '.join(map(str, self.steps))}{where}" if self.steps else where
        size = math.prod(self.result.shape)
        place = f" at {list(self.index)}" if self.index else ""
        lines = [f"{what}{where}"]
        lines.append(f"  {self.bad} of {size} elements, first {self.element}{place}; {self.result}")
        lines += [f"  of {operand}" for operand in self.operands]
        return "\n".join(lines)


@dataclass(frozen=True)
class NanReport:
    """Where a step goes wrong.

    first: what is not finite while all that it is made of is. then: the op that first made NaN of
    infinities, or that first read the bad input or state; None where there is no such op.
    """

    first: BadValue
    then: BadValue | None

    def __str__(self) -> str:
        text = f"the first value that is not finite: {self.first}"
        if self.then is None:
            return text
        what = "the first NaN" if self.first.operands else "first read by"
        return f"{text}\n{what}: {self.then}"
