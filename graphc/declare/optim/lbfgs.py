"""L-BFGS, for losses without chance: what it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.declare.hyperparameters import as_count, check_number


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS, for `gc.minimize`: it takes a loss and its gradient on all data.

    max_iter: iterations at most; each takes at least one evaluation of loss and gradient.
    max_eval: no iteration begins after so many evaluations; None is 5 / 4 of max_iter, as PyTorch
        has it.
    tolerance_grad: ends where no element of the gradient is larger.
    tolerance_change: ends where the loss falls by less, as a share of it where that is above 1.
    history_size: how many past steps stand for the second derivatives.

    Source: Liu and Nocedal, On the limited memory BFGS method for large scale optimization, 1989;
    with the line search of scipy's L-BFGS-B, More and Thuente, 1994.

        gc.minimize(loss, {x: data}, gc.optim.LBFGS(max_iter=500))

    Raises DataError for a count below 1, ValueError for a tolerance that is negative, NaN or
    infinite, TypeError for what is no number.
    """

    max_iter: int = 1000
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 10

    def __post_init__(self) -> None:
        for name in ("max_iter", "history_size"):
            as_count(f"LBFGS: {name}", getattr(self, name), 1)
        if self.max_eval is not None:
            as_count("LBFGS: max_eval", self.max_eval, 1)
        for name in ("tolerance_grad", "tolerance_change"):
            check_number(f"LBFGS: {name}", getattr(self, name), least=0)

    @property
    def evaluations(self) -> int:
        """How many evaluations there are at most."""
        return self.max_iter * 5 // 4 + 1 if self.max_eval is None else self.max_eval
