"""Every optimizer in a model: batches added up, averages, frozen parameters, files."""

import numpy as np
import pytest

import graphc as gc
from tests.train.steps_by_hand import T, X, fit, network

OTHER = gc.optim.SGD(0.1)
OPTIMIZERS = [
    gc.optim.Adadelta(0.5),
    gc.optim.Adafactor(0.1),
    gc.optim.Adamax(0.1),
    gc.optim.Lion(0.01),
    gc.optim.Lookahead(gc.optim.AdamW(0.1, groups={"*.bias": {"weight_decay": 0.0}}), 2),
    gc.optim.Muon(0.1, groups={"*.bias": OTHER}, clip_norm=0.5),
    gc.optim.NAdam(0.1, gradient_accumulation_steps=2),
    gc.optim.RAdam(0.1),
    gc.optim.SGD(0.1, maximize=True, clip_value=0.1),
]
every_optimizer = pytest.mark.parametrize(
    "optimizer", OPTIMIZERS, ids=lambda each: type(each).__name__
)


def compiled(optimizer):
    model = network()
    model.compile(optimizer, mode="reference", ema=0.5)
    return model


@every_optimizer
def test_a_saved_model_trains_on_with_the_same_bits(optimizer, tmp_path):
    model = compiled(optimizer)
    fit(model, epochs=1)
    model.save(tmp_path / "model.safetensors")
    again = gc.load_model(tmp_path / "model.safetensors")
    assert again.optimizer == optimizer
    for each in (model, again):
        fit(each, epochs=2)
    expected = model.values()
    assert expected.keys() == again.values().keys()
    for name, value in again.values().items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@every_optimizer
def test_what_is_frozen_stays_and_goes_on_later(optimizer):
    """What is kept of a frozen parameter is as it was, and each counts its own steps."""
    model = compiled(optimizer)
    fit(model, epochs=1)
    before = model.values()
    model.freeze("first.*")
    fit(model, epochs=1)
    for name, value in model.values().items():
        # Averages follow the weights, sums begin anew, and counters count for each parameter.
        is_kept = not name.startswith("ema") and "accumulated" not in name
        if name.endswith(("first.kernel", "first.bias")) and name in before and is_kept:
            np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert (model.variables["second.kernel"] != before["second.kernel"]).any()
    model.unfreeze("*")
    fit(model, epochs=1)
    assert (model.variables["first.kernel"] != before["first.kernel"]).all()
    assert np.isfinite(model.evaluate(X, T, use_ema=True)["loss"])


def test_rows_of_a_table_are_added_to_where_they_are_read_going_up_too():
    """The same nodes as going down, so that a step takes as long."""
    texts = []
    for maximize in (False, True):
        graph = gc.Graph()
        indices = graph.input("indices", ("batch",), "i32")
        table = graph.parameter("table", (1000, 4), 0.5)
        loss = gc.mean(gc.square(gc.take(table, indices)))
        updates = gc.optim.SGD(0.1, maximize=maximize).updates(loss)
        step = gc.function([indices], loss, updates, mode="reference")
        step(np.array([1, 3], "i4"))
        texts.append(graph.variables["table"])
    np.testing.assert_allclose(texts[0] + texts[1], 1.0, rtol=1e-6)
