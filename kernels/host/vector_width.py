"""How wide the vectors of generated code are: as the host's, or narrower where the user asks."""

import os
from collections.abc import Mapping

from graphc.kernels.host.settings import SettingError

VECTOR_BITS_VARIABLE = "GRAPHC_VECTOR_BITS"

# Widths that code can be made for: SSE and NEON, AVX, AVX-512.
VECTOR_BITS = (128, 256, 512)


def default_vector_bits(host_bits: int, environment: Mapping[str, str] | None = None) -> int:
    """GRAPHC_VECTOR_BITS if it is set, else `host_bits`, the width that the host has.

    environment: `os.environ` unless given. Raises SettingError when GRAPHC_VECTOR_BITS is none of
    `VECTOR_BITS`, or more than the host has.
    """
    given = (os.environ if environment is None else environment).get(VECTOR_BITS_VARIABLE)
    if given is None:
        return host_bits
    possible = [bits for bits in VECTOR_BITS if bits <= host_bits]
    if given.strip() not in map(str, possible):
        *most, last = map(str, possible)
        expected = f"{', '.join(most)} or {last}" if most else last
        expected += f" on this machine, whose vectors have {host_bits} bits"
        raise SettingError(VECTOR_BITS_VARIABLE, given, expected)
    return int(given)
