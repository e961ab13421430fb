"""Plans on disk, by content: a process whose program was compiled before runs no pass.

An entry is an executable: what a run needs, but for machine code, which has entries of its own. It
goes by all that the passes see of a program and of what it is compiled for. Lines of source are no
part of it: an error that names the user's line runs the passes first, on the program as it is now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc.compiler
import graphc.ir
import graphc.kernels
from graphc.compiler.load.compiled import CompiledProgram
from graphc.compiler.load.executable import Executable
from graphc.compiler.load.executable_text import read_executable, write_executable
from graphc.compiler.load.plan_memory import plan_memory
from graphc.compiler.options import Options
from graphc.ir.derive.custom_op import content_of, is_built_in
from graphc.ir.graph import Node, Program, topological
from graphc.ir.nodes.attributes import Literal
from graphc.ir.nodes.lowering import Region
from graphc.ir.ops.region import PROGRAM
from graphc.kernels.host.cache_entry import DamagedError, Entry, files_digest, source_digest
from graphc.kernels.host.imports import whole_imports
from graphc.kernels.native.cache import DiskCache

# The passes are imported where they run, which may be never.
if TYPE_CHECKING:
    from graphc.compiler.pipeline import Compilation

PLAN = "plan"

# Reading and checking more takes longer than the passes do.
MOST_CONSTANT_BYTES = 16 * 2**20


def plan_cache(kernels: DiskCache) -> DiskCache:
    """The plans beside these kernels; both warn of the same problem once. Raises OSError where the
    files that plans depend on are not installed."""
    generators = tuple(compiler_files())
    # Constants are folded by numpy.
    versions = f"{kernels.build.versions}, numpy {np.__version__}"
    build = replace(kernels.build, versions=versions, generators=files_digest(generators))
    return replace(kernels, build=build, kind=PLAN, generators=generators)


def compiler_files() -> Iterator[Path]:
    """The files that a plan depends on: those of the passes, the IR and the kernels."""
    rooms = (*graphc.compiler.__path__, *graphc.ir.__path__, *graphc.kernels.__path__)
    for folder in map(Path, rooms):
        yield from sorted(folder.rglob("*.py"))


def compiled_or_stored(
    program: Program,
    options: Options,
    plans: DiskCache | None,
    before_passes: Callable[[], object] = lambda: None,
) -> CompiledProgram:
    """The program from disk, or else compiled and stored; before_passes is called in between."""
    from_disk = None if plans is None else stored(program, options, plans)
    if from_disk is not None:
        return from_disk
    before_passes()
    with whole_imports():
        from graphc.compiler.load.assemble import executable_of
        from graphc.compiler.pipeline import compile_program

    compilation = compile_program(program, options)
    made = _compiled(program, options, executable_of(compilation), compilation)
    if plans is not None and plan_memory(made.executable).constants <= MOST_CONSTANT_BYTES:
        digest = program_digest(program, options)
        # A name may hold anything, a line of the entry may not.
        name = program.name.encode("unicode_escape").decode()
        plans.store(Entry(PLAN, name, digest, plans.build, write_executable(made.executable)))
    return made


def stored(program: Program, options: Options, plans: DiskCache) -> CompiledProgram | None:
    """The program from disk, None where it is not there."""
    digest = program_digest(program, options)
    entry = plans.load(digest)
    if entry is None:
        return None
    try:
        executable = read_executable(entry.parts)
    except (LookupError, TypeError, ValueError) as error:
        plans.refuse(digest, DamagedError(f"damaged: it holds no plan: {error}"))
        return None
    return _compiled(program, options, executable, None)


def _compiled(
    program: Program, options: Options, executable: Executable, compilation: Compilation | None
) -> CompiledProgram:
    """The executable with the way to its compilation, which is given where it is at hand."""

    def again() -> Compilation:
        return _compiled_again(program, options, executable)

    return CompiledProgram(executable, again, compilation)


def _compiled_again(program: Program, options: Options, executable: Executable) -> Compilation:
    """The compilation that the executable is of. Raises RuntimeError when it is of another: then
    the passes do not do the same each time."""
    with whole_imports():
        from graphc.compiler.load.assemble import executable_of
        from graphc.compiler.pipeline import compile_program

    compilation = compile_program(program, options)
    if executable_of(compilation) != executable:
        raise RuntimeError(f"{program.name}: compiled again, the plan differs from the first")
    return compilation


# --- what an entry goes by -------------------------------------------------------------------


def program_digest(program: Program, options: Options) -> str:
    """A digest of all that the passes see: equal programs in any graph have the same."""
    return source_digest([*_option_texts(options), *_program_texts(program, options.bindings)])


def _option_texts(options: Options) -> Iterator[str]:
    for each in fields(options):
        value = getattr(options, each.name)
        yield f"{each.name}={sorted(value.items()) if each.name == 'bindings' else value!r}"


def _program_texts(program: Program, bindings: Mapping[str, int]) -> Iterator[str]:
    """The program in lines: values by number, in an order that follows from what uses what.

    Ops that users added show what they are made of; those of graphc are files that count.
    """
    states = (state for state, _ in program.updates)
    order = topological((*program.inputs, *states, *program.roots))
    numbers = {node: number for number, node in enumerate(order)}
    yield repr(program.name)
    for node in order:
        yield _node_text(node, numbers)
        if isinstance(node.op.lowering, Region):
            yield from _program_texts(node.attributes["body"], bindings)
        if not is_built_in(node.op):
            content = content_of(node, bindings)
            yield from _program_texts(content, {}) if isinstance(content, Program) else content
    yield f"inputs {[numbers[node] for node in program.inputs]}"
    yield f"outputs {[(name, numbers[node]) for name, node in program.outputs]}"
    yield f"updates {[(numbers[state], numbers[value]) for state, value in program.updates]}"


def _node_text(node: Node, numbers: dict[Node, int]) -> str:
    operands = [numbers[operand] for operand in node.operands]
    shown = [
        f"{name}={_attribute_text(kind.show, node.attributes[name])}"
        for name, kind in node.op.attributes.items()
        if kind is not PROGRAM
    ]
    return f"{node.op.name} {operands} {shown} {node.type}"


def _attribute_text(show: Any, value: Any) -> str:
    """As the text form has it, but for constants: theirs may be long."""
    if isinstance(value, Literal):
        array = value.array
        return f"{array.dtype.str} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
    return str(show(value))
