"""Estimators of scikit-learn whose networks are trained by graphc.

`MLPClassifier` and `MLPRegressor` have the parameters of scikit-learn's own; `GraphClassifier` and
`GraphRegressor` take a function that declares the network.

    from graphc.sklearn import MLPClassifier
    MLPClassifier((64,), batch_size=32).fit(X, y).score(X, y)
"""

try:
    import sklearn as _sklearn
except ImportError:
    from graphc.errors import missing_extra as _missing_extra

    raise _missing_extra("graphc.sklearn", "sklearn") from None

from graphc.sklearn.graph_estimators import GraphClassifier, GraphRegressor
from graphc.sklearn.mlp import MLPClassifier, MLPRegressor

del _sklearn

__all__ = ["GraphClassifier", "GraphRegressor", "MLPClassifier", "MLPRegressor"]
