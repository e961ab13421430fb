"""Which kind of epilogue the nodes behind a product are."""

from __future__ import annotations

from graphc.ir.nodes.lowering import Reduction
from graphc.kernels.nests.refusal import Refusal
from graphc.kernels.products.epilogues.element_epilogue import plan_elements
from graphc.kernels.products.epilogues.epilogue import EpiloguePlan
from graphc.kernels.products.epilogues.row_epilogue import plan_rows
from graphc.kernels.products.product_nodes import ProductNodes


def epilogue_plan(parts: ProductNodes) -> EpiloguePlan | Refusal:
    """What is done with a product's results, or why its kernel cannot."""
    if any(isinstance(node.op.lowering, Reduction) for node in parts.epilogue):
        return plan_rows(parts)
    return plan_elements(parts)
