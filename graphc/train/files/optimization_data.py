"""What training keeps of a model besides its nodes, as data of a model's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphc.declare.as_data import as_data, from_data, object_data, object_of
from graphc.declare.graphs.graph import Graph
from graphc.declare.optim import Optimizer
from graphc.declare.optim.slots import Slots
from graphc.files.plain_data import Part
from graphc.ir.arguments.given import shown
from graphc.ir.graph import Node
from graphc.ir.nodes.op import Array
from graphc.ir.ops import leaf
from graphc.ir.types import f32, f64
from graphc.train.network.optimization import Optimization
from graphc.train.network.weight_averages import WeightAverages

NodeOf = Callable[[Part], Node]

_SLOTS = ("scope", "counter", "counts_each", "dtype", "declared")


def optimization_data(
    made: Optimization | None, labels: Mapping[Node, str], arrays: list[Array]
) -> Any:
    """None where the model has no optimizer. Raises TypeError as `object_data` does."""
    if made is None:
        return None
    averages = made.averages
    return {
        "optimizer": object_data(made.optimizer, type(made.optimizer).__name__, arrays),
        "rate": labels[made.rate],
        "updates": [[labels[state], labels[value]] for state, value in made.updates.items()],
        "names": sorted(made.names),
        "trained": [labels[parameter] for parameter in made.trained],
        "slots": _slots_data(made.slots),
        "averages": None
        if averages is None
        else {
            "decay": as_data(averages.decay, "ema", arrays),
            "slots": _slots_data(averages.slots),
            "states": [[labels[p], labels[a]] for p, a in averages.averages.items()],
        },
    }


def optimization_from(
    part: Part,
    kinds: Mapping[str, type[Optimizer]],
    graph: Graph,
    arrays: list[Array],
    node: NodeOf,
) -> Optimization | None:
    """node: that of a label. Raises ModelFileError for what does not fit together."""
    if part.is_null:
        return None
    found = part.has(("optimizer", "rate", "updates", "names", "trained", "slots", "averages"))
    rate = node(found["rate"])
    if rate.op is not leaf.state or rate.shape != () or not rate.dtype.is_float:
        raise found["rate"].error(f"a state that is a float scalar expected, not {rate!r}")
    return Optimization(
        optimizer=object_of(found["optimizer"], kinds, graph.states, arrays),
        rate=rate,
        slots=_slots_from(found["slots"], graph),
        trained=[node(each) for each in found["trained"].items()],
        updates=pairs_of(found["updates"], node),
        averages=_averages_from(found["averages"], graph, arrays, node),
        names=frozenset(found["names"].texts()),
    )


def pairs_of(part: Part, node: NodeOf) -> dict[Node, Node]:
    """States with their next values, or parameters with their averages."""
    made = {}
    for each in part.items():
        pair = each.items()
        if len(pair) != 2:
            raise each.error(f"2 values expected, not {shown(each.value)}")
        made[node(pair[0])] = node(pair[1])
    return made


def _averages_from(
    part: Part, graph: Graph, arrays: list[Array], node: NodeOf
) -> WeightAverages | None:
    if part.is_null:
        return None
    found = part.has(("decay", "slots", "states"))
    decay = from_data(found["decay"], graph.states, arrays)
    if not isinstance(decay, int | float):
        raise found["decay"].error(f"a number expected, not {shown(decay)}")
    slots = _slots_from(found["slots"], graph)
    return WeightAverages(decay, slots, pairs_of(found["states"], node), {})


def _slots_data(slots: Slots) -> dict[str, Any]:
    return {
        "scope": slots.scope,
        "counter": slots.counter,
        "counts_each": slots.counts_each,
        "dtype": str(slots.dtype),
        "declared": list(slots.declared),
    }


def _slots_from(part: Part, graph: Graph) -> Slots:
    found = part.has(_SLOTS)
    dtypes = {str(dtype): dtype for dtype in (f32, f64)}
    dtype = found["dtype"].text()
    if dtype not in dtypes:
        raise found["dtype"].error(f"f32 or f64 expected, not {shown(dtype)}")
    slots = Slots(graph, found["scope"].text(), dtypes[dtype], found["counter"].text())
    slots.counts_each = found["counts_each"].flag()
    for each in found["declared"].items():
        if each.text() not in graph.states:
            raise each.error(f"a state expected, not {shown(each.value)}")
        slots.declared[each.text()] = graph.states[each.text()]
    return slots
