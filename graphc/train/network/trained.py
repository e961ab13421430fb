"""What a training step changes besides the optimizer's slots: parameters, and further states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.declare.graphs.graph import parameters_of
from graphc.declare.graphs.selection import selected
from graphc.declare.graphs.training_forms import training_updates
from graphc.errors import GraphError
from graphc.files.value_files import listed_names
from graphc.ir.arguments.given import is_tensor, shown
from graphc.ir.graph import Node, is_among, topological
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops import leaf
from graphc.ir.types import each_of, is_several


def chosen_parameters(parameters: Any, loss: Node | None) -> list[Node]:
    """Those that `parameters`, nodes or patterns of names, mean: all that the loss reads for None.

    Raises TypeError for what is neither, GraphError for what means none that the loss reads, and
    where there is no loss.
    """
    if parameters is None:
        return [] if loss is None else parameters_of(loss)
    if loss is None:
        raise _error("parameters: a loss expected, by which they are trained")
    what = "the parameters that the loss reads"
    return selected("Model: parameters", parameters, parameters_of(loss), what)


def frozen_by(name: str, selectors: Sequence[Any], parameters: Sequence[Node]) -> list[Node]:
    """Those of the model's parameters that `freeze` or `unfreeze` is given."""
    if not selectors:
        raise TypeError(f"{name}: parameters or patterns of names expected; '*' means all")
    given = [each for several in selectors for each in _each(several)]
    return selected(name, given, parameters, "the model's parameters")


def _each(given: Any) -> tuple[Any, ...]:
    return (given,) if isinstance(given, str) else each_of(given)


def further_updates(
    updates: Any, loss: Node | None, given: Sequence[Node], trained: Sequence[Node]
) -> dict[Node, Node]:
    """The states with next values that `Model` is given, checked.

    given: the inputs and targets. trained: the parameters that an optimizer changes. Raises
    TypeError for what are no states with next values, GraphError for those of another graph or
    type, for what reads another input, for a state that the training step changes otherwise, and
    where there is no loss.
    """
    if updates is None:
        return {}
    if loss is None:
        raise _error("updates: a loss expected; they are made by steps that train")
    pairs = _pairs(updates)
    for state, value in pairs:
        _check_update(state, value, given)
    further = dict(pairs)
    if len(further) < len(pairs):
        raise _error("updates: a state has two next values")
    _check_apart(further, trained, "parameters, which the optimizer changes; parameters= chooses")
    own = training_updates([loss, *further.values()])
    _check_apart(further, list(own), "states that layers change in training steps")
    return further


def _pairs(updates: Any) -> list[tuple[Any, Any]]:
    pairs = list(updates.items()) if isinstance(updates, Mapping) else updates
    if not is_several(pairs) or isinstance(pairs, str):
        raise TypeError(f"Model: updates: states and next values expected, not {shown(updates)}")
    pairs = list(pairs)
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(map(is_tensor, pair))):
            problem = f"a state and the node of its next value expected, not {shown(pair)}"
            raise TypeError(f"Model: updates: {problem}")
    return pairs


def _check_update(state: Node, value: Node, given: Sequence[Node]) -> None:
    graph = given[0].graph
    if state.op is not leaf.state or state.graph is not graph:
        raise _error(f"updates: a state of the model's graph expected, not {state!r}")
    if value.graph is not graph:
        raise _error(f"updates: {value!r} is of another graph than {state.name!r}")
    if value.type != state.type:
        raise _error(f"updates: {state.name!r} is {state.type}, its next value {value.type}")
    for node in topological([value]):
        if node.op is leaf.input_ and not is_among(node, given):
            problem = f"{state.name!r} reads the input {node.name!r}, not given here"
            raise _error(f"updates: {problem}")


def _check_apart(further: Mapping[Node, Node], others: Sequence[Node], what: str) -> None:
    """Raises GraphError where a state of `further` is among `others`."""
    twice = [state.name for state in others if state in further]
    if twice:
        raise _error(f"updates: {listed_names(twice)}: {what}")


def _error(problem: str) -> GraphError:
    return GraphError(located(f"Model: {problem}", callers_location()))
