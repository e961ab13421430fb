"""Cases of random numbers, against a generator in Python's integers and published figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError, GraphError, ShapeError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node
from graphc.ir.ops import random
from graphc.testing.cases import BATCH, TRANSPOSED, Case, ErrorCase, Operand, fixed

WORD = 0xFFFFFFFF
KEY = 0x0123456789ABCDEF

# Counter, key and result of threefry2x32 with 13 rounds, each as low and high word, from
# tests/kat_vectors of Random123 1.14.0 (D. E. Shaw Research).
KNOWN_ANSWERS = (
    ((0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
    ((WORD, WORD), (WORD, WORD), (0xFD36D048, 0x2D17272C)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xBA3E4725, 0xF27D669E)),
)


def signed(low: int, high: int) -> int:
    """The i64 of two words."""
    value = high << 32 | low
    return value - (value >> 63 << 64)


def words_of(key: int, counter: int) -> tuple[int, int]:
    """Threefry-2x32 with 13 rounds, from the definition in the paper, Section 3.2 and Table 3."""
    k = [key & WORD, key >> 32 & WORD]
    k.append(0x1BD11BDA ^ k[0] ^ k[1])
    x = [(counter & WORD) + k[0] & WORD, (counter >> 32 & WORD) + k[1] & WORD]
    for number in range(13):
        rotation = (13, 15, 26, 6, 17, 29, 16, 24)[number % 8]
        x[0] = x[0] + x[1] & WORD
        x[1] = (x[1] << rotation | x[1] >> 32 - rotation) & WORD ^ x[0]
        if number % 4 == 3:
            s = number // 4 + 1
            x = [x[0] + k[s % 3] & WORD, x[1] + k[(s + 1) % 3] + s & WORD]
    return x[0], x[1]


def bits_of(key: Any, counter: Any, words: int) -> Any:
    """A random i32 (of 1 word) or i64; a counter of i32 has no high word."""
    unsigned = int(counter) & (WORD if counter.dtype == np.int32 else -1)
    whole = np.array(signed(*words_of(int(key), unsigned)), np.int64)
    return whole if words == 2 else whole.astype(np.int32)


def _bits(key: Any, counter: Any, words: int) -> Any:
    found = [bits_of(*pair, words) for pair in np.broadcast(key, counter)]
    return np.reshape(found, np.broadcast_shapes(key.shape, counter.shape))


def fraction_of(bits: Any) -> Any:
    """The leading 24 digits of an i32, or 53 of an i64, after the binary point."""
    size, digits = (32, 24) if bits.dtype == np.int32 else (64, 53)
    return (int(bits) % 2**size >> size - digits) / 2**digits


def _random_bits_cases() -> Iterator[Case]:
    key = Operand((), "i64", fixed([KEY]), is_state=True)
    for dtype, words in (("i32", 1), ("i64", 2)):
        for shape in (), (0,), (1,), (15,), (16,), (17,), (3, 5), ("batch", 4):
            count = int(np.prod([BATCH.get(extent, extent) for extent in shape], dtype=int))
            counter = Operand(shape, "i32", fixed(np.arange(-2, max(count, 1) - 2)))
            yield Case(
                "random_bits", f"{dtype}_{'x'.join(map(str, shape))}", (key, counter),
                {"dtype": dtype}, lambda k, c, w=words: _bits(k, c, w), bindings=BATCH,
            )  # fmt: skip
    counters, keys, _ = (
        [signed(*pair) for pair in column] for column in zip(*KNOWN_ANSWERS, strict=True)
    )
    both = (Operand((3,), "i64", fixed(keys)), Operand((3,), "i64", fixed(counters)))
    for dtype in ("i32", "i64"):
        known = np.array([signed(*answer) for _, _, answer in KNOWN_ANSWERS])
        expected = known if dtype == "i64" else known.astype(np.int32)
        yield Case(
            "random_bits", f"known_{dtype}", both, {"dtype": dtype}, lambda k, c, e=expected: e
        )
    yield Case(
        "random_bits", "of_an_index", (key, Operand((), "i32", fixed([7]))),
        expect=lambda k, c: _bits(k, np.arange(7, 22, dtype=np.int32).reshape(3, 5).T, 1),
        build=lambda graph, operands, dtype: random.random_bits(
            operands[0], graph.iota((3, 5), "i32").T + operands[1], dtype="i32"
        ),
    )  # fmt: skip


def _second_bits_cases() -> Iterator[Case]:
    key = Operand((), "i64", fixed([KEY]), is_state=True)
    for shape in (), (0,), (1,), (15,), (16,), (17,), (3, 5), ("batch", 4):
        counter = Operand(shape, "i32", fixed(np.arange(-2, 20)))
        yield Case(
            "second_bits", "x".join(map(str, shape)) or "scalar", (key, counter),
            expect=lambda k, c: (np.asarray(_bits(k, c, 2), np.int64) >> 32).astype(np.int32),
            bindings=BATCH,
        )  # fmt: skip


def _unit_interval_cases() -> Iterator[Case]:
    for dtype, bits in (("i32", 32), ("i64", 64)):
        ends = [0, 1, -1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)), 12345, -12345, 2 ** (bits - 9)]
        for shape in (), (0,), (8,), (17,), ("batch", 5):
            yield Case(
                "unit_interval", f"{dtype}_{'x'.join(map(str, shape))}",
                (Operand(shape, dtype, fixed(ends)),),
                expect=lambda b: np.reshape([fraction_of(one) for one in b.ravel()], b.shape),
                bindings=BATCH,
            )  # fmt: skip


def _dropped(rate: float) -> Any:
    """What stands above the least `rate` of all i32 is kept."""

    def expect(x: Any, key: Any) -> Any:
        numbers = _bits(key, np.arange(x.size, dtype=np.int32), 1).astype(np.int64)
        is_kept = numbers + 2**31 >= min(round(rate * 2**32), 2**32 - 1)
        with np.errstate(all="ignore"):
            return np.where(np.reshape(is_kept, x.shape), x / (1 - rate), 0)

    return expect


def _dropout_cases() -> Iterator[Case]:
    key = Operand((), "i64", fixed([KEY]), is_state=True)
    for shape in (), (0,), (1,), (15,), (16,), (17,), (9, 17), (2, 3, 4), ("batch", 5):
        for rate in (0.5, 0.1) if shape == (17,) else (0.5,):
            yield Case(
                "dropout", f"{'x'.join(map(str, shape))}_{rate}", (Operand(shape), key),
                {"rate": rate}, _dropped(rate), bindings=BATCH,
            )  # fmt: skip
    for rate in (0.0, 1e-12, 1 - 2**-40):
        yield Case(
            "dropout", f"rate_{rate}", (Operand((17,)), key), {"rate": rate}, _dropped(rate),
            gradient=False,
        )  # fmt: skip
    yield Case(
        "dropout", "transposed", (Operand((5, 7), layout=TRANSPOSED), key), {"rate": 0.3},
        _dropped(0.3),
    )  # fmt: skip
    values = Operand((17,), sample=fixed([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40]))
    yield Case("dropout", "special", (values, key), {"rate": 0.25}, _dropped(0.25), gradient=False)


RANDOM_CASES: tuple[Case, ...] = (
    *_random_bits_cases(), *_second_bits_cases(), *_unit_interval_cases(), *_dropout_cases(),
)  # fmt: skip


def _key(graph: Graph) -> Node:
    return graph.state("key", (), "i64")


def _x(graph: Graph, shape: Any = (4,), dtype: str = "f32") -> Node:
    return graph.input("x", shape, dtype)


RANDOM_ERRORS: tuple[ErrorCase, ...] = (
    ErrorCase(
        "random_bits", "key", lambda g: random.random_bits(_x(g), g.iota(4, "i32"), dtype="i32"),
        DTypeError, r"^random_bits\(f32\[4\], i32\[4\]\): a key of i64",
    ),
    ErrorCase(
        "random_bits", "counter", lambda g: random.random_bits(_key(g), _x(g), dtype="i32"),
        DTypeError, "^random_bits.*a counter of i32 or i64",
    ),
    ErrorCase(
        "random_bits", "dtype",
        lambda g: random.random_bits(_key(g), g.iota(4, "i32"), dtype="f32"),
        DTypeError, "^random_bits.*i32 or i64 expected, not f32",
    ),
    ErrorCase(
        "second_bits", "key", lambda g: random.second_bits(_x(g), g.iota(4, "i32")),
        DTypeError, r"^second_bits\(f32\[4\], i32\[4\]\): a key of i64",
    ),
    ErrorCase(
        "second_bits", "counter", lambda g: random.second_bits(_key(g), _x(g)),
        DTypeError, r"^second_bits\(i64\[\], f32\[4\]\): ",
    ),
    ErrorCase(
        "unit_interval", "float", lambda g: random.unit_interval(_x(g)), DTypeError,
        r"^unit_interval\(f32\[4\]\): i32 or i64 expected",
    ),
    ErrorCase(
        "unit_interval", "bool", lambda g: random.unit_interval(build.cast(_x(g), "bool")),
        DTypeError, "^unit_interval.*not bool",
    ),
    ErrorCase(
        "dropout", "one", lambda g: random.dropout(_x(g), _key(g), rate=1.0), GraphError,
        r"^dropout\(f32\[4\], i64\[\]\): attribute rate: .* less than 1 expected, not 1.0",
    ),
    ErrorCase(
        "dropout", "nan", lambda g: random.dropout(_x(g), _key(g), rate=float("nan")), GraphError,
        "^dropout.*rate.*not nan",
    ),
    ErrorCase(
        "dropout", "integers", lambda g: random.dropout(_x(g, (4,), "i64"), _key(g), rate=0.5),
        DTypeError, "^dropout.*f32 or f64 expected, not i64",
    ),
    ErrorCase(
        "dropout", "keys", lambda g: random.dropout(_x(g), g.state("k", (4,), "i64"), rate=0.5),
        ShapeError, "^dropout.*a scalar key",
    ),
    ErrorCase(
        "dropout", "key_dtype", lambda g: random.dropout(_x(g), g.state("k"), rate=0.5),
        DTypeError, "^dropout.*a key of i64",
    ),
)  # fmt: skip
