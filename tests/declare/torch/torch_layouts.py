"""Layers of PyTorch with random weights, run by the peers' interpreter: JSON in, JSON out."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def applied(case: dict[str, Any]) -> dict[str, Any]:
    """The weights, and what the layer in inference makes of x, which has its channels last."""
    torch.manual_seed(0)
    layer = getattr(torch.nn, case["kind"])(*case["arguments"], **case["words"])
    for name, value in layer.state_dict().items():
        if value.is_floating_point():
            value.normal_()
        if name == "running_var":
            value.abs_()
    layer.eval()
    x = torch.tensor(case["x"])
    if case["kind"] == "MultiheadAttention":
        result = layer(x, x, x, need_weights=False)[0]
    elif case["channels_first"]:
        result = layer(x.movedim(-1, 1)).movedim(1, -1)
    else:
        result = layer(x)
        result = result[0] if isinstance(result, tuple) else result
    weights = {name: value.tolist() for name, value in layer.state_dict().items()}
    return {"weights": weights, "result": result.tolist()}


json.dump([applied(case) for case in json.load(sys.stdin)], sys.stdout)
