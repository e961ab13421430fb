"""The op records. `OPS` is all of them by name; nothing registers itself."""

import copyreg
from collections.abc import Mapping
from typing import Any

from graphc.ir.nodes.op import Op
from graphc.ir.ops import (
    attention,
    composite,
    contract,
    custom,
    leaf,
    ordered,
    random,
    region,
    training,
    windows,
)
from graphc.ir.ops.elementwise import (
    activations,
    bitwise,
    elementwise,
    limits,
    log_sums,
    mathematics,
    rounding,
    special,
)
from graphc.ir.ops.movement import indexed, movement
from graphc.ir.ops.reductions import products, reduce, statistics

OPS: Mapping[str, Op] = {
    op.name: op
    for module in (
        leaf,
        elementwise,
        rounding,
        limits,
        bitwise,
        activations,
        mathematics,
        log_sums,
        special,
        reduce,
        region,
        products,
        statistics,
        movement,
        windows,
        indexed,
        ordered,
        contract,
        composite,
        attention,
        random,
        custom,
        training,
    )
    for op in module.OPS
}


def _built_in(name: str) -> Op | None:
    return OPS.get(name)


def _as_name(op: Op) -> tuple[Any, ...]:
    """A built-in op is pickled as its name. Raises TypeError for another one."""
    if _built_in(op.name) is not op:
        raise TypeError(
            f"op {op.name} is no built-in one, so its functions cannot be pickled; save the "
            "model to a file, and load that with the op among its custom_objects"
        )
    return _built_in, (op.name,)


# Said here and not by the class: the list is made of its records.
copyreg.pickle(Op, _as_name)
