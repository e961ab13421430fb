"""Vector math with a branch: functions that LLVM's vectoriser calls for a whole vector.

It vectorises no loop around a branch but by computing both sides. So these functions stay calls
until loops are vectorised, with a declaration for vectors of each width beside them. What is then
called is linked in and inlined.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphc.kernels.host.vector_width import VECTOR_BITS

# LLVM's own mangling of a function's vector form: no mask, so many lanes, vectors for operands.
_MANGLED = "_ZGV_LLVM_N{lanes}{operands}_{symbol}({variant})"
_ATTRIBUTES = "memory(none) nounwind willreturn"
# Names of functions that are declared and not to be removed before they are called.
_KEPT = "@llvm.compiler.used"
_LLVM_TYPES = {"f32": ("float", 32), "f64": ("double", 64)}


@dataclass(frozen=True)
class Variant:
    """A function of vector math for vectors of `lanes`, or for scalars where it is 1."""

    symbol: str
    lanes: int

    @property
    def name(self) -> str:
        return self.symbol if self.lanes == 1 else f"{self.symbol}.x{self.lanes}"


def declare_variants(llvm_ir: str, arities: Mapping[str, int]) -> str:
    """The module with declarations of the functions' vector forms.

    arities: by the symbols of functions that the module declares, `prefix.name.dtype`.
    """
    kept = []
    for symbol, arity in arities.items():
        element, bits = _LLVM_TYPES[symbol.rsplit(".", 1)[1]]
        variants = [
            Variant(symbol, width // bits) for width in (64, *VECTOR_BITS) if width // bits > 1
        ]
        mangled = ",".join(
            _MANGLED.format(
                lanes=each.lanes, operands="v" * arity, symbol=symbol, variant=each.name
            )
            for each in variants
        )
        attributes = f'{_ATTRIBUTES} "vector-function-abi-variant"="{mangled}"'
        name = rf'@"?{re.escape(symbol)}"?'
        llvm_ir = re.sub(
            rf"^declare \w+ {name}\([^)]*\).*$",
            f'declare {element} @"{symbol}"({", ".join([element] * arity)}) {attributes}',
            llvm_ir,
            flags=re.MULTILINE,
        )
        for each in variants:
            kind = f"<{each.lanes} x {element}>"
            llvm_ir += f'declare {kind} @"{each.name}"({", ".join([kind] * arity)}) {_ATTRIBUTES}\n'
            kept.append(f'ptr @"{each.name}"')
    if kept:
        llvm_ir += f"{_KEPT} = appending global [{len(kept)} x ptr] [{', '.join(kept)}], "
        llvm_ir += 'section "llvm.metadata"\n'
    return llvm_ir


def called_variants(llvm_ir: str, symbols: Iterable[str]) -> tuple[str, list[Variant]]:
    """The vectorised module without what kept the declarations, and the functions that it calls."""
    text = "".join(
        line for line in llvm_ir.splitlines(keepends=True) if not line.startswith(f"{_KEPT} =")
    )
    called = []
    for symbol in symbols:
        calls = re.findall(rf'\bcall [^@\n]*@"?{re.escape(symbol)}(?:\.x(\d+))?"?\(', text)
        called += [Variant(symbol, int(lanes or 1)) for lanes in sorted(set(calls))]
    return text, called
