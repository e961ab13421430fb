"""Metrics of the whole set, against scikit-learn's, over batches that do not divide the rows."""

import copy
import pickle

import numpy as np
import pytest
import sklearn.metrics as sk

import graphc as gc

RNG = np.random.default_rng(17)
ROWS, CLASSES = 53, 4
LABELS = RNG.integers(0, CLASSES - 1, ROWS).astype("i4")  # class 3 never occurs
SCORES = RNG.integers(-3, 4, (ROWS, CLASSES)) / 2.0  # with many ties
SCORES[:, 3] = -9  # nor is it predicted
YES = RNG.integers(0, 2, ROWS)
LOGITS = np.round(RNG.standard_normal(ROWS) + YES, 1)
OUTPUTS = RNG.standard_normal((ROWS, 3)) + 100
GOALS = OUTPUTS + RNG.standard_normal((ROWS, 3)) * [0.1, 1, 3]
BATCH_SIZES = [1, 10, ROWS]


def model_of(metrics, dtype="f64", **options):
    """A model whose outputs are its inputs, and whose metrics are `metrics` of them."""
    graph = gc.Graph(0)
    nodes = {
        "z": graph.input("z", ("batch", CLASSES), dtype),
        "t": graph.input("t", ("batch",), "i32"),
        "logit": graph.input("logit", ("batch",), dtype),
        "yes": graph.input("yes", ("batch",), dtype),
        "y": graph.input("y", ("batch", 3), dtype),
        "goal": graph.input("goal", ("batch", 3), dtype),
    }
    w = graph.parameter("w", (), 1.0, dtype)
    loss = gc.mean(gc.square(w * nodes["logit"]))
    model = gc.Model(list(nodes.values()), nodes["z"] * w, None, loss, metrics(**nodes))
    model.compile(gc.optim.SGD(0.0), **options)
    return model


DATA = [SCORES, LABELS, LOGITS, YES, OUTPUTS, GOALS]
PREDICTED = SCORES.argmax(1)


@pytest.fixture(params=["compiled", "unfused", "reference"])
def run_options(request):
    if request.param == "reference":
        return {"mode": "reference"}
    return {"fuse": request.param == "compiled"}


def all_metrics(z, t, logit, yes, y, goal):
    m = gc.metrics
    metrics = {
        "mean": gc.mean(logit),
        "roc": m.AUC(logit, yes),
        "pr": m.AUC(logit, yes, curve="PR"),
        "labels": m.AUC(y, goal - 100),
        "precision": m.Precision(logit, yes),
        "recall": m.Recall(logit, yes),
        "f1": m.F1(gc.reshape(logit, (-1, 1)), gc.reshape(yes, (-1, 1)), threshold=0.5),
        "matrix": m.ConfusionMatrix(z, t),
        "yes_no": m.ConfusionMatrix(logit, yes, normalize="true"),
        "r2": m.R2(y, goal),
        "r2_weighted": m.R2(y, goal, multioutput="variance_weighted"),
        "r2_column": m.R2(y[:, 0], goal[:, 0]),
        "median": m.OfPredictions(lambda y, goal: np.median(abs(y - goal)), y, goal),
    }
    for average in ("micro", "macro", "weighted"):
        metrics[f"precision_{average}"] = m.Precision(z, t, average=average)
        metrics[f"recall_{average}"] = m.Recall(z, gc.one_hot(t, CLASSES, z.dtype), average=average)
        metrics[f"f1_{average}"] = m.F1(z, t, average=average)
    return metrics


def expected():
    yes_no = LOGITS > 0
    wanted = {
        "mean": LOGITS.mean(),
        "roc": sk.roc_auc_score(YES, LOGITS),
        "pr": sk.average_precision_score(YES, LOGITS),
        "labels": sk.roc_auc_score(GOALS - 100 > 0.5, OUTPUTS),
        "precision": sk.precision_score(YES, yes_no),
        "recall": sk.recall_score(YES, yes_no),
        "f1": sk.f1_score(YES, LOGITS > 0.5),
        "matrix": sk.confusion_matrix(LABELS, PREDICTED, labels=range(CLASSES)),
        "yes_no": sk.confusion_matrix(YES, yes_no, normalize="true"),
        "r2": sk.r2_score(GOALS, OUTPUTS),
        "r2_weighted": sk.r2_score(GOALS, OUTPUTS, multioutput="variance_weighted"),
        "r2_column": sk.r2_score(GOALS[:, 0], OUTPUTS[:, 0]),
        "median": np.median(abs(OUTPUTS - GOALS)),
    }
    for average in ("micro", "macro", "weighted"):
        for name in ("precision", "recall", "f1"):
            score = getattr(sk, f"{name}_score")
            wanted[f"{name}_{average}"] = score(LABELS, PREDICTED, average=average, zero_division=0)
    return wanted


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_evaluation_has_scikit_learns_values(run_options, batch_size):
    found = model_of(all_metrics, **run_options).evaluate(DATA, batch_size=batch_size)
    for name, value in expected().items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, err_msg=name)
    assert found["matrix"].dtype == np.int64 and found["matrix"].shape == (CLASSES, CLASSES)


def test_in_f32_only_the_scores_are_rounded():
    found = model_of(all_metrics, "f32").evaluate(DATA, batch_size=10)
    for name, value in expected().items():
        if name in ("pr", "roc", "labels"):
            continue  # rounding breaks ties of its own
        np.testing.assert_allclose(found[name], value, rtol=2e-5, err_msg=name)


@pytest.mark.parametrize("shuffle", [False, True])
def test_training_logs_them_of_the_epochs_batches(run_options, shuffle):
    model = model_of(all_metrics, **run_options)
    rows = slice(0, 30)
    kept = [array[rows] for array in DATA]
    logged = model.fit(
        DATA, batch_size=10, epochs=2, shuffle=shuffle, validation_data=(kept, None), record=2
    ).history
    judged = model.evaluate(kept)
    for name, value in expected().items():
        assert len(logged[name]) == 2
        np.testing.assert_allclose(logged[name][1], value, rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(logged[f"val_{name}"][0], judged[name], rtol=1e-12)


def test_a_callback_for_batches_has_those_of_its_batch():
    heard = []
    model = model_of(all_metrics)
    log = gc.callbacks.LambdaCallback(on_batch_end=lambda epoch, batch, logs: heard.append(logs))
    epochs = []
    end = gc.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(logs))
    history = model.fit(DATA, batch_size=20, shuffle=False, callbacks=[log, end]).history
    assert [logs["mean"] for logs in heard] == pytest.approx(
        [LOGITS[k : k + 20].mean() for k in (0, 20, 40)]
    )
    assert heard[2]["roc"] == pytest.approx(sk.roc_auc_score(YES[40:], LOGITS[40:]))
    for name, value in expected().items():
        np.testing.assert_allclose(history[name][0], value, rtol=1e-12, err_msg=name)
    assert "matrix" not in heard[0] and "matrix" not in epochs[0] and "roc" in epochs[0]
    assert epochs[0].keys() == set(model.logged_names)


def test_loggers_and_plots_leave_arrays_out(tmp_path, capsys):
    model = model_of(all_metrics)
    logger = gc.loggers.CSVLogger(tmp_path / "log.csv")
    history = model.fit(DATA, callbacks=[logger], verbose=2)
    header = (tmp_path / "log.csv").read_text().splitlines()[0].split(",")
    assert "roc" in header and "matrix" not in header
    shown = capsys.readouterr().out
    assert "roc 0." in shown and "matrix" not in shown
    assert len(history.plot().axes) == len(history.history) - 2
    stopping = gc.callbacks.EarlyStopping("matrix")
    with pytest.raises(ValueError, match="'matrix' is not logged"):
        model.fit(DATA, callbacks=[stopping])


def test_watched_steps_count_too():
    model = model_of(all_metrics)
    history = model.fit(DATA, batch_size=10, nan_watch=True).history
    for name, value in expected().items():
        np.testing.assert_allclose(history[name][0], value, rtol=1e-12, err_msg=name)


def scored(make, scores, targets, **options):
    """One metric of arrays, in batches of 3."""
    graph = gc.Graph(0)
    scores, targets = np.asarray(scores, "f8"), np.asarray(targets)
    z = graph.input("z", ("batch", *scores.shape[1:]), "f64")
    t = graph.input("t", ("batch", *targets.shape[1:]), targets.dtype)
    w = graph.parameter("w", (), 1.0, "f64")
    model = gc.Model([z, t], z * w, None, gc.mean(w * z), {"it": make(z, t, **options)})
    return model.evaluate([scores, targets], batch_size=3)["it"]


def test_a_nan_is_never_right():
    m, nan = gc.metrics, np.nan
    scores, targets = [[1, 2], [nan, 5], [2, 1], [3, nan]], np.array([1, 1, 0, 0], "i4")
    matrix = scored(m.ConfusionMatrix, scores, targets)
    assert matrix.tolist() == [[1, 0], [0, 1]]
    assert scored(m.Precision, scores, targets) == 1.0
    assert scored(m.Recall, scores, targets) == 0.5
    logits, yes = [1.0, nan, -1, nan], np.array([1, 1, 0, 0.0])
    assert scored(m.Recall, logits, yes) == 0.5
    assert scored(m.ConfusionMatrix, logits, yes).tolist() == [[1, 0], [0, 1]]
    # Of four pairs one is right: the NaN of a positive row is below, that of a negative one above.
    assert scored(m.AUC, logits, yes) == 0.25
    assert scored(m.AUC, [nan, -np.inf], [1.0, 0.0]) == 0.0
    assert scored(m.AUC, [np.inf, nan], [1.0, 0.0]) == 0.0
    assert np.isnan(scored(m.R2, [1.0, nan, 2], [1.0, 2, 3]))


def test_sets_that_lack_something():
    m = gc.metrics
    assert np.isnan(scored(m.AUC, [1.0, 2], [1.0, 1]))
    assert scored(m.AUC, [1.0, 2], [0.0, 0], curve="PR") == 0.0
    none = ([-1.0, -2, -3, -4], [0.0, 0, 0, 0])
    for make in (m.Precision, m.Recall, m.F1):
        assert scored(make, *none) == 0.0
        assert scored(make, *none, zero_division=1.0) == 1.0
        assert np.isnan(scored(make, *none, zero_division=np.nan))
    scores, targets = np.eye(3)[[0, 0, 1, 2, 2]], np.array([0, 0, 0, 2, 2], "i4")
    for zero_division in (0.0, 1.0, np.nan):
        for average in ("macro", "weighted"):
            options = {"average": average, "zero_division": zero_division}
            assert scored(m.Recall, scores, targets, **options) == pytest.approx(
                sk.recall_score(targets, scores.argmax(1), **options)
            )
    for options in ({"normalize": "pred"}, {"normalize": "all"}, {"normalize": None}):
        np.testing.assert_allclose(
            scored(m.ConfusionMatrix, scores, targets, **options),
            sk.confusion_matrix(targets, scores.argmax(1), **options),
        )
    assert scored(m.R2, [2.0, 2, 2], [2.0, 2, 2]) == 1.0
    assert scored(m.R2, [2.0, 2, 3], [2.0, 2, 2]) == 0.0
    assert np.isnan(scored(m.R2, [2.0], [2.0]))


def test_a_large_mean_costs_no_digits_of_r2():
    goals = 1e8 + RNG.standard_normal(40)
    y = goals + 0.5 * RNG.standard_normal(40)
    assert scored(gc.metrics.R2, y, goals) == pytest.approx(sk.r2_score(goals, y), rel=1e-6)


def test_random_areas():
    for _ in range(30):
        rows = int(RNG.integers(2, 30))
        yes = RNG.integers(0, 2, rows)
        yes[:2] = 0, 1
        scores = RNG.integers(0, RNG.integers(1, 12), rows) / 3.0
        for curve, score in (("ROC", sk.roc_auc_score), ("PR", sk.average_precision_score)):
            found = gc.metrics.AUC.result(
                _area(curve), {"scores": scores, "positive": yes.astype(bool)}
            )
            assert found == pytest.approx(score(yes, scores), rel=1e-12, abs=1e-15)


def test_scores_of_two_classes_are_told_how_they_are_one():
    graph = gc.Graph(0)
    z, t = graph.input("z", ("batch", 2)), graph.input("t", ("batch",), "i32")
    with pytest.raises(gc.ShapeError, match=r"scores\[:, 1\] - scores\[:, 0\] is one score a row"):
        gc.metrics.AUC(z, t)
    assert gc.metrics.AUC(z[:, 1] - z[:, 0], t).parts


def _area(curve):
    graph = gc.Graph(0)
    z, t = graph.input("z", ("batch",)), graph.input("t", ("batch",))
    return gc.metrics.AUC(z, t, curve)


def declared(dtype="f32"):
    graph = gc.Graph(0)
    z = graph.input("z", ("batch", 3), dtype)
    t = graph.input("t", ("batch",), "i32")
    logit = graph.input("logit", ("batch",))
    return z, t, logit


M = gc.metrics
MISTAKES = {
    "another curve": (lambda z, t, one: M.AUC(one, one, curve="roc"), ValueError, "curve of 'ROC'"),
    "classes for AUC": (
        lambda z, t, one: M.AUC(z, t),
        gc.ShapeError,
        r"AUC\(.*\[batch,3\] expected",
    ),
    "integers for AUC": (lambda z, t, one: M.AUC(t, t), gc.DTypeError, "scores of f32 or f64"),
    "a tensor of what": (lambda z, t, one: M.Precision(1.0, t), TypeError, "Precision: a tensor"),
    "another average": (lambda z, t, one: M.F1(z, t, average="mean"), ValueError, "F1: average"),
    "binary of three": (lambda z, t, one: M.Recall(z, t), gc.ShapeError, "'binary' is of two"),
    "a division": (lambda z, t, one: M.F1(one, one, zero_division=2), ValueError, "zero_division"),
    "a threshold": (lambda z, t, one: M.F1(one, one, threshold=np.nan), ValueError, "threshold"),
    "normalized": (lambda z, t, one: M.ConfusionMatrix(z, t, "rows"), ValueError, "normalize"),
    "shapes of R2": (lambda z, t, one: M.R2(z, one), gc.ShapeError, "equal shapes expected"),
    "outputs of R2": (lambda z, t, one: M.R2(one, one, "raw"), ValueError, "multioutput"),
    "no function": (lambda z, t, one: M.OfPredictions(z, t), TypeError, "a function expected"),
    "no nodes": (lambda z, t, one: M.OfPredictions(max), TypeError, "no nodes"),
    "a scalar": (lambda z, t, one: M.OfPredictions(max, gc.mean(z)), gc.ShapeError, "batch"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_errors_at_the_users_line(name):
    make, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        make(*declared())


def test_what_a_model_refuses():
    z, t, logit = declared()
    loss, other = gc.mean(z), gc.transpose(z)
    with pytest.raises(gc.GraphError, match=r"m: \[batch, ...\] expected"):
        gc.Model([z, t, logit], z, None, loss, {"m": M.OfPredictions(len, other)})
    with pytest.raises(gc.GraphError, match=r"named 'auc\[scores\]'"):
        metrics = {"auc": M.AUC(logit, logit), "auc[scores]": loss}
        gc.Model([z, t, logit], z, None, loss, metrics)
    with pytest.raises(gc.GraphError, match="reads the input 'logit'"):
        gc.Model([z, t], z, None, loss, {"auc": M.AUC(logit, logit)})
    model = gc.Model([z, t, logit], z, None, loss, {"bad": M.OfPredictions(abs, logit)})
    with pytest.raises(TypeError, match="a number expected of abs"):
        model.evaluate([SCORES[:, :3], LABELS, LOGITS])
    with pytest.raises(IndexError, match="outside 0 to 2"):
        judged = gc.Model([z, t, logit], z, None, loss, {"m": M.F1(z, t, average="macro")})
        judged.evaluate([SCORES[:, :3], LABELS + 2, LOGITS])


def test_what_a_metric_consists_of():
    z, t, _ = declared()
    metric = M.F1(z, t, average="macro")
    assert metric.operands[0] is z and metric.operands[1] is t and len(metric.operands) == 2
    assert sorted(metric.parts) == ["actual", "predicted", "right"]


def test_models_with_metrics_are_copied_saved_and_loaded(tmp_path):
    def without_function(**nodes):
        metrics = all_metrics(**nodes)
        del metrics["median"]
        return metrics

    model = model_of(without_function, mode="reference")
    wanted = model.evaluate(DATA)
    model.save(tmp_path / "model.safetensors")
    loaded = gc.load_model(tmp_path / "model.safetensors")
    for other in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        found = other.evaluate(DATA)
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_array_equal(found[name], value)
    assert loaded.metrics["f1"].threshold == 0.5
    with_function = model_of(all_metrics, mode="reference")
    with pytest.raises(TypeError, match="metric 'median': a file holds no function"):
        with_function.save(tmp_path / "other.safetensors")
    with_function.save(tmp_path / "other.safetensors", weights_only=True)
