"""Why one value is what it is: where it is computed, fused, stored, and what it was before."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from graphc.compiler.fusion.grouping import Uses, uses_of
from graphc.compiler.pipeline import Compilation
from graphc.compiler.plan.planning import Plan
from graphc.inspect.explain import Explained, expression, tile_choice
from graphc.inspect.explain_storage import (
    computing_kernels,
    decision_between,
    scratch_reason,
    storing_reason,
)
from graphc.inspect.explanation import TileChoice
from graphc.inspect.stage_text import labels_of
from graphc.inspect.wording import described, reason_of
from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Composite
from graphc.ir.ops import leaf
from graphc.ir.text.parsing import value_labels
from graphc.kernels.groups.group import ContractionGroup
from graphc.kernels.nests.node_kinds import is_contraction, is_inline, is_view, viewed

# So many names are offered for one that is not known.
SUGGESTIONS = 8
CLOSENESS = 0.4


class UnknownValueError(LookupError):
    """No value has the name; the message lists names near it."""


@dataclass(frozen=True)
class Neighbour:
    """A value that is read, or one that reads; whether one kernel computes both, and why (not).

    given: whether no kernel computes what is read.
    """

    value: str
    kernels: tuple[str, ...]
    fused: bool
    reason: str
    bytes_saved: int | None
    given: bool = False


@dataclass(frozen=True)
class ValueExplanation:
    """What became of one value.

    names: all that the stages call it. kernels: those that compute it. live: the instructions
    between which its memory is its own. scratch: memory that kernels make it with. rewrites: what
    the rules made it from, or into.
    """

    value: str
    names: tuple[str, ...]
    op: str
    type: str
    line: str
    text: str
    computed: str
    kernels: tuple[str, ...]
    stored: bool
    memory: str
    live: str
    scratch: str
    reads: tuple[Neighbour, ...]
    read_by: tuple[Neighbour, ...]
    rewrites: tuple[str, ...]
    tile: TileChoice | None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def explain_values(made: Explained, wanted: str) -> tuple[ValueExplanation, ...]:
    """What became of the values of that name, or of those that come from a line `file.py:12`.

    A name is one that a stage prints: of an input, state or output, of a buffer of the plan
    (scratch memory is the value's that is made with it), of a value in a kernel (`add`, or
    `matmul_tanh:add` for that kernel's alone), or the number (`%5`) in the simplified program.
    Raises UnknownValueError.
    """
    names = _Names(made)
    found = names.find(wanted)
    uses = uses_of(made.compilation.program)
    return tuple(_explained(node, made.compilation, uses, names) for node in found)


class _Names:
    """All that values are called, and their lines."""

    def __init__(self, made: Explained) -> None:
        self.nodes: dict[str, dict[Node, None]] = {}
        compilation, plan = made.compilation, made.plan
        program = compilation.program
        for node in (*program.inputs, *program.states):
            self._add(node.name, node)
        for name, node in program.outputs:
            self._add(name, node)
        for state, value in program.updates:
            self._add(state.name, value)
        storages = plan.storages
        for kind in (storages.inputs, storages.states, storages.constants, storages.temporaries):
            for node, storage in kind.items():
                self._add(storage.name, node)
        for row in plan.instructions:
            if row.group is not None:
                for node, name in labels_of(row.group, plan).items():
                    if not is_inline(node):
                        self._add(name, node)
                        self._add(f"{row.name}:{name}", node)
        for live in plan.arena.ranges:
            if live.storage.of is not None:
                self._add(live.storage.name, live.storage.of)
        for node, name in value_labels(made.simplified).items():
            if name.startswith("%"):
                self._add(name, node)
        self.lines: dict[str, dict[Node, None]] = {}
        kept = [node for node in program.nodes if not is_inline(node)]
        for node in kept:
            if node.location is not None:
                self.lines.setdefault(str(node.location), {})[node] = None

    def _add(self, name: str, node: Node) -> None:
        self.nodes.setdefault(name, {})[node] = None

    def find(self, wanted: str) -> list[Node]:
        """The values of a name or a line, operands first. Raises UnknownValueError."""
        if re.fullmatch(r".+:\d+", wanted):
            file, _, line = wanted.rpartition(":")
            name = f"{os.path.basename(file)}:{line}"
            if name in self.lines:
                return list(self.lines[name])
        if wanted in self.nodes:
            return sorted(self.nodes[wanted], key=lambda node: node.number)
        raise UnknownValueError(self._unknown(wanted))

    def _unknown(self, wanted: str) -> str:
        if re.fullmatch(r".+\.py:\d+", wanted):
            lines = ", ".join(sorted(self.lines, key=_line_order))
            return f"no value comes from {wanted}; values come from: {lines}"
        plain = [name for name in self.nodes if not name.startswith("%") and ":" not in name]
        candidates = self.nodes if ":" in wanted or wanted.startswith("%") else plain
        near = difflib.get_close_matches(wanted, candidates, SUGGESTIONS, CLOSENESS)
        shown = ", ".join(dict.fromkeys([*near, *plain[: SUGGESTIONS - len(near)]]))
        return f"no value is named {wanted!r}; near it: {shown}"

    def of(self, node: Node) -> tuple[str, ...]:
        return tuple(name for name, nodes in self.nodes.items() if node in nodes)


def _line_order(name: str) -> tuple[str, int]:
    file, _, line = name.rpartition(":")
    return file, int(line)


def _explained(node: Node, compilation: Compilation, uses: Uses, names: _Names) -> ValueExplanation:
    plan = compilation.plan
    kernels = computing_kernels(plan, node)
    is_left = node in set(compilation.program.nodes)
    where = node.location
    memory, live = _memory(node, compilation) if is_left else ("", "")
    tiles = (
        tile_choice(row.name, row.group, compilation)
        for row in plan.instructions
        if isinstance(row.group, ContractionGroup) and row.group.contraction is node
    )
    return ValueExplanation(
        value=described(node),
        names=names.of(node),
        op=node.op.name,
        type=str(node.type),
        line=str(where or ""),
        text=where.text if where is not None else "",
        computed=_computed(node, compilation, kernels, is_left),
        kernels=kernels,
        stored=bool(live),
        memory=memory,
        live=live,
        scratch=_scratch(node, plan),
        reads=tuple(_operands(node, compilation)) if kernels else (),
        read_by=tuple(_readers(node, compilation, uses)) if kernels else (),
        rewrites=tuple(_rewrites(node, compilation)),
        tile=next(tiles, None),
    )


def _computed(node: Node, compilation: Compilation, kernels: tuple[str, ...], is_left: bool) -> str:
    if not is_left:
        return _gone(node, compilation)
    if node.op in (leaf.input_, leaf.state):
        return "given: no kernel computes it"
    if is_inline(node):
        return "by every kernel that reads it: a constant or an index costs nothing"
    if node.op is leaf.constant:
        return "when the program is compiled"
    if is_view(node):
        return f"by no kernel: readers see the memory of {described(viewed(node))} through strides"
    if len(kernels) > 1:
        saved = [each.bytes_saved for each in compilation.recomputed if each.value is node]
        gain = f", which saves {saved[0]:,} bytes" if saved else ""
        return f"again in each of {', '.join(kernels)}: cheaper than storing it{gain}"
    return f"by {kernels[0]}" if kernels else "by no kernel: nothing needs it any more"


def _gone(node: Node, compilation: Compilation) -> str:
    """Of a value that the simplified program had and the kernels have not."""
    if isinstance(node.op.lowering, Composite):
        parts = [
            each.op.name
            for each in compilation.program.nodes
            if each.location == node.location and not is_inline(each)
        ]
        return f"as primitives; at its line are now: {', '.join(dict.fromkeys(parts))}"
    same = [described(each) for each in compilation.program.nodes if _alike(each, node)]
    if same:
        return f"as {', '.join(same)}, whose operands a later pass has changed"
    return "not any more: a later pass has replaced it"


# --- memory ----------------------------------------------------------------------------------


def _memory(node: Node, compilation: Compilation) -> tuple[str, str]:
    """Whether and why the value is stored, and how long its memory is its own."""
    plan = compilation.plan
    if is_view(node):
        return "none of its own", ""
    try:
        storage = plan.storages.of(node)
    except KeyError:
        if is_contraction(node) or not _scratch(node, plan):
            return "never stored: registers or a tile hold it while its kernel runs", ""
        return "scratch memory alone: only its own kernel reads it", ""
    if node in plan.storages.overwritten:
        return f"stored over {storage.name}, its old value, in place", "from step to step"
    if node not in plan.storages.temporaries:
        return f"stored in {storage.name}, which is given", "from step to step"
    (live,) = (each for each in plan.arena.ranges if each.storage is storage)
    offset = plan.arena.offsets[storage]
    where = f"{storage.nbytes:,} bytes at {offset:,} of the arena as {storage.name}"
    return f"stored, {where}: {storing_reason(node, compilation)}", _range_text(plan, live)


def _scratch(node: Node, plan: Plan) -> str:
    """The memory that kernels have of their own to make the value with."""
    return "; ".join(
        f"{live.storage.name}, {live.storage.nbytes:,} bytes at "
        f"{plan.arena.offsets[live.storage]:,} of the arena: {scratch_reason(live, plan)}"
        for live in plan.arena.ranges
        if live.storage.of is node
    )


def _range_text(plan: Plan, live: Any) -> str:
    first = f"{live.first} {plan.instructions[live.first].name}"
    if live.last >= len(plan.instructions):
        return f"from {first} until after the step"
    return f"from {first} to {live.last} {plan.instructions[live.last].name}"


# --- neighbours ------------------------------------------------------------------------------


def _operands(node: Node, compilation: Compilation) -> Iterator[Neighbour]:
    for base in dict.fromkeys(map(viewed, node.operands)):
        if not is_inline(base):
            yield _neighbour(base, base, node, compilation)


def _readers(node: Node, compilation: Compilation, uses: Uses) -> Iterator[Neighbour]:
    for reader in uses.readers.get(node, ()):
        yield _neighbour(reader, node, reader, compilation)


def _neighbour(shown: Node, producer: Node, consumer: Node, made: Compilation) -> Neighbour:
    plan = made.plan
    makers, takers = computing_kernels(plan, producer), computing_kernels(plan, consumer)
    kernels = computing_kernels(plan, shown)
    if not makers:
        reason = "given: no kernel computes it"
        return Neighbour(described(shown), kernels, False, reason, None, given=True)
    together = set(makers) >= set(takers)
    decision = decision_between(producer, consumer, made.decisions)
    if decision is None or decision.fused != together:
        reason = (
            "computed again where it is read"
            if together
            else "its kernel was made of values that others compute again"
        )
        if not made.options.fuse:
            reason = "a kernel an op"
        return Neighbour(described(shown), kernels, together, reason, None)
    return Neighbour(described(shown), kernels, together, reason_of(decision), decision.bytes_saved)


# --- rewriting -------------------------------------------------------------------------------


def _rewrites(node: Node, compilation: Compilation) -> Iterator[str]:
    """The firings that made the value, and those that replaced it.

    A value that was made and then rebuilt, since an operand of it was rewritten in turn, is known
    again by its op, type and line.
    """
    left = set(compilation.program.nodes)
    for firing in compilation.firings:
        if node is firing.before:
            yield f"became {expression(firing.after)} by {firing.rule}: {firing.equation}"
            continue
        made = _made_by(firing.before, firing.after)
        if node in made or any(each not in left and _alike(each, node) for each in made):
            yield (
                f"made from {expression(firing.before)} at {firing.location} "
                f"by {firing.rule}: {firing.equation}"
            )


def _alike(one: Node, other: Node) -> bool:
    return (one.op, one.type, one.location) == (other.op, other.type, other.location)


def _made_by(before: Node, after: Node) -> set[Node]:
    """The nodes of a right-hand side that are newer than the left: a graph counts its nodes."""
    found: set[Node] = set()
    pending = [after]
    while pending:
        node = pending.pop()
        if node.number > before.number and node not in found:
            found.add(node)
            pending.extend(node.operands)
    return found
