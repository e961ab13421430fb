"""Training of PyTorch's transformer layers, run by the peers' interpreter: JSON in, JSON out."""

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
    kind = torch.nn.TransformerDecoderLayer if case["encoded"] else torch.nn.TransformerEncoderLayer
    layer = kind(
        case["features"], case["heads"], case["units"], dropout=0.0, activation="gelu",
        batch_first=True, norm_first=case["norm_first"],
    )  # fmt: skip
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    before = {name: value.tolist() for name, value in layer.state_dict().items()}
    x, target = torch.tensor(case["x"]), torch.tensor(case["target"])
    # True is what torch leaves out.
    hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    mask = hidden if case["causal"] else None
    padding = ~torch.tensor(case["mask"])
    optimizer = torch.optim.SGD(layer.parameters(), lr=case["rate"])
    losses = []
    for _ in range(case["steps"]):
        if case["encoded"]:
            encoded = torch.tensor(case["encoded"])
            result = layer(x, encoded, tgt_mask=mask, memory_key_padding_mask=padding)
        else:
            result = layer(x, src_mask=mask, src_key_padding_mask=padding)
        loss = ((result - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    after = {name: value.tolist() for name, value in layer.state_dict().items()}
    return {"before": before, "after": after, "losses": losses}


def attended(case: dict[str, Any]) -> list[Any]:
    arguments = {name: torch.tensor(value) for name, value in case["arrays"].items()}
    result = torch.nn.functional.scaled_dot_product_attention(**arguments, **case["words"])
    return result.tolist()  # type: ignore[no-any-return]


given = json.load(sys.stdin)
json.dump(
    {
        "trained": [trained(case) for case in given["trained"]],
        "attended": [attended(case) for case in given["attended"]],
    },
    sys.stdout,
)
