"""Layers: objects that share their parameters over calls, and a short form of each for one call.

`Dense(64, "relu")(x)` and `dense(x, 64, "relu")` declare the same.
"""

from graphc.declare.nn.activations import Activation, activation
from graphc.declare.nn.affine import Dense, MaskedDense, Maxout, dense, masked_dense, maxout
from graphc.declare.nn.batch_norm import BatchNorm, batch_norm
from graphc.declare.nn.composition import Residual, Sequential, residual, sequential
from graphc.declare.nn.embedding import Embedding, embedding
from graphc.declare.nn.layer import Layer
from graphc.declare.nn.normalization import (
    GroupNorm,
    LayerNorm,
    RMSNorm,
    group_norm,
    layer_norm,
    rms_norm,
)
from graphc.declare.nn.shaping import Dropout, Flatten, dropout, flatten

__all__ = [
    "Activation",
    "BatchNorm",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "MaskedDense",
    "Maxout",
    "RMSNorm",
    "Residual",
    "Sequential",
    "activation",
    "batch_norm",
    "dense",
    "dropout",
    "embedding",
    "flatten",
    "group_norm",
    "layer_norm",
    "masked_dense",
    "maxout",
    "residual",
    "rms_norm",
    "sequential",
]
