"""Attention, its layers and positions against their formulas in numpy, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc

RNG = np.random.default_rng(2)


def softmax(x: Any) -> Any:
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(-1, keepdims=True))
        return np.nan_to_num(e / e.sum(-1, keepdims=True))


def plain(q: Any, k: Any, v: Any, mask: Any = True, causal: bool = False, bias: Any = 0.0) -> Any:
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]) + bias
    scores = np.where(mask, scores, -np.inf)
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    return softmax(scores) @ v


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape)


def given(*arrays: Any) -> tuple[gc.Graph, list[gc.Node]]:
    graph = gc.Graph(seed=1)
    return graph, [graph.input("qkvuwx"[n], a.shape, "f64") for n, a in enumerate(arrays)]


def call(nodes: Any, result: Any, arrays: Any) -> Any:
    return gc.function(nodes, result, mode="reference")(*arrays)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask_shape", [None, (5,), (4, 5), (2, 1, 1, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("has_bias", [False, True])
def test_masks_and_biases(causal: bool, mask_shape: Any, has_bias: bool) -> None:
    arrays = normal(2, 3, 4, 6), normal(2, 3, 5, 6), normal(2, 3, 5, 2)
    _, nodes = given(*arrays)
    mask = None if mask_shape is None else RNG.integers(0, 2, mask_shape).astype(bool)
    bias = normal(3, 1, 5) if has_bias else None
    result = gc.nn.attention(*nodes, mask=mask, causal=causal, bias=bias)
    expected = plain(*arrays, True if mask is None else mask, causal, 0.0 if bias is None else bias)
    np.testing.assert_allclose(call(nodes, result, arrays), expected, rtol=1e-12, atol=1e-12)
    weights = gc.nn.attention_weights(*nodes[:2], mask=mask, causal=causal, bias=bias)
    mixed = call(nodes, weights @ nodes[2], arrays)
    np.testing.assert_allclose(mixed, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["compiled", "reference"])
def test_a_row_that_attends_to_nothing_is_zero_and_so_are_its_slopes(mode: Any) -> None:
    arrays = normal(2, 3, 4), normal(2, 3, 4), normal(2, 3, 4)
    _, nodes = given(*arrays)
    mask = np.ones((3, 3), bool)
    mask[1] = False
    result = gc.nn.attention(*nodes, mask=mask)
    slopes = gc.grad(gc.sum(result * result), nodes)
    value, of_q, *others = gc.function(nodes, [result, *slopes], mode=mode)(*arrays)
    assert not value[:, 1].any() and not of_q[:, 1].any()
    assert value[:, [0, 2]].all() and all(np.isfinite(each).all() for each in others)


def test_fewer_heads_of_keys_serve_several_of_queries() -> None:
    arrays = normal(2, 6, 4, 3), normal(2, 2, 5, 3), normal(2, 2, 5, 2)
    _, nodes = given(*arrays)
    mask, bias = RNG.integers(0, 2, (2, 1, 4, 5)).astype(bool), normal(6, 4, 5)
    result = gc.nn.attention(*nodes, mask=mask, bias=bias, scale=0.3)
    k, v = (np.repeat(each, 3, axis=1) for each in arrays[1:])
    expected = plain(arrays[0] * 0.3 * np.sqrt(3), k, v, mask, bias=bias)
    np.testing.assert_allclose(call(nodes, result, arrays), expected, rtol=1e-12, atol=1e-12)


def test_open_extents() -> None:
    graph = gc.Graph()
    q, k = graph.input("q", ("batch", "n", 4), "f64"), graph.input("k", ("batch", "m", 4), "f64")
    f = gc.function([q, k], gc.nn.attention(q, k, k, causal=True), mode="reference")
    for n, m in ((3, 5), (5, 3), (1, 1)):
        arrays = normal(2, n, 4), normal(2, m, 4)
        expected = plain(*arrays, arrays[1], causal=True)
        np.testing.assert_allclose(f(*arrays), expected, rtol=1e-12, atol=1e-12)


def test_what_is_no_attention_is_refused() -> None:
    _, (q, k, v, vector) = given(normal(4, 3, 2), normal(3, 5, 2), normal(3, 5, 2), normal(2))
    with pytest.raises(gc.ShapeError, match="4 heads for 3 of keys"):
        gc.nn.attention(q, k, v)
    with pytest.raises(gc.ShapeError, match="matrices expected"):
        gc.nn.attention(vector, k, v)
    with pytest.raises(gc.DTypeError, match="bools expected, not of float64; floats are a bias"):
        gc.nn.attention(k, k, v, mask=np.ones((5, 5)))
    with pytest.raises(gc.DTypeError, match="bools expected"):
        gc.nn.attention(k, k, v, mask=k)
    with pytest.raises(TypeError, match="scale"):
        gc.nn.attention(k, k, v, scale="large")
    with pytest.raises(TypeError, match="attention"):
        gc.nn.attention(np.ones((2, 2)), k, v)


# --- layers ----------------------------------------------------------------------------------


def values_of(graph: gc.Graph, layer: Any) -> dict[str, Any]:
    """Random values of its parameters, by their names inside of it."""
    for parameter in layer.parameters:
        graph.variables[parameter] = normal(*graph.variables[parameter.name].shape)
    return {p.name.removeprefix(f"{layer.name}."): graph.variables[p] for p in layer.parameters}


def heads_of(x: Any, heads: int) -> Any:
    return x.reshape(*x.shape[:-1], heads, -1).swapaxes(-2, -3)


def mixed_heads(v: dict[str, Any], query: Any, value: Any, heads: Any, **masks: Any) -> Any:
    q, k, w = (
        heads_of(x @ v[f"{name}.kernel"] + v[f"{name}.bias"], count)
        for x, name, count in zip(
            (query, value, value), ("query", "key", "value"), heads, strict=True
        )
    )
    k, w = (np.repeat(each, heads[0] // heads[1], axis=-3) for each in (k, w))
    mixed = plain(q, k, w, **masks).swapaxes(-2, -3)
    joined = mixed.reshape(*mixed.shape[:-2], -1)
    return joined @ v["output.kernel"] + v["output.bias"]


@pytest.mark.parametrize("shared", [None, 2])
def test_heads_attend_to_another_sequence(shared: int | None) -> None:
    x, other = normal(2, 3, 8), normal(2, 5, 6)
    mask = RNG.integers(0, 2, (2, 1, 5)).astype(bool)
    graph, nodes = given(x, other)
    given_mask = graph.input("mask", mask.shape, "bool")
    layer = gc.nn.MultiHeadAttention(4, 3, 2, output_dim=7, num_kv_heads=shared)
    result = layer(*nodes, mask=given_mask)
    v, heads = values_of(graph, layer), (4, shared or 4, shared or 4)
    expected = mixed_heads(v, x, other, heads, mask=mask[:, None])
    assert result.shape == (2, 3, 7)
    found = call([*nodes, given_mask], result, [x, other, mask])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_dropout_of_weights_is_for_training_alone() -> None:
    x = normal(2, 6, 8)
    graph, (node,) = given(x)
    layer = gc.nn.MultiHeadAttention(4, 2, dropout=0.5, num_kv_heads=2)
    result = layer(node, causal=True)
    v = values_of(graph, layer)
    expected = mixed_heads(v, x, x, (4, 2, 2), causal=True)
    used = call([node], gc.inference(result), [x])
    np.testing.assert_allclose(used, expected, rtol=1e-12, atol=1e-12)
    assert not np.allclose(call([node], result, [x]), expected)


def norm(x: Any, v: dict[str, Any], name: str) -> Any:
    value = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return value * v[f"{name}.gamma"] + v[f"{name}.beta"]


def inner(v: dict[str, Any], name: str) -> dict[str, Any]:
    return {k.removeprefix(f"{name}."): each for k, each in v.items() if k.startswith(f"{name}.")}


@pytest.mark.parametrize("first", [False, True])
def test_a_decoder_block_is_its_formula(first: bool) -> None:
    x, encoded = normal(2, 4, 6), normal(2, 3, 5)
    graph, nodes = given(x, encoded)
    block = gc.nn.TransformerDecoderBlock(7, 2, activation="tanh", normalize_first=first)
    result = block(*nodes)
    v = values_of(graph, block)

    def around(y: Any, name: str, sublayer: Any) -> Any:
        if first:
            return y + sublayer(norm(y, v, name))
        return norm(y + sublayer(y), v, name)

    def feed_forward(y: Any) -> Any:
        hidden = np.tanh(y @ v["intermediate.kernel"] + v["intermediate.bias"])
        return hidden @ v["output.kernel"] + v["output.bias"]

    own, cross = inner(v, "attention"), inner(v, "cross_attention")
    y = around(x, "attention_norm", lambda y: mixed_heads(own, y, y, (2, 2, 2), causal=True))
    y = around(y, "cross_attention_norm", lambda y: mixed_heads(cross, y, encoded, (2, 2, 2)))
    expected = around(y, "feed_forward_norm", feed_forward)
    np.testing.assert_allclose(call(nodes, result, [x, encoded]), expected, rtol=1e-10, atol=1e-10)


def test_numbers_that_do_not_fit_are_refused() -> None:
    _, (x,) = given(normal(2, 4, 6))
    with pytest.raises(gc.ShapeError, match="4 heads do not divide by 3"):
        gc.nn.MultiHeadAttention(4, 2, num_kv_heads=3)
    with pytest.raises(gc.ShapeError, match="at least 1 head"):
        gc.nn.MultiHeadAttention(0, 2)
    with pytest.raises(gc.ShapeError, match="4 heads do not divide 6 features"):
        gc.nn.transformer_encoder_block(x, 8, 4)
    with pytest.raises(ValueError, match="'nothing' is not known"):
        gc.nn.TransformerDecoderBlock(8, 2, activation="nothing")


def test_a_block_of_several_calls_has_one_set_of_parameters() -> None:
    graph, (x,) = given(normal(2, 4, 6))
    block = gc.nn.TransformerEncoderBlock(8, 2)
    block(block(x))
    assert len(graph.parameters) == 16 == len(block.parameters)


# --- positions -------------------------------------------------------------------------------


def test_a_place_has_a_learned_vector() -> None:
    graph, (x,) = given(normal(2, 4, 6))
    start = graph.input("start", (), "i32")
    layer = gc.nn.PositionEmbedding(9)
    first, later, chosen = layer(x), layer(x, 5), layer(x, start)
    table = graph.variables["position_embedding.table"]
    found = call([x, start], [first, later, chosen], [normal(2, 4, 6), 3])
    for rows, begin in zip(found, (0, 5, 3), strict=True):
        np.testing.assert_array_equal(rows, table[begin : begin + 4])
    with pytest.raises(gc.ShapeError, match="9 places for 4 tokens from 6 on"):
        layer(x, 6)


def angles(places: int, features: int, start: int = 0) -> Any:
    rates = 10_000.0 ** -(np.arange(features // 2) * 2 / features)
    return (start + np.arange(places))[:, None] * rates


def test_sines_and_cosines_take_turns() -> None:
    _, (x,) = given(normal(2, 4, 6))
    found = call([x], gc.nn.SinePositionEncoding()(x, 2), [normal(2, 4, 6)])
    np.testing.assert_allclose(found[:, ::2], np.sin(angles(4, 6, 2)), rtol=1e-12)
    np.testing.assert_allclose(found[:, 1::2], np.cos(angles(4, 6, 2)), rtol=1e-12)


def test_rotated_products_depend_on_the_distance() -> None:
    x = normal(2, 3, 5, 6)
    graph, (node,) = given(x)
    start = graph.input("start", (), "i64")
    rotary = gc.nn.RotaryEmbedding()
    found, later = call([node, start], [rotary(node), rotary(node, start)], [x, 7])
    turns = np.exp(1j * angles(5, 6))
    expected = (x[..., :3] + 1j * x[..., 3:]) * turns
    np.testing.assert_allclose(found, np.concatenate([expected.real, expected.imag], -1))
    products = found @ found.swapaxes(-1, -2)
    np.testing.assert_allclose(products, later @ later.swapaxes(-1, -2), rtol=1e-9, atol=1e-9)
    with pytest.raises(gc.ShapeError, match="an even number of features"):
        rotary(node[..., :5])


def test_alibi_lowers_scores_by_the_distance() -> None:
    _, (x,) = given(normal(2, 4, 6))
    found = call([x], gc.nn.alibi_bias(6, 4, 5, like=x), [normal(2, 4, 6)])
    slopes = [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]
    distance = np.abs(np.arange(4)[:, None] - np.arange(5))
    np.testing.assert_allclose(found, -np.reshape(slopes, (6, 1, 1)) * distance)
    with pytest.raises(gc.DTypeError, match="alibi_bias"):
        gc.nn.alibi_bias(2, 3, like=gc.cast(x, "i32"))


# --- one token after the other ---------------------------------------------------------------


@pytest.mark.parametrize("mode", ["reference", "compiled"])
def test_with_a_cache_tokens_are_those_of_the_whole_sequence(mode: Any) -> None:
    x = normal(1, 5, 8)
    graph, (node,) = given(x)
    block = gc.nn.TransformerDecoderBlock(
        12, 4, normalize_first=True, num_kv_heads=2, rotary=gc.nn.RotaryEmbedding()
    )
    whole = call([node], block(node), [x])
    token = graph.input("token", (1, 1, 8), "f64")
    position = graph.variable("position", 0, (), "i32")
    cache = gc.nn.KeyValueCache(7, position)
    one = block(token, cache=cache)
    assert set(cache.updates) == {graph.states[f"{block.name}.attention.{n}"] for n in KEPT}
    step = gc.function([token], one, {**cache.updates, position: position + 1}, mode=mode)
    found = np.concatenate([step(x[:, n : n + 1]) for n in range(5)], axis=1)
    np.testing.assert_allclose(found, whole, rtol=1e-10, atol=1e-12)


KEPT = ("keys", "values")


def test_a_mask_hides_tokens_of_a_cache() -> None:
    """Beside those that have not come yet; as a mask hides them in the whole sequence."""
    x = normal(1, 5, 8)
    graph, (node,) = given(x)
    attend = gc.nn.MultiHeadAttention(2, 4)
    flags = np.array([True, False, True, True, False, True, True])
    shown = graph.constant(flags, "bool")
    whole = call([node], attend(node, mask=shown[:5], causal=True), [x])
    token = graph.input("token", (1, 1, 8), "f64")
    position = graph.variable("position", 0, (), "i32")
    cache = gc.nn.KeyValueCache(7, position)
    one = attend(token, mask=shown, cache=cache)
    step = gc.function([token], one, {**cache.updates, position: position + 1}, mode="reference")
    found = np.concatenate([step(x[:, n : n + 1]) for n in range(5)], axis=1)
    np.testing.assert_allclose(found, whole, rtol=1e-10, atol=1e-12)


def test_a_cache_is_for_one_token_a_call() -> None:
    graph, (x,) = given(normal(1, 2, 8))
    position = graph.variable("position", 0, (), "i32")
    with pytest.raises(gc.ShapeError, match="one token a call"):
        gc.nn.MultiHeadAttention(2, 4)(x, cache=gc.nn.KeyValueCache(4, position))
    with pytest.raises(gc.DTypeError, match="a position of i32"):
        gc.nn.KeyValueCache(4, graph.variable("wide", 0, (), "i64"))
    with pytest.raises(gc.ShapeError, match="a scalar position"):
        gc.nn.KeyValueCache(4, graph.variable("row", [0, 1], (2,), "i32"))
