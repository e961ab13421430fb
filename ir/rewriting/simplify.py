"""Simplification: the rules in tuples, applied to a program."""

from __future__ import annotations

from graphc.ir.graph import Program
from graphc.ir.rewriting.rewrite import OnFire, Rule, rewrite
from graphc.ir.rewriting.rules import (
    algebra,
    backward,
    batched_products,
    channels,
    movement,
    pooling,
    stable,
    windows,
)
from graphc.ir.rewriting.scaled_products import fold_scales
from graphc.ir.rewriting.unread import drop_unread

# These hold for primitives alone and make no composite op: safe after composites are expanded,
# whose expansions the stable forms would fold up again.
PRIMITIVE_RULES: tuple[Rule, ...] = (
    *channels.RULES,
    *movement.RULES,
    *algebra.RULES,
    *batched_products.RULES,
    *movement.SPLIT_ROW_RULES,
)

# Stable forms come before algebra: at one node the first rule that fits is taken.
RULES: tuple[Rule, ...] = (
    *stable.RULES,
    *backward.RULES,
    *channels.RULES,
    *windows.RULES,
    *pooling.RULES,
    *movement.RULES,
    *algebra.RULES,
)

EVERY_RULE: tuple[Rule, ...] = (
    *RULES,
    *batched_products.RULES,
    *movement.SPLIT_ROW_RULES,
)


def simplify(program: Program, on_fire: OnFire | None = None) -> Program:
    """The program in its stable and cheap form, in the same graph.

    Common subexpressions are one node by interning, and what no root needs is gone. `on_fire`,
    such as a list's `append`, is called with each rule's Firing.
    """
    # Behind the rules, which find gradients: a scale that has one is needed beside its product.
    return fold_scales(rewrite(program, RULES, on_fire), on_fire)


def simplify_primitives(program: Program, on_fire: OnFire | None = None) -> Program:
    """As `simplify`, for a program whose composite ops have been expanded: it makes none."""
    # Before the rules, which keep the rows of products together.
    return rewrite(drop_unread(program, on_fire), PRIMITIVE_RULES, on_fire)
