"""The small network of architecture.md, and what each stage of the compiler makes of it.

python docs/walkthrough.py [STAGE ...]
"""

from __future__ import annotations

import sys

import graphc as gc
from graphc.compiler.pipeline import Compilation, Options, Trace, compile_program
from graphc.compiler.plan import Plan
from graphc.ir.graph import Node
from graphc.ir.text import print_program
from graphc.kernels.group import ContractionGroup, LoopGroup

graph = gc.Graph(seed=0)
x = graph.input("x", ("batch", 8))
labels = graph.input("labels", ("batch",), "i32")
hidden = gc.nn.dense(x, 16, gc.sigmoid)
scores = gc.nn.dense(hidden, 3)
loss = gc.losses.softmax_cross_entropy(scores, labels)
model = gc.Model(x, scores, labels, loss)
model.compile(gc.optim.SGD(learning_rate=0.1))

# What the page shows: one batch size and one width of vectors, whatever the reader's machine has.
BATCH = {"batch": 32}
VECTOR_BITS = 512


def stages() -> dict[str, str]:
    """The text of every stage by its name."""
    after: dict[str, Compilation] = {}

    def keep(trace: Trace) -> None:
        after[trace.name] = trace.after

    compiled = compile_program(
        model.train_function.program, Options(BATCH, True, VECTOR_BITS), keep
    )
    assert compiled.plan is not None
    return {
        "declared": print_program(model.test_function.program, locations=True),
        "backward": print_program(model.train_function.program),
        "simplified": print_program(after["simplify"].program, locations=True),
        "rules": rules_text(after["simplify"]),
        "expanded": print_program(after["legalize"].program),
        "fused": fused_text(compiled.plan),
        "refused": refused_text(compiled),
        "plan": plan_text(compiled.plan),
        "arena": arena_text(compiled.plan),
        "source of the first product": first_product(compiled.plan),
        "source of the loss": loss_kernel(compiled),
    }


def rules_text(state: Compilation) -> str:
    """Each rule that fired, with its equation, once."""
    fired = {firing.rule: firing.equation for firing in state.firings}
    width = max(map(len, fired))
    return "".join(f"{name:{width}}  {equation}\n" for name, equation in fired.items())


def fused_text(plan: Plan) -> str:
    """Each kernel with the ops it computes, and what it stores."""
    text = []
    for instruction in plan.instructions:
        group = instruction.group
        if group is None:
            text.append(f"{instruction.name}: indices are in range\n")
            continue
        kind = type(group).__name__.removesuffix("Group").lower()
        ops = " ".join(node.op.name for node in group.nodes)
        stored = ", ".join(f"{node.op.name} {node.type}" for node in group.outputs)
        text.append(f"{instruction.name}: {kind} group\n  computes {ops}\n  stores   {stored}\n")
    return "".join(text)


def refused_text(state: Compilation) -> str:
    """For each reason the refused fusion that would have saved most bytes."""
    refused = [decision for decision in state.decisions if not decision.fused]
    refused.sort(key=lambda decision: -decision.bytes_saved)
    by_reason = {decision.reason: decision for decision in reversed(refused)}
    return "".join(
        f"{_short(decision.producer)} with {_short(decision.consumer)}, "
        f"{decision.bytes_saved} bytes: {reason}\n"
        for reason, decision in reversed(by_reason.items())
    )


def plan_text(plan: Plan) -> str:
    """The instruction table: each kernel and its buffers in the order of its arguments."""
    width = max(len(instruction.name) for instruction in plan.instructions)
    return "".join(
        f"{number}  {instruction.name:{width}}  "
        f"{' '.join(storage.name for storage in instruction.source.arguments)}\n"
        for number, instruction in enumerate(plan.instructions)
    )


def arena_text(plan: Plan) -> str:
    """Where each temporary stands, and for which instructions it lives."""
    lines = ["offset  bytes  lives  storage\n"]
    for live in sorted(plan.arena.ranges, key=lambda live: plan.arena.offsets[live.storage]):
        offset, storage = plan.arena.offsets[live.storage], live.storage
        lines.append(
            f"{offset:6}  {storage.nbytes:5}  {live.first} - {live.last}  {storage.name}\n"
        )
    return "".join([*lines, f"{plan.arena.nbytes:6}  in all\n"])


def first_product(plan: Plan) -> str:
    """The source of the first contraction kernel."""
    return next(i.source.text for i in plan.instructions if isinstance(i.group, ContractionGroup))


def loss_kernel(state: Compilation) -> str:
    """The source of the kernel that computes the loss."""
    assert state.plan is not None
    value = dict(state.program.outputs)["loss"]
    return next(
        instruction.source.text
        for instruction in state.plan.instructions
        if isinstance(instruction.group, LoopGroup) and value in instruction.group.nodes
    )


def _short(node: Node) -> str:
    return f"{node.op.name} {node.type}"


if __name__ == "__main__":
    texts = stages()
    for name in sys.argv[1:] or texts:
        print(f"--- {name} ---\n{texts[name]}")
