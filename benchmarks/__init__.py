"""Measurements, none of them a test. `python -m benchmarks` lists them and runs the quick ones.

All of them measure one thread, so BLAS gets one too, which it has to be told before numpy loads.
"""

import os

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
