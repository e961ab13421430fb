"""The stages of a program's compilation that can be looked at."""

from __future__ import annotations

import enum


class Stage(enum.Enum):
    """The stages of a program, in their order."""

    DECLARED = "declared"
    BACKWARD = "backward"
    SIMPLIFIED = "simplified"
    FUSED = "fused"
    PLAN = "plan"
    SOURCE = "source"
    LLVM = "llvm"
    ASM = "asm"


# The stages that show kernel after kernel.
OF_KERNELS = (Stage.FUSED, Stage.SOURCE, Stage.LLVM, Stage.ASM)
