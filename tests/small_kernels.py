"""Kernels that tests write by hand."""

from __future__ import annotations

from typing import Any

from graphc.ir.types import f32
from graphc.kernels.loops.language.expressions import Element, Expression, Name
from graphc.kernels.loops.language.source import KernelSource, buffer_argument
from graphc.kernels.loops.language.statements import Block, Comment, Return, Statement, assigned


def small_kernel(
    name: str, *statements: Statement, buffer: str = "x", **options: Any
) -> KernelSource:
    """A kernel of these statements, which has one buffer of f32. options: of `KernelSource`."""
    declared = assigned(Name(buffer), buffer_argument(0, 1, f32))
    return KernelSource(name, (declared, *statements, Return(0)), (), **options)


def kernel_of_each(
    name: str, count: int, value: Expression, buffer: str = "x", comment: str = ""
) -> KernelSource:
    """A kernel that sets `count` elements of its buffer to a value, of the index i."""
    body = Block.of(*([Comment(comment)] if comment else []))
    body.assign(Element(Name(buffer), Name("i")), value)
    block = Block()
    block.loop(Name("i"), count, body)
    return small_kernel(name, *block.whole, buffer=buffer)
