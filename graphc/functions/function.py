"""Compiled functions: inputs to outputs and simultaneous updates of states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Any, NoReturn

import numpy as np

from graphc.compiler.legalize.row_inputs import readable_in_place
from graphc.compiler.load.compiled import CompiledProgram
from graphc.compiler.load.executable import copied_rows
from graphc.compiler.load.kernel_code import KernelCode
from graphc.compiler.load.native import LoadedProgram, machine_code, native
from graphc.compiler.load.plan_cache import compiled_or_stored
from graphc.compiler.load.plan_memory import PlanMemory, check_memory, plan_memory
from graphc.compiler.load.row_loop import RowLoop
from graphc.compiler.options import Options
from graphc.declare.graphs.forms import Nodes, form_of, in_form
from graphc.declare.graphs.graph import graph_of
from graphc.declare.graphs.variables import Variables
from graphc.declare.hyperparameters import as_count
from graphc.errors import DataError
from graphc.functions.arrays import as_input, check_labels, misfit, solved_extents
from graphc.functions.mode import Mode, check_options
from graphc.functions.program import Updates, described, open_dimensions, program_of
from graphc.functions.sizes import size_text, warn_of_many
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import as_integer
from graphc.ir.dims import Dim
from graphc.ir.graph import Node
from graphc.ir.nodes.op import Array
from graphc.ir.programs.custom_vjp import without_custom_vjp
from graphc.ir.programs.cut import cut_at_inputs
from graphc.ir.reference import run_program
from graphc.kernels.host.memory_limit import memory_limit
from graphc.kernels.host.thread_count import default_threads, limited
from graphc.kernels.run.gate import Gate, Rank, Use
from graphc.kernels.run.memory import data_address

# By the extents, and by the inputs that are whole arrays (`Options.row_inputs`).
_Key = tuple[tuple[int, ...], tuple[str, ...]]

# numpy's flags of an array that kernels can read where it is: row-major, and aligned.
_IN_PLACE = 0x0001 | 0x0100


@checks_flags
def function(
    inputs: Node | Sequence[Node],
    outputs: Nodes,
    updates: Updates | None = None,
    *,
    variables: Variables | None = None,
    mode: Mode = "compiled",
    fuse: bool = True,
    threads: int | None = None,
    name: str = "function",
) -> Function:
    """A function of `inputs` that returns `outputs` and then makes `updates`, all at once.

    inputs: a node or several: inputs of the graph, or values and states that are given in the place
        of what the graph has for them. The graph is cut there, and nothing that only they are made
        of is computed. Such an input is named after its op, or as the state.
    outputs: a node, a sequence of nodes or a mapping of names to nodes; calls return arrays in the
        same form.
    updates: states and their next values.
    variables: the values of states, those of the graph unless given.
    mode: "compiled", or "reference" to run in numpy.
    fuse: False makes one kernel an op.
    threads: how many run it, at most; unless given, GRAPHC_THREADS or the processors that the
        process may use. Results have the same bits at any number of threads.

    Raises GraphError for constants among the inputs, for computed inputs that nothing depends on,
    for inputs that are missing or listed twice, and for updates of other nodes than states.

        forward = gc.function([x], {"y": y})
    """
    return Function(
        inputs,
        outputs,
        updates,
        variables=variables,
        mode=mode,
        fuse=fuse,
        threads=threads,
        name=name,
    )


class Function:
    """A graph function. Each new extent of a named dimension is compiled once and kept.

    dimensions: the names of the inputs' open dimensions, in order of appearance.
    """

    def __init__(
        self,
        inputs: Node | Sequence[Node],
        outputs: Nodes,
        updates: Updates | None,
        *,
        variables: Variables | None,
        mode: Mode,
        fuse: bool,
        threads: int | None,
        name: str,
    ) -> None:
        check_options(mode, threads)
        self.threads = default_threads() if threads is None else limited(as_integer(threads))
        declared = program_of(name, inputs, outputs, updates)
        self.program = without_custom_vjp(cut_at_inputs(declared))
        self.mode = mode
        self.fuse = fuse
        graph = graph_of(next(iter((*declared.inputs, *declared.roots))))
        self.variables = graph.variables if variables is None else variables
        self._form = form_of(outputs)
        self._input_dtypes = [node.dtype.numpy for node in self.program.inputs]
        # Of the last call: the shapes of its arrays, and what these say of the open dimensions.
        self._last_extents: tuple[tuple[tuple[int, ...], ...] | None, tuple[int, ...]] = (None, ())
        self._loaded: dict[_Key, LoadedProgram] = {}
        # Compiled, and not yet bound to memory.
        self._compiled_for: dict[_Key, tuple[CompiledProgram, Sequence[KernelCode | None]]] = {}
        # Runs of a program without states share no memory with others.
        self._gate = self.variables.gate if self.program.states else Gate()
        self._compiling = Gate(Rank.COMPILE)
        self.dimensions = open_dimensions(self.program)
        self._is_by_sums = any(
            isinstance(extent, Dim) and not extent.is_named
            for node in self.program.inputs
            for extent in node.shape
        )

    def __repr__(self) -> str:
        sizes = dict.fromkeys(size for size, _ in self._loaded)
        return described(self.program, [size_text(self.dimensions, size) for size in sizes])

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Runs on numpy arrays, given in the order of the inputs or by their names.

        Arrays are used in place when they are contiguous and of the input's dtype, else converted;
        a float for an integer input is an error. Raises DataError for arrays that do not fit and
        IndexError for labels out of range, in both cases before any state has changed.
        """
        given = self._ordered(arrays, named) if named else arrays
        values = self._converted(given)
        extents = self._extents(values)
        if self.mode == "reference":
            return self._run_reference(values, extents)
        loaded = self._loaded.get((extents, ())) or self._load(extents)
        # As `Gate.entered`, whose calls would take as long as a small program.
        gate = self._gate
        if gate.inside or gate.waiting:
            gate.await_turn(self.program.name)
        with gate.lock:
            before = gate.inside
            if before:
                gate.check(loaded, self.program.name)
            try:
                gate.owner = get_ident()
                gate.inside = (*before, loaded)
                self._run(loaded, values)
                return in_form(self._form, [output.copy() for output in loaded.outputs.values()])
            finally:
                gate.inside = before

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"the function {self.program.name!r} holds machine code, which is neither copied nor "
            "pickled; copy its graph or model, and make the function again with gc.function"
        )

    def prepare(self, bindings: Mapping[str, int] | None = None) -> None:
        """Compiles for the given extents ahead of the first call; nothing in reference mode."""
        if self.mode == "compiled":
            self.loaded(bindings)

    def loaded(self, bindings: Mapping[str, int] | None = None) -> LoadedProgram:
        """The machine code and memory for the given extents, compiled now if need be.

        Raises DataError when a named dimension is missing, PlanTooLargeError, before anything is
        allocated, when the memory is not there.
        """
        extents = self._given_extents(bindings)
        return self._loaded.get((extents, ())) or self._load(extents)

    @contextmanager
    def steady(self) -> Iterator[None]:
        """While it lasts, no other thread changes the states between this one's calls."""
        with self._gate.entered(Use.SEVERAL_RUNS, self.program.name):
            yield

    def memory(self, bindings: Mapping[str, int] | None = None) -> PlanMemory:
        """What the function takes for the given extents; nothing is allocated for it.

        Raises DataError when a named dimension is missing.
        """
        return plan_memory(self._compiled(self._given_extents(bindings)).executable)

    def repeat(self, times: int, *arrays: Any) -> None:
        """Runs `times` times on the same inputs in one native loop, without returning outputs.

        Raises ValueError unless `times` is at least 1, and as a call does.
        """
        times = as_count("repeat: times", times, 1)
        values = self._converted(arrays)
        extents = self._extents(values)
        if self.mode == "reference":
            for _ in range(times):
                self._run_reference(values, extents)
            return
        loaded = self._loaded.get((extents, ())) or self._load(extents)
        with self._gate.entered(loaded, self.program.name):
            self._run(loaded, values, times)

    @checks_flags
    def row_loop(
        self,
        arrays: Sequence[Any],
        batch_size: int,
        *,
        gathers: bool = False,
        stop_unless: str | None = None,
    ) -> RowLoop:
        """A native loop of calls on whole arrays, each on the next `batch_size` rows.

        arrays: for each input one of at least `batch_size` rows; all have equally many.
        gathers: whether every run of the loop is given an order of the rows.
        stop_unless: a bool output; the loop ends with the first call in which it is false.

        Raises ValueError in reference mode and for a batch size below 1; DataError for arrays that
        do not fit and IndexError for labels out of range.
        """
        if self.mode == "reference" or batch_size < 1:
            raise ValueError(f"no loop of batches of {batch_size} rows in mode {self.mode!r}")
        values = self._converted(arrays)
        extents = self._extents([value[:batch_size] for value in values])
        if len({len(value) for value in values}) != 1:
            raise DataError(f"equally many rows expected, not {[len(value) for value in values]}")
        check_labels(self.program.roots, self.program.inputs, values)
        in_place: tuple[str, ...] = ()
        if gathers and self.fuse:
            in_place = readable_in_place(self.program, values, batch_size)
        loaded, in_place = self._taking_rows(extents, in_place)
        return RowLoop(
            loaded,
            values,
            batch_size,
            self._gate,
            name=self.program.name,
            gathers=gathers,
            in_place=in_place,
            stop_unless=stop_unless,
        )

    def _taking_rows(
        self, extents: tuple[int, ...], names: tuple[str, ...]
    ) -> tuple[LoadedProgram, tuple[str, ...]]:
        """The program that takes the rows of its inputs `names` itself, and the names without those
        that no product reads in place after all."""
        found = self._loaded.get((extents, names))
        if found is not None:
            return found, names
        if not names:
            return self._load(extents), names
        program = self._compiled(extents, names)
        copied = copied_rows(program.executable, names)
        if copied:
            return self._taking_rows(extents, tuple(name for name in names if name not in copied))
        return self._load(extents, names, program), names

    def _run(self, loaded: LoadedProgram, values: Sequence[Array], times: int = 1) -> None:
        try:
            loaded.run([data_address(value) for value in values], times)
        except IndexError:
            check_labels(self.program.roots, self.program.inputs, values)
            raise

    def _load(
        self,
        extents: tuple[int, ...],
        row_inputs: tuple[str, ...] = (),
        program: CompiledProgram | None = None,
    ) -> LoadedProgram:
        """The program in memory, kept for the extents; compiled by one thread unless it is given.

        Not inside of the gate of runs: others need not wait. Nor is the code of initialisers, which
        is the user's, called inside of the other one.
        """
        key = extents, row_inputs
        with self._compiling.entered(self, self.program.name):
            if key in self._loaded:
                return self._loaded[key]
            if key not in self._compiled_for:
                self._compiled_for[key] = self._made(extents, row_inputs, program)
            compiled, code = self._compiled_for[key]
        loaded = LoadedProgram(compiled, self._states(), code)
        loaded = self._loaded.setdefault(key, loaded)
        self._compiled_for.pop(key, None)
        return loaded

    def _made(
        self, extents: tuple[int, ...], row_inputs: tuple[str, ...], program: CompiledProgram | None
    ) -> tuple[CompiledProgram, Sequence[KernelCode | None]]:
        """The program, compiled unless it is given, and its machine code."""
        name, before = self.program.name, (size for size, _ in (*self._loaded, *self._compiled_for))
        warn_of_many(name, self.dimensions, extents, before)
        size = size_text(self.dimensions, extents)
        with native().announcer.of(f"{name}, {size}" if size else name) as work:
            made = program or self._compiled(extents, row_inputs)
            check_memory(made, memory_limit(), self.variables.allocated)
            return made, machine_code(made, work)

    def _compiled(
        self, extents: tuple[int, ...], row_inputs: tuple[str, ...] = ()
    ) -> CompiledProgram:
        """The program ready to be loaded, without machine code."""
        bindings = dict(zip(self.dimensions, extents, strict=True))
        options = Options(bindings, self.fuse, native().vector_bits, self.threads, row_inputs)
        plans, before_passes = native().plans, native().compilers.expect_kernels
        return compiled_or_stored(self.program, options, plans, before_passes)

    def _given_extents(self, bindings: Mapping[str, int] | None) -> tuple[int, ...]:
        """Raises DataError when a named dimension is missing."""
        missing = [name for name in self.dimensions if name not in (bindings or {})]
        if missing:
            raise DataError(f"no extent is given for {', '.join(missing)}")
        return tuple((bindings or {})[name] for name in self.dimensions)

    def _states(self) -> dict[str, Array]:
        return {node.name: self.variables.storage(node.name) for node in self.program.states}

    def _run_reference(self, values: Sequence[Array], extents: tuple[int, ...]) -> Any:
        states = self._states()
        with self._gate.entered(self, self.program.name):
            return self._evaluated(values, states, extents)

    def _evaluated(
        self, values: Sequence[Array], states: Mapping[str, Array], extents: tuple[int, ...]
    ) -> Any:
        bindings = dict(zip(self.dimensions, extents, strict=True))
        inputs = {n.name: value for n, value in zip(self.program.inputs, values, strict=True)}
        outputs, updates = run_program(self.program, inputs, states, bindings)
        copies = [np.array(value) for value in outputs.values()]
        # All values first: one may show the memory of a state that another update overwrites.
        following = {name: np.array(value) for name, value in updates.items()}
        with self._gate.entered(Use.WRITE, self.program.name):
            for name, value in following.items():
                states[name][...] = value
        return in_form(self._form, copies)

    # --- inputs ----------------------------------------------------------------------------

    def _ordered(self, arrays: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        names = [node.name for node in self.program.inputs]
        unknown = [name for name in named if name not in names[len(arrays) :]]
        if unknown:
            raise DataError(f"no inputs {unknown}, or given twice; the inputs are {names}")
        missing = [name for name in names[len(arrays) :] if name not in named]
        if missing:
            raise DataError(f"no values for the inputs {missing}")
        return [*arrays, *(named[name] for name in names[len(arrays) :])]

    def _converted(self, arrays: Sequence[Any]) -> list[Array]:
        inputs = self.program.inputs
        if len(arrays) != len(inputs):
            names = [node.name for node in inputs]
            raise DataError(f"{len(inputs)} inputs {names} expected, {len(arrays)} given")
        # Nearly every call comes with arrays that need no conversion: this line is what it costs.
        return [
            array
            if type(array) is np.ndarray
            and array.dtype is dtype
            and array.flags.num & _IN_PLACE == _IN_PLACE
            else as_input(node, array)
            for node, dtype, array in zip(inputs, self._input_dtypes, arrays, strict=True)
        ]

    def _extents(self, arrays: Sequence[Array]) -> tuple[int, ...]:
        """The extents of the named dimensions. Raises DataError where shapes do not fit."""
        shapes = tuple([array.shape for array in arrays])
        last_shapes, last_extents = self._last_extents
        if shapes == last_shapes:
            return last_extents
        extents = self._extents_of_others(arrays)
        self._last_extents = shapes, extents
        return extents

    def _extents_of_others(self, arrays: Sequence[Array]) -> tuple[int, ...]:
        """As `_extents`, for arrays of other shapes than in the last call."""
        found: dict[str, int] = {}
        for node, array in zip(self.program.inputs, arrays, strict=True):
            shape = node.type.shape
            if len(shape) != array.ndim:
                raise DataError(misfit(node, array))
            for extent, actual in zip(shape, array.shape, strict=True):
                wanted = (
                    found.setdefault(extent.name, actual) if isinstance(extent, Dim) else extent
                )
                if wanted != actual:
                    raise DataError(misfit(node, array, found))
        if self._is_by_sums:
            found = solved_extents(self.program.inputs, arrays, self.dimensions)
        return tuple(found[name] for name in self.dimensions)
