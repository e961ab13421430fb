"""IDX files, MNIST's four files, batches."""

import gzip
import math
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from graphc.errors import DataError
from graphc.train.data import batches, data

REPOSITORY = Path(__file__).parents[3]
MNIST = Path(os.environ.get("GRAPHC_MNIST", REPOSITORY / ".." / "shared" / "data" / "mnist"))

CODES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}


def idx_bytes(array, code):
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(f">{CODES[code]}").tobytes()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_read_idx(tmp_path, code, compressed):
    array = np.arange(-12, 12).reshape(2, 3, 4).astype(CODES[code])
    content = idx_bytes(array, code)
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(content) if compressed else content)
    read = data.read_idx(path)
    assert read.dtype == array.dtype and read.dtype.isnative
    np.testing.assert_array_equal(read, array)
    assert read.flags.writeable


CONTENT = idx_bytes(np.arange(6).reshape(2, 3), 0x0C)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too few"),
        (CONTENT[:3], "too few"),
        (CONTENT[:9], "within its header"),
        (CONTENT[:-1], "truncated"),
        (CONTENT + b"x", "too long"),
        (b"\x01" + CONTENT[1:], "magic number is 0x01000c02"),
        (b"\x00\x00\x0a" + CONTENT[3:], "magic number"),
        (gzip.compress(CONTENT, mtime=0)[:-9], "damaged gzip"),
        (gzip.compress(CONTENT, mtime=0)[:12] + b"\xff" * 20, "damaged gzip"),
    ],
    ids=[
        "empty",
        "short",
        "cut header",
        "cut data",
        "too long",
        "bad magic",
        "bad type",
        "cut gzip",
        "bad deflate",
    ],
)
def test_bad_idx(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        data.read_idx(path)


def write_mnist(directory, train_labels=5):
    for name, array in {
        "train-images-idx3-ubyte": np.zeros((5, 28, 28)),
        "train-labels-idx1-ubyte": np.arange(train_labels),
        "t10k-images-idx3-ubyte": np.zeros((2, 28, 28)),
    }.items():
        (directory / name).write_bytes(idx_bytes(array, 0x08))
    content = gzip.compress(idx_bytes(np.arange(2), 0x08))
    (directory / "t10k-labels-idx1-ubyte.gz").write_bytes(content)


def test_load_mnist(tmp_path):
    write_mnist(tmp_path)
    mnist = data.load_mnist(tmp_path)
    assert mnist.train_images.shape == (5, 28, 28)
    assert mnist.test_labels.tolist() == [0, 1]


def test_load_mnist_that_does_not_fit(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images"):
        data.load_mnist(tmp_path)
    write_mnist(tmp_path, train_labels=4)
    with pytest.raises(DataError, match="do not fit"):
        data.load_mnist(tmp_path)


@pytest.mark.skipif(not MNIST.is_dir(), reason="MNIST's files are not here; set GRAPHC_MNIST")
def test_real_mnist():
    mnist = data.load_mnist(MNIST)
    assert mnist.test_images.shape == (10000, 28, 28)
    assert mnist.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert len(mnist.train_images) == len(mnist.train_labels)
    assert mnist.train_images.dtype == np.uint8 and mnist.train_images.max() == 255


def test_batches_cover_every_row_once():
    x, y = np.arange(20).reshape(10, 2), np.arange(10)
    handed = batches.Batches([x, y], 4)
    assert len(handed) == 3 and handed.sizes == {4, 2}
    for order in (None, batches.shuffled_rows(10, seed=1, epoch=0)):
        taken = [[part.copy() for part in batch] for batch in handed(order)]
        assert [len(part) for part, _ in taken] == [4, 4, 2]
        rows = np.concatenate([labels for _, labels in taken])
        np.testing.assert_array_equal(rows, np.arange(10) if order is None else order)
        np.testing.assert_array_equal(np.concatenate([part for part, _ in taken]), x[rows])


def test_order_depends_on_seed_and_epoch():
    orders = [batches.shuffled_rows(50, *key).tolist() for key in ((0, 0), (0, 1), (1, 0))]
    assert orders[0] == batches.shuffled_rows(50, 0, 0).tolist()
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(50)) for order in orders)


@pytest.mark.parametrize(
    ("rows", "share", "kept"),
    [
        (10, 0.9, 9),
        (10, np.float32(0.9), 9),
        (10, np.float32(0.1), 1),
        (10, 1 - 0.7, 3),
        (6, 5 / 6, 5),
        (1000, 0.999, 999),
        (10, 0.25, 3),
        (10, 1e-9, 1),
        (10, 5e-324, 1),
        (2, 0.5, 1),
    ],
)
def test_the_share_that_is_kept_is_what_it_says(rows, share, kept):
    """Of k rows of n, k / n is the share; a part of a row is a whole one."""
    first, last = batches.split_rows([np.arange(rows)], share)
    assert first[0].tolist() == list(range(rows - kept))
    assert last[0].tolist() == list(range(rows - kept, rows))


def test_every_share_of_whole_rows_is_exact():
    for rows in range(2, 60):
        for kept in range(1, rows):
            _, (last,) = batches.split_rows([np.arange(rows)], kept / rows)
            assert len(last) == kept


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 0.95, 1 - 1e-16, math.nan, math.inf])
def test_shares_that_leave_nothing(share):
    with pytest.raises(DataError, match="validation_split"):
        batches.split_rows([np.arange(10)], share)


def test_impossible_batches():
    with pytest.raises(DataError, match="no rows"):
        batches.Batches([np.zeros((0, 2))], 4)
    with pytest.raises(DataError, match="at least 1"):
        batches.Batches([np.zeros((3, 2))], 0)
