"""Steps of PyTorch's optimizers and schedulers, run by the peers' interpreter: JSON in, JSON out.

The gradients are those of `tests.declare.optim.optim_cases`, which this process has without graphc.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from torch.optim import lr_scheduler

torch.set_num_threads(1)
# NAdam keeps its product of momenta in the default dtype: in f32 eight digits would be left.
torch.set_default_dtype(torch.float64)
# Muon rounds to bfloat16, of which no digits could be compared.
torch.Tensor.bfloat16 = lambda self: self.clone()  # type: ignore[method-assign]


def values_after(case: dict[str, Any]) -> dict[str, Any]:
    """The parameters and the rates of each step."""
    targets = {n: torch.tensor(v, dtype=torch.float64) for n, v in case["targets"].items()}
    parameters = {
        n: torch.nn.Parameter(torch.tensor(v, dtype=torch.float64))
        for n, v in case["starts"].items()
    }
    optimizers = [
        getattr(torch.optim, part["optimizer"])(
            groups_of(part["names"], parameters), **part["arguments"]
        )
        for part in case["parts"]
    ]
    scheduler, rates = None, []
    if case["schedule"] is not None:
        kind, arguments = case["schedule"]
        scheduler = scheduler_of(kind, optimizers[0], arguments)
    for _ in range(case["steps"]):
        rates.append(optimizers[0].param_groups[0]["lr"])
        for name, w in parameters.items():
            d = w.detach() - targets[name]
            w.grad = d + d**3
        for optimizer in optimizers:
            optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return {"values": {n: w.tolist() for n, w in parameters.items()}, "rates": rates}


def groups_of(names: list[Any], parameters: dict[str, Any]) -> list[Any]:
    """Parameters by their names, or groups of them with hyperparameters of their own."""
    if isinstance(names[0], str):
        return [parameters[name] for name in names]
    return [
        {"params": [parameters[name] for name in group["names"]]}
        | {key: value for key, value in group.items() if key != "names"}
        for group in names
    ]


def scheduler_of(kind: str, optimizer: Any, arguments: dict[str, Any]) -> Any:
    if kind != "SequentialLR":
        return getattr(lr_scheduler, kind)(optimizer, **arguments)
    parts = [scheduler_of(each, optimizer, given) for each, given in arguments["parts"]]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=arguments["milestones"])


json.dump([values_after(case) for case in json.load(sys.stdin)], sys.stdout)
