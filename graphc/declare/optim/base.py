"""What every optimizer has: a rate, clipping, parameter groups, accumulation, and its updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from graphc.declare.derivatives import grad
from graphc.declare.graph import graph_of, parameters_of
from graphc.declare.hyperparameters import as_count, check_number
from graphc.declare.optim.accumulation import Accumulation, accumulation
from graphc.declare.optim.clipping import clip
from graphc.declare.optim.given import checked_gradients, checked_parameters
from graphc.declare.optim.groups import (
    Groups,
    check_groups,
    check_is_rate,
    checked_groups,
    settings_of,
)
from graphc.declare.optim.slots import Slots, widest
from graphc.declare.training_forms import training_updates
from graphc.errors import GraphError
from graphc.ir import build
from graphc.ir.graph import Node
from graphc.ir.types import DType


@dataclass(frozen=True)
class Optimizer(ABC):
    """What every optimizer has: a rate, and gradients clipped before anything else.

    clip_value: each element of every gradient is limited to +-clip_value.
    clip_norm: all gradients are scaled so that their common 2-norm is at most clip_norm. Where one
    of them is NaN or infinite, all become NaN.
    groups: hyperparameters of some parameters, by patterns of their names as `fnmatch` has them, or
    by the parameters themselves: {"*.bias": {"weight_decay": 0.0}}. A hyperparameter is that of the
    first group which has the parameter and sets it, else the optimizer's. A group's learning rate
    keeps its ratio to the optimizer's, whatever that is set to.
    gradient_accumulation_steps: an update is made of the mean of the gradients of so many batches,
    and is made with the last of them. Clipping is of the mean, and steps count updates.
    """

    learning_rate: float = 1e-3
    clip_value: float | None = field(default=None, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    groups: Groups | None = field(default=None, kw_only=True, hash=False)
    gradient_accumulation_steps: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Raises ValueError for a hyperparameter that is negative, NaN or infinite, TypeError for
        one that is no number and for groups of unknown hyperparameters."""
        name = type(self).__name__
        check_is_rate(name, self.learning_rate)
        self._check_numbers(None)
        if self.gradient_accumulation_steps is not None:
            where = f"{name}: gradient_accumulation_steps"
            as_count(where, self.gradient_accumulation_steps, 1)
        if self.groups is not None:
            groups = checked_groups(name, self.groups, self._own_names())
            object.__setattr__(self, "groups", groups)
            for selector, settings in groups.items():
                self._of_group(settings, selector)

    def _own_names(self) -> list[str]:
        """The hyperparameters that a group may have: not what concerns all gradients together."""
        common = {each.name for each in fields(Optimizer)} - {"learning_rate"}
        return [each.name for each in fields(self) if each.name not in common]

    def _of_group(self, settings: Mapping[str, Any], label: object) -> Optimizer:
        """The optimizer with the hyperparameters of a group."""
        where = f"{type(self).__name__}: "
        if settings.get("learning_rate", 0) != 0 and self.learning_rate == 0:
            problem = "a learning rate keeps its ratio to the optimizer's, which is 0"
            raise ValueError(f"{where}groups: {label!r}: {problem}")
        try:
            return replace(self, groups=None, **settings)
        except (TypeError, ValueError) as error:
            problem = str(error).removeprefix(where)
            raise type(error)(f"{where}groups: {label!r}: {problem}") from None

    def _check_numbers(self, dtype: DType | None) -> None:
        for name, number in self._numbers():
            check_number(f"{type(self).__name__}: {name}", number, least=0, dtype=dtype)

    def _numbers(self) -> Iterator[tuple[str, object]]:
        """The hyperparameters by name; not flags and counts, nor what is left out."""
        for each in fields(self):
            value = getattr(self, each.name)
            is_left_out = value is None and each.default is None
            if each.name in ("groups", "gradient_accumulation_steps"):
                continue
            if isinstance(value, tuple | list):
                yield from ((each.name, number) for number in value)
            elif not isinstance(each.default, bool) and not is_left_out:
                yield each.name, value

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
            if not settings.values:
                slots.set(parameter, self.step(parameter, gradient, current, slots))
                continue
            own = self._of_group(settings.values, parameter.name)
            own._check_numbers(parameter.dtype)
            if own.learning_rate != self.learning_rate:
                current = current * (own.learning_rate / self.learning_rate)
            in_group = slots.of_group(settings.patterns)
            slots.set(parameter, own.step(parameter, gradient, current, in_group))
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


def moving_average(average: Node, value: Node, decay: float) -> Node:
    """The exponential moving average after `value`."""
    return decay * average + (1 - decay) * value
