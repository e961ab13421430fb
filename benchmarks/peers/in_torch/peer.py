"""torch, eager and compiled, with its own fused ops: linear layers, losses, updates of all at once.

Kernels are stored as whichever is faster here: [fan_in, fan_out] for `addmm`, or [fan_out, fan_in]
for `linear`; images with their channels first or last in memory. `torch.compile` gets the whole
step, update included, as one graph (it needs a C++ compiler), with the wrapper in C++ and its
choice of matrix kernels by measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.peers.fastest import fastest
from benchmarks.peers.in_torch.losses import LOSSES, READ_BY_ROWS
from benchmarks.peers.problem import BETAS, EPSILON, Array, Problem, Step

COMPILE_OPTIONS: dict[str, str | int | bool] = {"cpp_wrapper": True, "max_autotune": True}
IMAGE_RANK = 4  # of images and of the kernels of convolutions over them


def set_threads(threads: int) -> None:
    """Of one operation; operations never run beside each other."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)


def eager_step(problem: Problem) -> Step:
    return fastest([EagerStep(problem, layout) for layout in layouts(problem)])


def compiled_step(problem: Problem) -> Step:
    torch.compiler.reset()
    return fastest([CompiledStep(problem, layout) for layout in layouts(problem)])


@dataclass(frozen=True)
class Layout:
    """How arrays are stored: kernels of dense layers transposed, channels of images last."""

    transposed: bool
    channels_last: bool = True

    def parameter(self, array: Array) -> Tensor:
        """Kernels of convolutions are [filters, channels, height, width] in torch."""
        if array.ndim == IMAGE_RANK:
            return self.images(torch.from_numpy(array.transpose(3, 2, 0, 1)))
        transposes = self.transposed and array.ndim == 2
        return torch.from_numpy(array.T.copy() if transposes else array)

    def array(self, array: Array) -> Tensor:
        """Class numbers are int64 in torch, images [batch, channels, height, width]."""
        if array.ndim == IMAGE_RANK:
            return self.images(torch.from_numpy(array.transpose(0, 3, 1, 2)))
        tensor = torch.as_tensor(array)
        return tensor if tensor.is_floating_point() else tensor.long()

    def images(self, tensor: Tensor) -> Tensor:
        last = torch.channels_last if self.channels_last else torch.contiguous_format
        return tensor.contiguous(memory_format=last)


def layouts(problem: Problem) -> tuple[Layout, ...]:
    """Those that may be fastest."""
    if any(array.ndim == IMAGE_RANK for array in problem.parameters):
        return Layout(True, channels_last=False), Layout(True)
    has_kernels = any(array.ndim == 2 for array in problem.parameters)
    has_kernels = has_kernels and problem.loss not in READ_BY_ROWS
    return (Layout(False), Layout(True)) if has_kernels else (Layout(False),)


class TorchStep:
    """Parameters, data and loss that both forms of the step share."""

    def __init__(self, problem: Problem, layout: Layout) -> None:
        self.problem = problem
        self.arrays = [layout.array(array) for array in problem.arrays]
        self.initial = [layout.parameter(array) for array in problem.parameters]
        self.parameters = [torch.empty_like(initial) for initial in self.initial]
        self.layer = functional.linear if layout.transposed else layer_by_addmm
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

    def __init__(self, problem: Problem, layout: Layout) -> None:
        super().__init__(problem, layout)
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
        self.velocities: list[Tensor] | None = None

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
            if self.problem.momentum:
                gradients = self.followed(gradients)
            torch._foreach_add_(self.parameters, gradients, alpha=-self.problem.learning_rate)

    def followed(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The velocities, which follow the gradients."""
        if self.velocities is None:
            self.velocities = [torch.zeros_like(each) for each in self.parameters]
        torch._foreach_mul_(self.velocities, self.problem.momentum)
        torch._foreach_add_(self.velocities, gradients)
        return tuple(self.velocities)

    def by_adam(self, loss: Tensor) -> None:
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()


class CompiledStep(TorchStep):
    """Loss, derivatives and update in one graph of torch.compile."""

    def __init__(self, problem: Problem, layout: Layout) -> None:
        super().__init__(problem, layout)
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
        parameter; the velocities of SGD are its means."""
        super().reset()
        if not hasattr(self, "slots"):
            zeros = [torch.zeros_like(each) for each in self.parameters for _ in BETAS]
            self.slots = [torch.zeros(()), *zeros]
        for slot in self.slots:
            slot.zero_()

    def by_sgd(
        self, parameters: list[Tensor], slots: list[Tensor], gradients: list[Tensor]
    ) -> None:
        for parameter, gradient, velocity in zip(parameters, gradients, slots[1::2], strict=True):
            if self.problem.momentum:
                gradient = velocity.mul_(self.problem.momentum).add_(gradient)
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
