"""torch, eager and compiled, with its own fused ops: linear layers, losses, updates of all at once.

Kernels are stored as whichever is faster here: [fan_in, fan_out] for `addmm`, or [fan_out, fan_in]
for `linear`. `torch.compile` gets the whole step, update included, as one graph (it needs a C++
compiler), with the wrapper in C++ and its choice of matrix kernels by measurement.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.peers.problem import BETAS, EPSILON, Problem, Step
from benchmarks.peers.torch_losses import LOSSES, READ_BY_ROWS

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
    has_kernels = any(array.ndim == 2 for array in problem.parameters)
    has_kernels = has_kernels and problem.loss not in READ_BY_ROWS
    return (False, True) if has_kernels else (False,)


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


def as_tensor(array: object) -> Tensor:
    """Class numbers are int64 in torch."""
    tensor = torch.as_tensor(array)
    return tensor if tensor.is_floating_point() else tensor.long()


class TorchStep:
    """Parameters, data and loss that both forms of the step share."""

    def __init__(self, problem: Problem, transposed: bool) -> None:
        self.problem = problem
        self.arrays = [as_tensor(array) for array in problem.arrays]
        self.initial = [
            torch.from_numpy(array.T.copy() if transposed and array.ndim == 2 else array)
            for array in problem.parameters
        ]
        self.parameters = [torch.empty_like(initial) for initial in self.initial]
        self.layer = functional.linear if transposed else layer_by_addmm
        self.reset()

    def loss(self, parameters: list[Tensor], arrays: list[Tensor]) -> Tensor:
        return LOSSES[self.problem.loss](parameters, self.layer, arrays)

    def reset(self) -> None:
        with torch.no_grad():
            for parameter, initial in zip(self.parameters, self.initial, strict=True):
                parameter.copy_(initial)

    def run(self, count: int) -> float:
        raise NotImplementedError


class EagerStep(TorchStep):
    """Automatic derivatives, and one operation that updates all parameters in place."""

    def __init__(self, problem: Problem, transposed: bool) -> None:
        super().__init__(problem, transposed)
        for parameter in self.parameters:
            parameter.requires_grad_()
        self.run(1)

    def reset(self) -> None:
        super().reset()
        if self.problem.optimizer == "adam":
            rate = self.problem.learning_rate
            self.adam = torch.optim.Adam(
                self.parameters, rate, betas=BETAS, eps=EPSILON, fused=True
            )

    def run(self, count: int) -> float:
        loss = torch.tensor(float("nan"))
        update = self.by_adam if self.problem.optimizer == "adam" else self.by_sgd
        for _ in range(count):
            loss = self.loss(self.parameters, self.arrays)
            update(loss)
        return loss.item()

    def by_sgd(self, loss: Tensor) -> None:
        gradients = torch.autograd.grad(loss, self.parameters)
        with torch.no_grad():
            torch._foreach_add_(self.parameters, gradients, alpha=-self.problem.learning_rate)

    def by_adam(self, loss: Tensor) -> None:
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()


class CompiledStep(TorchStep):
    """Loss, derivatives and update in one graph of torch.compile."""

    def __init__(self, problem: Problem, transposed: bool) -> None:
        super().__init__(problem, transposed)
        derive = torch.func.grad_and_value(self.loss)
        update = self.by_adam if problem.optimizer == "adam" else self.by_sgd

        def step(parameters: list[Tensor], slots: list[Tensor], arrays: list[Tensor]) -> Tensor:
            gradients, loss = derive(parameters, arrays)
            update(parameters, slots, list(gradients))
            return loss

        self.step = torch.compile(step, fullgraph=True, dynamic=False, options=COMPILE_OPTIONS)
        self.run(1)

    def reset(self) -> None:
        """The slots of Adam are the number of steps, then a mean and a mean square for each
        parameter."""
        super().reset()
        if not hasattr(self, "slots"):
            zeros = [torch.zeros_like(each) for each in self.parameters for _ in BETAS]
            self.slots = [torch.zeros(()), *zeros]
        for slot in self.slots:
            slot.zero_()

    def by_sgd(
        self, parameters: list[Tensor], slots: list[Tensor], gradients: list[Tensor]
    ) -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(gradient, alpha=self.problem.learning_rate)

    def by_adam(
        self, parameters: list[Tensor], slots: list[Tensor], gradients: list[Tensor]
    ) -> None:
        steps, means, squares = slots[0], slots[1::2], slots[2::2]
        steps.add_(1)
        first, second = (1 - beta**steps for beta in BETAS)
        rate = self.problem.learning_rate / first
        for parameter, gradient, mean, square in zip(
            parameters, gradients, means, squares, strict=True
        ):
            mean.lerp_(gradient, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            parameter.sub_(rate * mean / (square.sqrt() / second.sqrt() + EPSILON))

    def run(self, count: int) -> float:
        loss = torch.tensor(float("nan"))
        with torch.no_grad():
            for _ in range(count):
                loss = self.step(self.parameters, self.slots, self.arrays)
        return loss.item()


def layer_by_addmm(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias, x, kernel)
