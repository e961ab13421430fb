"""Simplification: the rules in tuples, applied to a program."""

from __future__ import annotations

from graphc.ir.graph import Program
from graphc.ir.rewriting import (
    rules_algebra,
    rules_backward,
    rules_batched_products,
    rules_channels,
    rules_movement,
    rules_pooling,
    rules_stable,
    rules_windows,
)
from graphc.ir.rewriting.rewrite import OnFire, Rule, rewrite
from graphc.ir.rewriting.scaled_products import fold_scales
from graphc.ir.rewriting.unread import drop_unread

# These hold for primitives alone and make no composite op: safe after composites are expanded,
# whose expansions the stable forms would fold up again.
PRIMITIVE_RULES: tuple[Rule, ...] = (
    *rules_channels.RULES,
    *rules_movement.RULES,
    *rules_algebra.RULES,
    *rules_batched_products.RULES,
    *rules_movement.SPLIT_ROW_RULES,
)

# Stable forms come before algebra: at one node the first rule that fits is taken.
RULES: tuple[Rule, ...] = (
    *rules_stable.RULES,
    *rules_backward.RULES,
    *rules_channels.RULES,
    *rules_windows.RULES,
    *rules_pooling.RULES,
    *rules_movement.RULES,
    *rules_algebra.RULES,
)

EVERY_RULE: tuple[Rule, ...] = (
    *RULES,
    *rules_batched_products.RULES,
    *rules_movement.SPLIT_ROW_RULES,
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
