"""Training of PyTorch's recurrent layers, run by the peers' interpreter: JSON in, JSON out."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def trained(case: dict[str, Any]) -> dict[str, Any]:
    """The parameters before and after, and the loss of each step."""
    torch.manual_seed(0)
    kind = getattr(torch.nn, case["kind"])
    layer = kind(
        case["features"], case["units"], batch_first=True, bidirectional=case["bidirectional"]
    )
    for name, parameter in layer.named_parameters():
        # graphc has the sum of the two biases alone, but for a GRU.
        parameter.requires_grad_(case["kind"] == "GRU" or "bias_hh" not in name)
    before = {name: value.tolist() for name, value in layer.state_dict().items()}
    x, target = torch.tensor(case["x"]), torch.tensor(case["target"])
    optimizer = torch.optim.SGD(layer.parameters(), lr=case["rate"])
    losses = []
    for _ in range(case["steps"]):
        loss = ((layer(x)[0] - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    after = {name: value.tolist() for name, value in layer.state_dict().items()}
    return {"before": before, "after": after, "losses": losses}


json.dump([trained(case) for case in json.load(sys.stdin)], sys.stdout)
