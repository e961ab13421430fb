"""Optimizers as update graphs, with PyTorch's defaults and semantics.

An optimizer is plain data. `updates` declares its slots as variables of the graph and returns
the next value of every state that it changes. The learning rate, the momentum and the weight
decay are variables too: setting one compiles nothing. Decay rates of moving averages are
constants, since 1 - beta must be exact also in f32. What a parameter's step is computed with has
the parameter's dtype: a variable is as wide as the widest parameter.
"""

from graphc.declare.optim.base import Optimizer
from graphc.declare.optim.lbfgs import LBFGS
from graphc.declare.optim.lookahead import Lookahead
from graphc.declare.optim.rules.adafactor import Adafactor
from graphc.declare.optim.rules.adam import Adam, AdamW
from graphc.declare.optim.rules.adam_variants import Adamax, NAdam, RAdam
from graphc.declare.optim.rules.adaptive import Adadelta, Adagrad, RMSprop
from graphc.declare.optim.rules.lion import Lion
from graphc.declare.optim.rules.muon import Muon
from graphc.declare.optim.rules.sgd import SGD
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
