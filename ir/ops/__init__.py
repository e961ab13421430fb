"""The op records. `OPS` is all of them by name; nothing registers itself."""

from collections.abc import Mapping

from graphc.ir.op import Op
from graphc.ir.ops import (
    composite,
    contract,
    custom,
    elementwise,
    leaf,
    movement,
    random,
    reduce,
    training,
)

OPS: Mapping[str, Op] = {
    op.name: op
    for module in (
        leaf,
        elementwise,
        reduce,
        movement,
        contract,
        composite,
        random,
        custom,
        training,
    )
    for op in module.OPS
}
