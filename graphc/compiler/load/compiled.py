"""A compiled program: what runs it, and the way to what the passes know of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from graphc.compiler.load.executable import Executable

# The passes are imported where they are run, which may be never.
if TYPE_CHECKING:
    from graphc.compiler.pipeline import Compilation


class CompiledProgram:
    """What runs a program, and what the passes know of it, for those who ask.

    run_passes: gives the compilation that the executable is of.
    compilation: that, where the passes have just run.
    """

    def __init__(
        self,
        executable: Executable,
        run_passes: Callable[[], Compilation],
        compilation: Compilation | None = None,
    ) -> None:
        self.executable = executable
        self._run_passes = run_passes
        self._compilation = compilation

    @property
    def compilation(self) -> Compilation:
        """Made when it is asked for and not at hand, and kept from then on."""
        # Once: another thread may let go of it meanwhile.
        found = self._compilation
        if found is None:
            found = self._compilation = self._run_passes()
        return found

    def let_go_of_compilation(self) -> None:
        """Frees what a run does not need: several times the memory of the executable."""
        self._compilation = None
