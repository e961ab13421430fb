"""The factor by which focal losses take away from what is easy."""

from __future__ import annotations

from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops


def modulation(miss: Node, gamma: float) -> Node:
    """miss^gamma for the probability of what is wrong; at 0, where a prediction is sure and right,
    it is 0 with a derivative of 0, as the loss behind it falls faster."""
    if gamma == 0:
        return miss.graph.constant(1.0, miss.dtype)
    is_gone = ops.equal(ops.stop_gradient(miss), 0)
    return ops.where(is_gone, 0.0, build.power(ops.where(is_gone, 1.0, miss), gamma))
