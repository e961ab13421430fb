"""torch, eager and compiled, with its own fused ops: linear layers, cross-entropy, foreach update.

Kernels are stored as whichever is faster here: [fan_in, fan_out] for `addmm`, or [fan_out, fan_in]
for `linear`. `torch.compile` gets the whole step, update included, as one graph (it needs a C++
compiler), with the wrapper in C++ and its choice of matrix kernels by measurement.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.peers.problem import Problem, Step

Loss = Callable[[list[Tensor], Tensor, Tensor], Tensor]
Layer = Callable[[Tensor, Tensor, Tensor], Tensor]

COMPILE_OPTIONS: dict[str, str | int | bool] = {"cpp_wrapper": True, "max_autotune": True}
TRIALS = 7
TRIAL_SECONDS = 0.02


def set_threads(threads: int) -> None:
    """Of one operation; operations never run beside each other."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)


def eager_step(problem: Problem) -> Step:
    return fastest([EagerStep(problem, transposed) for transposed in layouts(problem)])


def compiled_step(problem: Problem) -> Step:
    torch.compiler.reset()
    return fastest([CompiledStep(problem, transposed) for transposed in layouts(problem)])


def layouts(problem: Problem) -> tuple[bool, ...]:
    """Whether kernels are stored transposed: both where there are any."""
    return (False,) if problem.elementwise else (False, True)


def fastest(steps: list[TorchStep]) -> Step:
    """The step with the shortest of its trials, which take turns."""
    if len(steps) == 1:
        return steps[0]
    shortest = [float("inf")] * len(steps)
    counts = [max(1, round(TRIAL_SECONDS / seconds(step, 1))) for step in steps]
    for _ in range(TRIALS):
        for number, step in enumerate(steps):
            shortest[number] = min(shortest[number], seconds(step, counts[number]))
    return steps[shortest.index(min(shortest))]


def seconds(step: Step, count: int) -> float:
    """Of one of `count` steps."""
    start = time.perf_counter()
    step.run(count)
    return (time.perf_counter() - start) / count


class TorchStep:
    """Parameters, data and loss that both forms of the step share."""

    def __init__(self, problem: Problem, transposed: bool) -> None:
        self.problem = problem
        self.x = torch.from_numpy(problem.x)
        self.t = torch.from_numpy(problem.t)
        if not problem.elementwise:
            # Class numbers are int64 in torch.
            self.t = self.t.long()
        self.initial = [
            torch.from_numpy(array.T.copy() if transposed and array.ndim == 2 else array)
            for array in problem.parameters
        ]
        self.parameters = [torch.empty_like(initial) for initial in self.initial]
        self.loss = loss_function(problem, functional.linear if transposed else layer_by_addmm)
        self.learning_rate = problem.learning_rate
        self.reset()

    def reset(self) -> None:
        with torch.no_grad():
            for parameter, initial in zip(self.parameters, self.initial, strict=True):
                parameter.copy_(initial)

    def run(self, count: int) -> float:
        raise NotImplementedError


class EagerStep(TorchStep):
    """Automatic derivatives, and one foreach operation that updates all parameters in place."""

    def __init__(self, problem: Problem, transposed: bool) -> None:
        super().__init__(problem, transposed)
        for parameter in self.parameters:
            parameter.requires_grad_()
        self.run(1)

    def run(self, count: int) -> float:
        loss = torch.tensor(float("nan"))
        for _ in range(count):
            loss = self.loss(self.parameters, self.x, self.t)
            gradients = torch.autograd.grad(loss, self.parameters)
            with torch.no_grad():
                torch._foreach_add_(self.parameters, gradients, alpha=-self.learning_rate)
        return loss.item()


class CompiledStep(TorchStep):
    """Loss, derivatives and update in one graph of torch.compile."""

    def __init__(self, problem: Problem, transposed: bool) -> None:
        super().__init__(problem, transposed)
        derive = torch.func.grad_and_value(self.loss)
        learning_rate = self.learning_rate

        def step(parameters: list[Tensor], x: Tensor, t: Tensor) -> Tensor:
            gradients, loss = derive(parameters, x, t)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=learning_rate)
            return loss

        self.step = torch.compile(step, fullgraph=True, dynamic=False, options=COMPILE_OPTIONS)
        self.run(1)

    def run(self, count: int) -> float:
        loss = torch.tensor(float("nan"))
        with torch.no_grad():
            for _ in range(count):
                loss = self.step(self.parameters, self.x, self.t)
        return loss.item()


def layer_by_addmm(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias, x, kernel)


def loss_function(problem: Problem, layer: Layer) -> Loss:
    if problem.elementwise:
        return elementwise_loss

    def layered_loss(parameters: list[Tensor], x: Tensor, t: Tensor) -> Tensor:
        *hidden, kernel, bias = parameters
        for hidden_kernel, hidden_bias in zip(hidden[::2], hidden[1::2], strict=True):
            x = torch.sigmoid(layer(x, hidden_kernel, hidden_bias))
        return functional.cross_entropy(layer(x, kernel, bias), t)

    return layered_loss


def elementwise_loss(parameters: list[Tensor], x: Tensor, t: Tensor) -> Tensor:
    a, b, c, d = parameters
    return functional.mse_loss(
        torch.tanh(torch.addcmul(b, a, x)) * torch.sigmoid(torch.addcmul(d, c, x)), t
    )
