"""What every optimizer has: a rate, clipping, parameter groups, accumulation, and its updates."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from graphc.declare.functional.derivatives import grad
from graphc.declare.graphs.graph import graph_of, parameters_of
from graphc.declare.graphs.training_forms import training_updates
from graphc.declare.hyperparameters import as_count, check_number
from graphc.declare.optim.accumulation import Accumulation, accumulation
from graphc.declare.optim.clipping import clip
from graphc.declare.optim.given import checked_gradients, checked_parameters
from graphc.declare.optim.groups import (
    Groups,
    Settings,
    check_groups,
    check_is_rate,
    checked_groups,
    settings_of,
)
from graphc.declare.optim.slots import Slots, widest
from graphc.errors import GraphError
from graphc.ir.arguments.given import check_flag
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import DType

# Of fields: that a number may be negative, and that there is none.
SIGNED: Mapping[str, object] = {"least": -math.inf}
NO_NUMBER: Mapping[str, object] = {"is_number": False}


@dataclass(frozen=True)
class Optimizer(ABC):
    """What every optimizer has: a rate, and gradients clipped before anything else.

    clip_value: each element of every gradient is limited to +-clip_value.
    clip_norm: all gradients are scaled so that their common 2-norm is at most clip_norm. Where one
    of them is NaN or infinite, all become NaN.
    groups: hyperparameters of some parameters, by patterns of their names as `fnmatch` has them, or
    by the parameters themselves: {"*.bias": {"weight_decay": 0.0}}. A hyperparameter is that of the
    first group which has the parameter and sets it, else the optimizer's. A group's learning rate
    keeps its ratio to the optimizer's, whatever that is set to. Another optimizer in the place of
    hyperparameters trains the parameters of its group: {"*.bias": gc.optim.AdamW(1e-3)}; it has
    neither clipping nor groups nor accumulation of its own.
    gradient_accumulation_steps: an update is made of the mean of the gradients of so many batches,
    and is made with the last of them. Clipping is of the mean, and steps count updates.
    maximize: the steps go up the loss, as down its negative.
    """

    learning_rate: float = 1e-3
    clip_value: float | None = field(default=None, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    groups: Groups | None = field(default=None, kw_only=True, hash=False, metadata=NO_NUMBER)
    gradient_accumulation_steps: int | None = field(default=None, kw_only=True, metadata=NO_NUMBER)
    maximize: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """Raises ValueError for a hyperparameter that is negative, NaN or infinite, TypeError for
        one that is no number, a flag that is not True or False, and groups of unknown
        hyperparameters."""
        name = type(self).__name__
        check_is_rate(name, self.learning_rate)
        self._check_numbers(None)
        self._check_flags()
        if self.gradient_accumulation_steps is not None:
            where = f"{name}: gradient_accumulation_steps"
            as_count(where, self.gradient_accumulation_steps, 1)
        if self.groups is not None:
            groups = checked_groups(name, self.groups, self._own_names(), Optimizer)
            object.__setattr__(self, "groups", groups)
            for selector, settings in groups.items():
                if isinstance(settings, Mapping):
                    self._of_group(settings, selector)
                else:
                    self._check_other(settings, selector)

    def _own_names(self) -> list[str]:
        """The hyperparameters that a group may have: not what concerns all gradients together."""
        common = {each.name for each in fields(Optimizer)} - {"learning_rate"}
        return [*(each.name for each in fields(self) if each.name not in common), "maximize"]

    def _of_group(self, settings: Mapping[str, Any], label: object) -> Optimizer:
        """The optimizer with the hyperparameters of a group."""
        where = f"{type(self).__name__}: "
        self._check_ratio(settings.get("learning_rate", 0), label)
        try:
            return replace(self, groups=None, **settings)
        except (TypeError, ValueError) as error:
            problem = str(error).removeprefix(where)
            raise type(error)(f"{where}groups: {label!r}: {problem}") from None

    def _check_other(self, other: Optimizer, label: object) -> None:
        """Raises ValueError for what the optimizer of a group has, but this one has for all."""
        self._check_ratio(other.learning_rate, label)
        for name in ("clip_value", "clip_norm", "groups", "gradient_accumulation_steps"):
            if getattr(other, name) is not None:
                problem = f"{name} concerns all gradients together"
                where = f"{type(self).__name__}: groups: {label!r}"
                raise ValueError(f"{where}: {problem}; {type(self).__name__} has it")

    def _check_ratio(self, rate: float, label: object) -> None:
        if rate != 0 and self.learning_rate == 0:
            problem = "a learning rate keeps its ratio to the optimizer's, which is 0"
            raise ValueError(f"{type(self).__name__}: groups: {label!r}: {problem}")

    def _in_group(self, settings: Settings, label: str) -> Optimizer:
        """The optimizer of a parameter of which groups say this."""
        other = settings.other
        base = other if isinstance(other, Optimizer) else self
        return base._of_group(settings.values, label) if settings.values else base

    def _check_flags(self) -> None:
        for each in fields(self):
            if isinstance(each.default, bool):
                check_flag(f"{type(self).__name__}: {each.name}", getattr(self, each.name))

    def _check_numbers(self, dtype: DType | None) -> None:
        for name, number, least in self._numbers():
            check_number(f"{type(self).__name__}: {name}", number, least=least, dtype=dtype)

    def _numbers(self) -> Iterator[tuple[str, object, float]]:
        """The hyperparameters by name, with the least that each may be; not flags and counts, nor
        what is left out."""
        for each in fields(self):
            value = getattr(self, each.name)
            least = each.metadata.get("least", 0.0)
            is_left_out = value is None and each.default is None
            if not each.metadata.get("is_number", True):
                continue
            if isinstance(value, tuple | list):
                yield from ((each.name, number, least) for number in value)
            elif not isinstance(each.default, bool) and not is_left_out:
                yield each.name, value, least

    def updates(
        self,
        loss: Node | None = None,
        parameters: Sequence[Node] | None = None,
        rate: Node | None = None,
        *,
        gradients: Mapping[Node, Node] | Sequence[Node] | None = None,
    ) -> dict[Node, Node]:
        """The next value of each parameter, of each slot, and of each random stream and running
        average that the loss reads, for one step down `loss`.

        `parameters` are trainable states, those that the loss reads unless given. `rate` is a
        scalar node that replaces the variable `<optimizer>.learning_rate`.

        Gradients may be given in place of those of the loss, by parameter or in the order of
        `parameters`, each of its parameter's type: `updates(gradients={w: gradient})`. Streams and
        running averages are then those that they read, or those of the loss where it is given too.

        Raises GraphError when there is no parameter, for a group that has none and for gradients
        that do not fit, TypeError for what are no tensors, ValueError when a hyperparameter is
        infinite in the dtype of a parameter, and as `grad` does.
        """
        if gradients is None:
            if loss is None:
                raise TypeError("updates: a loss, or gradients=, expected")
            known = parameters_of(loss)
            chosen = known if parameters is None else checked_parameters(parameters)
            if not chosen:
                raise GraphError(f"{loss!r} depends on no parameter")
            by_parameter = dict(zip(chosen, grad(loss, chosen), strict=True))
        else:
            by_parameter = checked_gradients(gradients, parameters)
            chosen = known = list(by_parameter)
        graph = graph_of(chosen[0])
        scope = graph.unique_name(type(self).__name__.lower())
        slots = Slots(graph, scope, widest(chosen))
        roots = list(by_parameter.values()) if loss is None else [loss]
        made, _ = self.next_values(by_parameter, rate, slots, known)
        return made | training_updates(roots)

    def next_values(
        self,
        gradients: Mapping[Node, Node],
        rate: Node | None,
        slots: Slots,
        known: Sequence[Node],
    ) -> tuple[dict[Node, Node], Accumulation | None]:
        """The next values of parameters and slots, and how batches are put together for an update.

        known: parameters of which some may not train now; a group of one of them is no mistake.
        """
        name, groups = type(self).__name__, self.groups or {}
        check_groups(name, groups, list(gradients), known)
        for dtype in dict.fromkeys(parameter.dtype for parameter in gradients):
            self._check_numbers(dtype)
        batches = None
        if (self.gradient_accumulation_steps or 1) > 1:
            count = int(self.gradient_accumulation_steps or 1)
            batches = accumulation(gradients, count, slots)
            gradients = batches.gradients
        clipped = clip(list(gradients.values()), self.clip_value, self.clip_norm)
        for parameter, gradient in zip(gradients, clipped, strict=True):
            if rate is None:
                current = slots.scalar("learning_rate", self.learning_rate, parameter)
            else:
                current = build.cast(rate, parameter.dtype)
            settings = settings_of(groups, parameter)
            own, in_group = self._in_group(settings, parameter.name), slots
            if own is not self:
                own._check_numbers(parameter.dtype)
                patterns = dict.fromkeys(own._own_names(), settings.label) if settings.other else {}
                in_group = slots.of_group(patterns | settings.patterns)
            if own.learning_rate != self.learning_rate:
                current = current * (own.learning_rate / self.learning_rate)
            uphill = -gradient if own.maximize else gradient
            slots.set(parameter, own.step(parameter, uphill, current, in_group))
        if batches is None:
            return slots.updates, None
        return batches.withheld(slots.updates) | batches.updates, batches

    @abstractmethod
    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        """The parameter's next value; `gradient` and `rate` have its dtype."""


def with_weight_decay(gradient: Node, parameter: Node, decay: float, slots: Slots) -> Node:
    """The gradient of the loss plus decay/2 * sum w^2."""
    if decay == 0:
        return gradient
    return gradient + slots.scalar("weight_decay", decay, parameter) * parameter


def decayed(parameter: Node, rate: Node, decay: float, slots: Slots) -> Node:
    """The parameter, less rate * decay of it: weight decay apart from the gradient."""
    if decay == 0:
        return parameter
    return parameter * (1 - rate * slots.scalar("weight_decay", decay, parameter))


def check_betas(optimizer: Optimizer, betas: Any) -> None:
    """Raises ValueError for what are no two numbers of [0, 1)."""
    is_pair = isinstance(betas, tuple | list) and len(betas) == 2
    if not (is_pair and all(_is_share(beta) for beta in betas)):
        raise ValueError(f"{type(optimizer).__name__}: two betas below 1 expected, not {betas}")


def _is_share(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(0 <= value < 1)


def bias_correction(steps: Node, beta: float) -> Node:
    """1 - beta^steps, accurate in f32 too, where beta^steps is near 1."""
    if beta == 0:
        return steps.graph.constant(1.0, steps.dtype)
    return -ops.expm1(steps * math.log(beta))


def moving_average(average: Node, value: Node, decay: float) -> Node:
    """The exponential moving average after `value`."""
    return decay * unless_faded(average) + (1 - decay) * value


def unless_faded(average: Node) -> Node:
    """The average so far; 0 where it is below the smallest normal number.

    An average that gets nothing more, as that of a unit which is never active, would fade to a
    subnormal number and stay one, since rounding keeps it from 0: 0.9 of five last units are five.
    Processors take up to a hundred times as long for an operation on such a number, and for all
    beside it in its vector, and no parameter sees the difference.
    """
    smallest_normal = float(np.finfo(average.dtype.numpy).smallest_normal)
    return ops.where(ops.less(ops.absolute(average), smallest_normal), 0, average)
