"""Derivatives, products with Jacobians and Hessians, and values as they are in inference: nodes
made of a user's nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

from graphc.declare.graphs.forms import Form, Nodes, form_of, in_form, listed
from graphc.errors import GraphError
from graphc.ir.arguments.given import check_tensors, shown
from graphc.ir.derive import jacobian as whole
from graphc.ir.derive import samples
from graphc.ir.derive.autodiff import gradients, vector_jacobian_product
from graphc.ir.derive.forward import jacobian_vector_product
from graphc.ir.functions.build import broadcast_to
from graphc.ir.graph import Node, is_among, topological
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.programs.inference import inference_values
from graphc.ir.rewriting.rewrite import rewrite_values
from graphc.ir.rewriting.simplify import RULES
from graphc.ir.types import Shape, is_several

# From values in their stable form and what they depend on to a derivative by each of these.
Derive = Callable[[list[Node], list[Node]], Sequence[Node]]


@overload
def grad(value: Node, wrt: Node) -> Node: ...
@overload
def grad(value: Node, wrt: Sequence[Node]) -> list[Node]: ...
def grad(value: Node, wrt: Node | Sequence[Node]) -> Node | list[Node]:
    """d value / d wrt as nodes of the same graph: of each w's type, so differentiable again.

    The value is brought to its stable form first, so 1/(1+exp(-x)) has the derivative of sigmoid.

    `value` is a float scalar; `wrt` is a node, or several, for which a list is returned. Raises
    GraphError when the value is not a scalar or does not depend on a w, NotDifferentiableError
    when it does only through what has no derivative.

        gradients = gc.grad(loss, [kernel, bias])
    """
    several = _one_or_several("grad", wrt)
    check_tensors("grad", value, *several)
    found = _derived([value], several, lambda stable, left: gradients(stable[0], left))
    return found[0] if isinstance(wrt, Node) else found


def vjp(y: Nodes, x: Nodes, ct: Any) -> Form:
    """The cotangent of x that the cotangent `ct` of y induces, J^T ct: reverse mode.

    y and x are a node, several, or several by name; `ct` has a value of each y's shape and dtype,
    in y's form. Returns nodes in x's form and of its types. Raises GraphError for a cotangent of
    another type, else as `grad` does.

        pulled_back = gc.vjp(scores, [kernel, bias], weights)
    """
    results, wrt = listed(y, "vjp"), listed(x, "vjp")
    check_tensors("vjp", *results, *wrt)
    cotangents = _of_types("vjp: ct", ct, y)
    found = _derived(
        results, wrt, lambda stable, left: vector_jacobian_product(stable, cotangents, left)
    )
    made: Form = in_form(form_of(x), found)
    return made


def jvp(y: Nodes, x: Nodes, tangent: Any) -> Form:
    """The change of y where x changes by `tangent`, J t to first order: forward mode.

    It takes a pass like that of the values, however many elements y has. y and x are a node,
    several, or several by name; `tangent` has a value of each x's shape and dtype, in x's form.
    Returns nodes in y's form and of its types. Raises GraphError for a tangent of another type,
    NotDifferentiableError for a `custom_vjp` that is not linear in its cotangent, else as `grad`.

        change = gc.jvp(scores, x, direction)
    """
    results, wrt = listed(y, "jvp"), listed(x, "jvp")
    check_tensors("jvp", *results, *wrt)
    tangents = dict(zip(wrt, _of_types("jvp: tangent", tangent, x), strict=True))
    stable, left = _in_stable_form(results, wrt)
    found = jacobian_vector_product(stable, left, [tangents[w] for w in left])
    made: Form = in_form(form_of(y), list(found))
    return made


def hvp(loss: Node, x: Nodes, v: Any) -> Form:
    """The Hessian of `loss` by x, times v: the change of the gradient where x changes by v.

    It takes about twice the time of the gradient and forms no Hessian. x is a node, several, or
    several by name; `v` has a value of each x's shape and dtype, in x's form. Returns nodes in
    x's form and of its types. Raises as `grad` and `vjp` do.

        curvature = gc.hvp(loss, kernel, direction)
    """
    wrt = listed(x, "hvp")
    check_tensors("hvp", loss, *wrt)
    vectors = dict(zip(wrt, _of_types("hvp: v", v, x), strict=True))
    slopes = _stable(grad(loss, wrt), wrt)
    below = set(topological(slopes))
    left = [w for w in wrt if w in below]
    found = (
        jacobian_vector_product(slopes, left, [vectors[w] for w in left])
        if left
        else [_zeros(w, w.shape) for w in wrt]
    )
    made: Form = in_form(form_of(x), list(found))
    return made


def hessian(loss: Node, x: Node) -> Node:
    """All second derivatives of `loss` by x, of shape x.shape + x.shape.

    `loss` is a float scalar, and every extent of x is fixed. The products with all unit vectors
    are one program; `hvp` is for more than some hundreds of elements. Raises as `grad` and
    `jacobian` do.

        curvature = gc.hessian(loss, weights)
    """
    check_tensors("hessian", loss, x)
    slope = grad(loss, x)
    if not is_among(x, topological([slope])):
        return _zeros(x, (*x.shape, *x.shape))
    return jacobian(slope, x)


@overload
def per_sample_gradients(losses: Node, wrt: Node) -> Node: ...
@overload
def per_sample_gradients(losses: Node, wrt: Sequence[Node]) -> list[Node]: ...
def per_sample_gradients(losses: Node, wrt: Node | Sequence[Node]) -> Node | list[Node]:
    """d losses[i] / d wrt for each sample i, of shape (samples, *w.shape) for each w.

    `losses` has one axis, a loss for each sample; `wrt` is a parameter, or several, for which a
    list is returned. It is one backward pass, in which a product keeps the outer product of each
    sample where `grad` adds them up. Through loops, and where values and samples meet otherwise
    than in arithmetic, in products and as the table of `take`, there are as many backward passes as
    samples, made at once. Raises GraphError for losses of another rank, for a w that has the
    samples' axis, and for an op of rows of samples and of what is no row of theirs, such as an
    attention to parameters; else as `grad` does.

        norms = [gc.sum(g * g, (1, 2)) for g in gc.per_sample_gradients(losses, kernels)]
    """
    several = _one_or_several("per_sample_gradients", wrt)
    check_tensors("per_sample_gradients", losses, *several)
    found = _derived(
        [losses], several, lambda stable, left: samples.per_sample_gradients(stable[0], left)
    )
    whole_shapes = [(*losses.shape, *w.shape) for w in several]
    made = [broadcast_to(g, shape) for g, shape in zip(found, whole_shapes, strict=True)]
    return made[0] if isinstance(wrt, Node) else made


def jacobian(y: Node, x: Node) -> Node:
    """All dy_i / dx_j, of shape y.shape + x.shape; every extent must be fixed.

    Raises GraphError for open dimensions, and as `grad` does.

        matrix = gc.jacobian(y, x)
    """
    check_tensors("jacobian", y, x)
    (stable,), left = _in_stable_form([y], [x])
    return whole.jacobian(stable, x) if left else _zeros(y, (*y.shape, *x.shape))


@overload
def inference(values: Node) -> Node: ...
@overload
def inference(values: Mapping[str, Node]) -> dict[str, Node]: ...
@overload
def inference(values: Sequence[Node]) -> list[Node]: ...
def inference(values: Nodes) -> Form:
    """A value, several, or several by name, as they are where the network is used: no dropout.

    Nodes of the same graph, in the form in which they were given; those that nothing for training
    alone goes into are the same nodes. Raises TypeError for what are no tensors.

        certain = gc.function(x, gc.inference(scores))
    """
    check_tensors("inference", *listed(values, "inference"))
    found = inference_values(listed(values))
    made: Form = in_form(form_of(values), [found[node] for node in listed(values)])
    return made


def _one_or_several(name: str, wrt: Node | Sequence[Node]) -> list[Node]:
    several = [wrt] if isinstance(wrt, Node) else wrt
    if not is_several(several):
        raise TypeError(f"{name}: wrt: a tensor or several expected, not {shown(wrt)}")
    return list(several)


def _derived(values: list[Node], wrt: list[Node], derive: Derive) -> list[Node]:
    """What `derive` makes for each of `wrt` from the values in their stable form; zeros for those
    that simplification drops, since the values never depended on them in truth."""
    stable, left = _in_stable_form(values, wrt)
    found = iter(derive(stable, left))
    return [next(found) if is_among(w, left) else _zeros(w, w.shape) for w in wrt]


def _in_stable_form(values: list[Node], wrt: list[Node]) -> tuple[list[Node], list[Node]]:
    """The values simplified, and those of `wrt` that these still depend on.

    What the values were never written to depend on is among them too, for derivatives to refuse.
    """
    above = set(topological([operand for w in wrt for operand in w.operands]))
    if any(y in above for y in values):
        other = next(w for w in wrt if any(is_among(y, topological(w.operands)) for y in values))
        problem = f"grad: {other!r} is computed from {values[0]!r}; the order is"
        raise GraphError(located(f"{problem} gc.grad(loss, parameters)", callers_location()))
    stable = _stable(values, wrt)
    written, kept = set(topological(values)), set(topological(stable))
    return stable, [w for w in wrt if w in kept or w not in written]


def _stable(values: Sequence[Node], wrt: Sequence[Node]) -> list[Node]:
    """The values simplified, but for what lies below a `wrt` that is computed itself."""
    opaque = [node for node in wrt if node.operands]
    found = rewrite_values(values, RULES, opaque)
    return [found[value] for value in values]


def _of_types(name: str, given: Any, like: Nodes) -> list[Node]:
    """A tensor of the type of each of `like`, in whose form `given` is; arrays and numbers become
    constants.

    Raises TypeError for another form, GraphError for another type.
    """
    if isinstance(like, Node):
        values = [given]
    elif isinstance(like, Mapping):
        fits = isinstance(given, Mapping) and given.keys() == like.keys()
        values = [given[key] for key in like] if fits else []
    else:
        values = list(given) if is_several(given) else []
    nodes = listed(like)
    if len(values) != len(nodes):
        problem = f"{name}: a value for each of {len(nodes)}, in their form, expected, not "
        raise TypeError(located(problem + shown(given), callers_location()))
    return [_of_type(name, value, node) for value, node in zip(values, nodes, strict=True)]


def _of_type(name: str, given: Any, beside: Node) -> Node:
    value: Node = given if isinstance(given, Node) else beside.graph.constant(given, beside.dtype)
    if value.type != beside.type:
        problem = f"{name}: {beside.type} expected, as {beside!r} is, not {value!r}"
        raise GraphError(located(problem, callers_location()))
    return value


def _zeros(like: Node, shape: Shape) -> Node:
    return broadcast_to(like.graph.constant(0.0, like.dtype), shape)
