"""first"""
import numpy as np
from collections.abc import Callable, Mapping
from typing import Any
from graphc.kernels.primitives import (absolute, bits_from_float, copysign, float_from_bits, fma, narrow, round_even, select, widen)
L2E=np.float32(1.44269504088896341)
C1=np.float32(0.693359375); C2=np.float32(-2.12194440e-4)
P=[np.float32(v) for v in (1.9875691500E-4,1.3981999507E-3,8.3334519073E-3,4.1665795894E-2,1.6666665459E-1,5.0000001201E-1)]
ONE=np.float32(1)
MAGIC=np.float32(1.5*2**23)
def exp_f32(x):
    x=select(x>np.float32(88),np.float32(88),x); x=select(x<np.float32(-87),np.float32(-87),x)
    t=fma(x,L2E,MAGIC); n=t-MAGIC
    r=fma(n,-C1,x); r=fma(n,-C2,r)
    y=P[0]
    for p in P[1:]: y=fma(y,r,p)
    y=fma(y*r,r,r)+ONE
    return y*float_from_bits((bits_from_float(t)<<np.int32(23))+np.int32(0x3f800000))
def sigmoid_f32(x): return ONE/(ONE+exp_f32(-x))
def tanh_f32(x): return np.float32(2)*sigmoid_f32(np.float32(2)*x)-ONE
VECTOR_MATH = {"exp": {"f32": exp_f32},"sigmoid": {"f32": sigmoid_f32},"tanh": {"f32": tanh_f32}}
