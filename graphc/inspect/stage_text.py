"""What a program is at each stage of its compilation, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from graphc.compiler.fusion.decision import Decision
from graphc.compiler.load.native import native
from graphc.compiler.pipeline import Compilation, Rewriting, Trace, compile_program
from graphc.compiler.plan.planning import Plan, PlannedInstruction, bytes_moved
from graphc.compiler.plan.work import kind_of
from graphc.functions.function import Function
from graphc.functions.variants import options_of
from graphc.inspect.stage import Stage
from graphc.inspect.wording import described, reason_of
from graphc.ir.graph import Node, Program
from graphc.ir.ops import leaf
from graphc.ir.text.parsing import print_program
from graphc.kernels.groups.group import Group, LoopGroup
from graphc.kernels.loops.language.source import KernelSource, Storage, kernel_digest
from graphc.kernels.native.code_comments import commented_assembly, commented_llvm, user_lines
from graphc.kernels.nests.names import Names, label
from graphc.kernels.nests.node_kinds import external_operands, is_view

INDENT = "  "


@dataclass(frozen=True)
class StageText:
    """The text of a stage, and the language in which it is highlighted."""

    text: str
    lexer: str


class UnknownKernelError(LookupError):
    """No kernel has the name; the message lists those that there are."""


def declared_text(declared: Program) -> StageText:
    """The program as the user declared it, each value with the user's line."""
    return StageText(print_program(declared, locations=True), "python")


def stage_text(
    step: Function, dimensions: dict[str, int], stage: Stage, kernel: str | None = None
) -> StageText:
    """`stage` of the program, for the given extents of its open dimensions.

    kernel: the name of the only kernel to show, for stages of kernels. Raises UnknownKernelError.
    """
    if stage in (Stage.DECLARED, Stage.BACKWARD):
        return declared_text(step.program)
    if stage is Stage.SIMPLIFIED:
        return StageText(_simplified(step, dimensions), "python")
    if stage in (Stage.LLVM, Stage.ASM):
        return _machine_code(_plan(step, dimensions), stage, kernel)
    compilation = compile_program(step.program, options_of(step, dimensions))
    if stage is Stage.PLAN:
        return StageText(plan_text(compilation.plan), "text")
    chosen = _chosen(compilation.plan.instructions, kernel)
    if stage is Stage.SOURCE:
        return StageText("\n".join(i.source.text for i in chosen), "python")
    texts = [_fused_text(instruction, compilation) for instruction in chosen]
    if kernel is None:
        texts.append(_refusals_text(compilation))
    return StageText("\n".join(text for text in texts if text), "python")


def _chosen(
    instructions: Sequence[PlannedInstruction], kernel: str | None
) -> list[PlannedInstruction]:
    names = [instruction.name for instruction in instructions]
    if kernel is not None and kernel not in names:
        raise UnknownKernelError(f"no kernel is named {kernel!r}; there are: {', '.join(names)}")
    return [i for i in instructions if kernel in (None, i.name)]


# --- simplified ------------------------------------------------------------------------------


def _simplified(step: Function, dimensions: dict[str, int]) -> str:
    """The program after the simplifying pass, and below it the rules that fired."""
    traces: list[Trace] = []
    compile_program(step.program, options_of(step, dimensions), traces.append)
    (after,) = (trace.after for trace in traces if trace.name == "simplify")
    return print_program(after.program, locations=True) + _firings_text(after)


def _firings_text(compilation: Rewriting) -> str:
    counts = Counter((f.rule, f.equation, str(f.location or "")) for f in compilation.firings)
    lines = [f"# {len(compilation.firings)} rewrites"]
    for (rule, equation, location), count in counts.items():
        times = f" ({count} times)" if count > 1 else ""
        where = f", at {location}" if location else ""
        lines.append(f"# {rule}{times}: {equation}{where}")
    return "\n".join(lines) + "\n"


# --- fused -----------------------------------------------------------------------------------


def _fused_text(instruction: PlannedInstruction, compilation: Compilation) -> str:
    """A kernel with what it reads, computes and writes, and why its parts were fused."""
    group, plan = instruction.group, compilation.plan
    if instruction.finishes is not None:
        reads = ", ".join(storage.name for storage in instruction.source.arguments)
        adds = isinstance(instruction.finishes, LoopGroup)
        what = "adds up the blocks of" if adds else "copies the rest:"
        return f"kernel {instruction.name}  # finish\n{INDENT}{what} {reads}\n"
    if instruction.begins is not None or instruction.ends is not None:
        return _loop_text(instruction)
    if group is None:
        checked = instruction.checked
        assert checked is not None
        indices, *copies = (storage.name for storage in instruction.source.arguments)
        lines = [
            f"kernel {instruction.name}  # check",
            f"0 <= {indices} < {checked.attributes['limit']}",
        ]
        lines += [f"{copy} = {indices}, which all others read" for copy in copies]
        return f"\n{INDENT}".join(lines) + "\n"
    labels = labels_of(group, plan)
    lines = [f"kernel {instruction.name}  # {kind_of(instruction)}, {bytes_moved(group):,} bytes"]
    for role, values in (("reads", external_operands(group.nodes)), ("writes", group.outputs)):
        shown = ", ".join(f"{labels[value]}: {value.type}" for value in values)
        lines.append(f"{INDENT}{role} {shown or 'nothing'}")
    lines += [INDENT + _node_text(node, labels) for node in _with_views(group)]
    inside = set(group.nodes)
    lines += [
        f"{INDENT}# {_decision_text(decision)}"
        for decision in compilation.decisions
        if decision.fused and decision.producer in inside and decision.consumer in inside
    ]
    return "\n".join(lines) + "\n"


def _loop_text(instruction: PlannedInstruction) -> str:
    """How often the kernels between two rows run, and of what each step has a slice."""
    if instruction.ends is not None:
        return f"{instruction.name}  # of {instruction.ends.count} steps\n"
    assert instruction.begins is not None
    loop = instruction.begins
    lines = [f"{instruction.name}  # {loop.count} steps"]
    if loop.condition is not None:
        lines.append(f"{INDENT}as long as {loop.condition.name} is true")
    lines += [
        f"{INDENT}{each.storage.name} is the slice of a step of {each.whole.name}"
        for each in loop.slices
    ]
    return "\n".join(lines) + "\n"


def labels_of(group: Group, plan: Plan) -> dict[Node, str]:
    """Names of all values that the group touches: of stored values those of their storage."""
    labels: dict[Node, str] = {}
    stored = (*external_operands(group.nodes), *group.outputs)
    for node in stored:
        labels[node] = plan.storages.of(node).name
    names = Names(set(labels.values()))
    for node in _with_views(group):
        for value in (*node.operands, node):
            if value not in labels:
                is_scalar = value.op is leaf.constant and value.rank == 0
                labels[value] = (
                    repr(value.attributes["value"].array.item())
                    if is_scalar
                    else names.unique(label(value))
                )
    return labels


def _with_views(group: Group) -> list[Node]:
    """The group's nodes and the views through which they read, operands first."""
    found = dict.fromkeys(group.nodes)
    pending = list(group.nodes)
    while pending:
        for operand in pending.pop().operands:
            if is_view(operand) and operand not in found:
                found[operand] = None
                pending.append(operand)
    return sorted(found, key=lambda node: node.number)


def _node_text(node: Node, labels: dict[Node, str]) -> str:
    kinds = node.op.attributes
    attributes = ",".join(f"{name}={kinds[name].show(x)}" for name, x in node.attributes.items())
    shown = f"[{attributes}]" if attributes else ""
    operands = ", ".join(labels[operand] for operand in node.operands)
    where = f"  # {node.location}" if node.location is not None else ""
    return f"{labels[node]} = {node.op.name}{shown}({operands}) : {node.type}{where}"


def _decision_text(decision: Decision) -> str:
    ends = f"{described(decision.producer)} + {described(decision.consumer)}"
    verb = "saves" if decision.fused else "would save"
    return f"{ends}: {reason_of(decision)}; {verb} {decision.bytes_saved:,} bytes"


def _refusals_text(compilation: Compilation) -> str:
    """The decisions against fusing."""
    refused = [decision for decision in compilation.decisions if not decision.fused]
    if not refused:
        return ""
    return "\n".join(["# not fused", *(f"# {_decision_text(each)}" for each in refused)]) + "\n"


# --- plan ------------------------------------------------------------------------------------


def plan_text(plan: Plan) -> str:
    """The instruction table, the memory that is given, and the arena."""
    arena = plan.arena
    sections = [
        (
            f"{len(plan.instructions)} instructions",
            ("", "kernel", "kind", "threads", "before", "arguments"),
            _instruction_rows(plan),
        ),
        ("given memory", ("storage", "role", "dtype", "elements", "bytes"), _given_rows(plan)),
        (
            f"arena: {arena.nbytes:,} bytes for {sum(_sizes(plan)):,} bytes of values",
            ("storage", "dtype", "elements", "bytes", "offset", "live"),
            _arena_rows(plan),
        ),
    ]
    return "\n".join(
        "\n".join([title, *columns((header, *rows))]) + "\n" for title, header, rows in sections
    )


def _instruction_rows(plan: Plan) -> Iterator[Sequence[str]]:
    depth = 0
    for number, instruction in enumerate(plan.instructions):
        arguments = ", ".join(storage.name for storage in instruction.source.arguments)
        depth -= instruction.ends is not None
        name = INDENT * depth + instruction.name
        depth += instruction.begins is not None
        kind = kind_of(instruction)
        if instruction.begins is not None:
            kind = f"{kind} x{instruction.begins.count}"
        sharing = "shared" if instruction.shared else "alone"
        meeting = "barrier" if instruction.barrier else ""
        yield str(number), name, kind, sharing, meeting, arguments


def _given_rows(plan: Plan) -> Iterator[Sequence[str]]:
    storages = plan.storages
    roles = (
        ("input", storages.inputs),
        ("state", storages.states),
        ("constant", storages.constants),
    )
    for role, given in roles:
        for storage in given.values():
            yield storage.name, role, *_size_cells(storage)


def _arena_rows(plan: Plan) -> Iterator[Sequence[str]]:
    """By offset; `live` are the first and the last instruction that use the storage."""
    arena = plan.arena
    for live in sorted(arena.ranges, key=lambda r: (arena.offsets[r.storage], r.first)):
        last = "end" if live.last >= len(plan.instructions) else str(live.last)
        offset = f"{arena.offsets[live.storage]:,}"
        yield live.storage.name, *_size_cells(live.storage), offset, f"{live.first}..{last}"


def _size_cells(storage: Storage) -> tuple[str, str, str]:
    return str(storage.dtype), f"{storage.size:,}", f"{storage.nbytes:,}"


def _sizes(plan: Plan) -> Iterable[int]:
    return (live.storage.nbytes for live in plan.arena.ranges)


def columns(rows: Iterable[Sequence[str]], gap: str = "  ") -> list[str]:
    """The rows as lines, each column as wide as its widest cell, numbers to the right."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]

    def cell(text: str, width: int) -> str:
        return text.rjust(width) if text[:1].isdigit() else text.ljust(width)

    return [gap.join(map(cell, row, widths)).rstrip() for row in table]


# --- machine code ----------------------------------------------------------------------------

_COMMENT = {Stage.LLVM: ";", Stage.ASM: "#"}
_LEXER = {Stage.LLVM: "llvm", Stage.ASM: "gas"}


def _plan(step: Function, dimensions: dict[str, int]) -> Plan:
    return compile_program(step.program, options_of(step, dimensions)).plan


def _machine_code(plan: Plan, stage: Stage, kernel: str | None) -> StageText:
    """Code compiled for reading: with line directives, which change nothing in it.

    That of equal kernels, which a run compiles once, is shown for the first of them.
    """
    shown: dict[str, str] = {}
    texts: list[str] = []
    for row in _chosen(plan.instructions, kernel):
        if not row.source.statements:
            continue  # the rows around the steps of a loop have no code of their own
        first = shown.setdefault(kernel_digest(row.source), row.name)
        heading = _code_heading(row.source, stage)
        if first == row.name:
            texts += [*heading, _commented_code(row.source, stage)]
        else:
            texts += [
                *heading,
                f"{_COMMENT[stage]} the code of kernel {first}, but for names; --kernel shows it\n",
            ]
    return StageText("\n".join(texts), _LEXER[stage])


def _code_heading(source: KernelSource, stage: Stage) -> list[str]:
    """The kernel's name and the user's lines."""
    sign = _COMMENT[stage]
    lines = [f"{sign}   {line}" for line in user_lines(source.text)]
    return [f"{sign} kernel {source.name}", *lines]


def _commented_code(source: KernelSource, stage: Stage) -> str:
    """The code with the lines of source that it came from."""
    code = native().compilers.machine_code(source, lines=True)
    heading = f"{_COMMENT[stage]} numbers in comments are lines of --stage source"
    callees = [microkernel.name for microkernel in source.microkernels]
    if stage is Stage.LLVM:
        text = commented_llvm(code.llvm, source.text, callees)
    else:
        text = commented_assembly(code.assembly, source.text, callees)
    return f"{heading}\n{text}"
