"""Boxes around the drawn nodes of a layer, such that the graph of collapsed boxes has no circle."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from graphc.drawing.diagram import Box, Boxing, DrawnEdge, DrawnNode


@dataclass(frozen=True)
class Part:
    """What a drawn node belongs to. name: of the box that it opens, where it needs one."""

    layer: str
    name: str


def layer_boxes(
    nodes: Iterable[DrawnNode], edges: Iterable[DrawnEdge], parts: Mapping[str, Part]
) -> tuple[tuple[Box, ...], tuple[DrawnNode, ...]]:
    """The boxes, and the nodes with the ids of theirs.

    parts: of the nodes by their ids, for those that have a layer. A layer has several boxes where
    one would lead back to itself: a function that is called several times along the network has
    `dense`, `dense (2)`, ..., and its derivatives `dense backward`. Of one node there is no box.
    """
    nodes = tuple(nodes)
    placed = _placed(nodes, edges, parts)
    counts = Counter(placed.values())
    boxes = tuple(
        Box(_box_id(label), Boxing.LAYER, label)
        for label in dict.fromkeys(placed.values())
        if counts[label] > 1
    )
    return boxes, tuple(
        replace(node, boxes={**node.boxes, Boxing.LAYER: _box_id(placed[node.id])})
        if node.id in placed and counts[placed[node.id]] > 1
        else node
        for node in nodes
    )


def _placed(
    nodes: Iterable[DrawnNode], edges: Iterable[DrawnEdge], parts: Mapping[str, Part]
) -> dict[str, str]:
    """The label of each node's box: the first of its layer that closes no circle."""
    sources: dict[str, list[str]] = {node.id: [] for node in nodes}
    for edge in edges:
        sources[edge.target].append(edge.source)
    box_of: dict[str, str] = {}
    readers: dict[str, set[str]] = {}
    boxes_of: dict[str, list[str]] = {}
    taken: Counter[str] = Counter()
    for node in _in_order(sources, parts):
        behind = {box_of[source] for source in sources[node]}
        part = parts.get(node)
        # A node without a layer stands for itself.
        box = f"node {node}"
        if part is not None:
            boxes = boxes_of.setdefault(part.layer, [])
            fitting = (each for each in boxes if not _leads_to(each, behind - {each}, readers))
            found = next(fitting, None)
            if found is None:
                taken[part.name] += 1
                count = taken[part.name]
                found = part.name if count == 1 else f"{part.name} ({count})"
                boxes.append(found)
            box = found
        box_of[node] = box
        for source in behind - {box}:
            readers.setdefault(source, set()).add(box)
    return {node: box for node, box in box_of.items() if node in parts}


def _in_order(sources: Mapping[str, list[str]], parts: Mapping[str, Part]) -> Iterator[str]:
    """The nodes, each behind those that it reads, and as many of a part in a row as can be."""
    places = {node: place for place, node in enumerate(sources)}
    names = list(sources)
    missing = {node: len(read) for node, read in sources.items()}
    readers: dict[str, list[str]] = {node: [] for node in sources}
    for node, read in sources.items():
        for source in read:
            readers[source].append(node)
    # Of each part the nodes that have all they read, the first on top.
    ready: dict[str, list[int]] = {}

    def add(node: str) -> None:
        name = parts[node].name if node in parts else ""
        heapq.heappush(ready.setdefault(name, []), places[node])

    for node, count in missing.items():
        if not count:
            add(node)
    part = ""
    while ready:
        if part not in ready:
            part = min(ready, key=lambda each: ready[each][0])
        node = names[heapq.heappop(ready[part])]
        if not ready[part]:
            del ready[part]
        yield node
        for reader in readers[node]:
            missing[reader] -= 1
            if not missing[reader]:
                add(reader)


def _leads_to(start: str, goals: set[str], readers: Mapping[str, set[str]]) -> bool:
    """Whether there is a way from the box `start` to one of `goals`."""
    stack, seen = [start], {start}
    while stack:
        for box in readers.get(stack.pop(), set()) - seen:
            if box in goals:
                return True
            seen.add(box)
            stack.append(box)
    return False


def _box_id(label: str) -> str:
    return f"layer {label}"
