"""The kernels that measure the machine, and what a roofline says of a kernel."""

from pathlib import Path

import numpy as np
import pytest

from graphc.compiler.load.native import native
from graphc.ir.types import f32, f64
from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run.instruction_table import Instruction, InstructionTable
from graphc.kernels.run.memory import aligned_empty
from graphc.profiling.results import Profile
from graphc.profiling.roofline import Cache, Level, Roof, Roofline, better, caches
from graphc.profiling.roofline_ir import bytes_a_turn, flops_a_round, roofline_ir

LEVELS = (Level("L1", 1000, 100.0), Level("memory", None, 10.0))
ROOFLINE = Roofline(1, LEVELS, {"f32": 50.0, "f64": 25.0})


@pytest.mark.parametrize(
    ("nbytes", "working_set", "flops", "dtype", "roof"),
    [
        (1000, 1000, 1, "f32", Roof(10.0, "L1")),
        (1000, 1001, 1, "f32", Roof(100.0, "memory")),
        (1000, 1000, 1000, "f32", Roof(20.0, "compute")),
        (1000, 1000, 1000, "f64", Roof(40.0, "compute")),
        (1000, 1001, 4000, "f32", Roof(100.0, "memory")),
    ],
)
def test_roof(nbytes: int, working_set: int, flops: int, dtype: str, roof: Roof) -> None:
    assert ROOFLINE.roof(nbytes, working_set, flops, dtype) == roof


def test_better_takes_the_greater_rates() -> None:
    other = Roofline(1, (Level("L1", 1000, 90.0), Level("memory", None, 12.0)), {"f32": 60.0})
    found = better(Roofline(1, LEVELS, {"f32": 50.0}), other)
    assert [level.gigabytes_per_second for level in found.levels] == [100.0, 12.0]
    assert found.peaks == {"f32": 60.0}


def test_caches_of_linux(tmp_path: Path) -> None:
    for number, (level, kind, size, sharers) in enumerate(
        [
            ("1", "Data", "48K", "0,8"),
            ("1", "Instruction", "32K", "0,8"),
            ("2", "Unified", "2M", "0,8"),
            ("3", "Unified", "36864K", "0-15"),
        ]
    ):
        index = tmp_path / f"index{number}"
        index.mkdir()
        texts = {"level": level, "type": kind, "size": size, "shared_cpu_list": sharers}
        for name, text in texts.items():
            (index / name).write_text(f"{text}\n")
    found = caches(tmp_path)
    assert found == (
        Cache("L1", 48 << 10, 2),
        Cache("L2", 2 << 20, 2),
        Cache("L3", 36 << 20, 16),
    )
    assert [cache.capacity(1) for cache in found] == [48 << 10, 2 << 20, 36 << 20]
    assert [cache.capacity(8) for cache in found] == [4 * 48 << 10, 4 * 2 << 20, 36 << 20]
    assert caches(tmp_path / "nothing") == ()


def test_a_roofline_is_measured_for_one_thread_and_for_all(shared: Profile) -> None:
    assert [roofline.threads for roofline in shared.rooflines] == [1, 2]
    for roofline in shared.rooflines:
        assert roofline.peaks.keys() == {"f32", "f64"}
        assert roofline.levels[-1].capacity is None
        capacities = [level.capacity for level in roofline.levels[:-1]]
        assert capacities == sorted(capacities)
        rates = [*roofline.peaks.values(), *(x.gigabytes_per_second for x in roofline.levels)]
        assert all(rate > 0 for rate in rates)


@pytest.mark.parametrize("bits", [128, native().vector_bits])
def test_what_the_small_kernels_compute(bits: int) -> None:
    code = compile_ir(roofline_ir(bits), native().target)
    part = 2 * bytes_a_turn(bits)
    memory = aligned_empty(part)
    settings = np.array([1, part], np.int64)

    def run(kernel: str, *arrays: np.ndarray) -> None:
        row = Instruction(kernel, code.address(kernel), tuple(range(len(arrays))))
        addresses = [array.ctypes.data for array in arrays]
        InstructionTable(native().executor, [row], addresses).run()

    given = np.random.default_rng(0).integers(0, 256, part).astype(np.uint8)
    first, second = given[: part // 2], given[part // 2 :]
    for kernel, expected in (("read", second), ("copy", first), ("update", first ^ second)):
        memory[:] = given
        run(kernel, settings, memory)
        np.testing.assert_array_equal(memory[: part // 2], first)
        np.testing.assert_array_equal(memory[part // 2 :], expected)
    for dtype in (f32, f64):
        lanes = bits // (8 * dtype.itemsize)
        half = aligned_empty(bits // 8).view(dtype.numpy)
        result = aligned_empty(bits // 8).view(dtype.numpy)
        half[:] = 0.5
        run(f"multiply_add_{dtype.name}", np.array([2], np.int64), half, result)
        # Two rounds of x / 2 + 1 / 2 from 0 on are 3/4, for each accumulator.
        accumulators = flops_a_round(dtype, bits) // (2 * lanes)
        np.testing.assert_array_equal(result, np.full(lanes, 0.75 * accumulators))
