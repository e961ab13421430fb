"""Data: the IDX format, MNIST's files, and batches of rows; texts and sequences beside them."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc.declare.hyperparameters import as_count
from graphc.errors import DataError
from graphc.ir.given import shown
from graphc.train.sequences import BucketedBatches, pad_sequences, timeseries_windows
from graphc.train.texts import TextVectorization

__all__ = [
    "BucketedBatches", "Mnist", "TextVectorization", "load_mnist", "pad_sequences", "read_idx",
    "timeseries_windows",
]  # fmt: skip

Array = np.ndarray[Any, np.dtype[Any]]
PathLike = str | os.PathLike[str]

GZIP_MAGIC = b"\x1f\x8b"

# The element types of IDX by their code, all big-endian. Source: Y. LeCun, the MNIST database.
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: PathLike) -> Array:
    """The array in an IDX file, plain or gzipped, in the machine's byte order.

    Raises OSError when it cannot be read and DataError for a bad magic number or element type, a
    damaged gzip stream, and fewer or more bytes than the header says.

        images = gc.data.read_idx("train-images-idx3-ubyte.gz")
    """
    data = _contents(path)
    if len(data) < 4:
        raise DataError(f"{path}: {len(data)} bytes are too few for an IDX header")
    zero, code, rank = struct.unpack_from(">HBB", data)
    if zero != 0 or code not in IDX_TYPES:
        raise DataError(f"{path}: no IDX file, its magic number is 0x{data[:4].hex()}")
    start = 4 + 4 * rank
    if len(data) < start:
        raise DataError(f"{path}: truncated within its header of {start} bytes")
    shape = struct.unpack_from(f">{rank}I", data, 4)
    dtype = np.dtype(IDX_TYPES[code])
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - start != expected:
        problem = "truncated" if len(data) - start < expected else "too long"
        raise DataError(
            f"{path}: {problem}, {expected} bytes expected for shape {shape}, "
            f"{len(data) - start} found"
        )
    array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def _contents(path: PathLike) -> bytes:
    data = Path(path).read_bytes()
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: a damaged gzip file: {error}") from None


@dataclass(frozen=True)
class Mnist:
    """Images uint8 [count, 28, 28] and labels uint8 [count]."""

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array


def load_mnist(directory: PathLike) -> Mnist:
    """MNIST from its four files, each plain or gzipped, under their original names.

    Raises FileNotFoundError naming the missing file, and DataError for damaged files and for
    counts of images and labels that differ.

        mnist = gc.data.load_mnist("mnist")
    """
    parts = []
    for split in ("train", "t10k"):
        images = read_idx(_find(directory, f"{split}-images-idx3-ubyte"))
        labels = read_idx(_find(directory, f"{split}-labels-idx1-ubyte"))
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise DataError(
                f"{directory}: {split} images {images.shape} and labels {labels.shape} do not fit"
            )
        parts += [images, labels]
    return Mnist(*parts)


def _find(directory: PathLike, name: str) -> Path:
    for candidate in (Path(directory, f"{name}.gz"), Path(directory, name)):
        if candidate.exists():
            return candidate
    raise FileNotFoundError(f"neither {name}.gz nor {name} is in {directory}")


def fresh_seed() -> int:
    """A seed that the operating system draws."""
    return int.from_bytes(os.urandom(16), "little")


def shuffled_rows(rows: int, seed: int, epoch: int) -> Array:
    """The order (i64) of the rows in an epoch: the same for the same seed and epoch."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def split_rows(arrays: Sequence[Array], share: float) -> tuple[list[Array], list[Array]]:
    """The first rows, and the last `share` of them, at least one.

    Raises DataError unless the share is between 0 and 1 and leaves rows to train on.
    """
    is_number = isinstance(share, int | float | np.integer | np.floating)
    if not is_number or not 0 < share < 1:
        raise DataError(f"a validation_split from 0 to less than 1 expected, not {shown(share)}")
    rows = len(arrays[0])
    # A share is a rounded number: 0.9 of 10 rows are 9 of them, though 1 - 0.9 is less than 0.1.
    rounding = 4 * float(np.finfo(np.asarray(share).dtype).eps)
    first = rows - math.ceil(rows * float(share) * (1 - rounding))
    if first == 0:
        raise DataError(f"a validation_split of {share} leaves none of {rows} rows to train on")
    return [array[:first] for array in arrays], [array[first:] for array in arrays]


def as_parts(validation_data: object) -> tuple[Any, Any, Any]:
    """What is validated on: x, y, and weights of the rows or None. Raises DataError for another
    number of parts."""
    if not isinstance(validation_data, tuple | list):
        given = f"of type {type(validation_data).__name__}"
    elif len(validation_data) not in (2, 3):
        given = f"{len(validation_data)} parts"
    else:
        x, y, weights = (*validation_data, None)[:3]
        return x, y, weights
    raise DataError(f"a pair (x, y) or (x, y, sample_weight) expected, not {given}")


def as_batch_size(value: Any) -> int:
    """Raises DataError for what is no integer of at least 1."""
    return as_count("batch_size", value, 1)


class Batches:
    """Arrays of equally many rows, handed out in batches; the last may be smaller.

    Without an order a batch is a view of the arrays. With one its rows are copied to buffers that
    the next batch overwrites.
    """

    def __init__(self, arrays: Sequence[Array], batch_size: int) -> None:
        """Raises DataError for a batch size below 1 and for no rows."""
        size = as_batch_size(batch_size)
        self.rows = len(arrays[0])
        if self.rows == 0:
            raise DataError("no data: there are no rows")
        self.batch_size = min(size, self.rows)
        self.arrays = list(arrays)
        self._buffers: list[Array] | None = None

    def __len__(self) -> int:
        """The number of batches."""
        return -(-self.rows // self.batch_size)

    @property
    def sizes(self) -> set[int]:
        """The one or two sizes that batches have."""
        return {self.batch_size, self.rows % self.batch_size or self.batch_size}

    def __call__(self, order: Array | None = None) -> Iterator[list[Array]]:
        """The batches once through, the rows in `order` when it is given."""
        starts = range(0, self.rows, self.batch_size)
        if order is None:
            for start in starts:
                yield [array[start : start + self.batch_size] for array in self.arrays]
            return
        whole = self._make_buffers()
        rest = [buffer[: self.rows % self.batch_size] for buffer in whole]
        for start in starts:
            rows = order[start : start + self.batch_size]
            buffers = whole if len(rows) == self.batch_size else rest
            for array, buffer in zip(self.arrays, buffers, strict=True):
                # Any mode but "raise" writes to `out` without a copy in between.
                np.take(array, rows, axis=0, out=buffer, mode="clip")
            yield buffers

    def _make_buffers(self) -> list[Array]:
        if self._buffers is None:
            self._buffers = [
                np.empty((self.batch_size, *array.shape[1:]), array.dtype) for array in self.arrays
            ]
        return self._buffers
