"""Constants of the trigonometric and hyperbolic functions and of logarithms to other bases.

The coefficients are this project's own, fitted as those of `vecmath_constants`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.kernels.mathematics.constants.vecmath_constants import Constants, constants


@dataclass(frozen=True, eq=False)
class AngleConstants:
    """Of angles: pi/2 in two parts, tan(pi/8), the scales of atan2 and polynomials."""

    half_pi: Any
    half_pi_low: Any
    tan_eighth: Any
    # atan is pi/2 from here on.
    steepest: Any
    # Beyond these a number is scaled, for its sum with another, or a part of it, to be in range.
    large: Any
    small: Any
    down: Any
    up: Any
    # (asin(x) / x - 1) / x**2, in x**2, on |x| <= 1/2
    asin: Constants
    # (atan(x) / x - 1) / x**2, in x**2, on |x| <= tan(pi/8)
    atan: Constants


@dataclass(frozen=True, eq=False)
class HyperbolicConstants:
    """Of the hyperbolic functions, their inverses and hypot."""

    # exp(x) / 4 is in range up to here, and sinh(x) is not.
    exp_highest: Any
    # As `power_shift`, for 2**(n - 2).
    quarter_power_shift: Any
    sixteenth: Any
    # From here on x**2 is all of x**2 + 1.
    far: Any
    # hypot scales numbers beyond these, whose squares are out of range; what undoes that.
    large: Any
    small: Any
    down: Any
    up: Any
    undo_down: Any
    undo_up: Any
    # (sinh(x) / x - 1) / x**2, in x**2, on |x| <= 1
    sinh: Constants
    # (asinh(x) / x - 1) / x**2, in x**2, on |x| <= 1/2
    asinh: Constants
    # (acosh(1 + t) / sqrt(2 t) - 1) / t on 0 <= t <= 1/2
    acosh: Constants
    # (atanh(x) / x - 1) / x**2, in x**2, on |x| <= 1/2
    atanh: Constants


@dataclass(frozen=True, eq=False)
class Logarithm:
    """What the logarithm of another base is of 2, the first part of few digits, and of e."""

    of_2: Any
    of_2_low: Any
    of_e: Any
    of_e_low: Any


@dataclass(frozen=True, eq=False)
class BaseConstants:
    """Of 2**x and of logarithms to bases 2 and 10."""

    exp2_lowest: Any
    exp2_highest: Any
    log2: Logarithm
    log10: Logarithm
    # (2**r - 1) / r on |r| <= 1/2
    exp2: Constants


ANGLES_F32 = AngleConstants(
    half_pi=np.float32(1.5707963705062866),
    half_pi_low=np.float32(-4.371138828673793e-08),
    tan_eighth=np.float32(0.41421356237309503),
    steepest=np.float32(2.0**60),
    large=np.float32(2.0**100),
    small=np.float32(2.0**-60),
    down=np.float32(2.0**-30),
    up=np.float32(2.0**60),
    asin=constants(
        np.float32,
        0.03756704,
        0.014401086,
        0.031818084,
        0.044515654,
        0.075005114,
        0.1666666,
    ),
    atan=constants(
        np.float32,
        -0.060809687,
        0.10595049,
        -0.14243723,
        0.19998483,
        -0.33333316,
    ),
)

ANGLES_F64 = AngleConstants(
    half_pi=np.float64(1.5707963267948966),
    half_pi_low=np.float64(6.123233995736766e-17),
    tan_eighth=np.float64(0.41421356237309503),
    steepest=np.float64(2.0**60),
    large=np.float64(2.0**1000),
    small=np.float64(2.0**-500),
    down=np.float64(2.0**-100),
    up=np.float64(2.0**500),
    asin=constants(
        np.float64,
        0.03267554314039731,
        -0.02107506713636043,
        0.021761869002184665,
        0.003683739326182915,
        0.010786335990963907,
        0.01139781221952308,
        0.013980956758165958,
        0.017351600511032243,
        0.022372215634949157,
        0.03038194268461611,
        0.04464285717509696,
        0.07499999999970292,
        0.16666666666666763,
    ),
    atan=constants(
        np.float64,
        -0.017907370502956214,
        0.0380649884594612,
        -0.05039332617109489,
        0.05847897927112799,
        -0.06663105555115982,
        0.07692060373745713,
        -0.09090897768014723,
        0.11111110783860845,
        -0.14285714280205383,
        0.19999999999953683,
        -0.333333333333332,
    ),
)

HYPERBOLIC_F32 = HyperbolicConstants(
    exp_highest=np.float32(89.5),
    quarter_power_shift=np.float32(1.5 * 2.0**23 + 127 - 2),
    sixteenth=np.float32(1 / 16),
    far=np.float32(2.0**13),
    large=np.float32(2.0**60),
    small=np.float32(2.0**-50),
    down=np.float32(2.0**-70),
    up=np.float32(2.0**100),
    undo_down=np.float32(2.0**70),
    undo_up=np.float32(2.0**-100),
    sinh=constants(
        np.float32,
        2.8174268e-06,
        0.00019836069,
        0.0083333505,
        0.16666667,
    ),
    asinh=constants(
        np.float32,
        -0.013247594,
        0.02817521,
        -0.044385783,
        0.07498662,
        -0.16666643,
    ),
    acosh=constants(
        np.float32,
        -0.00041398732,
        0.0017609507,
        -0.005548223,
        0.018746655,
        -0.08333322,
    ),
    atanh=constants(
        np.float32,
        0.17720596,
        0.0509777,
        0.11834203,
        0.14221454,
        0.2000259,
        0.333333,
    ),
)

HYPERBOLIC_F64 = HyperbolicConstants(
    exp_highest=np.float64(710.5),
    quarter_power_shift=np.float64(1.5 * 2.0**52 + 1023 - 2),
    sixteenth=np.float64(1 / 16),
    far=np.float64(2.0**28),
    large=np.float64(2.0**500),
    small=np.float64(2.0**-450),
    down=np.float64(2.0**-600),
    up=np.float64(2.0**600),
    undo_down=np.float64(2.0**600),
    undo_up=np.float64(2.0**-600),
    sinh=constants(
        np.float64,
        7.759309377191378e-13,
        1.6057240439783392e-10,
        2.5052123397231898e-08,
        2.7557319155345277e-06,
        0.00019841269841437657,
        0.008333333333333139,
        0.16666666666666669,
    ),
    asinh=constants(
        np.float64,
        0.0017196945980164089,
        -0.004749919734974311,
        0.007467172272435985,
        -0.009534731765532064,
        0.011513123827687667,
        -0.013960254096783148,
        0.017352389225378028,
        -0.02237213851297174,
        0.030381943723033832,
        -0.044642857127997496,
        0.07499999999984625,
        -0.1666666666666661,
    ),
    acosh=constants(
        np.float64,
        4.198473139688498e-07,
        -2.319296745592925e-06,
        7.292160422300766e-06,
        -1.8622522979554813e-05,
        4.497313995190495e-05,
        -0.00010906448513111834,
        0.0002711310816465317,
        -0.0006991293285303669,
        0.0018988714826896145,
        -0.005580357140999687,
        0.01874999999996156,
        -0.08333333333333305,
    ),
    atanh=constants(
        np.float64,
        0.24116931036800474,
        -0.19624003347832153,
        0.17507300172640783,
        -0.00541359550617733,
        0.059593644988741666,
        0.05057324711289212,
        0.05907541441844245,
        0.06664474600361317,
        0.07692441368447077,
        0.09090903548787277,
        0.11111111259472672,
        0.14285714283363443,
        0.20000000000018806,
        0.3333333333333328,
    ),
)

BASES_F32 = BaseConstants(
    exp2_lowest=np.float32(-151),
    exp2_highest=np.float32(128),
    log2=Logarithm(
        of_2=np.float32(1),
        of_2_low=np.float32(0),
        of_e=np.float32(1.4426950216293335),
        of_e_low=np.float32(1.925963033500011e-08),
    ),
    log10=Logarithm(
        of_2=np.float32(0.30103302001953125),
        of_2_low=np.float32(-3.024355464731343e-06),
        of_e=np.float32(0.4342944920063019),
        of_e_low=np.float32(-1.0103049952192578e-08),
    ),
    exp2=constants(
        np.float32,
        0.00015473484,
        0.0013400341,
        0.009618015,
        0.055503275,
        0.2402265,
        0.6931472,
    ),
)

BASES_F64 = BaseConstants(
    exp2_lowest=np.float64(-1076),
    exp2_highest=np.float64(1024),
    log2=Logarithm(
        of_2=np.float64(1),
        of_2_low=np.float64(0),
        of_e=np.float64(1.4426950408889634),
        of_e_low=np.float64(2.0355273740931033e-17),
    ),
    log10=Logarithm(
        of_2=np.float64(0.30102999566395283),
        of_2_low=np.float64(2.8363394551044964e-14),
        of_e=np.float64(0.4342944819032518),
        of_e_low=np.float64(1.098319650216765e-17),
    ),
    exp2=constants(
        np.float64,
        4.457391388797305e-10,
        7.0738539127005675e-09,
        1.0178046425100375e-07,
        1.3215434857407935e-06,
        1.5252733867658368e-05,
        0.00015403530457987492,
        0.0013333558146378863,
        0.009618129107593416,
        0.05550410866482174,
        0.24022650695910133,
        0.6931471805599453,
    ),
)
