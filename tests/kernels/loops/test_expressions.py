"""Expressions of kernels as data: the text of them is what Python reads as the same."""

from __future__ import annotations

import ast
import itertools

import pytest

from graphc.kernels.loops.language.expressions import (
    Constant,
    Element,
    Expression,
    Formula,
    Infix,
    Name,
    Parenthesized,
    applied,
    both,
    either,
    expression_text,
    total,
)

A, B, C = Name("a"), Name("b"), Name("c")
COMPARISONS = ("<", "<=", ">", ">=", "==")
OPERATORS = ("or", "and", *COMPARISONS, "|", "&", "<<", ">>", "+", "-", "*", "//", "%")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (A * 64 + B, "a * 64 + b"),
        ((A + 1) * 3 // 4 % B, "(a + 1) * 3 // 4 % b"),
        (A + (B * 2 + (C - 1)), "a + b * 2 + c - 1"),
        (A - (B + C), "a - (b + c)"),
        (A + -5, "a + -5"),
        (((A >> 3) + 128) & 255, "((a >> 3) + 128) & 255"),
        ((A & 1) | (B << 2), "(a & 1) | (b << 2)"),
        (~A, "~a"),
        (~(A + B), "~(a + b)"),
        (A.when(A.below(B), B - 1), "a if a < b else b - 1"),
        (A.when(A.below(B), B) + 1, "(a if a < b else b) + 1"),
        (total(A, B.equals(C), A.equals(C)), "a + (b == c) + (a == c)"),
        (both(A.at_most(B), either(B.above(0), C.at_least(1))), "a <= b and (b > 0 or c >= 1)"),
        (applied("f", A + 1, Element(B, C * 2), 3), "f(a + 1, b[c * 2], 3)"),
        (Formula("{1} * exp({0})", (A, Element(B, C))), "b[c] * exp(a)"),
        (Formula("{0} + {1}", (A, B)) * 2, "(a + b) * 2"),
        (Infix("+", A, Infix("+", B, C)), "a + (b + c)"),
        (Element(A, Parenthesized(B - 1)), "a[(b - 1)]"),
        (Constant("f32"), "f32"),
    ],
    ids=str,
)
def test_an_expression_has_few_parentheses(expression: Expression, text: str) -> None:
    assert expression_text(expression) == text


def _tree(expression: Expression) -> str:
    """The tree of Python's that an expression should be."""
    assert isinstance(expression, Infix | Name)
    if isinstance(expression, Name):
        return expression.text
    return f"({_tree(expression.left)} {expression.operator} {_tree(expression.right)})"


@pytest.mark.parametrize(("outer", "inner"), [*itertools.product(OPERATORS, OPERATORS)])
def test_python_reads_every_pair_of_operators_as_it_was_meant(outer: str, inner: str) -> None:
    for meant in (Infix(outer, Infix(inner, A, B), C), Infix(outer, A, Infix(inner, B, C))):
        one, other = (ast.dump(ast.parse(t)) for t in (expression_text(meant), _tree(meant)))
        # Three terms of `and`, or of `or`, are one node of Python's.
        assert one == other or outer == inner in ("and", "or")


def test_names_may_be_called_otherwise() -> None:
    text = expression_text(Element(A, B + 1) * C, lambda name: name * 2)
    assert text == "aa[bb + 1] * cc"
