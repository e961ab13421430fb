"""Constants of the error functions.

The coefficients are this project's own, fitted as those of `vecmath_constants`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.kernels.mathematics.constants.vecmath_constants import Constants, constants


@dataclass(frozen=True, eq=False)
class ErrorConstants:
    """Of erfc, exp(-x**2) and gelu."""

    # erfc and exp(-x**2) are 0 above; the same of the normal distribution, times x.
    highest: Any
    normal_highest: Any
    one_over_root_pi: Any
    one_over_root_pi_low: Any
    one_over_root_two_pi: Any
    root_half: Any
    root_half_low: Any
    # The middle of [1/2, 2], what the last coefficient lacks there, and that of [0, 1/4]
    center: Any
    middle_low: Any
    far_center: Any
    # erfc(x) exp(x**2), in x - center, on [1/2, 2]
    middle: Constants
    # (erfc(x) exp(x**2) x sqrt(pi) - 1) x**2, in 1 / x**2 - far_center, from 2 on
    far: Constants


ERRORS_F32 = ErrorConstants(
    highest=np.float32(10.25),
    normal_highest=np.float32(15),
    one_over_root_pi=np.float32(0.5641895835477563),
    one_over_root_pi_low=np.float32(-2.9317691385699618e-08),
    one_over_root_two_pi=np.float32(0.3989422804014327),
    root_half=np.float32(0.7071067811865476),
    root_half_low=np.float32(1.2101617485882343e-08),
    center=np.float32(1.25),
    middle_low=np.float32(1.1367330410294585e-09),
    far_center=np.float32(0.125),
    middle=constants(
        np.float32,
        -2.0445965e-05,
        6.4370455e-05,
        -0.00016088445,
        0.00046705652,
        -0.0013264131,
        0.0035552105,
        -0.009081542,
        0.022011077,
        -0.05021828,
        0.10679559,
        -0.20882188,
        0.36782292,
    ),
    far=constants(
        np.float32,
        1124.4535,
        -332.55484,
        57.985657,
        -20.0757,
        8.072547,
        -3.1954675,
        1.4081107,
        -0.7226553,
        0.46140477,
        -0.42712376,
    ),
)

ERRORS_F64 = ErrorConstants(
    highest=np.float64(27.35),
    normal_highest=np.float64(38.8),
    one_over_root_pi=np.float64(0.5641895835477563),
    one_over_root_pi_low=np.float64(7.66772980658294e-18),
    one_over_root_two_pi=np.float64(0.3989422804014327),
    root_half=np.float64(0.7071067811865476),
    root_half_low=np.float64(-4.833646656726457e-17),
    center=np.float64(1.25),
    middle_low=np.float64(1.387401093925035e-19),
    far_center=np.float64(0.125),
    middle=constants(
        np.float64,
        2.2882727541995526e-10,
        -8.977211949532361e-10,
        2.7602795747874855e-09,
        -1.0302013176778452e-08,
        3.850815474283257e-08,
        -1.3764997371199972e-07,
        4.795957382483377e-07,
        -1.6306209271415275e-06,
        5.395665171543675e-06,
        -1.734409941537995e-05,
        5.405405884378747e-05,
        -0.00016296000568248993,
        0.00047397031037537627,
        -0.0013257829300694357,
        0.0035531099032241826,
        -0.009081627632911982,
        0.022011364250857313,
        -0.05021827439590817,
        0.1067955714965988,
        -0.20882187596460983,
        0.3678229164523611,
    ),
    far=constants(
        np.float64,
        -325664633707144.06,
        68318809809616.5,
        20491495238773.664,
        -4326197875597.716,
        -747803236707.5459,
        160547538707.23917,
        11958681783.386765,
        -2567135314.0346823,
        -297530382.70371586,
        67871768.37965804,
        -5092257.334932402,
        1300065.1736080183,
        -431033.9085396242,
        111609.26023444648,
        -29088.939868998157,
        7970.801916526913,
        -2257.486937774688,
        662.1731194519956,
        -202.46479075277034,
        64.96965665876249,
        -22.072049819654364,
        8.032703536947448,
        -3.183720020857081,
        1.4081850188729876,
        -0.7226788493698442,
        0.4614047542204513,
        -0.4271237467660585,
    ),
)
