"""Logistic regression of breast cancer: chances, odds and logits; AUC and F1.

python examples/logistic_regression.py --png logistic.png

A Bernoulli variable with the chance p has the odds p / (1 - p), and their logarithm, the logit, is
what is linear in the features. 569 tumours of 30 features, from scikit-learn.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import f1_score, roc_auc_score, roc_curve
from sklearn.model_selection import train_test_split

import graphc as gc

SEED, SHARE_TO_TEST = 0, 0.3
WEIGHT_DECAY = 1e-2


def load():
    """Standardised features and labels, 1 for a malignant tumour: to train, and to test."""
    data = load_breast_cancer()
    x, test_x, t, test_t = train_test_split(
        data.data, 1 - data.target, test_size=SHARE_TO_TEST, random_state=SEED, stratify=data.target
    )
    mean, deviation = x.mean(0), x.std(0)
    scaled = [((each - mean) / deviation).astype("f4") for each in (x, test_x)]
    return scaled[0], t.astype("f4"), scaled[1], test_t.astype("f4"), data.feature_names


graph = gc.Graph(seed=SEED)
features = graph.input("features", ("batch", 30))
labels = graph.input("labels", ("batch",))
logits = gc.nn.dense(features, 1)[:, 0]
loss = gc.losses.sigmoid_cross_entropy(logits, labels)
model = gc.Model(features, logits, labels, loss)


def draw(test_t, scores, path):
    """The share of tumours found over that of false alarms, and logits of both kinds."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    curve, spread = figure.subplots(1, 2)
    false_alarms, found, _ = roc_curve(test_t, scores)
    curve.plot(false_alarms, found)
    curve.set(xlabel="false alarms", ylabel="tumours found", title="ROC of the test set")
    bins = np.linspace(scores.min(), scores.max(), 30)
    for kind, name in enumerate(("benign", "malignant")):
        spread.hist(scores[test_t == kind], bins, alpha=0.6, label=name)
    spread.axvline(0, color="black", linewidth=1)
    spread.set(xlabel="logit, the logarithm of the odds", title="what the model says")
    spread.legend()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--png", help="where the ROC and the logits go")
    options = parser.parse_args()
    x, t, test_x, test_t, names = load()
    model.compile(gc.optim.AdamW(0.02, weight_decay=WEIGHT_DECAY), batch_size=32)
    model.fit(x, t, epochs=options.epochs, verbose=0)
    scores = model.predict(test_x)
    weights = model.variables["dense.kernel"][:, 0]
    for place in np.argsort(-np.abs(weights))[:3]:
        factor = np.exp(weights[place])
        print(f"one deviation more of {names[place]} multiplies the odds by {factor:.2f}")
    if options.png:
        draw(test_t, scores, options.png)
    print(f"F1: {f1_score(test_t, scores > 0):.3f}")
    print(f"AUC: {roc_auc_score(test_t, scores):.3f}")


if __name__ == "__main__":
    main()
