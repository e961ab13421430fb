"""A kernel as emitters leave it: its statements, and the storage that it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from graphc.ir.graph import Node
from graphc.ir.types import DTYPES, DType
from graphc.kernels.host.cache_entry import source_digest
from graphc.kernels.loops.language.exchanges import EXCHANGES
from graphc.kernels.loops.language.expressions import (
    Constant,
    Expression,
    Name,
    applied,
    texts,
)
from graphc.kernels.loops.language.indices import ADVANCE, THREAD, THREADS, flat_index
from graphc.kernels.loops.language.scalar import dtype_name
from graphc.kernels.loops.language.statements import (
    INDENT,
    MARKERS,
    Block,
    Let,
    Return,
    Statement,
    canonical_lines,
    printed,
)
from graphc.kernels.mathematics.arithmetic import primitives
from graphc.kernels.mathematics.vecmath import VECTOR_MATH
from graphc.kernels.nests.names import Names

# More buffers than this in one kernel leave too few address registers.
MOST_BUFFERS = 30

# Of every kernel.
PARAMETERS = (Name("arguments"), THREAD, THREADS)

# The primitive that finds an argument.
BUFFER = "buffer"

# What kernel source already uses: its parameters, the primitives and the vector math.
RESERVED = frozenset(
    {*texts(*PARAMETERS), BUFFER, "buffer_in_run", "stack", ADVANCE, "prefetch"}
    | {*MARKERS.values(), "transpose_block"}
    | {f"{name}{rest}" for name in (*EXCHANGES, "sort_few") for rest in ("", "_pairs")}
    | {"range"}
    | {"inf", "nan"}
    | {dtype_name(dtype) for dtype in DTYPES.values()}
    | {name for name, value in vars(primitives).items() if callable(value)}
    | set(VECTOR_MATH)
)


@dataclass(frozen=True, eq=False)
class Storage:
    """A contiguous run of elements that kernels read or write; compared by identity.

    of: for scratch memory, the value that its kernel makes with it.
    keeps_row: whether that is a row of it, which a later pass over the row reads.
    """

    name: str
    dtype: DType
    size: int
    of: Node | None = None
    keeps_row: bool = False

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize


# Where each stored value is.
StorageOf = Callable[[Node], Storage]


@dataclass(frozen=True)
class ScratchParts:
    """Scratch memory that is cut into `count` parts of `stride` elements.

    owner: the variable of the source that numbers the parts: of a thread, or of a block of rows, of
    which each is in the share of one thread.
    arrays: the first element and the length of each array in a part.
    """

    storage: Storage
    owner: Name
    count: int
    stride: int
    arrays: tuple[tuple[int, int], ...]

    def start(self, array: int = 0) -> Expression:
        """The index where an array of the owner's part begins."""
        return flat_index((self.owner, self.stride), offset=self.arrays[array][0])

    def flaw(self, threads: int) -> str | None:
        """Why so many threads may meet in this memory; None where they cannot."""
        if self.owner == THREAD and self.count < threads:
            return f"{self.count} parts for {threads} threads"
        if self.count * self.stride > self.storage.size:
            return f"{self.count} parts of {self.stride} in {self.storage.size} elements"
        end = 0
        for first, length in sorted(self.arrays):
            if first < end:
                return f"two arrays at element {first} of a part"
            end = first + length
        if end > self.stride:
            return f"arrays of {end} elements in parts of {self.stride}"
        return None


@dataclass(frozen=True)
class OwnRows:
    """The arguments whose `rows` rows are cut in chunks of `rows_per_chunk`, which a kernel shares
    in order; a thread touches nothing of these arguments but the rows of its chunks."""

    rows: int
    rows_per_chunk: int
    arguments: frozenset[Storage]


@dataclass(frozen=True)
class Microkernel:
    """A function that source calls and that is LLVM IR: its name, what it covers and its text.

    `rows` x `columns` is the block of the result; `lanes` counts the elements of a full vector.
    `is_indexed`: whether the last argument is a pointer to indices.
    """

    name: str
    dtype: str
    rows: int
    columns: int
    lanes: int
    llvm_ir: str
    is_indexed: bool = False


@dataclass(frozen=True)
class KernelSource:
    """A kernel: its statements, none of one that does nothing, arguments in order, and which of
    them live only while it runs.

    unroll: whether short loops are unrolled whole, so that the loop around them is vectorised: good
    for rows of a few classes, bad for the tiles of a product.
    long_rows: whether its loops over the elements of a row are long, strips of many vectors.
    writes: the arguments that it writes to.
    splits: whether threads may call it together, each for its share.
    cycles: estimated, of one core.
    own_rows: where it splits by rows, what a thread reads and writes of its own rows alone.
    parts: of the scratch memory of a kernel that splits, which thread has which.
    can_stop: whether it may stop the run.
    indexes: whether it touches memory at places that an argument says, which are checked before.
    starts: the element of each argument at which the kernel takes it to begin; () where each begins
    with its first.
    """

    name: str
    statements: tuple[Statement, ...]
    arguments: tuple[Storage, ...]
    scratch: tuple[Storage, ...] = ()
    microkernels: tuple[Microkernel, ...] = ()
    unroll: bool = True
    long_rows: bool = False
    writes: tuple[Storage, ...] = ()
    splits: bool = False
    cycles: float = 0.0
    own_rows: OwnRows | None = None
    parts: tuple[ScratchParts, ...] = ()
    can_stop: bool = False
    indexes: bool = False
    starts: tuple[int, ...] = ()

    @cached_property
    def text(self) -> str:
        """The whole function: `def name(arguments, thread, threads)`. "" where there is none."""
        if not self.statements:
            return ""
        parameters = ", ".join(each.text for each in PARAMETERS)
        lines = [INDENT + line for line in printed(self.statements)]
        return "\n".join([f"def {self.name}({parameters}):", *lines, ""])


class Arguments:
    """The buffers that a kernel uses, named as it comes to use them."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._by_storage: dict[Storage, Name] = {}
        self._in_runs: set[Storage] = set()

    def name(self, storage: Storage) -> Name:
        """The variable that holds `storage`, which becomes an argument if it is not one yet."""
        if storage not in self._by_storage:
            self._by_storage[storage] = Name(self._names.unique(storage.name))
        return self._by_storage[storage]

    def reserve(self, storage: Storage, name: Name) -> None:
        """Makes `storage` an argument under a name that the source already uses for it."""
        self._by_storage[storage] = name

    def run(self, storages: Sequence[Storage]) -> int:
        """Makes the storages arguments behind each other, which only loops over them name; the
        number of the first. None of them is an argument yet."""
        first = len(self._by_storage)
        assert self._by_storage.keys().isdisjoint(storages)
        self._by_storage |= dict.fromkeys(storages, Name(""))
        self._in_runs |= set(storages)
        return first

    @property
    def storages(self) -> tuple[Storage, ...]:
        return tuple(self._by_storage)

    def declarations(self) -> list[Statement]:
        count = len(self._by_storage)
        return [
            Let(name, buffer_argument(number, count, storage.dtype))
            for number, (storage, name) in enumerate(self._by_storage.items())
            if storage not in self._in_runs
        ]


def buffer_argument(number: int, count: int, dtype: DType) -> Expression:
    """The buffer that is argument `number` of `count`."""
    return applied(BUFFER, PARAMETERS[0], number, count, Constant(dtype_name(dtype)))


def function_statements(arguments: Arguments, body: Block) -> tuple[Statement, ...]:
    """What a whole kernel does: it finds its buffers, and says that it did not stop."""
    return (*arguments.declarations(), *body.whole, Return(0))


def kernel_digest(source: KernelSource) -> str:
    """What a kernel's machine code depends on besides the build; equal kernels of other names have
    the same."""
    flags = (f"unroll={source.unroll}", f"long_rows={source.long_rows}")
    microkernels = (kernel.llvm_ir for kernel in source.microkernels)
    lines = canonical_lines(source.statements, PARAMETERS)
    return source_digest(["\n".join(lines), *flags, *microkernels])
