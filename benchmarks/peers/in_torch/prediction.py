"""What a network predicts in torch, eager and compiled for weights that stay as they are."""

from __future__ import annotations

import torch
from torch.nn import functional

from benchmarks.peers.fastest import fastest
from benchmarks.peers.in_torch.images import pooled_twice
from benchmarks.peers.in_torch.peer import COMPILE_OPTIONS, Layout, layer_by_addmm, layouts
from benchmarks.peers.problem import Array, Prediction, Problem

NETWORKS = {"lenet": pooled_twice}
# Weights become constants, in whichever form the kernels want them.
FROZEN: dict[str, str | int | bool] = {"freezing": True}


def eager_prediction(problem: Problem) -> Prediction:
    return fastest([TorchPrediction(problem, layout) for layout in layouts(problem)])


def compiled_prediction(problem: Problem) -> Prediction:
    torch.compiler.reset()
    options = (COMPILE_OPTIONS, FROZEN)
    return fastest(
        [TorchPrediction(problem, layout, each) for layout in layouts(problem) for each in options]
    )


class Network(torch.nn.Module):
    """A problem's network with its parameters."""

    def __init__(self, problem: Problem, layout: Layout) -> None:
        super().__init__()
        given = map(layout.parameter, problem.parameters)
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(each, False) for each in given)
        self.network = NETWORKS[problem.loss]
        self.layer = functional.linear if layout.transposed else layer_by_addmm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(list(self.weights), self.layer, x)


class TorchPrediction:
    """Calls of the network on a tensor that stays where it is."""

    def __init__(
        self,
        problem: Problem,
        layout: Layout,
        options: dict[str, str | int | bool] | None = None,
    ) -> None:
        self.images = layout.array(problem.arrays[0])
        self.network = Network(problem, layout).eval()
        if options is not None:
            self.network = torch.compile(  # type: ignore[assignment]
                self.network, fullgraph=True, dynamic=False, options=options
            )
        self.run(1)

    def outputs(self) -> Array:
        with torch.inference_mode():
            found: Array = self.network(self.images).numpy()
            return found

    def run(self, count: int) -> None:
        with torch.inference_mode():
            for _ in range(count):
                self.network(self.images)
