"""Lookahead: slow weights that follow those of another optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphc.declare.hyperparameters import as_count, check_number
from graphc.declare.optim.base import Optimizer
from graphc.declare.optim.groups import Groups, Settings
from graphc.declare.optim.slots import Slots
from graphc.ir.arguments.given import shown
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import DType, f64, i64


@dataclass(frozen=True)
class Lookahead(Optimizer):
    """Every `sync_period` steps of another optimizer, its weights go back a part of the way.

    s' = s + slow_step_size (w - s), w' = s', with s the weights at the last of these. Rate, groups,
    clipping and accumulation are those of `optimizer`:

        optimizer = gc.optim.Lookahead(gc.optim.Adam(1e-3), sync_period=5)

    Source: Zhang and others, Lookahead optimizer, 2019. Raises TypeError unless `optimizer` is one,
    and no Lookahead itself, DataError for a period below 1, ValueError for a `slow_step_size`
    outside of 0 to 1.
    """

    learning_rate: float = field(init=False)
    clip_value: float | None = field(init=False)
    clip_norm: float | None = field(init=False)
    groups: Groups | None = field(init=False, hash=False)
    gradient_accumulation_steps: int | None = field(init=False)
    maximize: bool = field(init=False)
    optimizer: Optimizer
    sync_period: int = 6
    slow_step_size: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.optimizer, Optimizer) or isinstance(self.optimizer, Lookahead):
            problem = f"an optimizer such as gc.optim.Adam() expected, not {shown(self.optimizer)}"
            raise TypeError(f"Lookahead: {problem}")
        for name in (
            "learning_rate", "clip_value", "clip_norm", "groups", "gradient_accumulation_steps",
            "maximize",
        ):  # fmt: skip
            object.__setattr__(self, name, getattr(self.optimizer, name))
        as_count("Lookahead: sync_period", self.sync_period, 1)
        check_number("Lookahead: slow_step_size", self.slow_step_size, least=0)
        if self.slow_step_size > 1:
            raise ValueError(
                f"Lookahead: slow_step_size: at most 1 expected, not {self.slow_step_size}"
            )

    def _own_names(self) -> list[str]:
        return self.optimizer._own_names()

    def _of_group(self, settings: Mapping[str, Any], label: object) -> Optimizer:
        return replace(self, optimizer=self.optimizer._of_group(settings, label))

    def _in_group(self, settings: Settings, label: str) -> Optimizer:
        own = self.optimizer._in_group(settings, label)
        return self if own is self.optimizer else replace(self, optimizer=own)

    def _check_numbers(self, dtype: DType | None) -> None:
        self.optimizer._check_numbers(dtype)

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        fast = self.optimizer.step(parameter, gradient, rate, slots)
        steps, period = slots.steps(parameter, i64), int(self.sync_period)
        # The quotient is a whole number where the period divides the number of steps.
        whole = build.cast(build.cast(steps, f64) / period, i64)
        is_sync = ops.equal(whole * period, steps)
        slow = slots.slot("slow", parameter)
        before = ops.where(ops.equal(steps, 1), parameter, slow)
        after = ops.where(is_sync, before + self.slow_step_size * (fast - before), before)
        slots.set(slow, after)
        return ops.where(is_sync, after, fast)
