"""Attention and transformer layers against PyTorch's, where the peers are installed."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from benchmarks.peer_process import PEERS_PYTHON

SCRIPT = Path(__file__).parent / "torch_transformers.py"
STEPS, RATE, TOLERANCE = 20, 0.05, 1e-10
FEATURES, HEADS, UNITS = 8, 2, 12
RNG = np.random.default_rng(5)


def case_of(norm_first: bool, causal: bool, is_decoder: bool) -> dict[str, Any]:
    keys = 4 if is_decoder else 5
    mask = np.arange(keys) < np.array([[keys], [keys - 2], [3]])
    return {
        "norm_first": norm_first, "causal": causal, "features": FEATURES, "heads": HEADS,
        "units": UNITS, "steps": STEPS, "rate": RATE, "mask": mask.tolist(),
        "x": RNG.standard_normal((3, 5, FEATURES)).tolist(),
        "target": RNG.standard_normal((3, 5, FEATURES)).tolist(),
        "encoded": RNG.standard_normal((3, keys, FEATURES)).tolist() if is_decoder else None,
    }  # fmt: skip


CASES = [
    case_of(norm_first, causal, is_decoder)
    for norm_first, causal, is_decoder in itertools.product([False, True], repeat=3)
    if causal or not is_decoder
]
# Shapes of q, k and v, whether there are a mask, a bias and causality, and a scale.
ATTENDED = [
    ((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 2), None, False, None),
    ((2, 3, 4, 5), (2, 3, 4, 5), (2, 3, 4, 2), None, True, 0.7),
    ((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 2), "mask", False, None),
    ((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 2), "bias", False, None),
    ((2, 4, 3, 5), (2, 2, 3, 5), (2, 2, 3, 2), None, True, None),
    ((4, 5), (6, 5), (6, 2), "mask", False, None),
    ((2, 3, 5, 4), (2, 3, 2, 4), (2, 3, 2, 4), None, True, None),
]


def attended_case(q: Any, k: Any, v: Any, kind: Any, causal: bool, scale: Any) -> dict[str, Any]:
    arrays = {
        name: RNG.standard_normal(shape)
        for name, shape in zip(("query", "key", "value"), (q, k, v), strict=True)
    }
    if kind == "bias":
        arrays["attn_mask"] = RNG.standard_normal((q[-2], k[-2]))
    if kind == "mask":
        arrays["attn_mask"] = RNG.integers(0, 2, (q[-2], k[-2])).astype(bool)
        # A row masked whole.
        arrays["attn_mask"][1] = False
    words = {"is_causal": causal, "scale": scale, "enable_gqa": len(q) > 2 and q[-3] != k[-3]}
    return {"arrays": arrays, "words": words}


ATTENDED_CASES = [attended_case(*each) for each in ATTENDED]


@pytest.fixture(scope="module")
def by_torch() -> Any:
    if not PEERS_PYTHON.exists():
        pytest.skip("`make peers` installs torch")
    attended = [
        {"arrays": {k: v.tolist() for k, v in case["arrays"].items()}, "words": case["words"]}
        for case in ATTENDED_CASES
    ]
    command = [str(PEERS_PYTHON), str(SCRIPT)]
    given = json.dumps({"trained": CASES, "attended": attended})
    run = subprocess.run(command, input=given, capture_output=True, text=True)
    if "No module named 'torch'" in run.stderr:
        pytest.skip("there is no torch among the peers")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("number", range(len(ATTENDED)))
def test_attention_is_that_of_torch(number: int, by_torch: Any) -> None:
    case = ATTENDED_CASES[number]
    graph = gc.Graph()
    nodes = {
        name: graph.input(name, a.shape, "bool" if a.dtype == bool else "f64")
        for name, a in case["arrays"].items()
    }
    extra = nodes.get("attn_mask")
    word = {} if extra is None else {"mask" if extra.dtype == gc.bool_ else "bias": extra}
    q, k, v = (nodes[name] for name in ("query", "key", "value"))
    words = {"causal": case["words"]["is_causal"], "scale": case["words"]["scale"]}
    result = gc.nn.attention(q, k, v, **word, **words)
    found = gc.function(list(nodes.values()), result, mode="reference")(*case["arrays"].values())
    np.testing.assert_allclose(found, by_torch["attended"][number], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("number", range(len(CASES)))
@pytest.mark.parametrize("mode", ["reference", pytest.param("compiled", marks=pytest.mark.long)])
def test_blocks_train_as_those_of_torch(number: int, mode: Any, by_torch: Any) -> None:
    case, expected = CASES[number], by_torch["trained"][number]
    graph = gc.Graph()
    x, target = (graph.input(name, (3, 5, FEATURES), "f64") for name in ("x", "target"))
    mask = graph.input("mask", np.shape(case["mask"]), "bool")
    inputs, arrays = [x, target, mask], [case["x"], case["target"], case["mask"]]
    words = {"activation": "gelu", "normalize_first": case["norm_first"]}
    block: gc.nn.Layer
    if case["encoded"]:
        encoded = graph.input("encoded", (3, 4, FEATURES), "f64")
        inputs, arrays = [*inputs, encoded], [*arrays, case["encoded"]]
        block = gc.nn.TransformerDecoderBlock(UNITS, HEADS, **words)
        result = block(x, encoded, encoded_mask=gc.expand_dims(mask, 1), causal=case["causal"])
    else:
        block = gc.nn.TransformerEncoderBlock(UNITS, HEADS, **words)
        result = block(x, mask=gc.expand_dims(mask, 1), causal=case["causal"])
    loss = gc.losses.mean_squared_error(result, target)
    step = gc.function(inputs, loss, gc.optim.SGD(RATE).updates(loss), mode=mode)
    graph.variables.update(gc.nn.weights_from_torch(block, expected["before"]))
    losses = [float(step(*map(np.array, arrays))) for _ in range(STEPS)]
    np.testing.assert_allclose(losses, expected["losses"], rtol=TOLERANCE)
    found = gc.nn.weights_to_torch(block, graph.variables)
    for name, value in expected["after"].items():
        np.testing.assert_allclose(found[name], value, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
