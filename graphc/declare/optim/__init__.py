"""Optimizers as update graphs, with PyTorch's defaults and semantics.

An optimizer is plain data. `updates` declares its slots as variables of the graph and returns
the next value of every state that it changes. The learning rate, the momentum and the weight
decay are variables too: setting one compiles nothing. Decay rates of moving averages are
constants, since 1 - beta must be exact also in f32. What a parameter's step is computed with has
the parameter's dtype: a variable is as wide as the widest parameter.
"""

from graphc.declare.optim.adafactor import Adafactor
from graphc.declare.optim.adam import Adam, AdamW
from graphc.declare.optim.adam_variants import Adamax, NAdam, RAdam
from graphc.declare.optim.adaptive import Adadelta, Adagrad, RMSprop
from graphc.declare.optim.base import Optimizer
from graphc.declare.optim.lbfgs import LBFGS
from graphc.declare.optim.lion import Lion
from graphc.declare.optim.lookahead import Lookahead
from graphc.declare.optim.muon import Muon
from graphc.declare.optim.sgd import SGD
from graphc.declare.optim.slots import Slots

__all__ = [
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Lookahead",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Slots",
]
