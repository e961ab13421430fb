"""The least value of a loss, by L-BFGS on all data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.declare.functional.derivatives import grad
from graphc.declare.graphs.flat import joined, parted
from graphc.declare.graphs.graph import graph_of, parameters_of, states_of
from graphc.declare.graphs.variables import Variables
from graphc.declare.optim import LBFGS
from graphc.errors import DataError, GraphError, missing_extra
from graphc.functions.function import function
from graphc.functions.mode import Mode
from graphc.ir.arguments.given import check_tensors, shown
from graphc.ir.graph import Node, topological
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops import leaf
from graphc.ir.types import each_of
from graphc.kernels.host.imports import whole_imports

Array = np.ndarray[Any, np.dtype[Any]]

# Called after each iteration with its number, from 1, and the loss. StopIteration ends it.
Callback = Callable[[int, float], object]


@dataclass(frozen=True)
class Minimum:
    """Where a minimization ended.

    loss: at the parameters' values now. converged: whether a tolerance ended it.
    message: what ended it, in the words of scipy.
    """

    loss: float
    iterations: int
    evaluations: int
    converged: bool
    message: str


def minimize(
    loss: Node,
    feeds: Mapping[Node | str, Any] | None = None,
    method: LBFGS | None = None,
    *,
    parameters: Sequence[Node] | None = None,
    variables: Variables | None = None,
    callback: Callback | None = None,
    mode: Mode = "compiled",
    threads: int | None = None,
) -> Minimum:
    """Sets the parameters to where the loss is least, near their values now.

    loss: a float scalar that gives the same for the same parameters; f64 for many digits.
    feeds: an array for each input that it reads, by the input or its name.
    method: `gc.optim.LBFGS()` unless given.
    parameters: trainable states, those that the loss reads unless given.
    variables: the values of states, those of the graph unless given.
    callback: called after each iteration with its number, from 1, and the loss; StopIteration ends
        the minimization there.

        gc.minimize(loss, {x: data, t: targets}, gc.optim.LBFGS(max_iter=200))

    An error or Ctrl-C on the way leaves the parameters as the last whole iteration made them.
    Raises MissingExtraError without scipy, GraphError for a loss without parameters and for one
    that draws random numbers, DataError for arrays that do not fit, and as `gc.grad` does.
    """
    chosen = LBFGS() if method is None else method
    if not isinstance(chosen, LBFGS):
        raise TypeError(f"minimize: method: a gc.optim.LBFGS expected, not {shown(method)}")
    check_tensors("minimize", loss)
    given = _by_input(loss, feeds or {})
    _check_certain(loss)
    found = parameters_of(loss) if parameters is None else list(each_of(parameters))
    if not found:
        raise GraphError(located(f"minimize: {loss!r} depends on no parameter", loss.location))
    step = function(
        list(given),
        [loss, *grad(loss, found)],
        variables=variables,
        mode=mode,
        threads=threads,
        name="minimize",
    )
    arrays = list(given.values())
    return minimize_calls(lambda: step(*arrays), step.variables, found, chosen, callback)


def minimize_calls(
    evaluate: Callable[[], Sequence[Any]],
    variables: Variables,
    parameters: Sequence[Node],
    method: LBFGS,
    callback: Callback | None = None,
) -> Minimum:
    """As `minimize`, of what `evaluate` gives at the parameters' values: the loss, then its
    derivative by each of them."""
    optimize = _scipy_optimize()
    names = [each.name for each in parameters]
    whole = joined(list(variables.read(names).values())).astype(np.float64)
    iterations = 0

    def put(vector: Array) -> None:
        # What is beyond f32 is infinite there, and so is the loss, which the line search leaves.
        with np.errstate(over="ignore"):
            parts = parted(vector, parameters)
            types = {each.name: each.dtype.numpy for each in parameters}
            variables.update({n: part.astype(types[n]) for n, part in parts.items()})

    def objective(vector: Array) -> tuple[float, Array]:
        # Nobody writes between the two, as another thread's training would.
        with variables.steady():
            put(vector)
            loss, *derivatives = evaluate()
        return float(loss), joined(derivatives).astype(np.float64)

    def after_iteration(intermediate_result: Any) -> None:
        nonlocal whole, iterations
        whole, iterations = intermediate_result.x.copy(), iterations + 1
        if callback is not None:
            callback(iterations, float(intermediate_result.fun))

    options = {
        "maxiter": method.max_iter,
        "maxfun": method.evaluations,
        "gtol": method.tolerance_grad,
        "ftol": method.tolerance_change,
        "maxcor": method.history_size,
    }
    try:
        result = optimize.minimize(
            objective, whole, jac=True, method="L-BFGS-B", callback=after_iteration, options=options
        )
        whole = result.x
    finally:
        put(whole)
    return Minimum(
        float(result.fun), int(result.nit), int(result.nfev), bool(result.success), result.message
    )


def _by_input(loss: Node, feeds: Mapping[Node | str, Any]) -> dict[Node, Any]:
    """The arrays by input. Raises DataError for a name that no input of the loss has, TypeError for
    what is neither a tensor nor a name."""
    inputs = {node.name: node for node in topological([loss]) if node.op is leaf.input_}
    given: dict[Node, Any] = {}
    for key, array in feeds.items():
        if isinstance(key, str) and key not in inputs:
            problem = f"the loss reads no input {key!r}; it reads: {', '.join(inputs) or 'none'}"
            raise DataError(located(f"minimize: feeds: {problem}", callers_location()))
        given[inputs[key] if isinstance(key, str) else key] = array
    check_tensors("minimize: feeds", *given)
    return given


def _check_certain(loss: Node) -> None:
    """Raises GraphError for a loss that is another at every call."""
    streams = [state for state in states_of([loss]) if state.name in graph_of(loss).streams]
    if streams:
        problem = f"minimize: the loss draws random numbers from {streams[0].name!r}; "
        problem += "gc.inference of it draws none"
        raise GraphError(located(problem, loss.location))


def _scipy_optimize() -> Any:
    try:
        with whole_imports():
            from scipy import optimize
    except ImportError:
        raise missing_extra("gc.minimize", "scipy") from None
    return optimize
