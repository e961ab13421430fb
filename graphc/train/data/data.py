"""What users call for data: the IDX format and MNIST's files; texts and sequences beside them."""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import DataError
from graphc.kernels.host.regular_file import open_regular
from graphc.train.data.sequences import BucketedBatches, pad_sequences, timeseries_windows
from graphc.train.data.texts import TextVectorization

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
    with open_regular(path) as file:
        data = file.read()
    if not data.startswith(GZIP_MAGIC):
        return data
    import gzip
    import zlib

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
