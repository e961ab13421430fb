"""The tile of each product, once no group changes any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from graphc.kernels.groups.group import Candidate, ContractionCandidate, ContractionGroup, Group
from graphc.kernels.products.tilings.tiling import Tilings


def with_tiles(groups: Iterable[Candidate], tilings: Tilings, threads: int) -> tuple[Group, ...]:
    """The groups, of which contractions have their tiling, for at most `threads` threads."""
    return tuple(
        _tiled(group, tilings, threads) if isinstance(group, ContractionCandidate) else group
        for group in groups
    )


def _tiled(group: ContractionCandidate, tilings: Tilings, threads: int) -> ContractionGroup:
    made = {field.name: getattr(group, field.name) for field in fields(group)}
    return ContractionGroup(**made, tiling=tilings.choose(group.shape, threads))
