"""Optimizers inside of others: in groups, and behind Lookahead; going up a loss."""

import dataclasses
import math

import numpy as np
import pytest

import graphc as gc
from tests.declare.optim.optim_cases import (
    STARTS,
    adafactor,
    after_steps,
    assert_values,
    declare,
    lion,
    sgd,
)

SGD, AdamW, Lion, Lookahead, Muon = (
    gc.optim.SGD, gc.optim.AdamW, gc.optim.Lion, gc.optim.Lookahead, gc.optim.Muon,
)  # fmt: skip
STEPS = 20


def run(optimizer, steps=STEPS, **settings):
    """The graph after steps of the optimizer, with values of states set before the first."""
    graph, loss = declare()
    step = gc.function([], loss, optimizer.updates(loss), mode="reference")
    for name, value in settings.items():
        graph.variables[name] = value
    for _ in range(steps):
        step()
    return graph


def test_a_group_may_have_another_optimizer():
    """Its rate keeps its ratio to that of the optimizer, and its numbers are variables too."""
    other = Lion(0.002, weight_decay=0.3)
    graph = run(SGD(0.01, momentum=0.5, groups={"b": other}), **{"sgd.learning_rate": 0.005})
    expected = {
        "a": after_steps(sgd, {"lr": 0.005, "momentum": 0.5}, STEPS)["a"],
        "b": after_steps(lion, {"lr": 0.001, "weight_decay": 0.3}, STEPS)["b"],
    }
    assert_values(graph.variables, expected)
    assert {"sgd.weight_decay[b]", "sgd.mean.b", "sgd.velocity.a"} <= set(graph.states)


def test_groups_before_an_optimizer_set_its_hyperparameters():
    groups = {"b": {"weight_decay": 0.5}, "*": Lion(0.002, weight_decay=0.3)}
    graph = run(SGD(0.01, groups=groups))
    for name, decay in (("a", 0.3), ("b", 0.5)):
        expected = after_steps(lion, {"lr": 0.002, "weight_decay": decay}, STEPS)[name]
        assert_values(graph.variables, {name: expected})
    assert {"sgd.weight_decay[b]", "sgd.weight_decay[*]"} <= set(graph.states)


def test_what_concerns_all_gradients_is_the_optimizers():
    """Clipping is of the gradients of both."""
    clipped = run(SGD(0.5, clip_norm=0.1, groups={"b": SGD(1.0)}), steps=1)
    whole = run(SGD(0.5, clip_norm=0.1, groups={"b": {"learning_rate": 1.0}}), steps=1)
    for name in STARTS:
        np.testing.assert_array_equal(clipped.variables[name], whole.variables[name])


def test_a_group_may_go_up():
    graph = run(SGD(1e-4, groups={"b": {"maximize": True}}))
    for name, up in (("a", False), ("b", True)):
        expected = after_steps(sgd, {"lr": 1e-4, "maximize": up}, STEPS)[name]
        assert_values(graph.variables, {name: expected})


def test_lookahead_has_groups_of_the_other():
    groups = {"b": {"momentum": 0.5}}
    graph = run(Lookahead(SGD(0.01, groups=groups), STEPS, 1.0))
    for name, momentum in (("a", 0.0), ("b", 0.5)):
        expected = after_steps(sgd, {"lr": 0.01, "momentum": momentum}, STEPS)[name]
        assert_values(graph.variables, {name: expected})
        assert_values({name: graph.variables[f"lookahead.slow.{name}"]}, {name: expected})


def test_lookahead_begins_with_the_weights_and_ends_between_both():
    fast, start = run(SGD(0.01), 3), STARTS["a"]
    graph = run(Lookahead(SGD(0.01), 3, 0.25), 3)
    np.testing.assert_allclose(
        graph.variables["a"], start + 0.25 * (fast.variables["a"] - start), rtol=1e-14
    )


def run_of(optimizer, starts, steps=5):
    """Parameters of these starts after steps down the sum of their squares, halved."""
    graph, loss = gc.Graph(), 0.0
    for name, start in starts.items():
        loss = loss + gc.sum(gc.square(graph.parameter(name, start.shape, start, "f64"))) / 2
    step = gc.function([], loss, optimizer.updates(loss), mode="reference")
    for _ in range(steps):
        step()
    return {name: graph.variables[name] for name in starts}


def test_muon_moves_a_matrix_and_its_transpose_alike():
    """Of both the smaller product is taken, and the rows of what it moves by are orthogonal."""
    wide = np.random.default_rng(3).normal(size=(3, 5))
    muon = Muon(0.1, 0.0, adjust_lr_fn="match_rms_adamw")
    found = run_of(muon, {"wide": wide, "tall": wide.T})
    np.testing.assert_allclose(found["wide"], found["tall"].T, rtol=1e-12)
    moved = (wide - run_of(muon, {"wide": wide}, 1)["wide"]) / (0.1 * 0.2 * math.sqrt(5))
    values = np.linalg.svd(moved, compute_uv=False)
    assert (values > 0.6).all() and (values < 1.3).all()


@pytest.mark.parametrize(
    ("shape", "original", "like_adamw"),
    [((2, 8), 1.0, 8.0), ((8, 2), 2.0, 8.0), ((3, 3), 1.0, 3.0)],
)
def test_muons_steps_grow_with_the_shape(shape, original, like_adamw):
    """By the root of rows over columns, of tall matrices alone, or of the greater of both."""
    start = np.random.default_rng(7).normal(size=shape)
    sizes = {}
    for adjust, steps in (("original", 0), ("match_rms_adamw", 0)):
        muon = Muon(0.1, 0.0, adjust_lr_fn=adjust, ns_steps=steps)
        moved = start - run_of(muon, {"w": start}, 1)["w"]
        # Without iterations what it moves by has the length 1.
        sizes[adjust] = np.linalg.norm(moved) / 0.1
    assert sizes["original"] == pytest.approx(original)
    assert sizes["match_rms_adamw"] == pytest.approx(0.2 * math.sqrt(like_adamw))


@pytest.mark.parametrize(("dtype", "scale"), [("f32", 1e30), ("f32", 1e-30), ("f64", 1e300)])
def test_muon_at_any_scale(dtype, scale):
    """The direction alone counts, though squares overflow, and all steps are of one size."""
    slope = np.random.default_rng(5).normal(size=(4, 3))
    moved = []
    for factor in (1.0, scale):
        graph = gc.Graph()
        w = graph.parameter("w", slope.shape, 0.0, dtype)
        x = graph.input("x", slope.shape, dtype)
        updates = Muon(1.0, epsilon=0.0).updates(gradients={w: x})
        gc.function([x], w, updates, mode="reference")(slope.astype(w.dtype.numpy) * factor)
        moved.append(graph.variables["w"])
    np.testing.assert_allclose(moved[1], moved[0], rtol=1e-4, atol=1e-5)


def test_adafactor_of_any_rank():
    rng = np.random.default_rng(4)
    starts = {
        "scalar": np.array(1.5),
        "cube": rng.normal(size=(2, 3, 4)),
        "empty": np.zeros((0, 3)),
    }
    found = run_of(gc.optim.Adafactor(0.1), starts)
    for name in ("scalar", "cube"):
        value, kept = starts[name], {}
        for t in range(1, 6):
            value = adafactor(value, value, kept, t, lr=0.1)
        np.testing.assert_allclose(found[name], value, rtol=1e-13)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(groups={"*": SGD(clip_norm=1.0)}), ValueError, "SGD: groups: '.*clip_norm"),
        (lambda: SGD(groups={"*": SGD(groups={})}), ValueError, "groups concerns all"),
        (lambda: SGD(groups={"*": SGD(gradient_accumulation_steps=2)}), ValueError, "all grad"),
        (lambda: SGD(0, groups={"*": SGD(0.1)}), ValueError, "which is 0"),
        (lambda: SGD(groups={"*": gc.optim.LBFGS()}), TypeError, "patterns of names"),
        (lambda: Lookahead(0.1), TypeError, "an optimizer such as"),
        (lambda: Lookahead(gc.optim.LBFGS()), TypeError, "an optimizer such as"),
        (lambda: Lookahead(Lookahead(SGD())), TypeError, "an optimizer such as"),
        (lambda: Lookahead(SGD(), 0), gc.DataError, "sync_period: at least 1"),
        (lambda: Lookahead(SGD(), 6, 1.5), ValueError, "slow_step_size: at most 1"),
        (lambda: Lookahead(SGD(groups={"*": {"betas": 1}})), TypeError, "SGD: groups"),
        (lambda: Muon(ns_steps=-1), gc.DataError, "ns_steps: at least 0"),
        (lambda: Muon(ns_coefficients=(1.0, 2.0)), ValueError, "three numbers expected"),
        (lambda: Muon(ns_coefficients=(1.0, 2.0, "3")), TypeError, "ns_coefficients"),
        (lambda: Muon(adjust_lr_fn="none"), ValueError, "'original' or 'match_rms_adamw'"),
        (lambda: gc.optim.Adafactor(beta2_decay=0.1), ValueError, "beta2_decay: at most 0"),
        (lambda: gc.optim.Adafactor(epsilon=1e-8), ValueError, "two numbers expected"),
        (lambda: gc.optim.Adafactor(epsilon=(1e-8, None)), TypeError, "epsilon: a number"),
        (lambda: gc.optim.Adafactor(epsilon=(-1.0, 0.1)), ValueError, "epsilon: at least 0"),
        (lambda: gc.optim.Adafactor(clip_threshold=0), ValueError, "above 0 expected"),
        (lambda: gc.optim.Adafactor(groups={"*": {"d": 1}}), TypeError, "'clip_threshold' here"),
        (lambda: gc.optim.Lion(betas=(0.9, 1.0)), ValueError, "Lion: two betas below 1"),
        (lambda: gc.optim.NAdam(betas=0.9), ValueError, "NAdam: two betas below 1"),
    ],
)
def test_what_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_groups_of_optimizers_that_do_not_fit():
    _, loss = declare()
    for optimizer, error, message in [
        (Muon(), gc.ShapeError, r"Muon: 'b' of f64\[4\] is no matrix"),
        (Muon(groups={"c": SGD()}), gc.GraphError, "'c' matches none of"),
        (SGD(groups={"*": Lion(), "a": {"momentum": 0.5}}), gc.GraphError, r"'\*' comes first"),
        (SGD(groups={"*": Lion(), "a": SGD()}), gc.GraphError, "the optimizer of 'a' is that of"),
        (SGD(groups={"a": {"momentum": 0.5}, "*": Lion()}), TypeError, "SGD|Lion.*momentum"),
    ]:
        with pytest.raises(error, match=message):
            optimizer.updates(loss)


def test_an_optimizer_of_others_is_a_value():
    optimizer = Lookahead(SGD(0.1, groups={"b": AdamW(1e-3)}), 5)
    assert optimizer == Lookahead(SGD(0.1, groups={"b": AdamW(1e-3)}), 5)
    assert isinstance(hash(optimizer), int)
    assert dataclasses.replace(optimizer, sync_period=4).optimizer is optimizer.optimizer
