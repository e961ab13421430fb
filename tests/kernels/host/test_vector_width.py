"""Which width of vectors a process takes, and that code of different widths is kept apart."""

import pytest

from graphc.kernels.host.cache_entry import entry_key, source_digest
from graphc.kernels.host.vector_width import VECTOR_BITS, default_vector_bits
from graphc.kernels.native.builds import this_build
from graphc.kernels.native.cache import KERNEL
from graphc.kernels.native.llvm import default_target, host_target, host_vector_bits


@pytest.mark.parametrize("host_bits", VECTOR_BITS)
def test_the_host_decides_where_nothing_is_set(host_bits: int) -> None:
    assert default_vector_bits(host_bits, {}) == host_bits


@pytest.mark.parametrize(("text", "bits"), [("128", 128), (" 256 ", 256), ("512", 512)])
def test_environment_decides(text: str, bits: int) -> None:
    assert default_vector_bits(512, {"GRAPHC_VECTOR_BITS": text}) == bits


@pytest.mark.parametrize("text", ["", "0", "64", "1024", "wide", "256.0", "-128"])
def test_another_width_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("GRAPHC_VECTOR_BITS", text)
    with pytest.raises(ValueError, match=r"GRAPHC_VECTOR_BITS='.*': expected 128, 256 or 512 on"):
        default_vector_bits(512)


@pytest.mark.parametrize(("host_bits", "expected"), [(256, "128 or 256"), (128, "128")])
def test_more_than_the_machine_has_is_an_error(host_bits: int, expected: str) -> None:
    message = f"'512': expected {expected} on this machine, whose vectors have {host_bits} bits"
    with pytest.raises(ValueError, match=message):
        default_vector_bits(host_bits, {"GRAPHC_VECTOR_BITS": "512"})


def test_targets_and_keys_of_all_widths_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    possible = [bits for bits in VECTOR_BITS if bits <= host_vector_bits()]
    keys = set()
    for bits in possible:
        monkeypatch.setenv("GRAPHC_VECTOR_BITS", str(bits))
        assert default_target() == host_target(bits)
        keys.add(entry_key(KERNEL, source_digest(["source"]), this_build(default_target())))
    assert len(keys) == len(possible)
