"""Models in files: read back without the code that declared them, by whatever may be in a file."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import graphc as gc
from graphc.train.files.model_file import STRUCTURE
from graphc.train.network.network import Network
from graphc.train.network.optimization import Optimization

RNG = np.random.default_rng(4)
POINTS = RNG.normal(size=(45, 2))
LABELS = RNG.integers(0, 3, 45)


def classifier(dtype: str = "f32") -> gc.Model:
    graph = gc.Graph(seed=3)
    x = graph.input("x", ("batch", 2), dtype)
    t = graph.input("t", ("batch",), "i32")
    offset = graph.constant(np.linspace(-1, 1, 40).reshape(20, 2), dtype)
    hidden = gc.dropout(gc.nn.dense(x + gc.sum(offset, axis=0), 8, gc.tanh), 0.25)
    z = gc.nn.dense(hidden, 3)
    loss = gc.losses.softmax_cross_entropy(z, t)
    metrics = {"accuracy": gc.metrics.accuracy(z, t), "loss again": loss}
    return gc.Model(x, {"p": gc.softmax(z), "z": z}, t, loss, metrics)


OPTIMIZERS = {
    "sgd": gc.optim.SGD(0.1, momentum=0.5, nesterov=True, groups={"*.bias": {"momentum": 0.25}}),
    "adam": gc.optim.Adam(0.05, clip_norm=1.0, gradient_accumulation_steps=3),
    "adamw": gc.optim.AdamW(np.float32(0.05), betas=(0.8, 0.99)),
    "rmsprop": gc.optim.RMSprop(0.01, centered=True, momentum=0.5),
    "adagrad": gc.optim.Adagrad(0.1, rate_decay=0.1),
}


def trained(mode: str = "compiled", dtype: str = "f32", optimizer: str = "adam") -> gc.Model:
    model = classifier(dtype)
    model.compile(OPTIMIZERS[optimizer], batch_size=10, mode=mode)
    model.fit(POINTS, LABELS)
    return model


def saved(model: gc.Model, path: Path, **options) -> gc.Model:
    model.save(path / "model")
    return gc.load_model(path / "model", **options)


def assert_same_values(one: gc.Model, other: gc.Model) -> None:
    values, others = one.values(), other.values()
    assert list(values) == list(others)
    for name, value in values.items():
        assert value.tobytes() == others[name].tobytes(), name


@pytest.mark.parametrize(
    ("dtype", "optimizer"), [("f32", o) for o in OPTIMIZERS] + [("f64", "adam")]
)
def test_a_loaded_model_trains_on_with_the_same_bits(tmp_path, mode, dtype, optimizer) -> None:
    model = trained(mode, dtype, optimizer)
    model.learning_rate = 0.03
    other = saved(model, tmp_path)
    assert other.optimizer == model.optimizer
    assert other.batch_size == 10
    assert other.learning_rate == model.learning_rate
    assert list(other.metrics) == ["accuracy", "loss again"]
    assert other.train_function.program == model.train_function.program
    assert other.predict_function.program == model.predict_function.program
    for each in (model, other):
        each.fit(POINTS, LABELS, epochs=2, initial_epoch=1)
    assert_same_values(model, other)
    for name, value in model.predict(POINTS).items():
        np.testing.assert_array_equal(other.predict(POINTS)[name], value)
    assert model.evaluate(POINTS, LABELS) == other.evaluate(POINTS, LABELS)


GO_ON = """
import sys
import numpy as np
import graphc as gc
model = gc.load_model(sys.argv[1])
data = np.load(sys.argv[2])
model.fit(data["x"], data["t"], epochs=2, initial_epoch=1)
model.save(sys.argv[3])
"""

WITHOUT_COMPILERS = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numba", "llvmlite"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import numpy as np
import graphc as gc
model = gc.load_model(sys.argv[1], mode="reference")
data = np.load(sys.argv[2])
np.save(sys.argv[3], model.predict(data["x"])["p"])
model.predict(data["x"][:1])
"""


def run(program: str, tmp_path: Path, model: gc.Model, result: str) -> Path:
    model.save(tmp_path / "model")
    np.savez(tmp_path / "data.npz", x=POINTS, t=LABELS)
    arguments = [str(tmp_path / name) for name in ("model", "data.npz", result)]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, cwd=tmp_path)
    return tmp_path / result


def test_a_process_without_the_code_trains_on_with_the_same_bits(tmp_path) -> None:
    model = trained()
    there = gc.load_model(run(GO_ON, tmp_path, model, "later"))
    model.fit(POINTS, LABELS, epochs=2, initial_epoch=1)
    assert_same_values(model, there)


def test_predictions_need_neither_numba_nor_llvmlite(tmp_path) -> None:
    model = trained()
    there = np.load(run(WITHOUT_COMPILERS, tmp_path, model, "p.npy"))
    here = gc.load_model(tmp_path / "model", mode="reference")
    np.testing.assert_array_equal(there, here.predict(POINTS)["p"])
    np.testing.assert_allclose(there, model.predict(POINTS)["p"], rtol=1e-5)


def test_forms_inputs_and_open_dimensions(tmp_path) -> None:
    graph = gc.Graph(seed=2)
    pixels = graph.input("pixels", ("batch", 4), "u8")
    pairs = graph.input("pairs", ("batch", gc.Dim("n+2")), "f64")
    table = graph.parameter("a table", (7, 3), gc.init.normal())
    rows = gc.take(table, gc.cast(pixels, "i32"))
    flat = gc.reshape(gc.concatenate([pairs, pairs], 1), (pairs.shape[0], -1))
    outputs = [rows, flat, gc.concatenate([pairs, pairs[:, :2]], 1) * pairs.shape[1]]
    model = gc.Model([pixels, pairs], outputs)
    other = saved(model, tmp_path)
    given = [RNG.integers(0, 7, (5, 4), "u1"), RNG.normal(size=(5, 6))]
    assert isinstance(other.outputs, list)
    for one, two in zip(model.predict(given), other.predict(given), strict=True):
        assert one.tobytes() == two.tobytes()


def test_running_averages_go_on(tmp_path) -> None:
    graph = gc.Graph(seed=1)
    x, t = graph.input("x", ("batch", 2)), graph.input("t", ("batch", 1))
    with gc.scope("front"):
        hidden = gc.nn.BatchNorm()(gc.nn.dense(x, 4))
    y = gc.nn.dense(hidden, 1)
    model = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    model.compile(gc.optim.SGD(0.1), 10)
    model.fit(POINTS, LABELS[:, None])
    other = saved(model, tmp_path)
    for optimizer in (None, gc.optim.Adam(0.1)):
        for each in (model, other):
            if optimizer is not None:
                each.compile(optimizer, 10)
            each.fit(POINTS, LABELS[:, None], epochs=2)
        assert_same_values(model, other)
        np.testing.assert_array_equal(model.predict(POINTS), other.predict(POINTS))
    assert other.outputs.location.scope == model.outputs.location.scope


def test_a_derivative_of_ones_own_is_in_the_file(tmp_path) -> None:
    @gc.custom_vjp
    def clipped(x):
        return gc.maximum(x, 0.0)

    @clipped.defvjp
    def _(ct, result, x):
        return gc.where(x > -0.5, ct, 0.1 * ct)

    graph = gc.Graph(seed=1)
    x, t = graph.input("x", ("batch", 2)), graph.input("t", ("batch", 1))
    y = gc.nn.dense(clipped(gc.nn.dense(x, 4)), 1)
    model = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    other = saved(model, tmp_path)
    for each in (model, other):
        each.compile(gc.optim.Adam(0.1), 10)
        each.fit(POINTS, LABELS[:, None])
    assert_same_values(model, other)


def test_weights_are_loaded_into_a_declared_model_as_before(tmp_path) -> None:
    model = trained()
    model.save(tmp_path / "model")
    fresh = classifier()
    fresh.load(tmp_path / "model", weights_only=True)
    np.testing.assert_array_equal(fresh.predict(POINTS)["p"], model.predict(POINTS)["p"])
    fresh.compile(OPTIMIZERS["adam"])
    fresh.load(tmp_path / "model")
    assert_same_values(fresh, model)
    plain = classifier()
    plain.save(tmp_path / "plain")
    classifier().load(tmp_path / "plain")


def test_a_file_of_values_alone_is_refused(tmp_path) -> None:
    trained().save(tmp_path / "weights", weights_only=True)
    with pytest.raises(gc.ModelFileError, match="holds values alone"):
        gc.load_model(tmp_path / "weights")
    with pytest.raises(FileNotFoundError):
        gc.load_model(tmp_path / "nothing")


def test_initialisers_are_in_the_file(tmp_path) -> None:
    graph = gc.Graph(seed=7)
    x = graph.input("x", ("batch", 3))
    y = (
        x
        @ graph.parameter("a", (3, 4))
        @ graph.parameter("b", (4, 2), init=RNG.normal(size=(4, 2)))
    )
    y = y + graph.parameter("c", (2,), init=lambda rng, shape, dtype: rng.normal(size=shape))
    model = gc.Model(x, y)
    other = saved(model, tmp_path)
    initial = model.values()
    other.variables["a"] = np.zeros((3, 4))
    with pytest.raises(gc.VariableError, match=r"graph\.initializers"):
        other.variables.initialize()
    assert not other.variables["a"].any()
    other.graph.initializers["c"] = graph.initializers["c"]
    other.variables.initialize()
    for name, value in other.values().items():
        np.testing.assert_array_equal(value, initial[name])
    again = saved(saved(model, tmp_path), tmp_path)
    with pytest.raises(gc.VariableError, match=r"graph\.initializers"):
        again.variables.initialize()


double = gc.custom_op(
    "double", lambda x: 2 * x, template="{x} + {x}", vjp=[lambda ct, r, x: 2 * ct]
)


@dataclass(frozen=True)
class Own(gc.optim.Optimizer):
    power: object = 1.0

    def step(self, parameter, gradient, rate, slots):
        return parameter - rate * gradient


def test_ops_and_optimizers_of_ones_own(tmp_path) -> None:
    graph = gc.Graph(seed=1)
    x, t = graph.input("x", ("batch", 2)), graph.input("t", ("batch", 1))
    y = double(gc.nn.dense(x, 1))
    model = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    model.compile(Own(0.1, power=2.0), 10)
    model.fit(POINTS, LABELS[:, None])
    model.save(tmp_path / "model")
    own = {"double": double, "Own": Own}
    for missing in own:
        with pytest.raises(gc.ModelFileError, match="custom_objects"):
            gc.load_model(tmp_path / "model", {n: v for n, v in own.items() if n != missing})
    with pytest.raises(TypeError, match="custom_objects"):
        gc.load_model(tmp_path / "model", {"double": 3})
    other = gc.load_model(tmp_path / "model", own)
    for each in (model, other):
        each.fit(POINTS, LABELS[:, None])
    assert_same_values(model, other)
    model.compile(Own(0.1, power=Fraction(1, 2)), 10)
    with pytest.raises(TypeError, match=r"Own\.power.*weights_only=True"):
        model.save(tmp_path / "model")


def test_nan_is_loaded_only_when_asked_for(tmp_path) -> None:
    model = classifier()
    model.variables["dense.bias"] = np.full(8, np.nan)
    with pytest.raises(gc.ModelFileError, match="allow_nan=True"):
        saved(model, tmp_path)
    assert np.isnan(saved(model, tmp_path, allow_nan=True).variables["dense.bias"]).all()


def test_the_file_holds_all_that_models_are_made_of() -> None:
    """What is added to a model is to be written too, or it would be lost silently."""
    network = {"graph", "inputs", "outputs", "targets", "loss", "metrics", "batch_dimension"}
    network |= {"trainables", "further"}
    # A weighted loss is declared again when weights are given.
    assert {each.name for each in fields(Network)} == network | {"row_weights"}
    optimization = {"optimizer", "rate", "slots", "trained", "updates", "averages", "names"}
    assert {each.name for each in fields(Optimization)} == optimization


# --- what others may have written ------------------------------------------------------------


def rewritten(path: Path, change: Callable[[dict[str, str], dict], None]) -> None:
    """The file with other metadata."""
    with safetensors.safe_open(path, "np") as file:
        metadata = dict(file.metadata())
    tensors = safetensors.numpy.load_file(path)
    structure = json.loads(metadata[STRUCTURE])
    change(metadata, structure)
    if metadata[STRUCTURE] is not None:
        metadata[STRUCTURE] = json.dumps(structure)
    safetensors.numpy.save_file(tensors, path, {k: v for k, v in metadata.items() if v is not None})


def _text(old: str, new: str) -> Callable:
    def change(metadata: dict[str, str], structure: dict) -> None:
        assert old in metadata["graphc.nodes"]
        metadata["graphc.nodes"] = metadata["graphc.nodes"].replace(old, new, 1)

    return change


def _structure(*keys, value) -> Callable:
    def change(metadata: dict[str, str], structure: dict) -> None:
        *path, last = keys
        for key in path:
            structure = structure[key]
        structure[last] = value

    return change


def _nested(metadata: dict[str, str], structure: dict) -> None:
    metadata["graphc.arrays"] = "[" * 100_000


HOSTILE = {
    "another version": (_structure("version", value=2), "version 1 expected, not 2"),
    "no version": (_structure("version", value=None), "version"),
    "more parts": (_structure("more", value=1), "each once"),
    "an unknown op": (_text("= tanh", "= system"), "an op expected, not 'system'"),
    "a node that is none": (_structure("network", "loss", value="%99999"), "a node of the file"),
    "a list for a node": (_structure("network", "loss", value=[[[]]]), "a text expected"),
    "a loss that is no scalar": (_structure("network", "loss", value="x"), "float scalar"),
    "an optimizer": (_structure("optimization", "optimizer", "class", value="eval"), "is none of"),
    "its fields": (
        _structure("optimization", "optimizer", "fields", value={"power": 1}), "unexpected keyword"
    ),
    "its rate": (
        _structure("optimization", "optimizer", "fields", "learning_rate", value="x"), "a number"
    ),
    "a state of another shape": (_text(": f32[8,3]", ": f32[8,4]"), ""),
    "an endless state": (_text(": f32[8,3]", f": f32[8,{10**17}]"), ""),
    "a rate": (_text("rate=0.25", "rate=1.5"), "rate"),
    "a flag": (_text("transpose_x=false", "transpose_x=0"), "transpose_x is of kind bool"),
    "brackets": (_text("rate=0.25", "rate=" + "[" * 100_000), ""),
    "quotes": (_text("rate=0.25", "rate=" + "'\\" * 100_000), ""),
    "calls": (_text("= tanh", "= tanh[" + "](" * 100_000), ""),
    "digits": (_text("rate=0.25", "rate=" + "9" * 100_000), ""),
    "blanks in a type": (_text("f32[batch,2]", "f32[batch" + " " * 200_000 + "!,2]"), ""),
    "a polynomial": (
        _text("f32[batch,2]", "f32[" + "+".join(f"a{n}" for n in range(5000)) + "]"), ""
    ),
    "an array that is not there": (_text("= array 0", "= array 99"), "an array expected"),
    "no end": (_text("\n}", "\n"), "as the last"),
    "nested lists of arrays": (_nested, "lacks arrays"),
    "a size": (_structure("batch_size", value=-1), "a count"),
    "a seed": (_structure("seed", value=1.5), "a count"),
    "a stream": (_structure("streams", value=["nothing"]), "a state"),
    "an initialiser": (_structure("initializers", "dense.kernel", value={"class": 1}), "each once"),
    "a mode": (_structure("run", "mode", value="eval"), "'compiled' or 'reference'"),
    "an update": (_structure("optimization", "updates", value=[["x", "x"]]), "is no state"),
}  # fmt: skip


@pytest.fixture(scope="module")
def file_of_a_model(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("models") / "model"
    trained().save(path)
    return path.read_bytes()


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_with_a_sentence(tmp_path, file_of_a_model, what) -> None:
    change, message = HOSTILE[what]
    path = tmp_path / "model"
    path.write_bytes(file_of_a_model)
    rewritten(path, change)
    with pytest.raises(gc.ModelFileError) as raised:
        gc.load_model(path)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("seed", range(8))
def test_corrupt_files_are_refused_or_load(tmp_path, file_of_a_model, seed) -> None:
    """25 corruptions each: of bytes, most of them in the metadata, of lines, and of length."""
    rng = random.Random(seed)
    path = tmp_path / "model"
    end = 8 + int.from_bytes(file_of_a_model[:8], "little")
    for _ in range(25):
        data = bytearray(file_of_a_model)
        for _ in range(rng.choice((1, 1, 2, 5))):
            place = rng.randrange(min(rng.choice((12, end, end, end, len(data))), len(data)))
            kind = rng.random()
            if kind < 0.5:
                data[place] = rng.choice(b"0123456789{}[]()%'\",:=#.-\\ xeN\0\xff")
            elif kind < 0.75:
                size = rng.randrange(1, 40)
                other = rng.randrange(8, end)
                data[place : place + size] = data[other : other + size]
            elif kind < 0.95:
                data[place] ^= 1 << rng.randrange(8)
            else:
                del data[max(place, 1) :]
                break
        path.write_bytes(data)
        try:
            gc.load_model(path, allow_nan=True)
        except gc.ModelFileError as error:
            assert str(error)
