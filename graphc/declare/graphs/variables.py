"""The values of a graph's states: parameters, optimizer slots, rates, counters."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from graphc.declare.graphs.flat import joined, parted
from graphc.declare.hyperparameters import as_seed
from graphc.declare.init import Initializer
from graphc.display.table import counted
from graphc.errors import DTypeError, VariableError
from graphc.files.value_files import escaped, listed_names, read_values, shown_path, write_values
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import as_array, shown
from graphc.ir.graph import Node, check_fits
from graphc.ir.types import DType, TensorType, as_dtype, is_several
from graphc.kernels.host.forks import RenewedLock
from graphc.kernels.run.gate import Gate, Use
from graphc.kernels.run.memory import aligned_empty

Array = np.ndarray[Any, np.dtype[Any]]


class Declarations(Protocol):
    """What variables know of their graph: its states by name, and what makes their first values."""

    states: dict[str, Node]
    initializers: dict[str, Initializer]
    # Held while states come and go.
    declaring: RenewedLock


class Variables:
    """One value for each state of a graph, made by the state's initialiser when first needed.

    A value lives in a C-contiguous, 64-byte aligned array that keeps its address for life, since
    compiled code holds a pointer to it. Every state draws from a random stream of its own, derived
    from `seed` and its name, so that adding a layer does not change the others.

    `variables[key]` is a copy, `variables[key] = value` copies in place; a key is a state or its
    name. Iterating gives the names in the order of declaration.
    """

    def __init__(self, graph: Declarations, seed: int = 0) -> None:
        self.graph = graph
        self.seed = seed
        self._arrays: dict[str, Array] = {}
        # Whoever reads or writes values is inside of it, functions while they run.
        self.gate = Gate()

    def __repr__(self) -> str:
        states = tuple(self.graph.states.values())
        elements = sum(state.type.size for state in states)
        return f"<variables: {counted(len(states), 'state')} of {elements:,} elements>"

    def __getitem__(self, key: Node | str) -> Array:
        """A copy of the value. Raises VariableError for an unknown state or one without value."""
        array = self.storage(key)
        with self.gate.entered(Use.READ, "variables"):
            return array.copy()

    def __setitem__(self, key: Node | str, value: object) -> None:
        """Copies `value` in place. Raises VariableError when its shape or dtype does not fit."""
        state = self._state(key)
        self._write_all({state: _fitting(state, value)})

    def __contains__(self, key: object) -> bool:
        name = key.attributes.get("name") if isinstance(key, Node) else key
        return name in self.graph.states

    def __iter__(self) -> Iterator[str]:
        # Of this moment: another thread may declare states meanwhile.
        return iter(tuple(self.graph.states))

    def __len__(self) -> int:
        return len(self.graph.states)

    def items(self) -> Iterator[tuple[str, Array]]:
        """Names with copies of their values, all of one moment, in the order of declaration."""
        return iter(self.read(self).items())

    def read(self, names: Iterable[str]) -> dict[str, Array]:
        """Copies of several values by name, all of one moment: no run of a function and no write is
        between them. Raises as `variables[key]` does."""
        return self.copied(self.storages(names))

    def storages(self, names: Iterable[str]) -> dict[str, Array]:
        """The arrays themselves of several values by name, of states that are all declared at one
        moment. Raises as `variables[key]` does."""
        with self.graph.declaring.lock:
            return {name: self.storage(name) for name in _several(names)}

    def copied(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Copies of arrays that `storages` gave, all of one moment."""
        with self.gate.entered(Use.READ, "variables"):
            return {name: array.copy() for name, array in arrays.items()}

    @contextmanager
    def steady(self) -> Iterator[None]:
        """While it lasts, no other thread runs, reads or writes: what this one does is one step."""
        with self.gate.entered(Use.SEVERAL_RUNS, "variables"):
            yield

    @property
    def flat(self) -> Array:
        """The trainable states in the order of declaration as one vector, in the widest of their
        dtypes: a copy. Setting it sets all of them: `variables.flat = 0.5 * variables.flat`.

        Raises VariableError for a vector of another length, with nothing changed.
        """
        return joined(list(self.read(state.name for state in self._trainable()).values()))

    @flat.setter
    def flat(self, value: object) -> None:
        try:
            self.update(parted(as_array(value), self._trainable()))
        except (TypeError, ValueError) as error:
            raise VariableError(f"flat: {error}") from None

    def _trainable(self) -> list[Node]:
        states = tuple(self.graph.states.values())
        return [state for state in states if state.attributes["trainable"]]

    @property
    def allocated(self) -> Collection[str]:
        """The names of the states that have their memory."""
        return frozenset(self._arrays)

    def storage(self, key: Node | str) -> Array:
        """The array itself, writable, for compiled code. Raises as `variables[key]` does."""
        state = self._state(key)
        array = self._arrays.get(state.name)
        return self._made(state, self._initial_value(state)) if array is None else array

    def initialize(
        self, seed: int | None = None, names: Iterable[Node | str] | None = None
    ) -> None:
        """Sets every value to its initial one, in place, with another seed when one is given.

        names: the states, or their names, that are set; all of them unless given. Raises
        VariableError for an unknown one, TypeError or ValueError for a seed that is none.
        """
        states = [self._state(name) for name in (self if names is None else _several(names))]
        if seed is not None:
            self.seed = as_seed(seed)
        self._write_all(
            {s: self._initial_value(s) for s in states if s.name in self.graph.initializers}
        )

    def update(self, values: Mapping[str, object]) -> None:
        """Sets several values by name, or none of them when one does not fit (VariableError)."""
        states = [self._state(name) for name in values]
        fitting = [_fitting(s, value) for s, value in zip(states, values.values(), strict=True)]
        self._write_all(dict(zip(states, fitting, strict=True)))

    def forget(self, names: Collection[str]) -> None:
        """Lets go of the values of states that the graph no longer has."""
        for name in names:
            self._arrays.pop(name, None)

    def copy(self) -> Variables:
        """Variables of the same graph with equal values in arrays of their own."""
        other = Variables(self.graph, self.seed)
        with self.graph.declaring.lock:
            has_value = self._arrays.keys() | self.graph.initializers.keys()
            arrays = {self.graph.states[n]: self.storage(n) for n in self if n in has_value}
        with self.gate.entered(Use.READ, "variables"):
            other._write_all(arrays)
        return other

    def __copy__(self) -> Variables:
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        """The values that have been made; the others follow from the seed. What runs and what is
        compiled keeps the memory of the variables that it was made with."""
        kept = {key: value for key, value in vars(self).items() if key != "gate"}
        return {**kept, "_arrays": self.read(name for name in self if name in self._arrays)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, gate=Gate(), _arrays={})
        for name, array in state["_arrays"].items():
            self._arrays[name] = aligned_array(TensorType(as_dtype(array.dtype), array.shape))
            self._arrays[name][...] = array

    def save(self, path: str | os.PathLike[str], names: Iterable[Node | str] | None = None) -> None:
        """Writes the values (those of `names` alone, when given: states or their names) to a
        safetensors file.

        The file appears whole or not at all; one that was there keeps its mode and owner, and a
        link leads to what is written. Raises VariableError for an unknown name, OSError when the
        file cannot be written.
        """
        given = self if names is None else _several(names)
        wanted = [self._state(key).name for key in given]
        write_values(path, self.read(wanted))

    @checks_flags
    def load(
        self,
        path: str | os.PathLike[str],
        names: Iterable[str] | None = None,
        *,
        allow_others: bool = False,
        allow_nan: bool = False,
    ) -> None:
        """Sets the values of `names` (all states unless given) from a safetensors file.

        The file holds these names and no others, unless `allow_others`, in the states' own shapes
        and dtypes, and no NaN, unless `allow_nan`. Raises VariableError, with nothing changed, for
        a file that is no safetensors file and for missing, unknown or mismatching values; OSError
        when it cannot be read.
        """
        found = read_values(path)
        wanted = list(self if names is None else _several(names))
        states = {name: self._state(name) for name in wanted}
        try:
            _check_names(set(wanted), set(found), allow_others)
            arrays = {n: found[n].array(s.dtype, allow_nan) for n, s in states.items()}
            self.update(arrays)
        except VariableError as error:
            problem = f"{shown_path(path)} does not fit the graph: {error}"
            raise VariableError(problem) from None

    def _state(self, key: Node | str) -> Node:
        if isinstance(key, Node):
            if key.graph is not self.graph or key.attributes.get("name") not in self.graph.states:
                raise VariableError(f"{key!r} is no state of this graph")
            return key
        if not isinstance(key, str):
            raise VariableError(f"a state or its name expected, not {shown(key)}")
        state = self.graph.states.get(key)
        if state is None:
            known = ", ".join(map(escaped, self.graph.states)) or "none"
            raise VariableError(f"no state is named {key!r}; there are: {known}")
        return state

    def _made(self, state: Node, value: Array) -> Array:
        """The state's memory, made with `value` in it unless another thread has made it."""
        array = aligned_array(state.type)
        array[...] = value
        return self._arrays.setdefault(state.name, array)

    def _write_all(self, values: Mapping[Node, Array]) -> None:
        with self.gate.entered(Use.WRITE, "variables"):
            for state, value in values.items():
                array = self._arrays.get(state.name)
                if array is None:
                    array = self._made(state, value)
                array[...] = value

    def _initial_value(self, state: Node) -> Array:
        initializer = self.graph.initializers.get(state.name)
        if initializer is None:
            raise VariableError(f"{state!r} has no initialiser and no value was set")
        value = initializer(self._generator(state.name), state.type.dims, state.dtype)
        return _fitting(state, value)

    def _generator(self, name: str) -> np.random.Generator:
        digest = hashlib.sha256(name.encode()).digest()
        words = tuple(int(word) for word in np.frombuffer(digest, "<u4"))
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=words))


def _several(names: Any) -> Iterable[Any]:
    """Names, or states, that are gone through. Raises VariableError for one alone, whose letters
    would be."""
    if isinstance(names, str) or not is_several(names):
        raise VariableError(f"several states or their names expected, not {shown(names)}")
    found: Iterable[Any] = names
    return found


def aligned_array(type: TensorType) -> Array:
    """An array of `type`, not initialised, whose first element is 64-byte aligned."""
    return aligned_empty(type.nbytes).view(type.dtype.numpy).reshape(type.dims)


def _fitting(state: Node, value: object) -> Array:
    """`value` as an array of the state's type. Raises VariableError when it is of another."""
    try:
        array = as_array(value)
    except (TypeError, ValueError) as error:
        raise VariableError(f"{state!r}: {error}") from None
    if array.shape != state.type.dims:
        raise VariableError(f"{_shown(state)} cannot hold a value of shape {array.shape}")
    if not converts(array.dtype, state.dtype):
        raise VariableError(f"{_shown(state)} cannot hold values of dtype {array.dtype}")
    try:
        check_fits(array, state.dtype)
    except DTypeError as error:
        raise VariableError(f"{_shown(state)}: {error}") from None
    return array


def _shown(state: Node) -> str:
    return escaped(repr(state))


def converts(given: np.dtype[Any], wanted: DType) -> bool:
    """Whether values of numpy dtype `given` may be stored as `wanted` without being asked to.

    Numbers and bools become floats, whatever their width; integers become integers; nothing
    becomes an integer by losing a fraction or a bool by losing a magnitude.
    """
    if wanted.is_float:
        return given.kind in "fiub"
    if wanted.is_integer:
        return given.kind in "iu"
    return given.kind == "b"


def _check_names(wanted: set[str], found: set[str], allow_others: bool) -> None:
    """Raises VariableError where the file's names are not those that are wanted."""
    problems = []
    if wanted - found:
        problems.append(f"it lacks {listed_names(wanted - found)}")
    if not allow_others and found - wanted:
        problems.append(f"no state is expected for its {listed_names(found - wanted)}")
    if problems:
        raise VariableError("; ".join(problems))
