"""Constants of the vector math: number formats and polynomial coefficients.

The coefficients are this project's own. Each polynomial is a weighted near-minimax fit (Lawson's
iteration on Chebyshev nodes, 60 decimal digits), so that the error relative to the function's
value is about equal over the interval. The highest power stands first, for Horner's scheme.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Constants = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class FloatFormat:
    """What the vector math needs to know of f32 or f64, all numpy scalars of that width."""

    zero: Any
    half: Any
    one: Any
    two: Any
    infinity: Any
    not_a_number: Any
    smallest_normal: Any
    # Below this magnitude sin, expm1, log1p and their like return their argument.
    negligible: Any
    # Adding 1.5 * 2**(mantissa bits) rounds to an integer and leaves it in the low bits.
    integer_shift: Any
    integer_shift_bits: Any
    # The same with the exponent's bias among the low bits, so that these, shifted up, are 2**n.
    power_shift: Any
    # 2**(n - 1) and 2**(n + 64), which are normal where exp(x) is infinite or subnormal; what
    # undoes the latter.
    half_power_shift: Any
    lifted_power_shift: Any
    lifted_power_factor: Any
    mantissa_bits: Any
    exponent_mask: Any
    one_bits: Any
    two_thirds_bits: Any
    three: Any
    bit_zero: Any
    bit_one: Any
    bit_two: Any
    # Moves a subnormal among the normal numbers.
    subnormal_scale: Any
    subnormal_exponent: Any
    log2_e: Any
    ln2_high: Any
    ln2_low: Any
    # exp is 0 below, infinite above; expm1 is -1 below; tanh's slope is 0 above.
    exp_lowest: Any
    exp_highest: Any
    expm1_lowest: Any
    tanh_highest: Any
    third: Any
    erf_split: Any
    erf_highest: Any
    erf_center: Any
    # (exp(r) - 1 - r) / r**2 on |r| <= log(2) / 2
    expm1: Constants
    # (log(1 + f) - f) / f**2 on |f| <= 1/3
    log1p: Constants
    two_over_pi: Any
    # Up to this magnitude sin and cos take off multiples of pi/2 in three parts.
    near_limit: Any
    # (sin(r) - r) / r**3 and (cos(r) - 1 + r**2 / 2) / r**4, in r**2, on |r| <= pi / 4
    sin: Constants
    cos: Constants
    # erf(x) / x - 1, in x**2, on |x| <= erf_split
    erf_small: Constants
    # -log(erfc(x)), in x - erf_center, on [erf_split, erf_highest]
    erf_large: Constants


def constants(scalar: Any, *values: float) -> Constants:
    """The values as numbers of a dtype."""
    return tuple(scalar(value) for value in values)


F32 = FloatFormat(
    zero=np.float32(0),
    half=np.float32(0.5),
    one=np.float32(1),
    two=np.float32(2),
    infinity=np.float32(np.inf),
    not_a_number=np.float32(np.nan),
    smallest_normal=np.float32(2.0**-126),
    negligible=np.float32(2.0**-30),
    integer_shift=np.float32(1.5 * 2.0**23),
    integer_shift_bits=np.int32(0x4B400000),
    power_shift=np.float32(1.5 * 2.0**23 + 127),
    half_power_shift=np.float32(1.5 * 2.0**23 + 127 - 1),
    lifted_power_shift=np.float32(1.5 * 2.0**23 + 127 + 64),
    lifted_power_factor=np.float32(2.0**-64),
    mantissa_bits=np.int32(23),
    exponent_mask=np.int32(-0x800000),
    one_bits=np.int32(0x3F800000),
    two_thirds_bits=np.int32(0x3F2AAAAB),
    three=np.int32(3),
    bit_zero=np.int32(0),
    bit_one=np.int32(1),
    bit_two=np.int32(2),
    subnormal_scale=np.float32(2.0**25),
    subnormal_exponent=np.float32(25),
    log2_e=np.float32(1.4426950408889634),
    ln2_high=np.float32(0.6931471824645996),
    ln2_low=np.float32(-1.9046542121259336e-09),
    exp_lowest=np.float32(-105),
    exp_highest=np.float32(89),
    expm1_lowest=np.float32(-20),
    tanh_highest=np.float32(44.5),
    third=np.float32(1 / 3),
    erf_split=np.float32(0.875),
    erf_highest=np.float32(3.95),
    erf_center=np.float32(0),
    two_over_pi=np.float32(0.63661975),
    near_limit=np.float32(2.0**20),
    expm1=constants(
        np.float32,
        0.001394555,
        0.008366661,
        0.041666295,
        0.16666542,
        0.5,
    ),
    log1p=constants(
        np.float32,
        -0.1329026,
        0.14007054,
        -0.12083439,
        0.14000612,
        -0.16689113,
        0.20010786,
        -0.24999514,
        0.33333206,
        -0.5,
    ),
    sin=constants(
        np.float32,
        2.7182514e-06,
        -0.00019839327,
        0.008333329,
        -0.16666667,
    ),
    cos=constants(
        np.float32,
        -2.7210757e-07,
        2.4799527e-05,
        -0.0013888883,
        0.041666668,
    ),
    erf_small=constants(
        np.float32,
        -0.0006204834,
        0.005032478,
        -0.026791656,
        0.112824604,
        -0.3761255,
        0.12837915,
    ),
    erf_large=constants(
        np.float32,
        -0.00020086662,
        0.0030911562,
        -0.022416025,
        0.1043192,
        0.63674647,
        1.1279306,
        0.00013491146,
    ),
)

F64 = FloatFormat(
    zero=np.float64(0),
    half=np.float64(0.5),
    one=np.float64(1),
    two=np.float64(2),
    infinity=np.float64(np.inf),
    not_a_number=np.float64(np.nan),
    smallest_normal=np.float64(2.0**-1022),
    negligible=np.float64(2.0**-60),
    integer_shift=np.float64(1.5 * 2.0**52),
    integer_shift_bits=np.int64(0x4338000000000000),
    power_shift=np.float64(1.5 * 2.0**52 + 1023),
    half_power_shift=np.float64(1.5 * 2.0**52 + 1023 - 1),
    lifted_power_shift=np.float64(1.5 * 2.0**52 + 1023 + 64),
    lifted_power_factor=np.float64(2.0**-64),
    mantissa_bits=np.int64(52),
    exponent_mask=np.int64(-0x10000000000000),
    one_bits=np.int64(0x3FF0000000000000),
    two_thirds_bits=np.int64(0x3FE5555555555555),
    three=np.int64(3),
    bit_zero=np.int64(0),
    bit_one=np.int64(1),
    bit_two=np.int64(2),
    subnormal_scale=np.float64(2.0**54),
    subnormal_exponent=np.float64(54),
    log2_e=np.float64(1.4426950408889634),
    ln2_high=np.float64(0.6931471805599453),
    ln2_low=np.float64(2.3190468138462996e-17),
    exp_lowest=np.float64(-747),
    exp_highest=np.float64(710),
    expm1_lowest=np.float64(-40),
    tanh_highest=np.float64(355),
    third=np.float64(1 / 3),
    erf_split=np.float64(0.875),
    erf_highest=np.float64(6),
    erf_center=np.float64(2),
    two_over_pi=np.float64(0.6366197723675814),
    near_limit=np.float64(2.0**30),
    expm1=constants(
        np.float64,
        2.0924187067050873e-09,
        2.5109080206912986e-08,
        2.755724355970997e-07,
        2.755724408665082e-06,
        2.4801587359722988e-05,
        0.00019841269886236132,
        0.0013888888888867134,
        0.0083333333333216,
        0.0416666666666667,
        0.16666666666666677,
        0.5,
    ),
    log1p=constants(
        np.float64,
        0.08464102727255166,
        -0.08374520027859697,
        0.033563407292421445,
        -0.03814675476871218,
        0.05523452672101938,
        -0.05753432989639447,
        0.058524298579313544,
        -0.06229710052629363,
        0.06668916480842793,
        -0.0714419813353798,
        0.07692195441627832,
        -0.0833327565659636,
        0.09090912763978168,
        -0.10000001584317333,
        0.11111111035272303,
        -0.12499999973556579,
        0.14285714286629142,
        -0.1666666666691009,
        0.19999999999994453,
        -0.2499999999999898,
        0.3333333333333334,
        -0.5,
    ),
    sin=constants(
        np.float64,
        -7.578583602950224e-13,
        1.6058364230179302e-10,
        -2.5052104891724373e-08,
        2.755731921410812e-06,
        -0.0001984126984125489,
        0.008333333333333323,
        -0.16666666666666666,
    ),
    cos=constants(
        np.float64,
        4.7380337353085645e-14,
        -1.14702915669154e-11,
        2.087675435087518e-09,
        -2.755731921530629e-07,
        2.480158730157133e-05,
        -0.0013888888888888874,
        0.041666666666666664,
    ),
    erf_small=constants(
        np.float64,
        -8.656625732973668e-10,
        1.41186872184166e-08,
        -1.628849344922205e-07,
        1.6456529999085244e-06,
        -1.4925382206213766e-05,
        0.00012055324354895224,
        -0.0008548326840184583,
        0.005223977622967918,
        -0.026866170644933702,
        0.11283791670954309,
        -0.37612638903183737,
        0.1283791670955126,
    ),
    erf_large=constants(
        np.float64,
        -1.8215662912086887e-14,
        3.186085867860137e-13,
        -2.398711156313917e-12,
        1.0594956390494523e-11,
        -3.0180349097435376e-11,
        3.542729443872305e-11,
        2.572392607456871e-10,
        -2.5186572130515233e-09,
        1.3975883644985615e-08,
        -5.7822327988261505e-08,
        1.7318007638854916e-07,
        -2.036272406063369e-07,
        -1.952178788077291e-06,
        2.0706428581234126e-05,
        -0.00013530933956660792,
        0.0007323993858998509,
        -0.0035707563454800127,
        0.016465118136922773,
        0.9237508418237766,
        4.418160805994415,
        5.364941264616638,
    ),
)

# log2(1 + f) / f on |f| <= 1/3 to 2**-38, for f32 results computed in f64
POW32_LOG2 = constants(
    np.float64,
    -0.1542629557843597,
    0.15776259219847386,
    -0.11039274474205438,
    0.12348918989385393,
    -0.14520001913357353,
    0.16090044116255586,
    -0.18029005068730605,
    0.2060754413865762,
    -0.24045038644883832,
    0.2885394556476118,
    -0.36067374625030457,
    0.48089834382821145,
    -0.7213475204916927,
    1.4426950408925387,
)

# (2**r - 1) / r on |r| <= 1/2 to 2**-32, for f32 results computed in f64
POW32_EXP2 = constants(
    np.float64,
    1.5308270382168023e-05,
    0.00015461464246005225,
    0.0013333461340269879,
    0.00961805663193209,
    0.05550410922387694,
    0.24022650922489397,
    0.693147180554601,
)

# ((2 atanh(s) - 2 s) / s**3 - 2/3) / s**2, in s**2, on |s| <= 1/5
POW64_ATANH = constants(
    np.float64,
    0.12574315192032953,
    0.1159187653466122,
    0.13341177736582738,
    0.15384405426801862,
    0.18181821551722943,
    0.22222222190943353,
    0.28571428571579155,
    0.3999999999999972,
)

# 2/3 as a rounded value and its error
TWO_THIRDS = constants(
    np.float64,
    0.6666666666666666,
    3.700743415417188e-17,
)

# pi/2 in three parts
HALF_PI = constants(
    np.float64,
    1.5707963267948966,
    6.123233995736766e-17,
    -1.4973849048591698e-33,
)
HALF_PI_F32 = constants(
    np.float32,
    1.5707964,
    -4.371139e-08,
    -1.7151245e-15,
)

# 2/pi in pieces of 29 bits: the product of an f32 and a piece is exact in f64
TWO_OVER_PI_PIECES = constants(
    np.float64,
    341782637 * 2.0**-29,
    423170132 * 2.0**-58,
    352195499 * 2.0**-87,
    488592205 * 2.0**-116,
    461485765 * 2.0**-145,
    90590992 * 2.0**-174,
    478285810 * 2.0**-203,
)

# The binary digits of 1 / (2 pi) behind the point.
_TURNS_DIGITS = (
    "28BE60DB9391054A7F09D5F47D4D377036D8A5664F10E4107F9458EAF7AEF158"
    "6DC91B8E909374B801924BBA827464873F877AC72C4A69CFBA208D7D4BAED121"
    "3A671C09AD17DF904E64758E60D4CE7D272117E2EF7E4A0EC7FE25FFF7816603"
    "FBCBC462D6829B47DB4D9FB3C9F2C26DD3D18FD9A797FA8B5D49EEB1FAF97C5E"
    "CF41CE7DE294A4BA9AFED7EC47E357421580CC11"
)
# x = m * 2**(32 k - 51), an f64 with exponent 32 k + 1 to 32 k + 32: m is an integer below 2**84.
TURNS_EXPONENTS = 32
TURNS_SCALE = 51


def _turns_pieces() -> tuple[np.ndarray, ...]:
    """2**(32 k - 51) / (2 pi) without its whole part, in four pieces of 53 bits: piece p of all k
    is array p. Products of m and what is left out are below 2**-128 turns."""
    digits = int("".join(_TURNS_DIGITS), 16)
    count = 4 * len("".join(_TURNS_DIGITS))
    piece_bits = np.finfo(np.float64).nmant + 1
    pieces = []
    for end in range(piece_bits, 5 * piece_bits, piece_bits):
        shifts = [count - (TURNS_EXPONENTS * k - TURNS_SCALE + end) for k in range(32)]
        whole = [(digits >> shift) & (2**piece_bits - 1) for shift in shifts]
        pieces.append(np.array([value * 2.0**-end for value in whole], np.float64))
    return tuple(pieces)


TURNS_PIECES = _turns_pieces()
